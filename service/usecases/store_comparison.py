"""One catalogue's rows compared with its points and its bytes. Nothing is written.

While others work, a row may be there a moment before its point's new payload, or an example go between two looks. So
whatever differs is looked at a second time, rows and points anew, and told only where it still differs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from service.core.model import Float32Array
from service.core.vectors import UNIT_TOLERANCE
from service.errors import NotFound
from service.ports import Partition, StoredPoints
from service.records import SLOTS, Catalogue, Example, Selection
from service.usecases.context import Context, image_key, partition_of
from service.usecases.example_pages import example_pages
from service.usecases.lone_points import lone_points
from service.usecases.missing_points import read_embedding
from service.usecases.needed_blobs import PUBLISHED, of_selection
from service.usecases.points import payload_split
from service.usecases.selections import chunked, flagged
from service.usecases.store_findings import Findings, StoreFinding

AGREES = 1e-5
"""A store that normalises what it is given may round the last digit of a float32 otherwise."""

Progress = Callable[[int], None]
"""Called with how many examples were looked at."""


def compare(context: Context, catalogue: Catalogue, on_progress: Progress = lambda _: None) -> Findings:
    """Everything that is wrong with the catalogue. Raises Unavailable."""
    found = Findings(catalogue.tenant, catalogue.name)
    if catalogue.fingerprint is None:
        return found
    context.store.open_collection(catalogue.fingerprint.collection, catalogue.fingerprint.dimension)
    comparison = _Comparison(context, catalogue, partition_of(catalogue), catalogue.fingerprint.dimension)
    done = 0
    for page in comparison.pages():
        once = comparison.examples(page)
        again = sorted({name for one in once.all() for name in one.names})
        for ids in chunked(again):
            twice = comparison.examples(list(context.registry.examples_by_id(catalogue.id, ids).values()))
            for one in twice.all():
                found.add(one.kind, one.names)
        done += len(page)
        on_progress(done)
    found.add(StoreFinding.POINT_WITHOUT_ROW, comparison.lone())
    comparison.selections(found)
    return found


def differing(example: Example, payload: Mapping[str, Any]) -> dict[str, Any]:
    """What a point's payload should say otherwise: of all that queries filter by, and that answers are read from."""
    wanted = {
        "label": example.label,
        "split": payload_split(example),
        "content_hash": example.content_hash,
        "metadata": dict(example.metadata),
    }
    return {key: value for key, value in wanted.items() if (payload.get(key) or {}) != (value or {})}


def usable(embedding: Float32Array) -> bool:
    """Finite, and of unit length."""
    return bool(abs(np.linalg.norm(embedding.astype(np.float64)) - 1) <= UNIT_TOLERANCE)


def unknown_flags(context: Context, catalogue: Catalogue, partition: Partition) -> dict[str, list[str]]:
    """By slot, points that carry the flag of a selection that the catalogue has not. Raises Unavailable."""
    found: dict[str, list[str]] = {slot: [] for slot in SLOTS}
    for ids in chunked(context.store.ids(partition, {})):
        points = context.store.fetch(partition, ids, with_embeddings=False)
        known = {one.id for one in context.registry.selections(catalogue.id)}
        for slot in SLOTS:
            for example_id, payload in zip(points.ids, points.payloads, strict=True):
                if (flag := payload.get(f"selection_{slot}")) is not None and flag not in known:
                    found[slot].append(example_id)
    return found


class _Comparison:
    def __init__(self, context: Context, catalogue: Catalogue, partition: Partition, dimension: int) -> None:
        self._context, self._catalogue, self._partition = context, catalogue, partition
        self._dimension = dimension

    def pages(self) -> Iterator[Sequence[Example]]:
        return example_pages(self._context.registry, self._catalogue)

    def examples(self, rows: Sequence[Example]) -> Findings:
        """Some rows with their points and bytes; named by example id."""
        found = Findings(self._catalogue.tenant, self._catalogue.name)
        points = self._points([row.id for row in rows])
        for row in rows:
            self._example(row, points.get(row.id), found)
        return found

    def _points(self, ids: Sequence[str]) -> Mapping[str, tuple[Mapping[str, Any], Float32Array]]:
        fetched: dict[str, tuple[Mapping[str, Any], Float32Array]] = {}
        for some in chunked(ids):
            points: StoredPoints = self._context.store.fetch(self._partition, some)
            if points.embeddings is not None:
                fetched.update(zip(points.ids, zip(points.payloads, points.embeddings, strict=True), strict=True))
        return fetched

    def _example(self, row: Example, point: tuple[Mapping[str, Any], Float32Array] | None, found: Findings) -> None:
        stored = read_embedding(self._context, self._catalogue, row)
        if stored is None:
            found.add(StoreFinding.EMBEDDING_MISSING, [row.id])
        if point is None:
            found.add(StoreFinding.POINT_MISSING, [row.id])
        else:
            payload, embedding = point
            if differing(row, payload):
                found.add(StoreFinding.PAYLOAD, [row.id])
            wrong = stored is not None and float(np.abs(stored.embedding - embedding).max()) > AGREES
            if wrong or not usable(embedding):
                found.add(StoreFinding.EMBEDDING, [row.id])
        found.add(*self._picture(row))

    def _picture(self, row: Example) -> tuple[StoreFinding, list[str]]:
        try:
            data = self._context.blobs.get(image_key(self._catalogue.tenant, row.content_hash))
        except NotFound:
            return StoreFinding.PICTURE_MISSING, [] if self._catalogue.without_pictures else [row.id]
        changed = hashlib.sha256(data).hexdigest() != row.content_hash
        return StoreFinding.PICTURE_CHANGED, [row.id] if changed else []

    def lone(self) -> list[str]:
        return lone_points(self._context, self._catalogue, self._context.store.ids(self._partition, {}))

    def selections(self, found: Findings) -> None:
        """Bytes of all that can serve again, and the flags of what serves."""
        registry = self._context.registry
        active = registry.catalogue_by_id(self._catalogue.id).active_selection
        for selection in registry.selections(self._catalogue.id):
            if selection.state in PUBLISHED:
                gone = [one.key for one in of_selection(self._catalogue, selection) if not self._readable(one.key)]
                found.add(StoreFinding.SELECTION_BYTES, gone)
            if selection.id == active:
                lacking, surplus = self._flags(selection)
                if lacking or surplus:  # somebody may have dropped or published in between
                    later_lacking, later_surplus = self._flags(selection)
                    found.add(StoreFinding.FLAG_MISSING, lacking & later_lacking)
                    found.add(StoreFinding.FLAG_SURPLUS, surplus & later_surplus)
        unknown = unknown_flags(self._context, self._catalogue, self._partition)
        found.add(StoreFinding.FLAG_SURPLUS, [one for slot in unknown for one in unknown[slot]])

    def _flags(self, selection: Selection) -> tuple[set[str], set[str]]:
        where = flagged(selection.slot, selection.id)
        held = set(self._context.store.ids(self._partition, where))
        members = {member.example_id for member in self._context.registry.members(selection.id)}
        return members - held, held - members

    def _readable(self, key: str) -> bool:
        return self._context.blobs.exists(key)
