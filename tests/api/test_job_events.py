"""Following a job by server-sent events, over a real connection."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import fastapi.routing
import httpx
import pytest

from service.api.routes import job_events
from service.settings import Settings
from service.usecases.catalogues import delete_catalogue
from service.usecases.finish_ingest import finish_ingest
from tests.api.serving import served
from tests.api.working import pictures, queued, without_workers, work, worked_off

WAIT_S = 30.0


@pytest.fixture
def idle(tmp_path, monkeypatch):
    monkeypatch.setattr(job_events, "POLL_S", 0.02)
    with without_workers(Settings(data_dir=tmp_path / "data", encoder="pixel", chunk_images=2)) as api:
        yield api


@pytest.fixture
def url(idle):
    with served(idle.client.app) as found:
        yield found


@pytest.fixture
def job(idle, tmp_path):
    return queued(idle.context, pictures(tmp_path / "fruit", 6))


class Stream:
    """Events of a stream, one at a time. `comments` are the heartbeats met on the way."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.iter_lines()
        self.comments = 0

    def next(self) -> dict[str, str] | None:
        """The next event by its fields; None at the end."""
        event: dict[str, str] = {}
        for line in self._lines:
            if line.startswith(":"):
                self.comments += 1
            elif line:
                name, _, value = line.partition(": ")
                event[name] = value
            elif event:
                return event
        return None

    def rest(self) -> list[dict[str, str]]:
        found = []
        while (event := self.next()) is not None:
            found.append(event)
        return found


@contextmanager
def followed(idle, url, job, last_event_id: str | None = None) -> Iterator[Stream]:
    headers = dict(idle.as_tenant("acme").headers)
    headers = {"Authorization": headers["authorization"]}
    if last_event_id is not None:
        headers["Last-Event-ID"] = last_event_id
    with httpx.stream("GET", f"{url}/v1/jobs/{job.id}/events", headers=headers, timeout=WAIT_S) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Stream(response)


def number(event: dict[str, str]) -> int:
    return int(event["id"].partition("-")[0])


def told(event: dict[str, str]) -> dict:
    return json.loads(event["data"])


def until(stream: Stream, done: int) -> list[dict[str, str]]:
    """Events up to the one that tells of so many pictures."""
    events = [stream.next()]
    while told(events[-1])["done"] < done:
        events.append(stream.next())
    return events


def test_a_job_is_followed_to_its_end(idle, url, job):
    with followed(idle, url, job) as stream:
        events = [stream.next()]
        for done in (2, 4, 6):
            work(idle.context, 1)
            events += until(stream, done)
        finish_ingest(idle.context, job.id)
        events += stream.rest()
    assert {event["event"] for event in events[:-1]} == {"progress"}
    assert events[-1]["event"] == "finished"
    bodies = [told(event) for event in events]
    assert [body["done"] for body in bodies] == sorted(body["done"] for body in bodies)
    assert [bodies[0]["state"], bodies[-1]["state"]] == ["queued", "done"]
    assert {body["state"] for body in bodies[1:-1]} == {"running"}
    assert bodies[-1]["result"]["stored"] == 6
    assert {"pending": 4, "stored": 2} in [body["counts"] for body in bodies]
    numbers = [number(event) for event in events]
    assert numbers == sorted(set(numbers))
    assert len({event["data"] for event in events}) == len(events)
    assert bodies[-1] == idle.as_tenant("acme").get(f"/v1/jobs/{job.id}").json()


def test_who_comes_back_is_not_told_the_same_again(idle, url, job):
    with followed(idle, url, job) as stream:
        first = stream.next()
    with followed(idle, url, job, first["id"]) as stream:
        work(idle.context, 1)
        second = until(stream, 2)[-1]
    assert number(second) > number(first)
    worked_off(idle.context, job)
    with followed(idle, url, job, second["id"]) as stream:
        (last,) = stream.rest()
    assert last["event"] == "finished"
    with followed(idle, url, job, last["id"]) as stream:
        assert stream.rest() == []


@pytest.mark.parametrize("unknown", ["", "x", "1", "-", "99999999999999999999-1", "12-34"])
def test_an_id_that_is_none_of_ours_begins_at_the_beginning(idle, url, job, unknown):
    worked_off(idle.context, job)
    with followed(idle, url, job, unknown) as stream:
        assert [event["event"] for event in stream.rest()] == ["finished"]


def test_a_pause_is_told_and_a_quiet_stream_is_kept_alive(idle, url, job, monkeypatch):
    monkeypatch.setattr(fastapi.routing, "_PING_INTERVAL", 0.05)
    with followed(idle, url, job) as stream:
        stream.next()

        def pause_after_two_heartbeats() -> None:
            while stream.comments < 2:
                time.sleep(0.01)
            idle.context.registry.pause_job(job.id)

        threading.Thread(target=pause_after_two_heartbeats, daemon=True).start()
        assert json.loads(stream.next()["data"])["state"] == "paused"
        assert stream.comments >= 2


def test_a_deleted_job_ends_the_stream(idle, url, job):
    with followed(idle, url, job) as stream:
        stream.next()
        delete_catalogue(idle.context, "acme", "fruit")
        last = stream.rest()
    assert [event["event"] for event in last] in ([], ["finished"])


def test_nobody_looks_any_more_when_the_client_has_gone(idle, url, job, monkeypatch):
    looks = []
    look = job_events.Feed.look

    def counted(self, context, job_id):
        looks.append(time.monotonic())
        return look(self, context, job_id)

    monkeypatch.setattr(job_events.Feed, "look", counted)
    with followed(idle, url, job) as stream:
        stream.next()
        end = time.monotonic() + WAIT_S
        while len(looks) < 5:
            assert time.monotonic() < end, "the registry is not looked at"
            time.sleep(0.01)
    end = time.monotonic() + WAIT_S
    while True:
        before = len(looks)
        time.sleep(0.5)
        if len(looks) == before:
            return
        assert time.monotonic() < end, "the registry is looked at for nobody"


def test_a_stream_needs_a_key_and_a_job_of_the_tenants(idle, url, job):
    assert httpx.get(f"{url}/v1/jobs/{job.id}/events").status_code == 401
    other = {"Authorization": idle.as_tenant("globex").headers["authorization"]}
    answer = httpx.get(f"{url}/v1/jobs/{job.id}/events", headers=other)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_the_registry_is_looked_at_at_most_twice_a_second():
    assert job_events.POLL_S >= 0.5
