"""Requests about tenants, keys and whoever asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from service.client.calls import Call, delete, get, model, params_of, path_of
from service.client.models.base import Page
from service.client.models.tenants import Key, Me, Tenant


def me() -> Call[Me]:
    """The key that asks, and what its tenant may use and uses."""
    return get("/v1/me", model(Me))


def create_tenant(name: str, quotas: Mapping[str, int | None] | None = None) -> Call[Tenant]:
    """A tenant without keys; quotas that are left out are the service's."""
    body = {"name": name, "quotas": dict(quotas or {})}
    return Call(method="POST", path="/v1/tenants", json=body, read=model(Tenant))


def list_tenants(cursor: str | None = None, limit: int = 100) -> Call[Page[Tenant]]:
    """A page of tenants, by name."""
    return get("/v1/tenants", model(Page[Tenant]), cursor=cursor, limit=limit)


def show_tenant(name: str) -> Call[Tenant]:
    """One tenant, with what it uses."""
    return get(path_of("v1", "tenants", name), model(Tenant))


def change_tenant(name: str, quotas: Mapping[str, int | None]) -> Call[Tenant]:
    """New quotas; one that is left out stays, None lifts it."""
    path = path_of("v1", "tenants", name)
    return Call(method="PATCH", path=path, json={"quotas": dict(quotas)}, read=model(Tenant), repeatable=True)


def delete_tenant(name: str) -> Call[None]:
    """A tenant with everything that is its, for good."""
    return delete(path_of("v1", "tenants", name))


def create_key(tenant: str, name: str, scopes: Sequence[str], expires_at: float | None = None) -> Call[Key]:
    """A key, with its credential in `key`; `expires_at` in seconds since 1970."""
    body = {"name": name, "scopes": list(scopes), "expires_at": expires_at}
    return Call(method="POST", path=path_of("v1", "tenants", tenant, "keys"), json=body, read=model(Key))


def list_keys(tenant: str, cursor: str | None = None, limit: int = 100) -> Call[Page[Key]]:
    """A page of a tenant's keys, oldest first."""
    return get(path_of("v1", "tenants", tenant, "keys"), model(Page[Key]), cursor=cursor, limit=limit)


def show_key(tenant: str, key: str) -> Call[Key]:
    """One key, without its credential."""
    return get(path_of("v1", "tenants", tenant, "keys", key), model(Key))


def rotate_key(tenant: str, key: str, grace_s: float | None = None) -> Call[Key]:
    """A successor with its credential; both work for `grace_s` seconds."""
    path = path_of("v1", "tenants", tenant, "keys", f"{key}:rotate")
    return Call(method="POST", path=path, json=params_of(grace_s=grace_s), read=model(Key))


def revoke_key(tenant: str, key: str) -> Call[None]:
    """The end of a key."""
    return delete(path_of("v1", "tenants", tenant, "keys", key))
