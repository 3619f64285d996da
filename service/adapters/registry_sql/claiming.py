"""Claiming chunks: a named one, or the next one that is fair between tenants.

Locks come in the order of `chunks.py`: chunk, job, and then the tenant.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from sqlalchemy import ColumnElement, Connection, exists, func, select, update

from service.adapters.registry_sql.chunks import is_chunk, pending_items
from service.adapters.registry_sql.database import Part, upsert, writing
from service.adapters.registry_sql.job_states import locked_job, running
from service.adapters.registry_sql.jobs import workable
from service.adapters.registry_sql.schema import chunks, jobs, tenants
from service.records import Chunk, JobState

CANDIDATES = 50
"""Jobs that one claim looks at: all chunks of the first may be in the middle of being claimed by others."""

Place = tuple[str, int]
"""A job's id and a chunk's number."""


class Claims(Part):
    """Implements the part of `ports.JobRegistry` that is about claiming chunks."""

    @writing
    def claim_chunk(
        self, connection: Connection, job_id: str, number: int, owner: str, lease_seconds: float
    ) -> Chunk | None:
        """None also when the chunk was split or its job has ended. Who holds the lease may claim again, e.g. to retry.

        One conditional UPDATE: the database lets exactly one of several claimants change the row.
        """
        return _claimed(connection, (job_id, number), owner, self.clock(), lease_seconds)

    @writing
    def claim_next_chunk(self, connection: Connection, owner: str, lease_seconds: float) -> Chunk | None:
        """First what the owner has already: it was interrupted at it, or its process was replaced.

        Reads the jobs that are worked on and one open chunk of each, whatever the number of chunks.
        """
        now = self.clock()
        for place in chain(_held_by(connection, owner), _one_of_each_job(connection, now)):
            chunk = _claimed(connection, place, owner, now, lease_seconds)
            if chunk is not None:
                _note_served(connection, chunk.job_id, now)
                return chunk
        return None


def _claimed(connection: Connection, place: Place, owner: str, now: float, lease_seconds: float) -> Chunk | None:
    job_id, number = place
    claimed = (
        update(chunks)
        .where(is_chunk(job_id, number), ~chunks.c.settled)
        .where((chunks.c.lease_until <= now) | (chunks.c.owner == owner))
        .where(exists().where(jobs.c.id == job_id, workable()))
        .values(owner=owner, lease_until=now + lease_seconds, attempt=chunks.c.attempt + 1)
        .returning(chunks.c.attempt)
    )
    attempt = connection.execute(claimed).scalar()
    if attempt is None:
        return None
    _start(connection, job_id, now)
    return Chunk(job_id=job_id, number=number, attempt=attempt, items=tuple(pending_items(connection, job_id, number)))


def _start(connection: Connection, job_id: str, now: float) -> None:
    """A job that waited works from now on. One that was paused just now stays so; the chunk is worked on all the same.

    The state is read first, since nearly every claim finds the job at work and needs no lock.
    """
    if connection.execute(select(jobs.c.state).where(jobs.c.id == job_id)).scalar() is not JobState.QUEUED:
        return
    row = locked_job(connection, job_id)
    if row.state is JobState.QUEUED:
        connection.execute(update(jobs).where(jobs.c.id == job_id).values(running(row, now)))


def _held_by(connection: Connection, owner: str) -> list[Place]:
    found = select(chunks.c.job_id, chunks.c.number).where(~chunks.c.settled, chunks.c.owner == owner)
    return [(row.job_id, row.number) for row in connection.execute(found.order_by(chunks.c.job_id, chunks.c.number))]


def _one_of_each_job(connection: Connection, now: float) -> Iterator[Place]:
    """The first open chunk of each job that has one: of the tenant served least recently first, then the oldest job.

    Looked for one job after the other, since on PostgreSQL looking locks it.
    """
    served_at = func.coalesce(tenants.c.served_at, 0.0)
    found = (
        select(jobs.c.id)
        .select_from(jobs.outerjoin(tenants, tenants.c.name == jobs.c.tenant))
        .where(workable(), exists().where(chunks.c.job_id == jobs.c.id, _open(now)))
        .order_by(served_at, jobs.c.tenant, jobs.c.serial)
        .limit(CANDIDATES)
    )
    for job_id in list(connection.execute(found).scalars()):
        first = select(chunks.c.number).where(chunks.c.job_id == job_id, _open(now)).order_by(chunks.c.number).limit(1)
        number = connection.execute(first.with_for_update(skip_locked=True)).scalar()
        if number is not None:
            yield job_id, number


def _open(now: float) -> ColumnElement[bool]:
    return ~chunks.c.settled & (chunks.c.lease_until <= now)


def _note_served(connection: Connection, job_id: str, now: float) -> None:
    """A tenant of before there were tenants gets its row."""
    tenant = connection.execute(select(jobs.c.tenant).where(jobs.c.id == job_id)).scalar_one()
    fresh = upsert(connection, tenants)
    noted = fresh.on_conflict_do_update(index_elements=[tenants.c.name], set_={"served_at": fresh.excluded.served_at})
    connection.execute(noted, {"name": tenant, "created_at": now, "quotas": {}, "served_at": now})
