"""Webhooks and what is to be delivered to them. Deliveries of ended jobs are written by `outbox.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from service.adapters.registry_sql.database import AnyRow, Part, reading, writing
from service.adapters.registry_sql.outbox import new_delivery
from service.adapters.registry_sql.schema import deliveries, webhooks
from service.adapters.registry_sql.usage import one_tenant
from service.errors import NotFound, QuotaExceeded, quoted
from service.records import Delivery, Webhook

DELIVERY_COLUMNS = [column for column in deliveries.c if column.name != "serial"]


class Webhooks(Part):
    """Implements `ports.WebhookRegistry`."""

    @writing
    def add_webhook(self, connection: Connection, webhook: Webhook, most: int) -> None:
        one_tenant(connection, webhook.tenant, locked=True)
        own = select(webhooks.c.id).where(webhooks.c.tenant == webhook.tenant)
        if len(connection.execute(own).all()) >= most:
            raise QuotaExceeded(f"a tenant has at most {most} webhooks: delete one", quota="webhooks", limit=most)
        connection.execute(insert(webhooks), asdict(webhook))

    @reading
    def webhook(self, connection: Connection, webhook_id: str) -> Webhook:
        return _webhook(_webhook_row(connection, webhook_id))

    @reading
    def webhooks(self, connection: Connection, tenant: str) -> list[Webhook]:
        found = select(webhooks).where(webhooks.c.tenant == tenant).order_by(webhooks.c.created_at, webhooks.c.id)
        return [_webhook(row) for row in connection.execute(found)]

    @writing
    def delete_webhook(self, connection: Connection, webhook_id: str) -> None:
        _webhook_row(connection, webhook_id)
        connection.execute(delete(webhooks).where(webhooks.c.id == webhook_id))

    @writing
    def add_delivery(
        self, connection: Connection, webhook_id: str, job_id: str, event: str, payload: Mapping[str, Any]
    ) -> Delivery:
        hook = _webhook_row(connection, webhook_id)
        row = new_delivery(webhook_id, hook.tenant, job_id, event, payload, self.clock())
        connection.execute(insert(deliveries), row)
        return _delivery(connection, row["id"])

    @reading
    def delivery(self, connection: Connection, delivery_id: str) -> Delivery:
        return _delivery(connection, delivery_id)

    @reading
    def deliveries(
        self, connection: Connection, webhook_id: str, *, before: int | None = None, limit: int
    ) -> list[tuple[int, Delivery]]:
        found = select(deliveries.c.serial, *DELIVERY_COLUMNS).where(deliveries.c.webhook_id == webhook_id)
        if before is not None:
            found = found.where(deliveries.c.serial < before)
        rows = connection.execute(found.order_by(deliveries.c.serial.desc()).limit(limit))
        return [(row.serial, _read(row)) for row in rows]

    @reading
    def due_deliveries(self, connection: Connection, limit: int) -> list[str]:
        due = select(deliveries.c.id).where(deliveries.c.next_at <= self.clock())
        return list(connection.execute(due.order_by(deliveries.c.next_at).limit(limit)).scalars())

    @writing
    def claim_delivery(self, connection: Connection, delivery_id: str, lease_seconds: float) -> Delivery | None:
        """One conditional UPDATE: of several senders one goes on. One that dies leaves it due after the lease."""
        now = self.clock()
        claimed = (
            update(deliveries)
            .where(deliveries.c.id == delivery_id, deliveries.c.next_at <= now)
            .values(attempt=deliveries.c.attempt + 1, next_at=now + lease_seconds)
            .returning(*DELIVERY_COLUMNS)
        )
        row = connection.execute(claimed).one_or_none()
        return None if row is None else _read(row)

    @writing
    def settle_delivery(
        self, connection: Connection, delivery: Delivery, error: str | None, next_at: float | None
    ) -> None:
        """What another attempt has written since is left alone."""
        settled: dict[str, Any] = {"error": error, "next_at": next_at}
        if error is None:
            settled |= {"next_at": None, "delivered_at": self.clock()}
        connection.execute(update(deliveries).where(_is_attempt(delivery)).values(settled))

    @writing
    def forget_deliveries(self, connection: Connection, before: float) -> int:
        old = delete(deliveries).where(deliveries.c.next_at.is_(None), deliveries.c.created_at < before)
        return connection.execute(old).rowcount


def _is_attempt(delivery: Delivery) -> ColumnElement[bool]:
    return (deliveries.c.id == delivery.id) & (deliveries.c.attempt == delivery.attempt)


def _webhook_row(connection: Connection, webhook_id: str) -> AnyRow:
    """Raises NotFound."""
    row = connection.execute(select(webhooks).where(webhooks.c.id == webhook_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no webhook {quoted(webhook_id)}", webhook=webhook_id)
    return row


def _webhook(row: AnyRow) -> Webhook:
    return Webhook(**row._asdict())


def _delivery(connection: Connection, delivery_id: str) -> Delivery:
    row = connection.execute(select(*DELIVERY_COLUMNS).where(deliveries.c.id == delivery_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no delivery {quoted(delivery_id)}", delivery=delivery_id)
    return _read(row)


def _read(row: AnyRow) -> Delivery:
    return Delivery(**{name: value for name, value in row._asdict().items() if name != "serial"})
