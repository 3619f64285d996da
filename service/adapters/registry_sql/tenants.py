"""Tenants, their quotas and keys."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from service.adapters.registry_sql.database import AnyRow, Part, reading, upsert, writing
from service.adapters.registry_sql.schema import api_keys, tenants
from service.errors import AlreadyExists, NotFound, TenantNotFound, quoted
from service.records import ApiKey, Quotas, Scope, Tenant

NEVER_SERVED = 0.0


class Tenants(Part):
    """Implements `ports.TenantRegistry`."""

    @writing
    def ensure_tenant(self, connection: Connection, name: str) -> Tenant:
        fresh = upsert(connection, tenants).on_conflict_do_nothing()
        connection.execute(fresh, _new(name, Quotas(), self.clock()))
        return _tenant(connection, name)

    @writing
    def create_tenant(self, connection: Connection, name: str, quotas: Quotas) -> Tenant:
        fresh = upsert(connection, tenants).on_conflict_do_nothing().returning(tenants.c.name)
        if connection.execute(fresh, _new(name, quotas, self.clock())).one_or_none() is None:
            raise AlreadyExists(f"there is a tenant {quoted(name)} already", tenant=name)
        return _tenant(connection, name)

    @reading
    def tenant(self, connection: Connection, name: str) -> Tenant:
        return _tenant(connection, name)

    @reading
    def tenants(self, connection: Connection) -> list[Tenant]:
        return [_read(row) for row in connection.execute(select(tenants).order_by(tenants.c.name))]

    @writing
    def set_quotas(self, connection: Connection, name: str, quotas: Quotas) -> Tenant:
        connection.execute(update(tenants).where(tenants.c.name == name).values(quotas=asdict(quotas)))
        return _tenant(connection, name)

    @writing
    def delete_tenant(self, connection: Connection, name: str) -> None:
        _tenant(connection, name)
        connection.execute(delete(tenants).where(tenants.c.name == name))

    @writing
    def add_key(self, connection: Connection, key: ApiKey) -> None:
        _tenant(connection, key.tenant)
        connection.execute(insert(api_keys), asdict(key))

    @reading
    def key(self, connection: Connection, key_id: str) -> ApiKey:
        row = connection.execute(select(api_keys).where(api_keys.c.id == key_id)).one_or_none()
        if row is None:
            raise NotFound(f"there is no key {quoted(key_id)}", key=key_id)
        return _key(row)

    @reading
    def keys(self, connection: Connection, tenant: str) -> list[ApiKey]:
        found = select(api_keys).where(api_keys.c.tenant == tenant).order_by(api_keys.c.created_at, api_keys.c.id)
        return [_key(row) for row in connection.execute(found)]

    @reading
    def any_admin_key(self, connection: Connection) -> bool:
        lasting = or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > self.clock())
        found = select(api_keys).where(api_keys.c.revoked_at.is_(None), lasting)
        return any(Scope.ADMIN in _key(row).scopes for row in connection.execute(found))

    @writing
    def expire_key(self, connection: Connection, key_id: str, at: float) -> None:
        ends = func.coalesce(api_keys.c.expires_at, at + 1)
        connection.execute(update(api_keys).where(api_keys.c.id == key_id, ends > at).values(expires_at=at))

    @writing
    def revoke_key(self, connection: Connection, key_id: str) -> None:
        live = update(api_keys).where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
        connection.execute(live.values(revoked_at=self.clock()))


def _new(name: str, quotas: Quotas, now: float) -> dict[str, Any]:
    return {"name": name, "created_at": now, "quotas": asdict(quotas), "served_at": NEVER_SERVED}


def _tenant(connection: Connection, name: str) -> Tenant:
    row = connection.execute(select(tenants).where(tenants.c.name == name)).one_or_none()
    if row is None:
        raise TenantNotFound(f"there is no tenant {quoted(name)}", tenant=name)
    return _read(row)


def _read(row: AnyRow) -> Tenant:
    return Tenant(name=row.name, created_at=row.created_at, quotas=Quotas(**row.quotas))


def _key(row: AnyRow) -> ApiKey:
    return ApiKey(**{**row._asdict(), "scopes": tuple(Scope(one) for one in row.scopes)})
