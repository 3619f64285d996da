"""Webhooks: who may be registered, and for how long a message is tried."""

from __future__ import annotations

import base64

import pytest

from service.errors import InvalidInput, NotFound, QuotaExceeded
from service.ports import DeliverWebhook, Sent
from service.records import JobKind
from service.usecases import webhooks
from service.usecases.jobs import end_job
from service.usecases.sweep import sweep
from service.usecases.webhooks import (
    EVENTS,
    MAX_ATTEMPTS,
    MAX_WEBHOOKS,
    create_webhook,
    delete_webhook,
    deliver_webhook,
    list_deliveries,
    pause_s,
    send_test,
    show_webhook,
)
from tests.fakes import FAKE_ENCODER, fake_context

URL = "https://example.com/hook"


@pytest.fixture
def context():
    made = fake_context()
    made.registry.ensure_tenant("acme")
    return made


@pytest.fixture
def webhook(context):
    return create_webhook(context, "acme", URL, EVENTS)


def ended(context):
    """The delivery that a job's end wrote."""
    catalogue = context.registry.create_catalogue("acme", "fruit", FAKE_ENCODER)
    job = context.registry.open_job(catalogue, JobKind.OPTIMISE, {})
    end_job(context, job.id, {"references": 3})
    (message,) = context.queue.messages
    assert isinstance(message, DeliverWebhook)
    context.queue.messages.clear()
    return message.delivery_id


def test_a_webhook_has_a_secret_of_its_own(context):
    first, second = (create_webhook(context, "acme", URL, ["job.done", "job.done"]) for _ in range(2))
    assert first.events == ("job.done",)
    assert first.secret != second.secret
    assert len(base64.b64decode(first.secret.removeprefix("whsec_"))) == 32


@pytest.mark.parametrize(
    ("url", "events", "told"),
    [("http://x.example", ["job.done"], "https"), (URL, ["job.begun"], "'job.begun'"), (URL, [], "name an event")],
)
def test_what_cannot_be_registered(context, url, events, told):
    with pytest.raises(InvalidInput, match=told):
        create_webhook(context, "acme", url, events)


def test_a_tenant_has_only_so_many(context):
    for _ in range(MAX_WEBHOOKS):
        create_webhook(context, "acme", URL, EVENTS)
    with pytest.raises(QuotaExceeded, match=str(MAX_WEBHOOKS)):
        create_webhook(context, "acme", URL, EVENTS)


def test_another_tenants_webhook_is_not_there(context, webhook):
    for ask in (show_webhook, delete_webhook, send_test):
        with pytest.raises(NotFound, match=f"there is no webhook '{webhook.id}'"):
            ask(context, "globex", webhook.id)
    with pytest.raises(NotFound):
        list_deliveries(context, "globex", webhook.id, None, 10)
    assert show_webhook(context, "acme", webhook.id) == webhook


def test_pauses_grow_for_about_a_day():
    pauses = [pause_s(attempt, Sent("no"), 0.0) for attempt in range(1, MAX_ATTEMPTS)]
    assert pauses == sorted(pauses)
    assert pauses[0] == 10.0
    assert 20 * 3600 < sum(pauses) < 30 * 3600
    assert pause_s(MAX_ATTEMPTS, Sent("no"), 0.0) is None
    assert pause_s(1, Sent("gone", hopeless=True), 0.0) is None
    assert pause_s(1, Sent("no"), 0.2) == pytest.approx(12.0)
    assert pause_s(1, Sent("no"), -0.2) == pytest.approx(8.0)


def test_a_message_is_tried_until_it_arrives_under_the_same_id(context, webhook):
    delivery_id = ended(context)
    context.sender.answers = [Sent("it answered 500"), Sent("it answered 503"), Sent()]
    deliver_webhook(context, delivery_id)
    deliver_webhook(context, delivery_id)  # not due yet
    for _ in range(2):
        context.clock.now += 60
        if sweep(context).deliveries:
            context.queue.messages.clear()
            deliver_webhook(context, delivery_id)
    assert [(url, message_id) for url, message_id, _ in context.sender.sent] == [(URL, delivery_id)] * 3
    ((_, delivery),) = list_deliveries(context, "acme", webhook.id, None, 10)
    assert (delivery.attempt, delivery.error, delivery.delivered_at) == (3, None, context.clock.now)


def test_it_is_given_up_with_the_reason(context, webhook):
    delivery_id = ended(context)
    context.sender.answers = [Sent("it answered 500")]
    begun = context.clock.now
    while context.registry.delivery(delivery_id).next_at is not None:
        context.clock.now = max(context.clock.now, context.registry.delivery(delivery_id).next_at)
        deliver_webhook(context, delivery_id)
    assert len(context.sender.sent) == MAX_ATTEMPTS
    assert context.registry.delivery(delivery_id).error == "given up after 10 attempts: it answered 500"
    assert 0.8 * 20 * 3600 < context.clock.now - begun < 1.2 * 30 * 3600


def test_a_receiver_that_is_gone_is_not_asked_again(context, webhook):
    delivery_id = ended(context)
    context.sender.answers = [Sent("it answered 410", hopeless=True)]
    deliver_webhook(context, delivery_id)
    assert context.registry.delivery(delivery_id).error == "given up after 1 attempt: it answered 410"


def test_a_sender_that_dies_leaves_it_due(context, webhook, monkeypatch):
    delivery_id = ended(context)

    def die(*_):
        raise SystemExit

    monkeypatch.setattr(context.sender, "send", die)
    with pytest.raises(SystemExit):
        deliver_webhook(context, delivery_id)
    monkeypatch.undo()
    context.clock.now += webhooks.SENDING_S
    assert sweep(context).deliveries == 1
    deliver_webhook(context, delivery_id)
    assert context.registry.delivery(delivery_id).delivered_at == context.clock.now


def test_a_webhook_that_was_deleted_is_not_called(context, webhook):
    delivery_id = ended(context)
    delete_webhook(context, "acme", webhook.id)
    deliver_webhook(context, delivery_id)
    assert context.sender.sent == []


def test_a_lost_message_of_the_queue_is_found_by_the_sweeper(context, webhook):
    delivery_id = ended(context)
    assert sweep(context).deliveries == 1
    assert list(context.queue.messages) == [DeliverWebhook(delivery_id)]


def test_old_messages_are_forgotten(context, webhook):
    deliver_webhook(context, ended(context))
    context.clock.now += webhooks.KEPT_S + 1
    sweep(context)
    assert list_deliveries(context, "acme", webhook.id, None, 10) == []
