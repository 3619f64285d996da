"""The contract of `ports.WebhookRegistry`, and of what `finish_job` writes for it."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.errors import NotFound, QuotaExceeded, TenantNotFound
from service.ports import Registry
from service.records import Catalogue, ItemState, JobKind, JobState, Quotas, Webhook
from tests.registry_rows import Clock, claimed, picture, sealed, settled

EVERY = ("job.done", "job.failed", "job.cancelled")


def made(registry: Registry, tenant: str = "tenant", events: tuple[str, ...] = EVERY) -> Webhook:
    registry.ensure_tenant(tenant)
    webhook = Webhook(
        id=str(uuid.uuid4()), tenant=tenant, url="https://x.example/y", secret="whsec_x", events=events, created_at=1.0
    )
    registry.add_webhook(webhook, 5)
    return webhook


def finished(registry: Registry, catalogue: Catalogue, error: str | None = None) -> tuple[str, ...]:
    job = registry.open_job(catalogue, JobKind.OPTIMISE, {})
    return registry.finish_job(job.id, None if error else {"references": 3}, error)


def test_webhooks_are_kept_by_tenant(registry: Registry) -> None:
    first, second, other = made(registry), made(registry, events=("job.failed",)), made(registry, "another")
    assert {one.id: one for one in registry.webhooks("tenant")} == {first.id: first, second.id: second}
    assert registry.webhook(other.id) == other
    registry.delete_webhook(first.id)
    assert registry.webhooks("tenant") == [second]
    for missing in (registry.webhook, registry.delete_webhook):
        with pytest.raises(NotFound, match="there is no webhook"):
            missing(first.id)


def test_there_are_only_so_many_of_a_tenant_that_is_there(registry: Registry) -> None:
    registry.create_tenant("tenant", Quotas())

    def add(_: int) -> bool:
        try:
            made(registry)
        except QuotaExceeded:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(add, range(8))) == 5
    nobodys = Webhook(id="x", tenant="nobody", url="u", secret="s", events=EVERY, created_at=1.0)
    with pytest.raises(TenantNotFound):
        registry.add_webhook(nobodys, 5)


def test_the_end_of_a_job_writes_a_delivery_to_each_that_wants_it(
    registry: Registry, catalogue: Catalogue, clock: Clock
) -> None:
    every, failures, theirs = made(registry), made(registry, events=("job.failed",)), made(registry, "another")
    job_id = sealed(registry, catalogue, [picture("a"), picture("b")])
    settled(registry, catalogue, claimed(registry, job_id))
    clock.now += 5
    (delivery_id,) = registry.finish_job(job_id, {"stored": 2})
    assert registry.finish_job(job_id, {"stored": 2}) == ()
    assert registry.due_deliveries(10) == [delivery_id]
    delivery = registry.delivery(delivery_id)
    assert (delivery.webhook_id, delivery.tenant, delivery.job_id) == (every.id, "tenant", job_id)
    assert (delivery.event, delivery.attempt, delivery.next_at) == ("job.done", 0, clock.now)
    assert (delivery.delivered_at, delivery.error, delivery.created_at) == (None, None, clock.now)
    payload = delivery.payload
    assert (payload["id"], payload["state"], payload["catalogue"]) == (job_id, "done", "birds")
    assert (payload["result"], payload["counts"]) == ({"stored": 2}, {ItemState.STORED.value: 2})
    assert payload["images_per_s"] == pytest.approx(0.4)
    assert len(finished(registry, catalogue, "it broke")) == 2
    assert registry.deliveries(theirs.id, limit=10) == []
    assert [one.event for _, one in registry.deliveries(failures.id, limit=10)] == ["job.failed"]
    job_id = sealed(registry, catalogue, [picture("c")])
    registry.cancel_job(job_id)
    (cancelled,) = registry.finish_job(job_id, {})
    assert registry.delivery(cancelled).event == f"job.{JobState.CANCELLED}"


def test_an_attempt_is_made_by_one_and_comes_back_when_it_is_lost(
    registry: Registry, catalogue: Catalogue, clock: Clock
) -> None:
    made(registry)
    (delivery_id,) = finished(registry, catalogue)
    with ThreadPoolExecutor(4) as threads:
        claims = list(threads.map(lambda _: registry.claim_delivery(delivery_id, 60), range(4)))
    (lost,) = [claim for claim in claims if claim is not None]
    assert (lost.attempt, lost.next_at) == (1, clock.now + 60)
    assert registry.due_deliveries(10) == []
    clock.now += 60
    assert registry.due_deliveries(10) == [delivery_id]
    second = registry.claim_delivery(delivery_id, 60)
    assert second is not None
    assert second.attempt == 2
    registry.settle_delivery(lost, None, None)
    assert registry.delivery(delivery_id) == second, "the lost attempt settles nothing any more"
    registry.settle_delivery(second, "it answered 500", clock.now + 30)
    assert registry.delivery(delivery_id).error == "it answered 500"
    assert registry.claim_delivery(delivery_id, 60) is None
    clock.now += 30
    third = registry.claim_delivery(delivery_id, 60)
    assert third is not None
    registry.settle_delivery(third, None, None)
    done = registry.delivery(delivery_id)
    assert (done.next_at, done.delivered_at, done.error, done.attempt) == (None, clock.now, None, 3)
    clock.now += 10_000
    assert registry.due_deliveries(10) == []
    assert registry.claim_delivery(delivery_id, 60) is None
    assert registry.claim_delivery("nothing", 60) is None


def test_one_that_is_given_up_is_over(registry: Registry, catalogue: Catalogue, clock: Clock) -> None:
    made(registry)
    (delivery_id,) = finished(registry, catalogue)
    claim = registry.claim_delivery(delivery_id, 60)
    assert claim is not None
    registry.settle_delivery(claim, "given up", None)
    kept = registry.delivery(delivery_id)
    assert (kept.next_at, kept.delivered_at, kept.error) == (None, None, "given up")
    clock.now += 100
    assert registry.due_deliveries(10) == []


def test_deliveries_come_newest_first_and_are_forgotten_when_they_are_over(
    registry: Registry, catalogue: Catalogue, clock: Clock
) -> None:
    webhook = made(registry)
    ids = [finished(registry, catalogue)[0] for _ in range(3)]
    test = registry.add_delivery(webhook.id, "test-1", "webhook.test", {"type": "webhook.test"})
    assert (test.event, test.payload) == ("webhook.test", {"type": "webhook.test"})
    first = registry.deliveries(webhook.id, limit=3)
    rest = registry.deliveries(webhook.id, before=first[-1][0], limit=3)
    assert [one.id for _, one in (*first, *rest)] == [test.id, *ids[::-1]]
    claim = registry.claim_delivery(ids[0], 60)
    assert claim is not None
    registry.settle_delivery(claim, None, None)
    clock.now += 100
    assert registry.forget_deliveries(clock.now - 100) == 0
    assert registry.forget_deliveries(clock.now) == 1
    with pytest.raises(NotFound, match="there is no delivery"):
        registry.delivery(ids[0])
    registry.delete_webhook(webhook.id)
    assert registry.due_deliveries(10) == []
    with pytest.raises(NotFound):
        registry.add_delivery(webhook.id, "test-2", "webhook.test", {})


def test_deliveries_outlive_their_job_but_not_their_tenant(registry: Registry, catalogue: Catalogue) -> None:
    webhook = made(registry)
    (delivery_id,) = finished(registry, catalogue)
    registry.delete_catalogue(catalogue.id)
    assert registry.delivery(delivery_id).payload["catalogue"] == "birds"
    registry.delete_tenant("tenant")
    for missing in (lambda: registry.webhook(webhook.id), lambda: registry.delivery(delivery_id)):
        with pytest.raises(NotFound):
            missing()
