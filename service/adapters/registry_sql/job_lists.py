"""Pages of jobs and of items. A page reads its own rows, whatever lies before and behind it."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from sqlalchemy import Connection, select

from service.adapters.registry_sql.database import Part, reading, records
from service.adapters.registry_sql.jobs import ITEM_COLUMNS, JOB_COLUMNS, job_of
from service.adapters.registry_sql.schema import items, jobs
from service.records import Item, ItemState, Job, JobKind, JobState


class JobLists(Part):
    """Implements the part of `ports.JobControlRegistry` that lists."""

    @reading
    def jobs_page(
        self,
        connection: Connection,
        tenant: str,
        *,
        states: Sequence[JobState] | None = None,
        kind: JobKind | None = None,
        catalogue_id: str | None = None,
        before: int | None = None,
        limit: int,
    ) -> list[tuple[int, Job]]:
        found = select(jobs.c.serial, *JOB_COLUMNS).where(jobs.c.tenant == tenant).order_by(jobs.c.serial.desc())
        if states is not None:
            found = found.where(jobs.c.state.in_(states))
        if kind is not None:
            found = found.where(jobs.c.kind == kind)
        if catalogue_id is not None:
            found = found.where(jobs.c.catalogue_id == catalogue_id)
        if before is not None:
            found = found.where(jobs.c.serial < before)
        return [(row.serial, job_of(row)) for row in connection.execute(found.limit(limit))]

    @reading
    def items_page(
        self,
        connection: Connection,
        job_id: str,
        *,
        states: Sequence[ItemState] | None = None,
        after: int | None = None,
        limit: int,
    ) -> list[Item]:
        """A few rows of each state, from the index of job, state and id, merged."""
        found = select(*ITEM_COLUMNS).where(items.c.job_id == job_id).order_by(items.c.id).limit(limit)
        if after is not None:
            found = found.where(items.c.id > after)
        wanted = dict.fromkeys(ItemState if states is None else states)
        parts = [records(Item, connection.execute(found.where(items.c.state == state))) for state in wanted]
        return list(heapq.merge(*parts, key=lambda item: item.id))[:limit]
