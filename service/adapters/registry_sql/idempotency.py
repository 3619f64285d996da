"""Requests that a client may send again, and what they were answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, select, update

from service.adapters.registry_sql.database import Part, upsert, writing
from service.adapters.registry_sql.schema import idempotency
from service.records import RememberedRequest


class Idempotency(Part):
    """Implements `ports.IdempotencyRegistry`."""

    @writing
    def remember_request(self, connection: Connection, tenant: str, key: str, request_sha256: str) -> RememberedRequest:
        row = {"tenant": tenant, "key": key, "request_sha256": request_sha256, "created_at": self.clock()}
        connection.execute(upsert(connection, idempotency).on_conflict_do_nothing(), row)
        found = select(idempotency.c.request_sha256, idempotency.c.answer).where(_of(tenant, key))
        return RememberedRequest(**connection.execute(found).one()._asdict())

    @writing
    def answer_request(self, connection: Connection, tenant: str, key: str, answer: Mapping[str, Any]) -> None:
        connection.execute(update(idempotency).where(_of(tenant, key)).values(answer=answer))

    @writing
    def forget_request(self, connection: Connection, tenant: str, key: str) -> None:
        connection.execute(delete(idempotency).where(_of(tenant, key), idempotency.c.answer.is_(None)))

    @writing
    def forget_requests(self, connection: Connection, before: float) -> int:
        return connection.execute(delete(idempotency).where(idempotency.c.created_at < before)).rowcount


def _of(tenant: str, key: str) -> ColumnElement[bool]:
    return and_(idempotency.c.tenant == tenant, idempotency.c.key == key)
