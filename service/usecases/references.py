"""A selection's references as they go into a slot: chosen ones as published, provisional ones projected anew."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import numpy as np

from service.core.model import Float32Array
from service.core.projection import Head
from service.core.pull import class_means, pulled
from service.core.reference_set import ReferenceSet
from service.ports import Partition
from service.records import Catalogue, Selection, SelectionMember
from service.usecases.context import Context, partition_of, references_key
from service.usecases.selections import chunked, head_of, recipe_of


class References:
    """Projections of one selection's references. Head and stored references are read once, when first needed."""

    def __init__(self, context: Context, catalogue: Catalogue, selection: Selection) -> None:
        self._context = context
        self._selection = selection
        self._partition = partition_of(catalogue)
        self._key = references_key(catalogue.tenant, selection.id)

    @cached_property
    def _head(self) -> Head | None:
        return head_of(self._context, self._selection)

    @cached_property
    def _published(self) -> ReferenceSet:
        return ReferenceSet.from_bytes(self._context.blobs.get(self._key))

    def of(self, members: Iterable[SelectionMember]) -> ReferenceSet:
        """The members' projections. Give all provisional members of a label: their mean is what they are pulled to."""
        provisional: dict[str, list[str]] = {}
        chosen: list[str] = []
        for member in members:
            if member.provisional:
                provisional.setdefault(member.label, []).append(member.example_id)
            else:
                chosen.append(member.example_id)
        parts = [self._published.take(chosen)] if chosen else []
        return joined([*parts, *(self.provisional(label, ids) for label, ids in provisional.items())])

    def chosen(self, labels: Mapping[str, str]) -> list[str]:
        """Those of the examples (id to label) that were chosen under this label."""
        published = dict(zip(self._published.ids, self._published.labels, strict=True)) if labels else {}
        return [example_id for example_id, label in labels.items() if published.get(example_id) == label]

    def provisional(self, label: str, ids: Sequence[str]) -> ReferenceSet:
        """Examples through the head, pulled towards their mean by the recipe; those that the store holds."""
        found, embeddings = fetched(self._context, self._partition, ids)
        if not found:
            return joined([])
        projections = embeddings if self._head is None else self._head.project(embeddings)
        codes = np.zeros(len(found), dtype=np.int64)
        rows = pulled(projections, codes, class_means(projections, codes, 1), recipe_of(self._selection).pull)
        return ReferenceSet(found, (label,) * len(found), rows)


def joined(parts: Sequence[ReferenceSet]) -> ReferenceSet:
    """One set after the other."""
    filled = [part for part in parts if len(part)]
    return ReferenceSet(
        tuple(example_id for part in filled for example_id in part.ids),
        tuple(label for part in filled for label in part.labels),
        np.concatenate([part.projections for part in filled]) if filled else np.zeros((0, 1), dtype=np.float32),
    )


def fetched(context: Context, partition: Partition, ids: Sequence[str]) -> tuple[tuple[str, ...], Float32Array]:
    """The ids that the store holds, and their embeddings (n, d)."""
    found: list[str] = []
    rows: list[Float32Array] = []
    for some in chunked(ids):
        points = context.store.fetch(partition, some)
        if points.embeddings is not None and len(points.ids):
            found.extend(points.ids)
            rows.append(points.embeddings)
    return tuple(found), np.concatenate(rows) if rows else np.zeros((0, 1), dtype=np.float32)
