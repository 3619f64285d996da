"""Jobs over HTTP: lists, pictures, pausing, resuming, cancelling, retrying."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from service.records import ItemState, JobState, Scope
from service.settings import Settings
from service.usecases.finish_ingest import finish_ingest
from service.usecases.sweep import sweep
from tests.api.working import pictures, queued, without_workers, work, worked_off


@pytest.fixture
def idle(tmp_path):
    """An application without workers, chunks of two pictures."""
    with without_workers(Settings(data_dir=tmp_path / "data", encoder="pixel", chunk_images=2)) as api:
        yield api


@pytest.fixture
def acme(idle):
    return idle.as_tenant("acme")


@pytest.fixture
def job(idle, tmp_path):
    return queued(idle.context, pictures(tmp_path / "fruit", 6))


def test_a_job_tells_all_that_there_is_to_tell(idle, acme, job):
    body = acme.get(f"/v1/jobs/{job.id}").json()
    assert set(body) == {
        *("id", "kind", "catalogue", "state", "stage", "done", "total", "counts", "images_per_s", "eta_s"),
        *("created_at", "started_at", "finished_at", "result", "error", "links"),
    }
    assert (body["kind"], body["catalogue"], body["state"]) == ("ingest", "fruit", "queued")
    assert (body["done"], body["total"], body["counts"]) == (0, 6, {"pending": 6})
    assert (body["images_per_s"], body["eta_s"], body["started_at"], body["finished_at"]) == (None,) * 4
    work(idle.context, 1)
    body = acme.get(body["links"]["self"]).json()
    assert (body["state"], body["stage"], body["done"]) == ("running", "embedding", 2)
    assert body["counts"] == {"pending": 4, "stored": 2}
    assert body["images_per_s"] > 0
    assert body["eta_s"] == pytest.approx(4 / body["images_per_s"], rel=0.2, abs=0.1)
    worked_off(idle.context, job)
    body = acme.get(f"/v1/jobs/{job.id}").json()
    assert (body["state"], body["result"]["stored"], body["eta_s"]) == ("done", 6, None)
    assert body["created_at"] <= body["started_at"] <= body["finished_at"] <= time.time()


def test_another_tenants_job_is_not_there_in_the_same_words(idle, acme, job):
    other = idle.as_tenant("globex")
    wanted = [("GET", ""), ("GET", "/items"), ("GET", "/events")]
    wanted += [("POST", verb) for verb in (":pause", ":resume", ":cancel", ":retry")]
    for method, rest in wanted:
        for client, job_id in ((other, job.id), (acme, "5d1c2c0e-8f55-4d6e-9f2b-0d4b1c9a7e10"), (acme, "x\0")):
            answer = client.request(method, f"/v1/jobs/{job_id}{rest}".replace("\0", "%00"))
            assert (answer.status_code, answer.json()["code"]) == (404, "NotFound"), (method, rest)
            assert "there is no job" in answer.json()["detail"]
    assert other.get("/v1/jobs").json() == {"items": [], "next_cursor": None}
    assert idle.context.registry.job(job.id).state is JobState.QUEUED


def test_a_reader_may_look_and_not_touch(idle, job):
    reader = idle.as_tenant("acme", (Scope.READ,))
    assert reader.get(f"/v1/jobs/{job.id}").status_code == 200
    for verb in ("pause", "resume", "cancel", "retry"):
        assert reader.post(f"/v1/jobs/{job.id}:{verb}").status_code == 403


def test_jobs_come_newest_first_a_page_at_a_time(idle, acme, tmp_path):
    folder = pictures(tmp_path / "one", 1)
    made = [queued(idle.context, folder, catalogue=name).id for name in ("a", "b", "a", "b", "a")]
    worked_off(idle.context, idle.context.registry.job(made[0]))
    page = acme.get("/v1/jobs", params={"limit": 2}).json()
    seen = [one["id"] for one in page["items"]]
    while page["next_cursor"]:
        queued(idle.context, folder, catalogue="c")  # rows that come shift nothing
        page = acme.get("/v1/jobs", params={"limit": 2, "cursor": page["next_cursor"]}).json()
        seen += [one["id"] for one in page["items"]]
    assert seen == made[::-1]

    def listed(**narrowed):
        return [one["id"] for one in acme.get("/v1/jobs", params=narrowed).json()["items"] if one["id"] in made]

    assert listed(catalogue="b") == [made[3], made[1]]
    assert listed(state="done") == [made[0]]
    assert listed(state=["done", "queued", "running"]) == made[::-1]
    assert listed(kind="optimise") == []
    assert acme.get("/v1/jobs", params={"catalogue": "none"}).status_code == 404
    assert acme.get("/v1/jobs", params={"state": "lazy"}).status_code == 422
    assert acme.get("/v1/jobs", params={"cursor": "lazy"}).status_code == 422
    assert acme.get("/v1/jobs", params={"limit": 0}).status_code == 422


def test_the_pictures_of_a_job(idle, acme, tmp_path):
    folder = pictures(tmp_path / "fruit", 4)
    (folder / "apple" / "9.png").write_bytes(b"not a picture")
    job = queued(idle.context, folder)
    worked_off(idle.context, job)
    page = acme.get(f"/v1/jobs/{job.id}/items", params={"limit": 3}).json()
    rest = acme.get(f"/v1/jobs/{job.id}/items", params={"limit": 3, "cursor": page["next_cursor"]}).json()
    items = page["items"] + rest["items"]
    assert rest["next_cursor"] is None
    assert [item["source"].rsplit("/")[-1] for item in items] == ["0.png", "1.png", "2.png", "3.png", "9.png"]
    assert {item["state"] for item in items[:4]} == {"stored"}
    assert all(item["example"] for item in items[:4])
    (failed,) = acme.get(f"/v1/jobs/{job.id}/items", params={"state": "failed"}).json()["items"]
    assert failed == items[4]
    assert (failed["example"], failed["metadata"]) == (None, {})
    assert "JPEG, PNG and WebP are taken" in failed["reason"]
    assert acme.get(f"/v1/jobs/{job.id}/items", params={"state": ["failed", "conflict"]}).json()["items"] == [failed]


def test_a_paused_job_rests_until_it_is_resumed(idle, acme, job):
    work(idle.context, 1)
    for _ in range(2):
        assert acme.post(f"/v1/jobs/{job.id}:pause").json()["state"] == "paused"
    work(idle.context, 5)
    sweep(idle.context)
    body = acme.get(f"/v1/jobs/{job.id}").json()
    assert (body["state"], body["done"], body["eta_s"]) == ("paused", 2, None)
    for _ in range(2):
        assert acme.post(f"/v1/jobs/{job.id}:resume").json()["state"] == "queued"
    worked_off(idle.context, job)
    assert acme.get(f"/v1/jobs/{job.id}").json()["state"] == "done"
    for verb in ("pause", "resume", "cancel"):
        answer = acme.post(f"/v1/jobs/{job.id}:{verb}")
        assert (answer.status_code, answer.json()["code"]) == (409, "WrongState")
        assert "it is done already" in answer.json()["detail"]


def test_a_cancelled_job_keeps_what_it_stored_and_that_serves(idle, acme, job):
    work(idle.context, 2)
    body = acme.post(f"/v1/jobs/{job.id}:cancel").json()
    assert (body["state"], body["stage"], body["done"]) == ("running", "cancelling", 4)
    finish_ingest(idle.context, job.id)
    body = acme.post(f"/v1/jobs/{job.id}:cancel").json()
    assert (body["state"], body["done"], body["total"]) == ("cancelled", 4, 6)
    assert body["counts"] == {"cancelled": 2, "stored": 4}
    assert (body["result"]["stored"], body["result"]["cancelled"]) == (4, 2)
    assert sum(acme.get("/v1/catalogues/fruit").json()["labels"].values()) == 4
    splits = acme.get("/v1/catalogues/fruit").json()["examples"]
    assert splits["unassigned"] == 0
    assert acme.post(f"/v1/jobs/{job.id}:pause").status_code == 409


def test_a_chunk_that_is_at_work_while_its_job_is_cancelled_settles(idle, acme, job):
    registry = idle.context.registry
    at_work = registry.claim_next_chunk("a worker", 60)
    acme.post(f"/v1/jobs/{job.id}:cancel")
    finish_ingest(idle.context, job.id)
    body = acme.get(f"/v1/jobs/{job.id}").json()
    assert (body["state"], body["counts"]) == ("running", {"cancelled": 4, "pending": 2})
    from service.usecases.embed import embed_claimed

    embed_claimed(replace(idle.context, owner="a worker"), at_work)
    finish_ingest(idle.context, job.id)
    body = acme.get(f"/v1/jobs/{job.id}").json()
    assert (body["state"], body["counts"]) == ("cancelled", {"cancelled": 4, "stored": 2})


def test_what_was_cancelled_is_retried_as_one_new_job(idle, acme, job):
    assert acme.post(f"/v1/jobs/{job.id}:retry").status_code == 409
    work(idle.context, 1)
    acme.post(f"/v1/jobs/{job.id}:cancel")
    finish_ingest(idle.context, job.id)
    first, second = (acme.post(f"/v1/jobs/{job.id}:retry") for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 202)
    body = first.json()
    assert first.headers["location"] == second.headers["location"] == body["links"]["self"]
    assert (body["state"], body["total"]) == ("queued", 4)
    worked_off(idle.context, idle.context.registry.job(body["id"]))
    assert acme.get(first.headers["location"]).json()["counts"] == {"stored": 4}
    assert sum(acme.get("/v1/catalogues/fruit").json()["labels"].values()) == 6


def test_a_picture_whose_bytes_are_gone_says_so_when_it_is_retried(idle, acme, job):
    acme.post(f"/v1/jobs/{job.id}:cancel")
    finish_ingest(idle.context, job.id)
    later = replace(idle.context, clock=lambda: time.time() + 25 * 3600)
    later.registry.clock = later.clock
    assert sweep(later).leftovers == 1
    retry = acme.post(f"/v1/jobs/{job.id}:retry").json()
    worked_off(idle.context, idle.context.registry.job(retry["id"]))
    items = acme.get(f"/v1/jobs/{retry['id']}/items").json()["items"]
    assert {item["state"] for item in items} == {"failed"}
    assert {item["reason"] for item in items} == {
        "its bytes are no longer stored (they were dropped meanwhile): ingest it again"
    }


def test_a_retry_that_is_under_way_keeps_its_bytes(idle, acme, job):
    acme.post(f"/v1/jobs/{job.id}:cancel")
    finish_ingest(idle.context, job.id)
    retry = acme.post(f"/v1/jobs/{job.id}:retry").json()
    later = replace(idle.context, clock=lambda: time.time() + 25 * 3600)
    later.registry.clock = later.clock
    assert sweep(later).leftovers == 1
    worked_off(idle.context, idle.context.registry.job(retry["id"]))
    assert idle.context.registry.item_counts(retry["id"]) == {ItemState.STORED: 6}
