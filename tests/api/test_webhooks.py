"""Webhooks over HTTP: registered, told of the end of a job by the workers, tried again, tested, listed."""

from __future__ import annotations

import pytest
from standardwebhooks import Webhook as Verifier

from service.records import Scope
from service.settings import Settings
from service.usecases import webhooks
from service.usecases.jobs import wait_for_job
from tests.api.working import pictures, queued
from tests.receiver import receiving


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(data_dir=tmp_path / "data", encoder="pixel", sweep_interval_s=0.2, private_webhooks=True)


@pytest.fixture
def receiver():
    with receiving() as found:
        yield found


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(webhooks, "FIRST_PAUSE_S", 0.1)


def registered(client, url, **more):
    answer = client.post("/v1/webhooks", json={"url": url, **more})
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/v1/webhooks/{answer.json()['id']}"
    return answer.json()


def settled(client, webhook_id, timeout_polls=200):
    """The newest delivery, once it waits no longer."""
    import time

    for _ in range(timeout_polls):
        items = client.get(f"/v1/webhooks/{webhook_id}/deliveries").json()["items"]
        if items and items[0]["state"] != "waiting":
            return items[0]
        time.sleep(0.1)
    raise AssertionError(f"still waiting: {items}")


def test_the_secret_is_told_once(api, acme, receiver):
    made = registered(acme, receiver.url, events=["job.done"])
    assert made["secret"].startswith("whsec_")
    shown = acme.get(f"/v1/webhooks/{made['id']}").json()
    assert shown == {key: value for key, value in made.items() if key != "secret"}
    assert acme.get("/v1/webhooks").json() == {"items": [shown], "next_cursor": None}
    assert acme.delete(f"/v1/webhooks/{made['id']}").status_code == 204
    assert acme.get(f"/v1/webhooks/{made['id']}").status_code == 404


def test_the_end_of_a_job_is_told_signed_after_failures(api, acme, receiver, tmp_path):
    receiver.answers = [(500, {}, b"not now"), (302, {"Location": "/elsewhere"}, b""), (200, {}, b"thanks")]
    receiver.delay_s = 0.2
    made = registered(acme, receiver.url)
    job = queued(api.context, pictures(tmp_path / "fruit", 3))
    wait_for_job(api.context, job.id, lambda *_: None)
    requests = receiver.wait_for(3)
    assert len({request.headers["webhook-id"] for request in requests}) == 1
    assert {request.path for request in requests} == {"/hook"}
    verifier = Verifier(made["secret"])
    bodies = [verifier.verify(request.body, request.headers) for request in requests]
    delivery = settled(acme, made["id"])
    assert (delivery["state"], delivery["attempts"], delivery["error"]) == ("delivered", 3, None)
    assert (delivery["event"], delivery["job"]) == ("job.done", job.id)
    body = acme.get(f"/v1/jobs/{job.id}").json()
    assert bodies == [body] * 3
    assert delivery["payload"] == body
    assert len(receiver.requests) == 3


def test_only_what_was_asked_for_is_told(api, acme, receiver, tmp_path):
    registered(acme, receiver.url, events=["job.failed"])
    done = registered(acme, receiver.url, events=["job.done"])
    other = api.as_tenant("globex")
    registered(other, receiver.url)
    job = queued(api.context, pictures(tmp_path / "fruit", 2))
    wait_for_job(api.context, job.id, lambda *_: None)
    assert settled(acme, done["id"])["state"] == "delivered"
    assert len(receiver.requests) == 1


def test_a_webhook_can_be_tested(acme, receiver):
    made = registered(acme, receiver.url)
    answer = acme.post(f"/v1/webhooks/{made['id']}:test")
    assert answer.status_code == 202
    (request,) = receiver.wait_for(1)
    assert request.headers["webhook-id"] == answer.json()["id"]
    assert Verifier(made["secret"]).verify(request.body, request.headers)["type"] == "webhook.test"
    assert settled(acme, made["id"])["event"] == "webhook.test"


def test_a_receiver_that_is_gone_is_given_up(acme, receiver):
    receiver.answers = [(410, {}, b"")]
    made = registered(acme, receiver.url)
    acme.post(f"/v1/webhooks/{made['id']}:test")
    delivery = settled(acme, made["id"])
    assert (delivery["state"], delivery["next_at"]) == ("given_up", None)
    assert delivery["error"] == "given up after 1 attempt: the receiver answered 410"


def test_another_tenants_webhook_is_not_there(api, acme, receiver):
    made = registered(acme, receiver.url)
    other = api.as_tenant("globex")
    for method, rest in (("GET", ""), ("DELETE", ""), ("GET", "/deliveries"), ("POST", ":test")):
        for client, webhook_id in ((other, made["id"]), (acme, "nothing")):
            answer = client.request(method, f"/v1/webhooks/{webhook_id}{rest}")
            assert (answer.status_code, answer.json()["code"]) == (404, "NotFound")
    assert other.get("/v1/webhooks").json()["items"] == []
    assert receiver.requests == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": "nothing"},
        {"url": "ftp://example.com"},
        {"url": "https://user:word@example.com/"},
        {"url": "https://nowhere.invalid/"},
        {"url": "http://127.0.0.1/", "events": []},
        {"url": "http://127.0.0.1/", "events": ["job.begun"]},
        {"url": "http://127.0.0.1/", "secret": "mine"},
        {"url": "http://127.0.0.1/" + "x" * 2000},
    ],
)
def test_what_cannot_be_registered(acme, body):
    assert acme.post("/v1/webhooks", json=body).status_code == 422


def test_private_addresses_are_refused_by_default(tmp_path, receiver):
    from tests.api.working import without_workers

    with without_workers(Settings(data_dir=tmp_path / "guarded", encoder="pixel")) as api:
        acme = api.as_tenant("acme")
        for url in (receiver.url, receiver.url.replace("http:", "https:"), "https://localhost/", "https://[::1]/"):
            answer = acme.post("/v1/webhooks", json={"url": url})
            assert answer.status_code == 422, url
        assert "no public address" in answer.json()["detail"]


def test_a_reader_may_look_and_not_change(api, acme, receiver):
    made = registered(acme, receiver.url)
    reader = api.as_tenant("acme", (Scope.READ,))
    assert reader.get(f"/v1/webhooks/{made['id']}/deliveries").status_code == 200
    assert reader.post("/v1/webhooks", json={"url": receiver.url}).status_code == 403
    assert reader.post(f"/v1/webhooks/{made['id']}:test").status_code == 403
    assert reader.delete(f"/v1/webhooks/{made['id']}").status_code == 403
