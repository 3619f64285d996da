"""A vector store that answers as if some points were not there: what would be said without them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import cast

from service.core.model import Float32Array, Neighbour
from service.ports import Partition, VectorName, VectorStore
from service.records import Example


def leaving_out(store: VectorStore, examples: Collection[Example]) -> VectorStore:
    """The store without the examples in what is nearest; everything else about it is as it was."""
    return cast("VectorStore", _LeavingOut(store, examples)) if examples else store


class _LeavingOut:
    """Asks for so much more that what was wanted remains without those that are left out."""

    def __init__(self, store: VectorStore, gone: Collection[Example]) -> None:
        self._store = store
        self._gone = {one.id for one in gone}
        self._gone_of = Counter(one.label for one in gone)

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def nearest(
        self, partition: Partition, using: VectorName, queries: Float32Array, where: Mapping[str, str], limit: int
    ) -> list[list[Neighbour]]:
        found = self._store.nearest(partition, using, queries, where, limit + len(self._gone))
        return [self._left(one)[:limit] for one in found]

    def nearest_per_label(
        self,
        partition: Partition,
        using: VectorName,
        queries: Float32Array,
        where: Mapping[str, str],
        per_label: int,
        labels: int,
    ) -> list[list[Neighbour]]:
        """More labels than asked for, which the port allows.

        A class that points are left out of is ranked by them still: it is asked for by itself, and as many other
        classes as were wanted come beside it.
        """

        def ask(conditions: Mapping[str, str], each: int, classes: int) -> list[list[Neighbour]]:
            return self._store.nearest_per_label(partition, using, queries, conditions, each, classes)

        affected = [label for label in self._gone_of if where.get("label", label) == label]
        found = [
            [one for one in row if one.label not in self._gone_of]
            for row in ask(where, per_label, labels + len(affected))
        ]
        for label in affected:
            own = ask({**where, "label": label}, per_label + self._gone_of[label], 1)
            for row, of_class in zip(found, own, strict=True):
                row += self._left(of_class)[:per_label]
        return [sorted(row, key=lambda one: (-one.similarity, one.example_id)) for row in found]

    def _left(self, neighbours: list[Neighbour]) -> list[Neighbour]:
        return [one for one in neighbours if one.example_id not in self._gone]
