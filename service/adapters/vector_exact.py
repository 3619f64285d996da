"""The vector store in memory, exact, in NumPy: the ground truth that the others are compared with."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from service.adapters import vector_common as common
from service.adapters.vector_ranking import best_classes, best_of_labels
from service.core.model import Float32Array, Neighbour
from service.core.vectors import normalised, similarity
from service.ports import Partition, Point, StoredPoints, VectorName
from service.records import Slot


@dataclass(slots=True, eq=False)
class _Stored:
    payload: dict[str, Any]
    vectors: dict[VectorName, Float32Array]


@dataclass(slots=True, eq=False)
class _Collection:
    dimension: int
    points: dict[str, _Stored] = field(default_factory=dict)


class ExactStore:
    """A VectorStore of dictionaries. Safe to use from several threads; gone when the process ends."""

    def __init__(self) -> None:
        self._collections: dict[str, _Collection] = {}
        self._lock = threading.RLock()

    def ping(self) -> None:
        """In memory: it answers."""

    def open_collection(self, collection: str, dimension: int) -> None:
        with self._lock:
            stored = self._collections.setdefault(collection, _Collection(dimension))
            common.check_width(collection, stored.dimension, dimension)

    def insert(self, partition: Partition, points: Sequence[Point]) -> None:
        if not points:
            return
        with self._lock:
            collection = self._collection(partition)
            unique, embeddings = common.checked_points(points, collection.dimension)
            payloads = [common.stored_payload(partition, point) for point in unique]
            for point, payload, row in zip(unique, payloads, normalised(embeddings), strict=True):
                collection.points.setdefault(point.id, _Stored(payload, {"embedding": row}))

    def set_payload(self, partition: Partition, payloads: Mapping[str, Mapping[str, Any]]) -> None:
        groups = common.grouped_payloads(payloads)
        with self._lock:
            for payload, ids in groups:
                for stored in self._own(partition, ids).values():
                    stored.payload.update(payload)

    def flag(
        self, partition: Partition, slot: Slot, selection_id: str, ids: Sequence[str], projections: Float32Array
    ) -> None:
        if not ids:
            return
        with self._lock:
            rows = common.checked_flags(selection_id, ids, projections, self._collection(partition).dimension)
            for example_id, stored in self._own(partition, ids).items():
                stored.vectors[common.projection_name(slot)] = normalised([rows[example_id]])[0]
                stored.payload[common.selection_key(slot)] = selection_id

    def unflag(self, partition: Partition, slot: Slot, ids: Sequence[str]) -> None:
        with self._lock:
            for stored in self._own(partition, ids).values():
                stored.payload.pop(common.selection_key(slot), None)

    def delete(self, partition: Partition, ids: Sequence[str]) -> None:
        with self._lock:
            for example_id in self._own(partition, ids):
                del self._collection(partition).points[example_id]

    def delete_partition(self, partition: Partition) -> None:
        with self._lock:
            if partition.collection in self._collections:
                self.delete(partition, list(self._matching(partition, [])))

    def ids(self, partition: Partition, where: Mapping[str, str]) -> list[str]:
        with self._lock:
            return sorted(self._matching(partition, common.checked_where(where)))

    def fetch(self, partition: Partition, ids: Sequence[str], with_embeddings: bool = True) -> StoredPoints:
        with self._lock:
            found = {
                example_id: (stored.vectors["embedding"].tolist() if with_embeddings else None, dict(stored.payload))
                for example_id, stored in self._own(partition, ids).items()
            }
            dimension = self._collection(partition).dimension
            return common.stored_points(ids, found, dimension, with_embeddings=with_embeddings)

    def nearest(
        self, partition: Partition, using: VectorName, queries: Float32Array, where: Mapping[str, str], limit: int
    ) -> list[list[Neighbour]]:
        common.checked_limit("limit", limit)
        return self._search(partition, using, queries, where, lambda ranked: ranked[:limit])

    def nearest_per_label(
        self,
        partition: Partition,
        using: VectorName,
        queries: Float32Array,
        where: Mapping[str, str],
        per_label: int,
        labels: int,
    ) -> list[list[Neighbour]]:
        common.checked_limit("per_label", per_label)
        common.checked_limit("labels", labels)
        return self._search(
            partition, using, queries, where, lambda ranked: best_classes(best_of_labels(ranked, per_label), labels)
        )

    def close(self) -> None:
        with self._lock:
            self._collections.clear()

    def _search(
        self,
        partition: Partition,
        using: VectorName,
        queries: Float32Array,
        where: Mapping[str, str],
        shape: Callable[[list[Neighbour]], list[Neighbour]],
    ) -> list[list[Neighbour]]:
        """`shape` of all matching points, nearest first, for each query."""
        with self._lock:
            rows = common.checked_rows(queries, self._collection(partition).dimension, using)
            matching = self._matching(partition, common.checked_where(where))
            found = [(i, s.payload, s.vectors[using]) for i, s in matching.items() if using in s.vectors]
        if not found:
            return [[] for _ in rows]
        similarities = similarity(normalised(rows), np.stack([vector for _, _, vector in found]))
        return [
            shape(
                common.nearest_first(
                    [common.neighbour(i, payload, s) for (i, payload, _), s in zip(found, line.tolist(), strict=True)]
                )
            )
            for line in similarities
        ]

    def _collection(self, partition: Partition) -> _Collection:
        if partition.collection not in self._collections:
            raise common.no_collection(partition.collection, "the store in memory")
        return self._collections[partition.collection]

    def _own(self, partition: Partition, ids: Sequence[str]) -> dict[str, _Stored]:
        """Those of the ids that the partition holds."""
        points = self._collection(partition).points
        return {i: points[i] for i in ids if i in points and common.belongs(points[i].payload, partition)}

    def _matching(self, partition: Partition, conditions: Sequence[tuple[str, str]]) -> dict[str, _Stored]:
        """The partition's points that meet all conditions: the one place where the owner is added."""
        return {
            example_id: stored
            for example_id, stored in self._collection(partition).points.items()
            if common.belongs(stored.payload, partition)
            and all(_meets(stored.payload.get(key), value) for key, value in conditions)
        }


def _meets(stored: object, wanted: str) -> bool:
    """Is it the value, or does it hold it?"""
    return wanted in stored if isinstance(stored, list) else stored == wanted
