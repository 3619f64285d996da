"""How a job's state changes. Each method locks the job's row, so of two changes at once the second sees the first.

OPENING -> QUEUED -> RUNNING <-> PAUSED, and from any of them to DONE, FAILED or CANCELLED, which are final. A job that
is to be cancelled has `cancelled_at` and is RUNNING until what is being worked on has ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, select, update

from service.adapters.registry_sql.catalogues import RUN_OUT
from service.adapters.registry_sql.database import AnyRow, Part, reading, writing
from service.adapters.registry_sql.jobs import JOB_COLUMNS, job_of, no_job
from service.adapters.registry_sql.outbox import add_deliveries
from service.adapters.registry_sql.schema import chunks, items, jobs
from service.core.pace import Pace, begun, rested
from service.errors import WrongState
from service.records import FINAL_STATES, KINDS_OF_ITEMS, ItemState, Job, JobState

CANCELLING = "cancelling"
"""Name of the stage, for the progress bar."""

KEPT_S = 24 * 3600.0
"""How long the bytes of pictures that failed or were cancelled are kept, so that they can be tried again."""


class JobStates(Part):
    """Implements the part of `ports.JobControlRegistry` that changes states."""

    @writing
    def set_progress(self, connection: Connection, job_id: str, stage: str, done: int, total: int) -> bool:
        """An ingest or classify job that is still being filled stays OPENING."""
        row = locked_job(connection, job_id)
        if row.state in FINAL_STATES or row.state is JobState.PAUSED or row.cancelled_at is not None:
            return False
        values: dict[str, Any] = {"stage": stage, "done": done, "total": total}
        if row.state is not JobState.OPENING or row.kind not in KINDS_OF_ITEMS:
            values |= running(row, self.clock())
        _change(connection, job_id, values)
        return True

    @writing
    def finish_job(
        self, connection: Connection, job_id: str, result: Mapping[str, Any] | None, error: str | None = None
    ) -> tuple[str, ...]:
        row = locked_job(connection, job_id)
        if row.state in FINAL_STATES:
            return ()
        now = self.clock()
        values: dict[str, Any] = {
            "state": _final_state(row, result, error),
            "result": result,
            "error": error,
            "finished_at": now,
        }
        if row.kind in KINDS_OF_ITEMS:
            values["forget_at"] = now + KEPT_S
        if values["state"] is JobState.CANCELLED:
            _cancel_items(connection, job_id, items.c.chunk.is_(None))  # of a job whose filling was broken off
        _change(connection, job_id, values | _resting(row, now))
        return add_deliveries(connection, _read(connection, job_id), now)

    @writing
    def pause_job(self, connection: Connection, job_id: str) -> Job:
        row = locked_job(connection, job_id)
        _refuse_unless(row, "paused", JobState.QUEUED, JobState.RUNNING, JobState.PAUSED)
        if row.state is not JobState.PAUSED:
            _change(connection, job_id, {"state": JobState.PAUSED} | _resting(row, self.clock()))
        return _read(connection, job_id)

    @writing
    def resume_job(self, connection: Connection, job_id: str) -> Job:
        row = locked_job(connection, job_id)
        _refuse_unless(row, "resumed", JobState.QUEUED, JobState.RUNNING, JobState.PAUSED)
        if row.state is JobState.PAUSED:
            _change(connection, job_id, {"state": JobState.QUEUED})
        return _read(connection, job_id)

    @writing
    def cancel_job(self, connection: Connection, job_id: str) -> Job:
        row = locked_job(connection, job_id)
        if row.state in (JobState.DONE, JobState.FAILED):
            raise _wrong_state(row, "cancelled")
        if row.state is not JobState.CANCELLED and row.cancelled_at is None:
            now = self.clock()
            asked = {"state": JobState.RUNNING, "stage": CANCELLING, "cancelled_at": now}
            _change(connection, job_id, asked | _resting(row, now))
        return _read(connection, job_id)

    @writing
    def cancel_chunks(self, connection: Connection, job_id: str, most: int) -> bool:
        """Rows are locked in the order of `chunks.py`: chunks first, the job last."""
        asked = select(jobs.c.id).where(jobs.c.id == job_id, jobs.c.cancelled_at.is_not(None))
        if connection.execute(asked.where(jobs.c.state.not_in(FINAL_STATES))).scalar() is None:
            return False
        numbers = _idle_chunks(connection, job_id, self.clock(), most)
        freed = update(chunks).where(chunks.c.job_id == job_id, chunks.c.number.in_(numbers))
        connection.execute(freed.values(settled=True, owner=None, lease_until=RUN_OUT))
        waiting = items.c.chunk.in_(numbers) if numbers else items.c.chunk.is_(None)
        return _cancel_items(connection, job_id, waiting) > 0 or bool(numbers)

    @reading
    def jobs_to_forget(self, connection: Connection, limit: int) -> list[Job]:
        due = select(*JOB_COLUMNS).where(jobs.c.forget_at <= self.clock()).order_by(jobs.c.forget_at)
        return [job_of(row) for row in connection.execute(due.limit(limit))]

    @writing
    def forgot_job(self, connection: Connection, job_id: str) -> None:
        _change(connection, job_id, {"forget_at": None})


def locked_job(connection: Connection, job_id: str) -> AnyRow:
    """The job's row, which nobody else changes before this transaction ends. Raises NotFound."""
    row = connection.execute(select(jobs).where(jobs.c.id == job_id).with_for_update(key_share=True)).one_or_none()
    if row is None:
        raise no_job(job_id)
    return row


def running(row: AnyRow, now: float) -> dict[str, Any]:
    """What to write to a job that works from now on, or goes on."""
    pace = begun(Pace.from_dict(row.pace), now, row.item_done)
    started_at = now if row.started_at is None else row.started_at
    return {"state": JobState.RUNNING, "started_at": started_at, "pace": pace.as_dict()}


def _resting(row: AnyRow, now: float) -> dict[str, Any]:
    pace = rested(Pace.from_dict(row.pace), now)
    return {"pace": None if pace is None else pace.as_dict()}


def _final_state(row: AnyRow, result: Mapping[str, Any] | None, error: str | None) -> JobState:
    """A job without items that has a result has published it: then the request to cancel it came too late."""
    published = row.kind not in KINDS_OF_ITEMS and result is not None and error is None
    if row.cancelled_at is not None and not published:
        return JobState.CANCELLED
    return JobState.DONE if error is None else JobState.FAILED


def _refuse_unless(row: AnyRow, done: str, *states: JobState) -> None:
    if row.state not in states or row.cancelled_at is not None:
        raise _wrong_state(row, done)


def _wrong_state(row: AnyRow, done: str) -> WrongState:
    if row.state in FINAL_STATES:
        told = f"it is {row.state} already"
    elif row.cancelled_at is not None:
        told = "it is being cancelled"
    else:
        told = "its pictures are still being handed over: wait for that, or cancel it"
    return WrongState(f"job {row.id} cannot be {done}: {told}", job=row.id, state=row.state.value)


def _idle_chunks(connection: Connection, job_id: str, now: float, most: int) -> list[int]:
    """Numbers of chunks that nobody works on, locked."""
    found = (
        select(chunks.c.number)
        .where(chunks.c.job_id == job_id, ~chunks.c.settled, chunks.c.lease_until <= now)
        .order_by(chunks.c.number)
        .limit(most)
    )
    return list(connection.execute(found.with_for_update()).scalars())


def _cancel_items(connection: Connection, job_id: str, waiting: ColumnElement[bool]) -> int:
    cancelled = update(items).where(items.c.job_id == job_id, items.c.state == ItemState.PENDING, waiting)
    count = connection.execute(cancelled.values(state=ItemState.CANCELLED)).rowcount
    _change(connection, job_id, {"item_done": jobs.c.item_done + count})
    return count


def _change(connection: Connection, job_id: str, values: Mapping[str, Any]) -> None:
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(dict(values)))


def _read(connection: Connection, job_id: str) -> Job:
    return job_of(connection.execute(select(*JOB_COLUMNS).where(jobs.c.id == job_id)).one())
