"""The log of a session over HTTP: one line a request, ids with every line, and no credential anywhere."""

from __future__ import annotations

import json
import logging

import pytest

from service.adapters.structured_logs import start_logging
from service.api.access import COOKIE
from tests.api.test_ingests import finished, fruit, ingest, picture


@pytest.fixture
def log(capsys, monkeypatch):
    """Start the log as JSON, at DEBUG; the lines so far, as values and as text."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    start_logging("DEBUG", "json")
    monkeypatch.setattr(logging.getLogger("httpx2"), "disabled", True)  # the test's own client
    text = []

    def read():
        text.append(capsys.readouterr().err)
        whole = "".join(text)
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")], whole

    yield read
    root.handlers[:], root.level = handlers, level


def requests(lines):
    return [one for one in lines if one["logger"] == "holotype.access"]


def test_a_request_is_one_line_with_its_template_and_who_asked(acme, log):
    answer = acme.get("/v1/catalogues/secret-fruit?token=hidden", headers={"X-Request-Id": "abc"})
    assert answer.status_code == 422
    lines, text = log()
    (line,) = [one for one in requests(lines) if one.get("request_id") == "abc"]
    key = acme.headers["Authorization"].removeprefix("Bearer ").split("_")[1]
    assert line.pop("duration_ms") >= 0
    assert line.pop("timestamp")
    assert line.pop("event").startswith("GET /v1/catalogues/{catalogue} 422")
    assert line == {
        "level": "info",
        "logger": "holotype.access",
        "method": "GET",
        "route": "/v1/catalogues/{catalogue}",
        "status": 422,
        "request_id": "abc",
        "tenant": "acme",
        "key_id": key,
    }
    assert "hidden" not in text


def test_a_request_without_a_key_has_a_line_too(api, log):
    api.client.get("/v1/catalogues/fruit")
    api.client.get("/wp-login.php")
    told = [(one["route"], one["status"], one.get("tenant")) for one in requests(log()[0])]
    assert told == [("/v1/catalogues/{catalogue}", 401, None), ("none", 404, None)]


def test_a_request_tells_the_job_and_the_selection_that_its_path_names_or_that_it_started(acme, log):
    some = "0b1c2d3e-0000-4000-8000-00000000000a"
    acme.post("/v1/catalogues", json={"name": "fruit"})
    job = ingest(acme, fruit()).json()["id"]
    acme.get(f"/v1/jobs/{job}")
    acme.get(f"/v1/catalogues/fruit/selections/{some}")
    acme.get("/v1/jobs/none%0AINFO:%20forged")
    told = [(one["route"], one.get("job"), one.get("selection")) for one in requests(log()[0])]
    assert told[1:] == [
        ("/v1/catalogues/{catalogue}/ingests", job, None),
        ("/v1/jobs/{job}", job, None),
        ("/v1/catalogues/{catalogue}/selections/{selection}", None, some),
        ("/v1/jobs/{job}", None, None),
    ]


def test_the_end_of_a_job_is_a_line_with_its_ids(acme, log):
    acme.post("/v1/catalogues", json={"name": "fruit"})
    stored = ingest(acme, fruit(12)).json()
    finished(acme, stored)
    chosen = acme.post("/v1/catalogues/fruit:optimise", json={"trials": 1}).json()
    selection = finished(acme, chosen)["result"]["selection"]
    ends = [one for one in log()[0] if one["logger"] == "service.usecases.jobs"]
    assert [(one["job"], one["tenant"], one.get("selection")) for one in ends] == [
        (stored["id"], "acme", None),
        (chosen["id"], "acme", selection),
    ]
    assert ends[0]["event"].startswith("ingest job done after ")


def test_a_defect_is_told_with_the_ids_of_its_request(api, acme, log, monkeypatch):
    def broken(*_args):
        raise RuntimeError(f"with {acme.headers['Authorization']}")

    monkeypatch.setattr("service.usecases.catalogues.show_catalogue", broken)
    acme.get("/v1/catalogues/fruit", headers={"X-Request-Id": "broken-1"})
    lines, text = log()
    (line,) = [one for one in requests(lines) if one.get("request_id") == "broken-1"]
    assert (line["status"], line["tenant"]) == (500, "acme")
    assert acme.headers["Authorization"].rpartition("_")[2] not in text


def test_workers_tell_the_job_that_they_work_on(api, acme, log, monkeypatch):
    acme.post("/v1/catalogues", json={"name": "fruit"})
    from service.usecases import next_chunk

    logger = logging.getLogger("test.worker")

    def told(context, chunk):
        logger.warning("working")
        embed(context, chunk)

    kind, embed = next(iter(next_chunk.WORK.items()))
    monkeypatch.setattr(next_chunk, "WORK", {**next_chunk.WORK, kind: told})
    job = ingest(acme, fruit()).json()
    finished(acme, job)
    lines, _ = log()
    working = [one for one in lines if one["logger"] == "test.worker"]
    assert working
    assert {(one["task"], one["job"], one["tenant"]) for one in working} == {("EmbedChunk", job["id"], "acme")}
    assert all("request_id" not in one for one in working)


def test_classified_pictures_are_counted_and_their_selection_is_told(api, acme, log):
    acme.post("/v1/catalogues", json={"name": "fruit"})
    finished(acme, ingest(acme, fruit(12)).json())
    job = acme.post("/v1/catalogues/fruit:optimise", json={"trials": 1}).json()
    assert finished(acme, job)["state"] == "done"
    answer = acme.post(
        "/v1/catalogues/fruit:classify",
        files=[("pictures", ("a.png", picture(seed=999))), ("pictures", ("b.png", b"no picture"))],
        headers={"X-Request-Id": "asked"},
    )
    assert answer.status_code == 200
    (line,) = [one for one in requests(log()[0]) if one.get("request_id") == "asked"]
    assert line["selection"] == acme.get("/v1/catalogues/fruit").json()["active_selection"]
    told = api.client.app.state.metrics.exposition().decode()
    assert 'holotype_classified_pictures_total{outcome="labelled"} 1.0' in told
    assert 'holotype_classified_pictures_total{outcome="unusable"} 1.0' in told


def test_the_log_of_a_session_holds_no_credential(api, acme, log):
    credential = acme.headers["Authorization"].removeprefix("Bearer ")
    made = acme.post("/v1/tenants/acme/keys", json={"name": "second", "scopes": ["read"]}).json()
    acme.post("/v1/catalogues", json={"name": "fruit"})
    finished(acme, ingest(acme, fruit()).json())
    acme.get(f"/v1/catalogues/{credential}", params={"key": credential})
    acme.post("/v1/catalogues", content=credential.encode(), headers={"Content-Type": "application/json"})
    acme.get("/v1/catalogues/fruit", headers={"Authorization": f"Bearer {credential}x", "X-Request-Id": credential})
    api.client.post("/v1/session", json={"key": credential})
    api.client.cookies.set(COOKIE, credential)
    assert api.client.get("/v1/catalogues/fruit").status_code == 200
    hook = acme.post("/v1/webhooks", json={"url": "https://example.org/hook"}).json()
    _, text = log()
    secrets = [credential, *(value for value in _texts(made) if value.startswith("holo_"))]
    secrets += [value for value in _texts(hook) if value.startswith("whsec_")]
    assert len(secrets) >= 2
    for secret in secrets:
        assert secret not in text
        assert secret.rpartition("_")[2] not in text


def _texts(value):
    """All texts in a JSON value."""
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for one in inner for text in _texts(one)]
