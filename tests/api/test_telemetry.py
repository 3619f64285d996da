"""/readyz, /metrics, and what is counted of requests."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import httpx
import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from service.api.app import create_app
from service.errors import Unavailable
from service.records import JobKind
from service.usecases.readiness import Readiness
from tests.api.serving import served
from tests.fakes import fake_context

LOCAL = ("127.0.0.1", 50000)


def local(api, **changes) -> TestClient:
    app = create_app(api.context, api.settings.model_copy(update=changes))
    return TestClient(app, raise_server_exceptions=False, client=LOCAL)


def numbers(client, **headers) -> dict:
    """Samples by name and labels."""
    answer = client.get("/metrics", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def named(found, name, **labels):
    return found[name, tuple(sorted(labels.items()))]


class Broken:
    """A part whose `ping` does as told; else the part."""

    def __init__(self, part, ping):
        self._part, self.ping = part, ping

    def __getattr__(self, name):
        return getattr(self._part, name)


def silent():
    raise Unavailable("it is down at 10.0.0.1")


def test_ready_when_everything_answers(api):
    answer = api.client.get("/readyz")
    assert answer.status_code == 200
    fine = {"database": "ok", "vector store": "ok", "blob store": "ok", "queue": "ok"}
    assert answer.json() == {"status": "ready", "parts": fine}


def test_head_answers_as_get_without_a_body(api):
    """Over a real connection, which the next answer comes on whole: a body that nobody reads would be in its way."""
    with served(api.client.app) as url, httpx.Client(base_url=url) as client:
        for path in ("/livez", "/readyz", "/metrics"):
            head, answer = client.head(path), client.get(path)
            assert (head.status_code, head.content, answer.status_code) == (200, b"", 200)
            assert head.headers["content-type"] == answer.headers["content-type"]
        assert client.put("/livez").headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    ("port", "part"),
    [("registry", "database"), ("store", "vector store"), ("blobs", "blob store"), ("queue", "queue")],
)
def test_not_ready_says_which_part_is_down_and_nothing_more(api, port, part):
    broken = replace(api.context, **{port: Broken(getattr(api.context, port), silent)})
    with TestClient(create_app(broken, api.settings)) as client:
        answer = client.get("/readyz")
        assert client.head("/readyz").status_code == 503
    assert answer.status_code == 503
    assert answer.json()["status"] == "not ready"
    assert [name for name, state in answer.json()["parts"].items() if state == "down"] == [part]
    assert "10.0.0.1" not in answer.text


def test_a_part_that_hangs_is_waited_for_once_and_not_for_long():
    let_go = threading.Event()
    asked = []

    def hang():
        asked.append(1)
        let_go.wait(30)

    context = fake_context()
    readiness = Readiness(replace(context, store=Broken(context.store, hang)), patience_s=0.2)
    began = time.monotonic()
    for _ in range(3):
        assert readiness.check() == {
            "database": "ok",
            "vector store": "does not answer within 0.2 s",
            "blob store": "ok",
            "queue": "ok",
        }
    assert time.monotonic() - began < 5
    assert len(asked) == 1, "one thread hangs, not three"
    let_go.set()
    deadline = time.monotonic() + 10
    while readiness.check()["vector store"] != "ok" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert readiness.check()["vector store"] == "ok"


def test_a_part_that_fails_otherwise_is_down_too():
    def broken():
        raise RuntimeError("broken")

    context = fake_context()
    found = Readiness(replace(context, queue=Broken(context.queue, broken))).check()
    assert found["queue"] == "RuntimeError: broken"


def test_a_missing_folder_and_a_broker_that_is_gone_are_down(tmp_path):
    from service.adapters.blob_store import FsspecBlobStore
    from service.adapters.celery_queue import CeleryQueue, make_celery

    blobs = FsspecBlobStore(tmp_path / "blobs")
    blobs.ping()
    (tmp_path / "blobs").rmdir()
    with pytest.raises(Unavailable):
        blobs.ping()
    with make_celery(f"redis+socket://{tmp_path}/nobody.sock") as app, pytest.raises(Unavailable):
        CeleryQueue(app).ping()


def test_requests_are_counted_by_the_template_of_their_route(api, acme):
    client = local(api)
    client.headers["Authorization"] = acme.headers["Authorization"]
    client.get("/v1/catalogues/fruit")
    client.get("/v1/catalogues/pears")
    client.get("/nowhere/at/all")
    client.request("BREW", "/livez")
    found = numbers(client)
    route = "/v1/catalogues/{catalogue}"
    assert named(found, "holotype_requests_total", route=route, method="GET", status="404") == 2
    assert named(found, "holotype_request_duration_seconds_count", route=route, method="GET") == 2
    assert named(found, "holotype_requests_total", route="none", method="GET", status="404") == 1
    assert not any("fruit" in str(labels) or "acme" in str(labels) for _, labels in found)
    assert any(dict(labels).get("method") == "other" for name, labels in found if name == "holotype_requests_total")
    assert named(found, "holotype_requests_in_flight") == 1, "this one"


def test_a_defect_is_counted_as_500(api, acme, monkeypatch):
    client = local(api)
    client.headers["Authorization"] = acme.headers["Authorization"]

    def broken(*_args):
        raise RuntimeError

    monkeypatch.setattr("service.usecases.catalogues.show_catalogue", broken)
    client.get("/v1/catalogues/fruit")
    found = numbers(client)
    route = "/v1/catalogues/{catalogue}"
    assert named(found, "holotype_requests_total", route=route, method="GET", status="500") == 1


def test_the_backlog_the_pictures_and_the_selections_are_told(api, acme):
    from service.records import Selection, SelectionState

    registry = api.context.registry
    catalogue = registry.create_catalogue("acme", "fruit", "pixel")
    selection = Selection(
        id="1" * 32, catalogue_id=catalogue.id, slot="a", state=SelectionState.WRITING, created_at=time.time() - 100,
        fingerprint_digest="", recipe={}, head_blob=None, thresholds={}, split_hash="", seed=0, why="", measured_on="",
    )  # fmt: skip
    registry.open_selection(selection, [])
    registry.activate_selection(catalogue.id, selection.id, "a")
    job = registry.open_job(catalogue, JobKind.OPTIMISE, {})
    registry.seal_job(job.id, 1)
    found = numbers(local(api))
    assert named(found, "holotype_database_up") == 1
    assert named(found, "holotype_queue_waiting", queue="embed") == 0
    assert named(found, "holotype_images_stored") == 0
    assert named(found, "holotype_active_selection_age_seconds", which="oldest") == pytest.approx(100, abs=60)


def test_without_a_database_the_rest_is_told(api):
    class Down:
        def measures(self):
            raise Unavailable("down")

        def __getattr__(self, name):
            return getattr(api.context.registry, name)

    app = create_app(replace(api.context, registry=Down()), api.settings)
    found = numbers(TestClient(app, client=LOCAL))
    assert named(found, "holotype_database_up") == 0
    assert not any(name == "holotype_images_stored" for name, _ in found)


def test_only_this_machine_may_ask_unless_there_is_a_key(api):
    far = TestClient(create_app(api.context, api.settings), client=("10.1.2.3", 50000))
    assert far.get("/metrics").status_code == 403
    near = local(api)
    assert near.get("/metrics").status_code == 200
    for header in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
        assert near.get("/metrics", headers={header: "1.2.3.4"}).status_code == 403, "it came through a proxy"


def test_with_a_key_whoever_has_it_may_ask(api):
    app = create_app(api.context, api.settings.model_copy(update={"metrics_key": SecretStr("sesame")}))
    far = TestClient(app, client=("10.1.2.3", 50000))
    assert far.get("/metrics", headers={"Authorization": "Bearer sesame"}).status_code == 200
    near = TestClient(app, client=LOCAL)
    for wrong in ({}, {"Authorization": "Bearer open"}, {"Authorization": "sesame"}, {"Authorization": b"Bearer \xff"}):
        assert near.get("/metrics", headers=wrong).status_code == 401


def test_the_database_is_asked_once_in_some_seconds(api):
    asked = []

    class Counted:
        def measures(self):
            asked.append(1)
            return api.context.registry.measures()

        def __getattr__(self, name):
            return getattr(api.context.registry, name)

    client = TestClient(create_app(replace(api.context, registry=Counted()), api.settings), client=LOCAL)
    assert asked == []
    numbers(client)
    numbers(client)
    assert len(asked) == 1
