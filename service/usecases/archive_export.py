"""A whole catalogue as one zip, streamed: what is in memory is a part of the examples, or one picture.

What holds while pictures are ingested, relabelled, dropped or selections published meanwhile: every example of the
archive has its embedding, and every member of a selection is an example of the archive under its label, so it can be
imported; the selections are those that were there at the beginning, the pointer the one of that moment. Whether an
example that comes or goes meanwhile is in it is chance.
"""

from __future__ import annotations

import hashlib
import json
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from service import __version__
from service.core.float_rows import npy_bytes
from service.core.model import Float32Array
from service.core.reference_set import ReferenceSet
from service.errors import NotFound
from service.records import Catalogue, Example, Relabelling, Selection, SelectionMember, SelectionState
from service.usecases.archive_dropped import dropped_line
from service.usecases.archive_fields import encoded
from service.usecases.archive_format import (
    DROPPED,
    MANIFEST,
    MAX_SELECTIONS,
    PAGE_EXAMPLES,
    PROMPTS,
    ArchivedExample,
    ArchivedSelection,
    embeddings_part,
    example_line,
    examples_part,
    image_member,
    selection_bytes,
    selection_member,
)
from service.usecases.archive_manifest import Manifest
from service.usecases.archive_prompts import prompts_line
from service.usecases.archive_report import judged_names, renamed
from service.usecases.archive_sink import Sink
from service.usecases.context import Context, image_key, references_key, report_key
from service.usecases.example_pages import example_pages
from service.usecases.missing_points import fetch_whole
from service.usecases.selections import chunked, head_of

PIECE_BYTES = 256 * 1024
"""Zip bytes are handed on in pieces of about this size."""


def export_catalogue(context: Context, tenant: str, name: str, *, images: bool) -> Iterator[bytes]:
    """The archive, piece by piece. The catalogue is looked up at once, the rest happens as pieces are asked for.

    Args:
        context: the ports.
        tenant: whose catalogue.
        name: the catalogue.
        images: put the bytes of the pictures in as well.

    Raises:
        CatalogueNotFound: the tenant has none of that name.
        Unavailable: an outside system does not answer; the archive then breaks off, and cannot be imported.
    """
    catalogue = context.registry.catalogue(tenant, name)
    return _Export(context, catalogue, images=images).pieces()


@dataclass(slots=True)
class _Written:
    """A member of the archive. None is compressed: nearly all of it is embeddings and pictures, which do not shrink."""

    name: str
    data: bytes


@dataclass(slots=True)
class _Member:
    """A member of a selection that is in the archive."""

    picture: str
    label: str


@dataclass(slots=True)
class _Counts:
    examples: int = 0
    images: int = 0
    selections: int = 0
    active: int | None = None
    members: dict[str, tuple[int, str]] = field(default_factory=dict)


class _Export:
    def __init__(self, context: Context, catalogue: Catalogue, *, images: bool) -> None:
        self._context = context
        self._catalogue = catalogue
        self._images = images
        self._counts = _Counts()
        self._wanted: dict[str, _Member | None] = {}
        self._shown: set[str] = set()
        self._kept: Mapping[str, frozenset[str]] = {}
        self._relabelled: Mapping[str, Sequence[Relabelling]] = {}

    def pieces(self) -> Iterator[bytes]:
        sink = Sink()
        with zipfile.ZipFile(sink, "w", allowZip64=True) as archive:
            for part in self._parts():
                self._write(archive, part)
                if sink.length >= PIECE_BYTES:
                    yield sink.take()
        yield sink.take()

    def _write(self, archive: zipfile.ZipFile, part: _Written) -> None:
        info = zipfile.ZipInfo(part.name, time.gmtime(max(self._context.clock(), 315_532_800))[:6])
        info.external_attr = 0o100644 << 16
        archive.writestr(info, part.data)
        if part.name == image_member(part.name.rpartition("/")[2]):
            self._counts.images += 1
        elif part.name != MANIFEST:
            self._counts.members[part.name] = (len(part.data), hashlib.sha256(part.data).hexdigest())

    def _parts(self) -> Iterator[_Written]:
        selections = self._selections()
        yield from self._examples()
        for selection, members in selections:
            yield from self._selection(selection, members)
        counts, catalogue = self._counts, self._catalogue
        registry = self._context.registry
        listed = {
            PROMPTS: map(prompts_line, registry.prompts(catalogue.id)),
            DROPPED: map(dropped_line, registry.dropped(catalogue.id)),
        }
        yield from (_Written(name, data) for name, lines in listed.items() if (data := b"".join(lines)))
        manifest = Manifest(
            holotype=__version__,
            catalogue=catalogue.name,
            encoder=catalogue.encoder,
            fingerprint=catalogue.fingerprint,
            examples=counts.examples,
            images=counts.images,
            selections=counts.selections,
            part_examples=PAGE_EXAMPLES,
            active=counts.active,
            members=counts.members,
        )
        yield _Written(MANIFEST, manifest.to_bytes())

    def _selections(self) -> list[tuple[Selection, list[SelectionMember]]]:
        """Those that serve or served, oldest first, the newest `MAX_SELECTIONS`, with the members to look out for."""
        known = self._context.registry.selections(self._catalogue.id)
        served = [one for one in known if one.state in (SelectionState.ACTIVE, SelectionState.RETIRED)]
        newest = {one.id for one in served[: MAX_SELECTIONS - 1]} | {self._catalogue.active_selection}
        kept = [one for one in reversed(served) if one.id in newest]
        found = [(one, self._context.registry.members(one.id)) for one in kept]
        for selection, members in found:
            self._wanted.update(dict.fromkeys(member.example_id for member in members))
            self._wanted.update(dict.fromkeys(judged_names(self._report(selection))))
        return found

    def _examples(self) -> Iterator[_Written]:
        if self._catalogue.fingerprint is None:
            return
        registry, catalogue = self._context.registry, self._catalogue.id
        self._kept, self._relabelled = registry.kept_findings(catalogue), registry.relabellings(catalogue)
        waiting: list[tuple[Example, Mapping[str, Any], Float32Array]] = []
        for some in example_pages(registry, self._catalogue):
            waiting.extend(self._with_points(some))
            while len(waiting) >= PAGE_EXAMPLES:
                yield from self._part(waiting[:PAGE_EXAMPLES])
                del waiting[:PAGE_EXAMPLES]
        if waiting:
            yield from self._part(waiting)

    def _with_points(self, examples: Sequence[Example]) -> Iterator[tuple[Example, Mapping[str, Any], Float32Array]]:
        """Examples with payload and embedding; one that was dropped meanwhile, or whose embedding is lost, is not."""
        rows = {one.id: one for one in examples}
        for some in chunked(examples):
            points = fetch_whole(self._context, self._catalogue, some)
            if points.embeddings is not None:
                there = (rows[example_id] for example_id in points.ids)
                yield from zip(there, points.payloads, points.embeddings, strict=True)

    def _part(self, found: Sequence[tuple[Example, Mapping[str, Any], Float32Array]]) -> Iterator[_Written]:
        number = self._counts.examples // PAGE_EXAMPLES
        lines = []
        for example, payload, _ in found:
            image = example.content_hash in self._shown
            if self._images and not image and (member := self._image(example)) is not None:
                self._shown.add(example.content_hash)
                image = True
                yield member
            centrality = payload.get("centrality")
            if example.id in self._wanted:
                self._wanted[example.id] = _Member(example.picture, example.label)
            archived = ArchivedExample(
                example=example,
                centrality=None if centrality is None else float(centrality),
                kept=tuple(sorted(self._kept.get(example.id, ()))),
                image=image,
                relabelled=tuple(self._relabelled.get(example.id, ())),
            )
            lines.append(example_line(archived))
        yield _Written(examples_part(number), b"".join(lines))
        yield _Written(embeddings_part(number), npy_bytes(np.stack([row for _, _, row in found])))
        self._counts.examples += len(found)

    def _image(self, example: Example) -> _Written | None:
        """The picture's bytes; None where they are gone (of a catalogue that was imported without them)."""
        with suppress(NotFound):
            data = self._context.blobs.get(image_key(self._catalogue.tenant, example.content_hash))
            return _Written(image_member(example.content_hash), data)
        return None

    def _selection(self, selection: Selection, members: Sequence[SelectionMember]) -> Iterator[_Written]:
        """The parts of a selection; none where no member is left."""
        references, head = self._references(selection), head_of(self._context, selection)
        there = {one.example_id: one for one in members if self._is_there(one)}
        places = {example_id: row for row, example_id in enumerate(references.ids)}
        chosen = [one for one in there.values() if one.example_id in places and not one.provisional]
        chosen.sort(key=lambda one: places[one.example_id])
        provisional = [one for one in there.values() if one.provisional]
        if not chosen and not provisional:
            return
        number = self._counts.selections
        self._counts.selections += 1
        if selection.id == self._catalogue.active_selection:
            self._counts.active = number
        width = head.matrix.shape[1] if head is not None else references.projections.shape[1] if chosen else 0
        archived = ArchivedSelection(
            selection=selection,
            members=len(chosen) + len(provisional),
            chosen=len(chosen),
            width=width,
            head=None if head is None else head.kind,
        )
        yield _Written(selection_member(number, "selection.json"), selection_bytes(archived))
        report = renamed(self._report(selection), self._hash_of)
        yield _Written(selection_member(number, "report.json"), encoded(report))
        lines = b"".join(self._member_line(one) for one in chosen + provisional)
        yield _Written(selection_member(number, "members.jsonl"), lines)
        if chosen:
            rows = references.projections[[places[one.example_id] for one in chosen]]
            yield _Written(selection_member(number, "projections.npy"), npy_bytes(rows))
        if head is not None:
            yield _Written(selection_member(number, "mean.npy"), npy_bytes(head.mean[None]))
            yield _Written(selection_member(number, "matrix.npy"), npy_bytes(head.matrix))

    def _is_there(self, member: SelectionMember) -> bool:
        known = self._wanted.get(member.example_id)
        return known is not None and known.label == member.label

    def _member_line(self, member: SelectionMember) -> bytes:
        known = self._wanted[member.example_id]
        told = {"hash": "" if known is None else known.picture, "label": member.label}
        return encoded(told | {"centrality": member.centrality, "provisional": member.provisional}) + b"\n"

    def _references(self, selection: Selection) -> ReferenceSet:
        return ReferenceSet.from_bytes(self._context.blobs.get(references_key(self._catalogue.tenant, selection.id)))

    def _report(self, selection: Selection) -> dict[str, Any]:
        with suppress(NotFound):
            report: dict[str, Any] = json.loads(
                self._context.blobs.get(report_key(self._catalogue.tenant, selection.id))
            )
            return report
        return {}

    def _hash_of(self, example_id: str) -> str | None:
        known = self._wanted.get(example_id)
        return None if known is None else known.picture
