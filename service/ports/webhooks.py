"""Webhooks: the registry's part, and what sends a message to one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from service.records import Delivery, Webhook


class WebhookRegistry(Protocol):
    """Webhooks of tenants and the messages to them."""

    def add_webhook(self, webhook: Webhook, most: int) -> None:
        """Raises TenantNotFound, QuotaExceeded when the tenant has `most` of them already."""
        ...

    def webhook(self, webhook_id: str) -> Webhook:
        """Raises NotFound."""
        ...

    def webhooks(self, tenant: str) -> list[Webhook]:
        """Oldest first."""
        ...

    def delete_webhook(self, webhook_id: str) -> None:
        """With its deliveries. Raises NotFound."""
        ...

    def add_delivery(self, webhook_id: str, job_id: str, event: str, payload: Mapping[str, Any]) -> Delivery:
        """A message that is due at once; those of ended jobs are written by `finish_job`. Raises NotFound."""
        ...

    def delivery(self, delivery_id: str) -> Delivery:
        """Raises NotFound."""
        ...

    def deliveries(self, webhook_id: str, *, before: int | None = None, limit: int) -> list[tuple[int, Delivery]]:
        """Newest first, each with its serial number; those with a lower one than `before`, where given."""
        ...

    def due_deliveries(self, limit: int) -> list[str]:
        """Ids of messages that are due now, the longest due first."""
        ...

    def claim_delivery(self, delivery_id: str, lease_seconds: float) -> Delivery | None:
        """Count an attempt; nobody else makes one for that time. None when it is not due (any more, or yet)."""
        ...

    def settle_delivery(self, delivery: Delivery, error: str | None, next_at: float | None) -> None:
        """What the claimed attempt came to: delivered without an error, else due again at `next_at` or given up."""
        ...

    def forget_deliveries(self, before: float) -> int:
        """Delete messages made before that time (seconds since 1970) that were delivered or given up; how many."""
        ...


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of an attempt. `error` is a sentence, None for a success; `hopeless`: trying again is no use."""

    error: str | None = None
    hopeless: bool = False


class WebhookSender(Protocol):
    """Sends signed messages over HTTP."""

    def check(self, url: str) -> None:
        """Raises InvalidInput for a URL that messages are never sent to."""
        ...

    def send(self, webhook: Webhook, message_id: str, body: Mapping[str, Any]) -> Sent:
        """One attempt; never raises for what the receiver or the network does."""
        ...
