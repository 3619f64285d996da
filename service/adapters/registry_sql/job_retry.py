"""The pictures of an ended job that did not make it, as a new job."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, insert, literal, or_, select, update

from service.adapters.registry_sql.catalogues import keep_catalogue
from service.adapters.registry_sql.database import AnyRow, Part, writing
from service.adapters.registry_sql.job_states import locked_job
from service.adapters.registry_sql.jobs import (
    JOB_COLUMNS,
    cut_into_chunks,
    job_of,
    keep_pictures_within_quotas,
    no_job,
)
from service.adapters.registry_sql.schema import items, jobs
from service.adapters.registry_sql.usage import keep_sealed_within_quotas
from service.errors import WrongState
from service.records import FINAL_STATES, KINDS_OF_ITEMS, ItemState, Job, JobState

NOT_DONE = (ItemState.FAILED, ItemState.CANCELLED, ItemState.PENDING)
"""PENDING are those of a job that failed as a whole."""

COPIED = ("source", "content_hash", "crop", "label", "split", "metadata")


class JobRetry(Part):
    """Implements the part of `ports.JobControlRegistry` that tries again."""

    @writing
    def retry_job(self, connection: Connection, job_id: str, chunk_size: int) -> Job:
        """All in one transaction: there is no retry without its items, and never a second one."""
        catalogue_id = connection.execute(select(jobs.c.catalogue_id).where(jobs.c.id == job_id)).scalar()
        if catalogue_id is None:
            raise no_job(job_id)
        keep_catalogue(connection, catalogue_id)
        row = locked_job(connection, job_id)
        known = connection.execute(select(*JOB_COLUMNS).where(jobs.c.id == row.retried_as)).one_or_none()
        if known is not None:
            return job_of(known)
        _check(row)
        fresh = _new_job(connection, row, self.clock())
        count = _copy_items(connection, job_id, fresh)
        if not count:
            raise WrongState(
                f"job {job_id} cannot be retried: none of its pictures failed with its bytes at hand", job=job_id
            )
        keep_pictures_within_quotas(connection, fresh, count)
        connection.execute(update(jobs).where(jobs.c.id == fresh).values(item_total=count))
        keep_sealed_within_quotas(connection, fresh)
        cut_into_chunks(connection, fresh, chunk_size)
        connection.execute(update(jobs).where(jobs.c.id == fresh).values(state=JobState.QUEUED))
        connection.execute(update(jobs).where(jobs.c.id == job_id).values(retried_as=fresh))
        return job_of(connection.execute(select(*JOB_COLUMNS).where(jobs.c.id == fresh)).one())


def _check(row: AnyRow) -> None:
    if row.kind not in KINDS_OF_ITEMS:
        told = f"an {row.kind} job has no pictures of its own; start a new one"
    elif row.state not in FINAL_STATES:
        told = f"it is {row.state}; wait for its end, or cancel it"
    else:
        return
    raise WrongState(f"job {row.id} cannot be retried: {told}", job=row.id, state=row.state.value)


def _new_job(connection: Connection, row: AnyRow, now: float) -> str:
    fresh: dict[str, Any] = {name: getattr(row, name) for name in ("tenant", "catalogue_id", "kind")}
    fresh |= {"id": str(uuid.uuid4()), "state": JobState.OPENING, "stage": "", "created_at": now, "heard_at": now}
    fresh |= dict.fromkeys(("done", "total", "item_total", "item_done"), 0)
    # The bytes stay where the first of them was given them.
    origin = {"retry_of": row.id, "bytes_of": row.parameters.get("bytes_of", row.id)}
    connection.execute(insert(jobs), fresh | {"parameters": {**row.parameters, **origin}})
    return str(fresh["id"])


def _copy_items(connection: Connection, job_id: str, fresh: str) -> int:
    """Pictures that could not even be read have no bytes and are left out; their reason stays with the old job."""
    columns: list[ColumnElement[Any]] = [literal(fresh), literal(ItemState.PENDING, items.c.state.type)]
    columns += [items.c[name] for name in COPIED]
    tried = or_(items.c.chunk.is_not(None), items.c.content_hash != "")
    chosen = select(*columns).where(items.c.job_id == job_id, items.c.state.in_(NOT_DONE), tried).order_by(items.c.id)
    connection.execute(insert(items).from_select(["job_id", "state", *COPIED], chosen))
    return connection.execute(select(func.count()).where(items.c.job_id == fresh)).scalar_one()
