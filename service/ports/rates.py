"""How often a tenant asks."""

from __future__ import annotations

from typing import Protocol


class RateLimiter(Protocol):
    """Counts requests over a minute that moves along, for all processes that serve."""

    def take(self, tenant: str, per_minute: int) -> float | None:
        """Count a request; None when it is one of `per_minute`, else it is not counted: seconds until one is free.

        Never raises: when what counts is out of order, requests pass.
        """
        ...
