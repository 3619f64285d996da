"""Webhooks: register, list, delete, test; and delivering to them, at least once, for about a day."""

from __future__ import annotations

import base64
import logging
import random
import secrets
import uuid
from collections.abc import Sequence
from contextlib import suppress

from service.errors import InvalidInput, NotFound, Unavailable, quoted
from service.ports import DeliverWebhook, Sent
from service.records import Delivery, Webhook
from service.usecases.context import Context
from service.usecases.log_context import log_ids

logger = logging.getLogger(__name__)

EVENTS = ("job.done", "job.failed", "job.cancelled")
TEST_EVENT = "webhook.test"

MAX_WEBHOOKS = 20
"""Webhooks of one tenant: each ended job is told to all of them."""

FIRST_PAUSE_S = 10.0
FACTOR = 3.0
MAX_ATTEMPTS = 10
"""Pauses of 10 s, 30 s, 90 s ... 18 h: the last attempt is 27 hours after the first, give or take a fifth."""
JITTER = 0.2

SENDING_S = 60.0
"""An attempt that is not settled by then is taken for lost, with its worker: the message is due again."""

KEPT_S = 30 * 24 * 3600.0
"""How long messages that were delivered or given up can be looked at."""

DUE_AT_ONCE = 500
"""Messages that one sweep enqueues."""


def create_webhook(context: Context, tenant: str, url: str, events: Sequence[str]) -> Webhook:
    """A webhook with a fresh secret, which is told this once.

    Raises:
        InvalidInput: the URL is never called, or an event is none.
        TenantNotFound: there is no such tenant.
        QuotaExceeded: the tenant has `MAX_WEBHOOKS` already.
    """
    unknown = [event for event in events if event not in EVENTS]
    if unknown or not events:
        told = f"there is no event {quoted(unknown[0])}" if unknown else "name an event"
        raise InvalidInput(f"{told}: take any of {', '.join(EVENTS)}", events=list(EVENTS))
    context.sender.check(url)
    webhook = Webhook(
        id=str(uuid.uuid4()),
        tenant=tenant,
        url=url,
        secret=f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}",
        events=tuple(dict.fromkeys(events)),
        created_at=context.clock(),
    )
    context.registry.add_webhook(webhook, MAX_WEBHOOKS)
    return webhook


def list_webhooks(context: Context, tenant: str) -> list[Webhook]:
    """The tenant's webhooks, oldest first."""
    return context.registry.webhooks(tenant)


def show_webhook(context: Context, tenant: str, webhook_id: str) -> Webhook:
    """Raises NotFound, in the same words for another tenant's."""
    with suppress(NotFound, InvalidInput):  # the latter for text that no id can be
        found = context.registry.webhook(webhook_id)
        if found.tenant == tenant:
            return found
    raise NotFound(f"there is no webhook {quoted(webhook_id)}", webhook=webhook_id)


def delete_webhook(context: Context, tenant: str, webhook_id: str) -> None:
    """With its deliveries; what is on its way may still arrive. Raises NotFound."""
    show_webhook(context, tenant, webhook_id)
    context.registry.delete_webhook(webhook_id)


def list_deliveries(
    context: Context, tenant: str, webhook_id: str, before: int | None, limit: int
) -> list[tuple[int, Delivery]]:
    """Newest first, each with its serial number; those with a lower one than `before`. Raises NotFound."""
    show_webhook(context, tenant, webhook_id)
    return context.registry.deliveries(webhook_id, before=before, limit=limit)


def send_test(context: Context, tenant: str, webhook_id: str) -> Delivery:
    """Queue a message that tells of nothing. Raises NotFound."""
    show_webhook(context, tenant, webhook_id)
    payload = {"type": TEST_EVENT, "webhook": webhook_id, "sent_at": context.clock()}
    delivery = context.registry.add_delivery(webhook_id, f"test-{uuid.uuid4()}", TEST_EVENT, payload)
    announce(context, [delivery.id])
    return delivery


def announce(context: Context, delivery_ids: Sequence[str]) -> None:
    """Enqueue messages that are due. While the queue is away this does nothing: the sweeper finds them."""
    with suppress(Unavailable):
        for delivery_id in delivery_ids:
            context.queue.enqueue(DeliverWebhook(delivery_id))


def announce_due(context: Context) -> int:
    """Enqueue what is due (again), and forget what is long over; how many were enqueued."""
    due = context.registry.due_deliveries(DUE_AT_ONCE)
    for delivery_id in due:
        context.queue.enqueue(DeliverWebhook(delivery_id))
    context.registry.forget_deliveries(context.clock() - KEPT_S)
    return len(due)


def deliver_webhook(context: Context, delivery_id: str) -> None:
    """One attempt at one message; does nothing when it is not due, or being sent by somebody else."""
    delivery = context.registry.claim_delivery(delivery_id, SENDING_S)
    if delivery is None:
        return
    try:
        webhook = context.registry.webhook(delivery.webhook_id)
    except NotFound:
        return
    sent = context.sender.send(webhook, delivery.id, delivery.payload)
    pause = None if sent.error is None else pause_s(delivery.attempt, sent, random.uniform(-JITTER, JITTER))  # noqa: S311 - jitter, not a secret
    next_at = None if pause is None else context.clock() + pause
    if sent.error is not None:
        with log_ids({"tenant": delivery.tenant}):
            logger.info("%s to webhook %s, attempt %d: %s", delivery.id, webhook.id, delivery.attempt, sent.error)
    context.registry.settle_delivery(delivery, _told(sent, delivery.attempt, given_up=pause is None), next_at)


def pause_s(attempt: int, sent: Sent, jitter: float) -> float | None:
    """Seconds until the next attempt after this one failed, counted from 1; None: it is given up.

    `jitter` is -JITTER .. JITTER: messages that failed together do not come back together.
    """
    if sent.hopeless or attempt >= MAX_ATTEMPTS:
        return None
    return FIRST_PAUSE_S * FACTOR ** (attempt - 1) * (1 + jitter)


def _told(sent: Sent, attempt: int, *, given_up: bool) -> str | None:
    if sent.error is None or not given_up:
        return sent.error
    times = "attempt" if attempt == 1 else "attempts"
    return f"given up after {attempt} {times}: {sent.error}"
