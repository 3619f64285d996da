"""The few numbers over all tenants that operators watch. Each is counted along an index, whatever is stored."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, func, literal, select

from service.adapters.registry_sql.database import Part, reading
from service.adapters.registry_sql.schema import catalogues, chunks, deliveries, examples, jobs, selections
from service.ports.telemetry import Backlog, Measures
from service.records import JobKind, JobState


class Measuring(Part):
    """Implements `ports.TelemetryRegistry`."""

    @reading
    def ping(self, connection: Connection) -> None:
        connection.execute(select(literal(1))).scalar_one()

    @reading
    def measures(self, connection: Connection) -> Measures:
        now = self.clock()
        active = select(func.count(), func.min(selections.c.created_at), func.max(selections.c.created_at)).where(
            selections.c.id == catalogues.c.active_selection
        )
        count, oldest, newest = connection.execute(active).one()
        return Measures(
            backlogs={
                "embed": _backlog(connection, _waiting_chunks(now)),
                "optimise": _backlog(connection, _waiting_jobs(JobKind.OPTIMISE)),
                "finetune": _backlog(connection, _waiting_jobs(JobKind.FINETUNE)),
                "maintenance": _backlog(connection, _due_deliveries(now)),
            },
            examples=connection.execute(select(func.count()).select_from(examples)).scalar_one(),
            selections=count,
            oldest_selection_at=oldest,
            newest_selection_at=newest,
        )


def _waiting_chunks(now: float) -> Select[*tuple[Any, ...]]:
    found = select(func.count(), func.min(jobs.c.created_at)).join(jobs, jobs.c.id == chunks.c.job_id)
    under_way = jobs.c.state.in_((JobState.QUEUED, JobState.RUNNING))
    return found.select_from(chunks).where(~chunks.c.settled, chunks.c.lease_until <= now, under_way)


def _waiting_jobs(kind: JobKind) -> Select[*tuple[Any, ...]]:
    found = select(func.count(), func.min(jobs.c.created_at))
    return found.where(jobs.c.kind == kind, jobs.c.state == JobState.QUEUED)


def _due_deliveries(now: float) -> Select[*tuple[Any, ...]]:
    return select(func.count(), func.min(deliveries.c.next_at)).where(deliveries.c.next_at <= now)


def _backlog(connection: Connection, counted: Select[*tuple[Any, ...]]) -> Backlog:
    waiting, oldest_at = connection.execute(counted).one()
    return Backlog(waiting, oldest_at)
