"""Settling and splitting chunks, giving them back: what several workers do at once. Claiming: `claiming.py`.

A transaction that takes several row locks takes them in this order: catalogue, chunk, examples by id, job. On SQLite
there is one write lock, and `with_for_update` means nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, select, update

from service.adapters.registry_sql.catalogues import RUN_OUT, keep_catalogue
from service.adapters.registry_sql.database import AnyRow, Part, reading, records, writing
from service.adapters.registry_sql.jobs import ITEM_COLUMNS, new_chunks, workable
from service.adapters.registry_sql.schema import chunks, examples, items, jobs
from service.adapters.registry_sql.settling import settle_embedded
from service.core.pace import Pace, counted
from service.errors import CatalogueNotFound, LeaseHeld
from service.records import (
    AnsweredItem,
    Chunk,
    EmbeddedItem,
    ExampleState,
    FailedItem,
    Item,
    ItemState,
    Settlement,
)


class Chunks(Part):
    """Implements the part of `ports.JobRegistry` that is about chunks."""

    @writing
    def release_chunk(self, connection: Connection, chunk: Chunk, owner: str) -> None:
        given_back = update(chunks).where(
            is_chunk(chunk.job_id, chunk.number),
            ~chunks.c.settled,
            chunks.c.owner == owner,
            chunks.c.attempt == chunk.attempt,
        )
        connection.execute(given_back.values(owner=None, lease_until=RUN_OUT, attempt=chunks.c.attempt - 1))

    @writing
    def record_fetched(
        self, connection: Connection, chunk: Chunk, owner: str, fetched: Mapping[int, str], lease_seconds: float
    ) -> None:
        """Of a chunk that is settled already nothing is changed."""
        if _held(connection, chunk, owner).settled:
            return
        held = update(chunks).where(is_chunk(chunk.job_id, chunk.number))
        connection.execute(held.values(lease_until=self.clock() + lease_seconds))
        change = update(items).where(items.c.id == bindparam("id_"), items.c.job_id == chunk.job_id)
        change = change.where(items.c.chunk == chunk.number, items.c.state == ItemState.PENDING)
        if fetched:
            rows = [{"id_": id_, "hash_": content_hash} for id_, content_hash in fetched.items()]
            connection.execute(change.values(content_hash=bindparam("hash_")), rows)

    @writing
    def settle_chunk(
        self,
        connection: Connection,
        chunk: Chunk,
        owner: str,
        embedded: Sequence[EmbeddedItem],
        failed: Sequence[FailedItem],
        answered: Sequence[AnsweredItem] = (),
    ) -> Settlement:
        """Items that are none of the three, or were dropped meanwhile, stay PENDING; then the chunk is free again.

        Called twice by the same owner it changes nothing and answers the same.
        """
        catalogue_id = _keep_catalogue_of(connection, chunk)
        done = 0
        if not _held(connection, chunk, owner).settled:
            pending = {item.id: item for item in pending_items(connection, chunk.job_id, chunk.number)}
            outcomes: list[dict[str, Any]] = [
                {"id_": item.item_id, "state": item.state, "reason": item.reason} for item in failed
            ]
            outcomes += [{"id_": item.item_id, "state": ItemState.ANSWERED, "result": item.result} for item in answered]
            outcomes = [outcome for outcome in outcomes if outcome["id_"] in pending]
            outcomes += settle_embedded(connection, catalogue_id, pending, embedded, self.clock())
            done = len({row["id_"] for row in outcomes})
            _record(connection, chunk, outcomes, left=len(pending) - done)
        return Settlement(
            conflicts=_conflicts(connection, catalogue_id, chunk),
            job_settled=_job_settled(connection, chunk.job_id, done, self.clock()),
        )

    @writing
    def split_chunk(self, connection: Connection, chunk: Chunk) -> list[int]:
        """A chunk of one item is only given back; one that is settled or was split before gives no number.

        Raises LeaseHeld when somebody has claimed the chunk since.
        """
        row = _locked(connection, chunk)
        if row is None or row.settled:
            return []
        if row.attempt != chunk.attempt:
            raise _taken(chunk, row.owner)
        ids = [item.id for item in pending_items(connection, chunk.job_id, chunk.number)]
        if len(ids) == 1:
            freed = update(chunks).where(is_chunk(chunk.job_id, chunk.number))
            connection.execute(freed.values(owner=None, lease_until=RUN_OUT))
            return [chunk.number]
        return _split(connection, chunk, ids)

    @reading
    def open_chunks(self, connection: Connection, limit: int | None = None) -> list[tuple[str, int]]:
        """Of jobs that have ended, none."""
        found = (
            select(chunks.c.job_id, chunks.c.number)
            .join(jobs, jobs.c.id == chunks.c.job_id)
            .where(~chunks.c.settled, chunks.c.lease_until <= self.clock(), workable())
            .order_by(jobs.c.serial, chunks.c.number)
            .limit(limit)
        )
        return [(row.job_id, row.number) for row in connection.execute(found)]


def is_chunk(job_id: str, number: int) -> ColumnElement[bool]:
    """Is it the chunk of that number?"""
    return (chunks.c.job_id == job_id) & (chunks.c.number == number)


def pending_items(connection: Connection, job_id: str, number: int) -> list[Item]:
    """The chunk's PENDING items in the order they were added. Only who has locked the chunk changes them.

    The state is looked at here: in the query it would lead PostgreSQL to the index of all the job's pending items.
    """
    found = select(*ITEM_COLUMNS).where(items.c.job_id == job_id, items.c.chunk == number).order_by(items.c.id)
    return [item for item in records(Item, connection.execute(found)) if item.state is ItemState.PENDING]


def _locked(connection: Connection, chunk: Chunk) -> AnyRow | None:
    return connection.execute(
        select(chunks).where(is_chunk(chunk.job_id, chunk.number)).with_for_update()
    ).one_or_none()


def _held(connection: Connection, chunk: Chunk, owner: str) -> AnyRow:
    """The chunk's row, locked. A lease that ran out but that nobody else took is as good as a live one."""
    row = _locked(connection, chunk)
    if row is None:
        raise _gone(chunk)
    if row.owner != owner:
        raise _taken(chunk, row.owner)
    return row


def _keep_catalogue_of(connection: Connection, chunk: Chunk) -> str:
    catalogue_id = connection.execute(select(jobs.c.catalogue_id).where(jobs.c.id == chunk.job_id)).scalar()
    if catalogue_id is None:
        raise _gone(chunk)
    try:
        keep_catalogue(connection, catalogue_id)
    except CatalogueNotFound:
        raise _gone(chunk) from None
    return str(catalogue_id)


def _gone(chunk: Chunk) -> LeaseHeld:
    return LeaseHeld(
        f"chunk {chunk.number} of job {chunk.job_id} is not there any more: it was split, or its catalogue was deleted",
        job=chunk.job_id,
        chunk=chunk.number,
    )


def _taken(chunk: Chunk, owner: str | None) -> LeaseHeld:
    return LeaseHeld(
        f"chunk {chunk.number} of job {chunk.job_id} went to {owner or 'nobody'} after attempt {chunk.attempt} "
        "took too long: this result is not used",
        job=chunk.job_id,
        chunk=chunk.number,
        owner=owner,
    )


def _record(connection: Connection, chunk: Chunk, outcomes: Sequence[dict[str, Any]], left: int) -> None:
    if outcomes:
        change = update(items).where(items.c.id == bindparam("id_"))
        names = ("state", "reason", "example_id", "result")
        values: dict[str, Any] = {name: bindparam(name) for name in names}
        connection.execute(change.values(values), [dict.fromkeys(names) | outcome for outcome in outcomes])
    done = update(chunks).where(is_chunk(chunk.job_id, chunk.number))
    connection.execute(done.values(settled=left == 0, lease_until=RUN_OUT))


def _conflicts(connection: Connection, catalogue_id: str, chunk: Chunk) -> tuple[str, ...]:
    found = (
        select(examples.c.id)
        .join(items, items.c.example_id == examples.c.id)
        .where(items.c.job_id == chunk.job_id, items.c.chunk == chunk.number)
        .where(examples.c.catalogue_id == catalogue_id, examples.c.state == ExampleState.CONFLICT)
        .distinct()
        .order_by(examples.c.id)
    )
    return tuple(connection.execute(found).scalars())


def _job_settled(connection: Connection, job_id: str, done: int, now: float) -> bool:
    """Count the items that were just done. Of two last chunks settled at once, the second counts the first's."""
    change = update(jobs).where(jobs.c.id == job_id)
    counting = change.values(item_done=jobs.c.item_done + done)
    row = connection.execute(counting.returning(jobs.c.item_done, jobs.c.item_total, jobs.c.pace)).one()
    before = Pace.from_dict(row.pace)
    pace = counted(before, now, row.item_done)
    if pace is not None and pace is not before:
        connection.execute(change.values(pace=pace.as_dict()))
    return bool(row.item_done == row.item_total)


def _split(connection: Connection, chunk: Chunk, ids: Sequence[int]) -> list[int]:
    """New numbers lie above all others, so a late message for the old chunk finds nothing."""
    connection.execute(select(jobs.c.id).where(jobs.c.id == chunk.job_id).with_for_update(key_share=True))
    highest = connection.execute(select(func.max(chunks.c.number)).where(chunks.c.job_id == chunk.job_id)).scalar_one()
    numbers = list(range(highest + 1, highest + 1 + len(ids)))
    new_chunks(connection, chunk.job_id, numbers)
    move = update(items).where(items.c.id == bindparam("id_")).values(chunk=bindparam("number"))
    if ids:
        connection.execute(move, [{"id_": id_, "number": number} for id_, number in zip(ids, numbers, strict=True)])
    connection.execute(delete(chunks).where(is_chunk(chunk.job_id, chunk.number)))
    return numbers
