"""A vector store that answers as if some points were not there: what would be said without them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import cast

from service.core.model import Float32Array, Neighbour
from service.ports import Partition, VectorName, VectorStore


def leaving_out(store: VectorStore, example_ids: Collection[str]) -> VectorStore:
    """The store without the examples in what is nearest; everything else about it is as it was."""
    return cast("VectorStore", _LeavingOut(store, frozenset(example_ids))) if example_ids else store


class _LeavingOut:
    """Asks for as many more as are left out, so that as many as were wanted remain."""

    def __init__(self, store: VectorStore, gone: frozenset[str]) -> None:
        self._store = store
        self._gone = gone

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
        """Maybe more labels than asked for, which the port allows."""
        more = len(self._gone)
        found = self._store.nearest_per_label(partition, using, queries, where, per_label + more, labels + more)
        return [_best(self._left(one), per_label) for one in found]

    def _left(self, neighbours: list[Neighbour]) -> list[Neighbour]:
        return [one for one in neighbours if one.example_id not in self._gone]


def _best(neighbours: list[Neighbour], per_label: int) -> list[Neighbour]:
    """The nearest `per_label` of each label, in order."""
    seen: Counter[str] = Counter()
    kept = []
    for one in neighbours:
        seen[one.label] += 1
        if seen[one.label] <= per_label:
            kept.append(one)
    return kept
