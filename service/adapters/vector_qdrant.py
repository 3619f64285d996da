"""The vector store on a Qdrant server; in tests on the client's local mode, which is the same client without a server.

Ids are narrowed to the partition's own before each write, and points are written by id: writing payloads by filter can
leave replicas apart (qdrant issue 10302). `exact=True` is never passed, since a server in strict mode refuses it; the
full-scan threshold makes searches over flagged sets exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qdrant_client import QdrantClient, models

from service.adapters import vector_common as common
from service.adapters.qdrant_collections import check_version, open_collection, width_of
from service.adapters.qdrant_retry import Caller, RetryPolicy
from service.adapters.vector_ranking import Question, nearest_per_label
from service.core.model import Float32Array, Neighbour
from service.errors import NotFound, Unavailable
from service.ports import Partition, Point, StoredPoints, VectorName
from service.records import Slot

PAGE = 5_000
"""Ids a scroll."""
TIMEOUT_S = 30
"""Each of connecting, sending, waiting, receiving; the client's own 5 s is short for a write of 500 points."""
QUERIES = 64
"""Searches a call."""
VANISHING_TRIES = 3
READ = models.ReadConsistencyType.MAJORITY
"""Of each read: one replica may lag behind, and what it does not show would not be written, or be answered in part. A
server whose collections have one replica reads as ever."""


class QdrantStore:
    """A VectorStore on Qdrant. Safe to use from several threads; to be made after a fork, not before."""

    def __init__(self, client: QdrantClient, call: Caller) -> None:
        """Checks the server's version. Raises Unavailable when it does not answer or is too old."""
        self._client = client
        self._call = call
        self._widths: dict[str, int] = {}
        check_version(client, call)

    @classmethod
    def at(
        cls, url: str, api_key: str | None = None, *, timeout_s: int = TIMEOUT_S, policy: RetryPolicy | None = None
    ) -> QdrantStore:
        """The server at `url`. Raises Unavailable when it does not answer or is too old, InvalidInput for a bad key."""
        client = QdrantClient(url=url, api_key=api_key, timeout=timeout_s, check_compatibility=False)
        return cls(client, Caller(url, policy or RetryPolicy()))

    @classmethod
    def local(cls, path: str = ":memory:") -> QdrantStore:
        """The client's local mode, in memory or in a folder: slow, for tests."""
        client = QdrantClient(path) if path == ":memory:" else QdrantClient(path=path)
        return cls(client, Caller(path))

    def ping(self) -> None:
        """Asked once: whoever asks for readiness will ask again."""
        try:
            self._client.get_collections()
        except Exception as error:  # whatever the transport raises: it does not answer
            raise Unavailable(f"the vector store does not answer: {error}") from error

    def open_collection(self, collection: str, dimension: int) -> None:
        width = open_collection(self._client, self._call, collection, dimension)
        common.check_width(collection, width, dimension)
        self._widths[collection] = width

    def insert(self, partition: Partition, points: Sequence[Point]) -> None:
        if not points:
            return
        unique, embeddings = common.checked_points(points, self._width(partition))
        new = [
            models.PointStruct(id=point.id, vector={"embedding": row}, payload=common.stored_payload(partition, point))
            for point, row in zip(unique, embeddings.tolist(), strict=True)
        ]
        for batch in common.batches(new):
            self._call(
                self._client.upsert,
                partition.collection,
                list(batch),
                wait=True,
                update_mode=models.UpdateMode.INSERT_ONLY,
            )

    def set_payload(self, partition: Partition, payloads: Mapping[str, Mapping[str, Any]]) -> None:
        groups = [(payload, set(ids)) for payload, ids in common.grouped_payloads(payloads)]

        def write(own: Sequence[str]) -> None:
            mine = [(payload, [i for i in own if i in members]) for payload, members in groups]
            operations = [
                models.SetPayloadOperation(set_payload=models.SetPayload(payload=payload, points=[*ids]))
                for payload, ids in mine
                if ids
            ]
            self._call(self._client.batch_update_points, partition.collection, operations, wait=True)

        self._write(partition, [example_id for example_id, payload in payloads.items() if payload], write)

    def flag(
        self, partition: Partition, slot: Slot, selection_id: str, ids: Sequence[str], projections: Float32Array
    ) -> None:
        key, using = common.selection_key(slot), common.projection_name(slot)
        if not ids:
            return
        rows = common.checked_flags(selection_id, ids, projections, self._width(partition))

        def write(own: Sequence[str]) -> None:
            vectors = [models.PointVectors(id=i, vector={using: rows[i]}) for i in own]
            self._call(self._client.update_vectors, partition.collection, vectors, wait=True)
            self._call(self._client.set_payload, partition.collection, {key: selection_id}, points=[*own], wait=True)

        self._write(partition, ids, write)

    def unflag(self, partition: Partition, slot: Slot, ids: Sequence[str]) -> None:
        key = common.selection_key(slot)

        def write(own: Sequence[str]) -> None:
            self._call(self._client.delete_payload, partition.collection, [key], points=[*own], wait=True)

        self._write(partition, ids, write)

    def delete(self, partition: Partition, ids: Sequence[str]) -> None:
        def write(own: Sequence[str]) -> None:
            selector = models.PointIdsList(points=[*own])
            self._call(self._client.delete, partition.collection, points_selector=selector, wait=True)

        self._write(partition, ids, write)

    def delete_partition(self, partition: Partition) -> None:
        if self._call(self._client.collection_exists, partition.collection):
            selector = models.FilterSelector(filter=_filter(partition, []))
            self._call(self._client.delete, partition.collection, points_selector=selector, wait=True)

    def ids(self, partition: Partition, where: Mapping[str, str]) -> list[str]:
        self._width(partition)
        condition = _filter(partition, common.checked_where(where))
        found: list[str] = []
        offset: Any = None
        while True:
            page, offset = self._call(
                self._client.scroll,
                partition.collection,
                condition,
                limit=PAGE,
                offset=offset,
                with_payload=False,
                with_vectors=False,
                consistency=READ,
            )
            found.extend(str(record.id) for record in page)
            if offset is None:
                return sorted(found)

    def fetch(self, partition: Partition, ids: Sequence[str], with_embeddings: bool = True) -> StoredPoints:
        dimension = self._width(partition)
        found: dict[str, tuple[Sequence[float] | None, Mapping[str, Any]]] = {}
        for batch in common.batches(common.present_ids(ids)):
            for record in self._own(partition, batch, with_payload=True, with_embeddings=with_embeddings):
                embedding = record.vector["embedding"] if with_embeddings else None
                found[str(record.id)] = (embedding, record.payload)
        return common.stored_points(ids, found, dimension, with_embeddings=with_embeddings)

    def nearest(
        self, partition: Partition, using: VectorName, queries: Float32Array, where: Mapping[str, str], limit: int
    ) -> list[list[Neighbour]]:
        common.checked_limit("limit", limit)
        rows = common.checked_rows(queries, self._width(partition), using).tolist()
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
        rows = common.checked_rows(queries, self._width(partition), using).tolist()

        def ask(questions: Sequence[Question]) -> list[list[Neighbour]]:
            return self._search(partition, using, rows, where, questions)

        return nearest_per_label(ask, len(rows), per_label, labels)

    def close(self) -> None:
        self._client.close()

    def _width(self, partition: Partition) -> int:
        collection = partition.collection
        if collection not in self._widths:
            if not self._call(self._client.collection_exists, collection):
                raise common.no_collection(collection, f"Qdrant at {self._call.place}")
            self._widths[collection] = width_of(self._call(self._client.get_collection, collection))
        return self._widths[collection]

    def _search(
        self,
        partition: Partition,
        using: VectorName,
        rows: Sequence[list[float]],
        where: Mapping[str, str],
        questions: Sequence[Question],
    ) -> list[list[Neighbour]]:
        conditions = common.checked_where(where)
        requests = [
            models.QueryRequest(
                query=rows[question.row],
                using=using,
                filter=_filter(partition, conditions, question),
                limit=question.limit,
                with_payload=list(common.NEIGHBOUR_KEYS),
            )
            for question in questions
        ]
        answers = [
            answer
            for batch in common.batches(requests, QUERIES)
            for answer in self._call(self._client.query_batch_points, partition.collection, batch, consistency=READ)
        ]
        return [
            common.nearest_first([common.neighbour(str(hit.id), hit.payload or {}, hit.score) for hit in answer.points])
            for answer in answers
        ]

    def _write(self, partition: Partition, ids: Sequence[str], write: Callable[[Sequence[str]], None]) -> None:
        """`write` the partition's own among the ids, some at a time.

        The server refuses a write when one of its points has been deleted since it was looked at, and may have applied
        a part; what remains is then looked at and written again.
        """
        self._width(partition)
        for batch in common.batches(common.present_ids(ids)):
            for _ in range(VANISHING_TRIES):
                own = [str(record.id) for record in self._own(partition, batch, with_payload=list(common.OWNER_KEYS))]
                try:
                    if own:
                        write(own)
                    break
                except NotFound:
                    continue
            else:
                raise Unavailable(
                    f"examples of catalogue {partition.catalogue} are being deleted while they are written: try again"
                )

    def _own(
        self, partition: Partition, ids: Sequence[str], *, with_payload: bool | list[str], with_embeddings: bool = False
    ) -> list[Any]:
        """The partition's own points among the ids, as the client's records."""
        records = self._call(
            self._client.retrieve,
            partition.collection,
            list(ids),
            with_payload=with_payload,
            with_vectors=["embedding"] if with_embeddings else False,
            consistency=READ,
        )
        return [record for record in records if common.belongs(record.payload or {}, partition)]


def _filter(
    partition: Partition, conditions: Sequence[tuple[str, str]], question: Question | None = None
) -> models.Filter:
    """The one place where a request gets its tenant and catalogue."""
    owned = [*conditions, ("tenant", partition.tenant), ("catalogue", partition.catalogue)]
    must: list[Any] = [models.FieldCondition(key=key, match=models.MatchValue(value=value)) for key, value in owned]
    must_not: list[Any] = []
    if question and question.only is not None:
        must.append(models.FieldCondition(key="label", match=models.MatchValue(value=question.only)))
    if question and question.without:
        must_not.append(models.FieldCondition(key="label", match=models.MatchAny(any=list(question.without))))
    return models.Filter(must=must, must_not=must_not or None)
