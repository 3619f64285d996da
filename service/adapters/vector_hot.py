"""Qdrant Edge with exact copies in memory of the references that are asked for most lately.

A data directory has one owner, so every write passes here: one to a catalogue forgets its copies, before and after, and
a copy that was being made meanwhile is not kept. So a copy is never staler than the search itself, whatever changes:
the selection, a reference dropped or relabelled, provisional references of a class that came later.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock

import qdrant_edge as edge

from service.adapters import vector_common as common
from service.adapters.hot_references import HotReferences
from service.adapters.vector_edge import EdgeStore
from service.core.model import Float32Array, Neighbour
from service.ports import Partition, VectorName

Key = tuple[Partition, VectorName, tuple[tuple[str, str], ...]]


def edge_store(folder: Path, hot_bytes: int) -> EdgeStore:
    """Edge with `hot_bytes` of copies at most; without any, the search is the only way."""
    return HotEdgeStore(folder, hot_bytes) if hot_bytes else EdgeStore(folder)


class HotEdgeStore(EdgeStore):
    """An EdgeStore that answers questions for the classes of flagged references from memory, of `limit_bytes` at most.

    What does not fit, and every other question, is searched as ever.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        super().__init__(folder)
        self._limit = limit_bytes
        self._kept: OrderedDict[Key, HotReferences | None] = OrderedDict()
        self._writes: Counter[Partition] = Counter()
        self._hot = Lock()

    def nearest_per_label(
        self,
        partition: Partition,
        using: VectorName,
        queries: Float32Array,
        where: Mapping[str, str],
        per_label: int,
        labels: int,
    ) -> list[list[Neighbour]]:
        conditions = tuple(common.checked_where(where))
        if not any(key in common.FLAG_KEYS for key, _ in conditions):
            return super().nearest_per_label(partition, using, queries, where, per_label, labels)
        copy = self._copy((partition, using, conditions))
        if copy is None:
            return super().nearest_per_label(partition, using, queries, where, per_label, labels)
        common.checked_limit("per_label", per_label)
        common.checked_limit("labels", labels)
        rows = common.checked_rows(queries, copy.vectors.shape[1], using)
        return copy.nearest_per_label(rows, per_label, labels)

    def _copy(self, key: Key) -> HotReferences | None:
        """The copy, made where there is none; None for one that is too large to be kept."""
        with self._hot:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            writes = self._writes[key[0]]
        made = self._made(key)
        copy = made if made.bytes <= self._limit else None
        with self._hot:
            if self._writes[key[0]] == writes:
                self._kept[key] = copy
                while sum(one.bytes for one in self._kept.values() if one is not None) > self._limit:
                    self._kept.popitem(last=False)
        return copy

    def _made(self, key: Key) -> HotReferences:
        partition, using, conditions = key
        found = [
            (str(record.payload["label"]), str(record.id), str(record.payload.get("source", "")), record.vector[using])
            for record in self._scrolled(partition, conditions, list(common.NEIGHBOUR_KEYS), [using])
            if using in (record.vector or {})
        ]
        return HotReferences.of(found, self._shards.width(partition.collection))

    def _write(self, partition: Partition, operations: Sequence[edge.UpdateOperation]) -> None:
        self._forget(partition)
        try:
            super()._write(partition, operations)
        finally:
            self._forget(partition)

    def _forget(self, partition: Partition) -> None:
        with self._hot:
            self._writes[partition] += 1
            for key in [key for key in self._kept if key[0] == partition]:
                del self._kept[key]
