"""The registry: requests that a client may send again, and what they were answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from service.records import RememberedRequest


class IdempotencyRegistry(Protocol):
    """Requests with an idempotency key, by tenant and key. Who works on one holds a lease (`take_lease`)."""

    def remember_request(self, tenant: str, key: str, request_sha256: str) -> RememberedRequest:
        """The request of that key: the one that is there, else this one, written now without an answer."""
        ...

    def answer_request(self, tenant: str, key: str, answer: Mapping[str, Any]) -> None:
        """What the request was answered, JSON values. Nothing happens when it was forgotten meanwhile."""
        ...

    def forget_request(self, tenant: str, key: str) -> None:
        """The next one with that key is the first; one that was answered stays."""
        ...

    def forget_requests(self, before: float) -> int:
        """Forget all that were made before that time (seconds since 1970), of every tenant; how many they were."""
        ...
