"""What a tenant uses, counted; and the refusal of what goes beyond its quotas, in the transaction that would add it."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from service.adapters.registry_sql.database import AnyRow
from service.adapters.registry_sql.schema import catalogues, examples, jobs, tenants
from service.errors import TenantNotFound, quoted
from service.records import JobState, Quotas, Tenant, Usage
from service.usecases.quotas import limits_anything, refuse_beyond, sealed_asked

FINAL = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


def read_tenant(row: AnyRow) -> Tenant:
    """The tenant of a row."""
    return Tenant(name=row.name, created_at=row.created_at, quotas=Quotas(**row.quotas))


def one_tenant(connection: Connection, name: str, *, locked: bool = False) -> Tenant:
    """The tenant; `locked`: nobody changes it before this transaction ends. Raises TenantNotFound."""
    found = select(tenants).where(tenants.c.name == name)
    row = connection.execute(found.with_for_update(key_share=True) if locked else found).one_or_none()
    if row is None:
        raise TenantNotFound(f"there is no tenant {quoted(name)}", tenant=name)
    return read_tenant(row)


def counted_usage(connection: Connection, tenant: str) -> Usage:
    """What the tenant uses now. Jobs count their items as they settle, so no item is read for it."""
    own = select(catalogues.c.id).where(catalogues.c.tenant == tenant)
    stored = select(func.count()).select_from(examples).where(examples.c.catalogue_id.in_(own))
    unsealed, being_read = _being_filled(connection, tenant)
    waiting = select(func.coalesce(func.sum(jobs.c.item_total - jobs.c.item_done), 0)).where(
        jobs.c.tenant == tenant, jobs.c.state.not_in((*FINAL, JobState.OPENING))
    )
    return Usage(
        catalogues=connection.execute(select(func.count()).select_from(own.subquery())).scalar_one(),
        examples=connection.execute(stored).scalar_one(),
        inflight_items=int(connection.execute(waiting).scalar_one()) + being_read,
        unsealed_items=unsealed,
    )


def _being_filled(connection: Connection, tenant: str) -> tuple[int, int]:
    """Pictures of jobs that are not sealed yet: of those open for more, and of those that one request is filling."""
    counted = (jobs.c.item_total - jobs.c.item_done).label("pictures")
    found = select(counted, jobs.c.parameters).where(jobs.c.tenant == tenant, jobs.c.state == JobState.OPENING)
    rows = connection.execute(found).all()
    unsealed = sum(row.pictures for row in rows if row.parameters.get("open"))
    return unsealed, sum(row.pictures for row in rows) - unsealed


def keep_sealed_within_quotas(connection: Connection, job_id: str) -> None:
    """Raises QuotaExceeded when an open job cannot begin yet. Of others the pictures were counted as they came."""
    columns = jobs.c.tenant, jobs.c.parameters, (jobs.c.item_total - jobs.c.item_done).label("pictures")
    job = connection.execute(select(*columns).where(jobs.c.id == job_id)).one()
    row = connection.execute(select(tenants).where(tenants.c.name == job.tenant)).one_or_none()
    if row is not None and job.parameters.get("open"):
        keep_within_quotas(connection, job.tenant, sealed_asked(read_tenant(row).quotas, job.pictures))


def keep_within_quotas(connection: Connection, tenant: str, asked: Usage) -> None:
    """Raises QuotaExceeded; else nobody else adds anything that this tenant's quotas limit before the transaction ends.

    A tenant without a row (of a catalogue that was made before there were tenants) has no quotas.
    """
    found = select(tenants).where(tenants.c.name == tenant)
    row = connection.execute(found).one_or_none()
    if row is None or not limits_anything(read_tenant(row).quotas, asked):
        return
    locked = connection.execute(found.with_for_update(key_share=True)).one_or_none()
    if locked is not None:
        refuse_beyond(read_tenant(locked), counted_usage(connection, tenant), asked)
