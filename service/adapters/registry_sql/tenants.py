"""Tenants and their quotas. Keys: `keys.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Connection, delete, exists, select, update

from service.adapters.registry_sql.database import Part, reading, upsert, writing
from service.adapters.registry_sql.keys import refuse_last_admin
from service.adapters.registry_sql.schema import api_keys, catalogues, idempotency, tenants
from service.adapters.registry_sql.usage import counted_usage, one_tenant, read_tenant
from service.errors import AlreadyExists, Busy, quoted
from service.records import Quotas, Tenant, Usage

NEVER_SERVED = 0.0


class Tenants(Part):
    """Implements the part of `ports.TenantRegistry` that is about tenants themselves."""

    @writing
    def ensure_tenant(self, connection: Connection, name: str) -> Tenant:
        fresh = upsert(connection, tenants).on_conflict_do_nothing()
        connection.execute(fresh, _new(name, Quotas(), self.clock()))
        return one_tenant(connection, name)

    @writing
    def create_tenant(self, connection: Connection, name: str, quotas: Quotas) -> Tenant:
        fresh = upsert(connection, tenants).on_conflict_do_nothing().returning(tenants.c.name)
        if connection.execute(fresh, _new(name, quotas, self.clock())).one_or_none() is None:
            raise AlreadyExists(f"there is a tenant {quoted(name)} already", tenant=name)
        return one_tenant(connection, name)

    @reading
    def tenant(self, connection: Connection, name: str) -> Tenant:
        return one_tenant(connection, name)

    @reading
    def tenants(self, connection: Connection, after: str | None = None, limit: int | None = None) -> list[Tenant]:
        found = select(tenants).order_by(tenants.c.name).limit(limit)
        if after is not None:
            found = found.where(tenants.c.name > after)
        return [read_tenant(row) for row in connection.execute(found)]

    @writing
    def change_quotas(self, connection: Connection, name: str, changes: Mapping[str, int | None]) -> Tenant:
        former = one_tenant(connection, name, locked=True)
        quotas = replace(former.quotas, **changes)
        connection.execute(update(tenants).where(tenants.c.name == name).values(quotas=asdict(quotas)))
        return replace(former, quotas=quotas)

    @reading
    def usage(self, connection: Connection, tenant: str) -> Usage:
        return counted_usage(connection, tenant)

    @writing
    def delete_tenant(self, connection: Connection, name: str) -> None:
        """Foreign keys carry the deletion on to keys and webhooks."""
        one_tenant(connection, name, locked=True)
        if connection.execute(select(exists().where(catalogues.c.tenant == name))).scalar_one():
            raise Busy(f"tenant {quoted(name)} got a catalogue while it was deleted: delete it again", tenant=name)
        own = connection.execute(select(api_keys.c.id).where(api_keys.c.tenant == name)).scalars().all()
        refuse_last_admin(connection, own, self.clock(), self.clock())
        connection.execute(delete(idempotency).where(idempotency.c.tenant == name))
        connection.execute(delete(tenants).where(tenants.c.name == name))


def _new(name: str, quotas: Quotas, now: float) -> dict[str, Any]:
    return {"name": name, "created_at": now, "quotas": asdict(quotas), "served_at": NEVER_SERVED}
