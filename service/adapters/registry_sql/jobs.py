"""Jobs and their items. How a job's state changes: `job_states.py`; claiming and settling: `chunks.py`."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, insert, select, update

from service.adapters.registry_sql.adding import insert_items, new_ones
from service.adapters.registry_sql.catalogues import keep_catalogue
from service.adapters.registry_sql.database import AnyRow, Part, reading, records, writing
from service.adapters.registry_sql.schema import chunks, examples, items, jobs
from service.adapters.registry_sql.usage import keep_sealed_within_quotas, keep_within_quotas
from service.errors import InvalidInput, NotFound
from service.records import (
    FINAL_STATES,
    KINDS_OF_ITEMS,
    Catalogue,
    ExampleState,
    Item,
    ItemState,
    Job,
    JobKind,
    JobState,
    NewItem,
)
from service.usecases.quotas import pictures_asked

FINISHED = FINAL_STATES
WORKED_ON = (JobState.QUEUED, JobState.RUNNING)

JOB_COLUMNS = [column for column in jobs.c if column.name != "serial"]
ITEM_COLUMNS = [column for column in items.c if column.name != "chunk"]


class Jobs(Part):
    """Implements the part of `ports.JobRegistry` that is about whole jobs."""

    @writing
    def open_job(
        self, connection: Connection, catalogue: Catalogue, kind: JobKind, parameters: Mapping[str, Any]
    ) -> Job:
        """Raises CatalogueNotFound when the catalogue was deleted meanwhile."""
        keep_catalogue(connection, catalogue.id)
        row: dict[str, Any] = {
            "id": str(uuid.uuid4()),
            "tenant": catalogue.tenant,
            "catalogue_id": catalogue.id,
            "kind": kind,
        }
        row |= {"state": JobState.OPENING, "parameters": parameters, "stage": "", "created_at": self.clock()}
        connection.execute(insert(jobs), row | dict.fromkeys(("done", "total", "item_total", "item_done"), 0))
        return job_of(connection.execute(select(*JOB_COLUMNS).where(jobs.c.id == row["id"])).one())

    @writing
    def add_items(self, connection: Connection, job_id: str, items: Sequence[NewItem], *, once: bool = False) -> int:
        """The job is locked: of two requests that bring the same pictures at once, the second sees the first's."""
        state = _locked_state(connection, job_id)
        if state is not JobState.OPENING:
            raise InvalidInput(f"job {job_id} is {state}: items can only be added before it is sealed", job=job_id)
        fresh = new_ones(connection, job_id, items) if once else items
        keep_pictures_within_quotas(connection, job_id, sum(item.failure is None for item in fresh))
        insert_items(connection, job_id, fresh)
        connection.execute(update(jobs).where(jobs.c.id == job_id).values(heard_at=self.clock()))
        return len(fresh)

    @writing
    def seal_job(self, connection: Connection, job_id: str, chunk_size: int) -> int:
        """A job that is sealed already stays as it is.

        Raises NotFound, QuotaExceeded, InvalidInput for a chunk size below 1.
        """
        if chunk_size < 1:
            raise InvalidInput(f"a chunk holds at least 1 item, not {chunk_size}")
        if _locked_state(connection, job_id) is not JobState.OPENING:
            return connection.execute(select(func.count()).where(chunks.c.job_id == job_id)).scalar_one()
        keep_sealed_within_quotas(connection, job_id)
        count = cut_into_chunks(connection, job_id, chunk_size)
        connection.execute(update(jobs).where(jobs.c.id == job_id).values(state=JobState.QUEUED))
        return count

    @reading
    def job(self, connection: Connection, job_id: str) -> Job:
        row = connection.execute(select(*JOB_COLUMNS).where(jobs.c.id == job_id)).one_or_none()
        if row is None:
            raise no_job(job_id)
        return job_of(row)

    @reading
    def jobs(self, connection: Connection, states: Sequence[JobState], catalogue_id: str | None = None) -> list[Job]:
        found = select(*JOB_COLUMNS).where(jobs.c.state.in_(states)).order_by(jobs.c.serial)
        if catalogue_id is not None:
            found = found.where(jobs.c.catalogue_id == catalogue_id)
        return [job_of(row) for row in connection.execute(found)]

    @reading
    def items(self, connection: Connection, job_id: str, states: Sequence[ItemState] | None = None) -> list[Item]:
        found = select(*ITEM_COLUMNS).where(items.c.job_id == job_id).order_by(items.c.id)
        if states is not None:
            found = found.where(items.c.state.in_(states))
        return records(Item, connection.execute(found))

    @reading
    def item_counts(self, connection: Connection, job_id: str) -> dict[ItemState, int]:
        """States that no item has count 0 when asked for."""
        counted = (
            select(items.c.state, func.count().label("number")).where(items.c.job_id == job_id).group_by(items.c.state)
        )
        return Counter({row.state: row.number for row in connection.execute(counted)})

    @reading
    def item_counts_of(self, connection: Connection, job_ids: Sequence[str]) -> dict[str, dict[ItemState, int]]:
        """At most a page of jobs."""
        by_state = select(items.c.job_id, items.c.state, func.count().label("number")).where(
            items.c.job_id.in_(job_ids)
        )
        found: dict[str, dict[ItemState, int]] = {job_id: {} for job_id in job_ids}
        for row in connection.execute(by_state.group_by(items.c.job_id, items.c.state)):
            found[row.job_id][row.state] = row.number
        return found

    @writing
    def mark_conflicts(self, connection: Connection, job_id: str) -> None:
        catalogue_id = select(jobs.c.catalogue_id).where(jobs.c.id == job_id).scalar_subquery()
        held = select(examples.c.id).where(
            examples.c.catalogue_id == catalogue_id, examples.c.state == ExampleState.CONFLICT
        )
        change = update(items).where(items.c.job_id == job_id, items.c.example_id.in_(held))
        settled_else = items.c.state.in_((ItemState.STORED, ItemState.DUPLICATE))
        connection.execute(change.where(settled_else).values(state=ItemState.CONFLICT))


def no_job(job_id: str) -> NotFound:
    """The error for an id that is not there (any more)."""
    return NotFound(f"there is no job {job_id}", job=job_id)


def workable() -> ColumnElement[bool]:
    """Of jobs whose chunks may be claimed."""
    return and_(jobs.c.state.in_(WORKED_ON), jobs.c.cancelled_at.is_(None))


def job_of(row: AnyRow) -> Job:
    """The job of a row of `JOB_COLUMNS`.

    Items are counted as they are settled: a progress bar asks ten times a second.
    """
    values = {column.name: getattr(row, column.name) for column in JOB_COLUMNS}
    item_done, item_total = values.pop("item_done"), values.pop("item_total")
    if row.kind in KINDS_OF_ITEMS:
        values |= {"done": item_done, "total": item_total}
    return Job(**values)


def _locked_state(connection: Connection, job_id: str) -> JobState:
    """The job's state, which nobody else changes before this transaction ends."""
    found = select(jobs.c.state).where(jobs.c.id == job_id).with_for_update(key_share=True)
    state = connection.execute(found).scalar()
    if state is None:
        raise no_job(job_id)
    return JobState(state)


def keep_pictures_within_quotas(connection: Connection, job_id: str, pictures: int) -> None:
    """Raises QuotaExceeded when the job's tenant may not hand over so many more."""
    of_job = connection.execute(select(jobs.c.tenant, jobs.c.kind, jobs.c.parameters).where(jobs.c.id == job_id)).one()
    unsealed = bool(of_job.parameters.get("open"))
    keep_within_quotas(connection, of_job.tenant, pictures_asked(pictures, of_job.kind, unsealed=unsealed))


def cut_into_chunks(connection: Connection, job_id: str, chunk_size: int) -> int:
    """Number the pending items' chunks in the order the items were added; the number of chunks."""
    position = func.row_number().over(order_by=items.c.id) - 1
    pending = (
        select(items.c.id, (position // chunk_size).label("chunk"))
        .where(items.c.job_id == job_id, items.c.state == ItemState.PENDING)
        .subquery()
    )
    cut = connection.execute(update(items).where(items.c.id == pending.c.id).values(chunk=pending.c.chunk))
    count = -(-cut.rowcount // chunk_size)
    new_chunks(connection, job_id, range(count))
    return count


def new_chunks(connection: Connection, job_id: str, numbers: Sequence[int]) -> None:
    """Rows of chunks that nobody has claimed yet."""
    fresh = {"job_id": job_id, "attempt": 0, "lease_until": 0.0, "settled": False}
    if numbers:
        connection.execute(insert(chunks), [fresh | {"number": number} for number in numbers])
