"""Tenants, their keys and quotas, and requests that are sent again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Scope(StrEnum):
    """What a key may do: READ asks, WRITE changes, ADMIN rules over tenants and keys. None contains another."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """What a tenant may use; None means as much as there is.

    Attributes:
        catalogues: catalogues at once.
        examples: stored examples over all catalogues.
        requests_per_minute: HTTP requests a minute over all its keys.
        inflight_items: pictures handed over but not settled yet, over all jobs.
    """

    catalogues: int | None = None
    examples: int | None = None
    requests_per_minute: int | None = None
    inflight_items: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a tenant uses (or asks for) of what `Quotas` limit; names as there.

    `unsealed_items` are pictures of jobs that are open for more: they may become examples, but wait for no worker yet.
    """

    catalogues: int = 0
    examples: int = 0
    inflight_items: int = 0
    unsealed_items: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A customer: owns keys, quotas and catalogues; sees nothing of any other."""

    name: str
    created_at: float
    quotas: Quotas


@dataclass(frozen=True, slots=True, kw_only=True)
class RememberedRequest:
    """A request that a client may send again: what it was (hex sha256) and was answered, None while at work."""

    request_sha256: str
    answer: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A credential of a tenant. Only the sha256 of its secret is kept (hex).

    Works while `revoked_at` is None and `expires_at` is None or in the future. `replaced_by` is the id of the key that
    a rotation made in its place.
    """

    id: str
    tenant: str
    name: str
    secret_sha256: str
    scopes: tuple[Scope, ...]
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    replaced_by: str | None = None
