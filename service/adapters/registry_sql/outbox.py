"""Deliveries are written in the transaction that ends a job: no crash loses one, and none tells of what never was."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, func, insert, select

from service.adapters.registry_sql.schema import catalogues, deliveries, items, webhooks
from service.records import ItemState, Job
from service.usecases.job_view import job_view

EVENTS = ("job.done", "job.failed", "job.cancelled")


def add_deliveries(connection: Connection, job: Job, now: float) -> tuple[str, ...]:
    """One to each webhook of the tenant that wants to hear of this end; their ids."""
    event = f"job.{job.state.value}"
    hooks = connection.execute(select(webhooks.c.id, webhooks.c.events).where(webhooks.c.tenant == job.tenant))
    wanted = [row.id for row in hooks if event in row.events]
    if not wanted:
        return ()
    payload = job_view(job, _catalogue(connection, job), _counts(connection, job.id), now)
    rows = [new_delivery(webhook_id, job.tenant, job.id, event, payload, now) for webhook_id in wanted]
    connection.execute(insert(deliveries), rows)
    return tuple(row["id"] for row in rows)


def new_delivery(
    webhook_id: str, tenant: str, job_id: str, event: str, payload: Mapping[str, Any], now: float
) -> dict[str, Any]:
    """The row of a delivery that is due at once."""
    row: dict[str, Any] = {"id": f"msg_{uuid.uuid4().hex}", "webhook_id": webhook_id, "tenant": tenant}
    row |= {"job_id": job_id, "event": event, "payload": payload, "attempt": 0, "next_at": now, "created_at": now}
    return row


def _catalogue(connection: Connection, job: Job) -> str:
    return str(connection.execute(select(catalogues.c.name).where(catalogues.c.id == job.catalogue_id)).scalar_one())


def _counts(connection: Connection, job_id: str) -> dict[ItemState, int]:
    counted = select(items.c.state, func.count().label("number")).where(items.c.job_id == job_id)
    return {row.state: row.number for row in connection.execute(counted.group_by(items.c.state))}
