"""Tenants, keys, and who is asking."""

from __future__ import annotations

from service.client.models.base import Answer


class Quotas(Answer):
    """What a tenant may use; None is as much as there is."""

    catalogues: int | None
    examples: int | None
    requests_per_minute: int | None
    inflight_items: int | None


class Usage(Answer):
    """What a tenant uses now."""

    catalogues: int
    examples: int
    inflight_items: int


class Tenant(Answer):
    """A customer. `usage` is None in lists."""

    name: str
    created_at: float
    quotas: Quotas
    usage: Usage | None = None


class Key(Answer):
    """A key. `key`, the credential itself, is only in the answer that makes it. Times are seconds since 1970."""

    id: str
    tenant: str
    name: str
    scopes: list[str]
    works: bool
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    replaced_by: str | None = None
    key: str | None = None


class Me(Answer):
    """The key that asks, and its tenant."""

    tenant: str
    key_id: str
    scopes: list[str]
    quotas: Quotas
    usage: Usage
