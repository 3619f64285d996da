"""Where tenants want to be told, and what they are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """Where a tenant wants to be told of finished jobs. `secret` signs what is sent."""

    id: str
    tenant: str
    url: str
    secret: str
    events: tuple[str, ...]
    created_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message to one webhook: tried until it is delivered or given up.

    Attributes:
        id: of the message; a receiver knows by it what it has seen already.
        attempt: how often it was tried.
        next_at: when it is due (again); None once it is delivered or given up.
        delivered_at: when the receiver took it.
        error: what the last try came to, None for none or a success.
    """

    id: str
    webhook_id: str
    tenant: str
    job_id: str
    event: str
    payload: Mapping[str, Any]
    attempt: int
    next_at: float | None
    delivered_at: float | None
    error: str | None
    created_at: float
