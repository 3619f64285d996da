"""The vector store in this process, on disk: Qdrant Edge. How shards are used and why: `edge_shards`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import qdrant_edge as edge

from service.adapters import vector_common as common
from service.adapters.edge_shards import EdgeShards
from service.adapters.vector_ranking import Question, nearest_per_label
from service.core.model import Float32Array, Neighbour
from service.ports import Partition, Point, StoredPoints, VectorName
from service.records import Slot

PAGE = 10_000
"""Ids a scroll."""


class EdgeStore:
    """A VectorStore on Qdrant Edge, for one process; safe to use from several of its threads.

    While another process has the folder open, the first method that touches a collection raises DataDirectoryInUse.
    """

    def __init__(self, folder: Path) -> None:
        """`folder` is made when it is not there; nothing is opened yet."""
        self._shards = EdgeShards(folder)

    def ping(self) -> None:
        """In this process: it answers as long as its folder is there."""
        self._shards.exists("ping")

    def open_collection(self, collection: str, dimension: int) -> None:
        self._shards.open(collection, dimension)

    def insert(self, partition: Partition, points: Sequence[Point]) -> None:
        if not points:
            return
        unique, embeddings = common.checked_points(points, self._shards.width(partition.collection))
        new = [
            # A row at a time: Python's numbers of thousands of rows would leave the processor's caches.
            edge.Point(point.id, {"embedding": row.tolist()}, common.stored_payload(partition, point))
            for point, row in zip(unique, embeddings, strict=True)
        ]
        self._write(
            partition,
            [
                edge.UpdateOperation.upsert_points(list(batch), update_mode=edge.UpdateMode.InsertOnly)
                for batch in common.batches(new)
            ],
        )

    def set_payload(self, partition: Partition, payloads: Mapping[str, Mapping[str, Any]]) -> None:
        groups = common.grouped_payloads(payloads)
        with self._shards.lock:
            own = set(self._own(partition, list(payloads)))
            mine = [(payload, [i for i in ids if i in own]) for payload, ids in groups]
            operations = [edge.UpdateOperation.set_payload([*ids], payload) for payload, ids in mine if ids]
            self._write(partition, operations)

    def flag(
        self, partition: Partition, slot: Slot, selection_id: str, ids: Sequence[str], projections: Float32Array
    ) -> None:
        key, using = common.selection_key(slot), common.projection_name(slot)
        if not ids:
            return
        rows = common.checked_flags(selection_id, ids, projections, self._shards.width(partition.collection))
        with self._shards.lock:
            operations: list[edge.UpdateOperation] = []
            for batch in common.batches(self._own(partition, ids)):
                vectors = [edge.PointVectors(i, {using: rows[i]}) for i in batch]
                operations.append(edge.UpdateOperation.update_vectors(vectors))
                operations.append(edge.UpdateOperation.set_payload([*batch], {key: selection_id}))
            self._write(partition, operations)

    def unflag(self, partition: Partition, slot: Slot, ids: Sequence[str]) -> None:
        key = common.selection_key(slot)
        with self._shards.lock:
            own = common.batches(self._own(partition, ids))
            self._write(partition, [edge.UpdateOperation.delete_payload([*batch], [key]) for batch in own])

    def delete(self, partition: Partition, ids: Sequence[str]) -> None:
        with self._shards.lock:
            own = common.batches(self._own(partition, ids))
            self._write(partition, [edge.UpdateOperation.delete_points([*batch]) for batch in own])

    def delete_partition(self, partition: Partition) -> None:
        if self._shards.exists(partition.collection):
            self._write(partition, [edge.UpdateOperation.delete_points_by_filter(_filter(partition, []))])

    def ids(self, partition: Partition, where: Mapping[str, str]) -> list[str]:
        matching = self._scrolled(partition, common.checked_where(where), with_payload=False, with_vector=False)
        return sorted(str(record.id) for record in matching)

    def fetch(self, partition: Partition, ids: Sequence[str], with_embeddings: bool = True) -> StoredPoints:
        dimension = self._shards.width(partition.collection)
        found: dict[str, tuple[Sequence[float] | None, Mapping[str, Any]]] = {}
        for record in self._records(partition, ids, with_payload=True, with_embeddings=with_embeddings):
            embedding = record.vector["embedding"] if with_embeddings else None
            found[str(record.id)] = (embedding, record.payload)
        return common.stored_points(ids, found, dimension, with_embeddings=with_embeddings)

    def nearest(
        self, partition: Partition, using: VectorName, queries: Float32Array, where: Mapping[str, str], limit: int
    ) -> list[list[Neighbour]]:
        common.checked_limit("limit", limit)
        rows = self._rows(partition, using, queries)
        return self._search(partition, using, rows, where, [Question(row, limit) for row in range(len(rows))])

    def nearest_per_label(
        self,
        partition: Partition,
        using: VectorName,
        queries: Float32Array,
        where: Mapping[str, str],
        per_label: int,
        labels: int,
    ) -> list[list[Neighbour]]:
        rows = self._rows(partition, using, queries)

        def ask(questions: Sequence[Question]) -> list[list[Neighbour]]:
            return self._search(partition, using, rows, where, questions)

        return nearest_per_label(ask, len(rows), per_label, labels)

    def close(self) -> None:
        self._shards.close()

    def _rows(self, partition: Partition, using: VectorName, queries: Float32Array) -> list[list[float]]:
        rows: list[list[float]] = common.checked_rows(queries, self._shards.width(partition.collection), using).tolist()
        return rows

    def _search(
        self,
        partition: Partition,
        using: VectorName,
        rows: Sequence[list[float]],
        where: Mapping[str, str],
        questions: Sequence[Question],
    ) -> list[list[Neighbour]]:
        conditions = common.checked_where(where)
        keys = list(common.NEIGHBOUR_KEYS)
        requests = [
            edge.QueryRequest(
                limit=question.limit,
                query=edge.Query.Nearest(rows[question.row], using=using),
                filter=_filter(partition, conditions, question),
                with_payload=keys if len(questions) == 1 else False,
                with_vector=False,
            )
            for question in questions
        ]
        # Under the lock, so that what a batch found is still there when its payloads are read.
        with self._shards.lock, self._shards.using(partition.collection) as shard:
            answers = shard.query_batch(edge.QueryBatchRequest(requests)) if requests else []
            if len(questions) == 1:
                found = [[(str(hit.id), hit.payload or {}, hit.score) for hit in answers[0]]]
            else:
                found = _told(shard, answers, keys)
        return [common.nearest_first([common.neighbour(*one) for one in answer]) for answer in found]

    def _scrolled(
        self,
        partition: Partition,
        conditions: Sequence[tuple[str, str]],
        with_payload: bool | list[str],
        with_vector: bool | list[str],
    ) -> Iterator[Any]:
        """All the partition's points that meet the conditions, as Edge's records, a page in memory at a time."""
        condition = _filter(partition, conditions)
        offset = None
        while True:
            request = edge.ScrollRequest(
                offset=offset, limit=PAGE, filter=condition, with_payload=with_payload, with_vector=with_vector
            )
            with self._shards.using(partition.collection) as shard:
                page, offset = shard.scroll(request)
            yield from page
            if offset is None:
                return

    def _write(self, partition: Partition, operations: Sequence[edge.UpdateOperation]) -> None:
        self._shards.write(partition.collection, operations)

    def _own(self, partition: Partition, ids: Sequence[str]) -> list[str]:
        """Those of the ids that the partition holds."""
        return [str(record.id) for record in self._records(partition, ids, with_payload=list(common.OWNER_KEYS))]

    def _records(
        self, partition: Partition, ids: Sequence[str], *, with_payload: bool | list[str], with_embeddings: bool = False
    ) -> list[Any]:
        """The partition's own points among the ids, as Edge's records."""
        vectors: bool | list[str] = ["embedding"] if with_embeddings else False
        found: list[Any] = []
        for batch in common.batches(common.present_ids(ids)):
            with self._shards.using(partition.collection) as shard:
                records = shard.retrieve([*batch], with_payload=with_payload, with_vector=vectors)
            found.extend(record for record in records if common.belongs(record.payload or {}, partition))
        return found


def _filter(
    partition: Partition, conditions: Sequence[tuple[str, str]], question: Question | None = None
) -> edge.Filter:
    """The one place where a request gets its tenant and catalogue."""
    owned = [*conditions, ("tenant", partition.tenant), ("catalogue", partition.catalogue)]
    must: list[Any] = [edge.FieldCondition(key, match=edge.MatchValue(value)) for key, value in owned]
    must_not: list[Any] = []
    if question and question.only is not None:
        must.append(edge.FieldCondition("label", match=edge.MatchValue(question.only)))
    if question and question.without:
        must_not.append(edge.FieldCondition("label", match=edge.MatchAny(list(question.without))))
    return edge.Filter(must=must, must_not=must_not)


def _told(
    shard: edge.EdgeShard, answers: Sequence[Sequence[Any]], keys: list[str]
) -> list[list[tuple[str, dict[str, Any], float]]]:
    """The hits of a batch as (id, payload, similarity), each point's payload read once.

    Reading one takes longer than finding the point, and queries of one catalogue find mostly the same.
    """
    met: dict[int, UUID] = {}  # by their numbers: Python hashes a UUID slowly
    found = []
    for answer in answers:
        points = [hit.id for hit in answer]
        met.update({point.int: point for point in points})
        found.append([(point.int, hit.score) for point, hit in zip(points, answer, strict=True)])
    records: list[Any] = shard.retrieve([*met.values()], with_payload=keys, with_vector=False)
    told = {record.id.int: (str(record.id), record.payload or {}) for record in records}
    return [[(*told[point], similarity) for point, similarity in answer] for answer in found]
