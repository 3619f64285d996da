"""Webhooks: who is told when a job ends. Messages are signed as Standard Webhooks asks."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Path, Response
from pydantic import BaseModel, ConfigDict, Field

from service.api.access import ContextOf, Reader, Writer, scoped_router
from service.api.paging import Cursor, Limit, Page, encode_cursor
from service.api.routes.jobs import serial_of
from service.records import Delivery, Webhook
from service.usecases import webhooks

router = scoped_router("webhooks")

Event = Literal["job.done", "job.failed", "job.cancelled"]

WebhookId = Annotated[
    str,
    Path(
        alias="webhook",
        description="The webhook's id.",
        examples=["0b2e5a2c-6a55-4c1f-8d0c-3f1f0e6b9a11"],
        max_length=64,
    ),
]


class NewWebhook(BaseModel):
    """Where to tell of what."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(
        max_length=2000,
        examples=["https://example.com/holotype"],
        description="An https URL at a public address, without credentials. Redirects are not followed.",
    )
    events: list[Event] = Field(
        default=["job.done", "job.failed", "job.cancelled"],
        min_length=1,
        max_length=3,
        description="What to tell of; absent: every end of a job.",
    )


class WebhookBody(BaseModel):
    """A webhook; its secret is not told again."""

    id: str = Field(examples=["0b2e5a2c-6a55-4c1f-8d0c-3f1f0e6b9a11"])
    url: str = Field(examples=["https://example.com/holotype"])
    events: list[str] = Field(examples=[["job.done"]])
    created_at: float = Field(examples=[1767225600.0])


class CreatedWebhook(WebhookBody):
    """A webhook with its secret, which is told this once."""

    secret: str = Field(
        description="Signs every message (Standard Webhooks: `webhook-signature`); keep it, it is not told again.",
        examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw8mVCl3Yqg2M="],
    )


class DeliveryBody(BaseModel):
    """A message to a webhook: delivered, waiting for its next attempt, or given up."""

    id: str = Field(description="The `webhook-id` of every attempt.", examples=["msg_5d1c2c0e8f554d6e9f2b0d4b1c9a7e10"])
    event: str = Field(examples=["job.done"])
    job: str = Field(description="Id of the job that it tells of.")
    state: Literal["waiting", "delivered", "given_up"]
    attempts: int = Field(examples=[1])
    next_at: float | None = Field(description="When it is tried (again); null when it is not.")
    delivered_at: float | None
    error: str | None = Field(description="What the last attempt came to: a sentence, null for none or a success.")
    created_at: float
    payload: dict[str, Any] = Field(description="The body that is sent: the job as it ended.")


@router.post("/webhooks", status_code=201)
def create_webhook(body: NewWebhook, response: Response, who: Writer, context: ContextOf) -> CreatedWebhook:
    """Have a URL told when jobs end. The answer holds the secret that signs the messages, this once.

    A message is tried at once and, where that fails, ten times over about a day; it may arrive more than once, always
    with the same `webhook-id`. Any 2xx within ten seconds is a success, 410 ends the attempts.
    """
    made = webhooks.create_webhook(context, who.tenant, body.url, body.events)
    response.headers["Location"] = f"/v1/webhooks/{made.id}"
    return CreatedWebhook(**_shown(made).model_dump(), secret=made.secret)


@router.get("/webhooks")
def list_webhooks(who: Reader, context: ContextOf) -> Page[WebhookBody]:
    """The tenant's webhooks, oldest first: few enough for one page."""
    return Page[WebhookBody](items=[_shown(one) for one in webhooks.list_webhooks(context, who.tenant)])


@router.get("/webhooks/{webhook}")
def show_webhook(webhook_id: WebhookId, who: Reader, context: ContextOf) -> WebhookBody:
    """One webhook."""
    return _shown(webhooks.show_webhook(context, who.tenant, webhook_id))


@router.delete("/webhooks/{webhook}", status_code=204)
def delete_webhook(webhook_id: WebhookId, who: Writer, context: ContextOf) -> None:
    """Delete a webhook with its messages; one that is on its way may still arrive."""
    webhooks.delete_webhook(context, who.tenant, webhook_id)


@router.get("/webhooks/{webhook}/deliveries")
def list_deliveries(
    webhook_id: WebhookId, who: Reader, context: ContextOf, cursor: Cursor = None, limit: Limit = 50
) -> Page[DeliveryBody]:
    """Messages to a webhook, newest first; those that are over are kept for 30 days."""
    found = webhooks.list_deliveries(context, who.tenant, webhook_id, serial_of(cursor), limit + 1)
    shown = [_delivery(one) for _, one in found[:limit]]
    next_cursor = encode_cursor(found[limit - 1][0]) if len(found) > limit else None
    return Page[DeliveryBody](items=shown, next_cursor=next_cursor)


@router.post("/webhooks/{webhook}:test", status_code=202)
def test_webhook(webhook_id: WebhookId, who: Writer, context: ContextOf) -> DeliveryBody:
    """Send a message that tells of no job (event `webhook.test`); what became of it is among the deliveries."""
    return _delivery(webhooks.send_test(context, who.tenant, webhook_id))


def _shown(webhook: Webhook) -> WebhookBody:
    return WebhookBody(id=webhook.id, url=webhook.url, events=list(webhook.events), created_at=webhook.created_at)


def _delivery(one: Delivery) -> DeliveryBody:
    state: Literal["waiting", "delivered", "given_up"] = "waiting"
    if one.next_at is None:
        state = "delivered" if one.delivered_at is not None else "given_up"
    return DeliveryBody(
        id=one.id,
        event=one.event,
        job=one.job_id,
        state=state,
        attempts=one.attempt,
        next_at=one.next_at,
        delivered_at=one.delivered_at,
        error=one.error,
        created_at=one.created_at,
        payload=dict(one.payload),
    )
