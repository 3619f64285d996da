"""Pictures answered in bulk: known answers, results as JSON lines, nothing kept, and the same after a restart."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.records import ItemState, JobState
from tests.api.test_ingests import APPLE, PEAR, add, finished, fruit, ingest, picture


@pytest.fixture
def shop(acme):
    """A client of a tenant whose catalogue "fruit" knows apples and pears by their colours."""
    assert acme.post("/v1/catalogues", json={"name": "fruit"}).status_code == 201
    assert finished(acme, ingest(acme, fruit(), split="support").json())["result"]["stored"] == 8
    return acme


def asked(count=6):
    """New pictures by name, the colour of the label in the name."""
    return {
        f"{label}-{seed}.png": picture(colour, 5000 + 100 * row + seed)
        for seed in range(count)
        for row, (label, colour) in enumerate({"apple": APPLE, "pear": PEAR}.items())
    }


def classified(client, pictures, **fields):
    answer = ingest(client, pictures, purpose="classify", **fields)
    assert answer.status_code == 202, answer.text
    return answer.json()


def results(client, job, **query):
    answer = client.get(f"/v1/jobs/{job['id']}/results", params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/jsonl")
    return [json.loads(line) for line in answer.text.splitlines()]


def uploads(api, tenant="acme"):
    return api.context.blobs.keys(f"{tenant}/uploads/")


def test_every_picture_is_answered_in_order(api, shop):
    sent = asked()
    job = classified(shop, sent)
    assert (job["kind"], job["links"]["results"]) == ("classify", f"/v1/jobs/{job['id']}/results")
    done = finished(shop, job)
    assert (done["state"], done["counts"]) == ("done", {"answered": 12})
    lines = results(shop, job)
    assert [line["path"] for line in lines] == list(sent)
    assert [line["label"] for line in lines] == [name.split("-")[0] for name in sent]
    assert {line["selection"] for line in lines} == {None}
    first = lines[0]
    assert first["encoder"]["specification"] == "pixel"
    near = first["neighbours"][0]
    assert near["thumbnail"] == f"/v1/catalogues/fruit/examples/{near['id']}/thumbnail"
    report = done["result"]
    assert (report["answered"], report["failed"], report["rejected"], report["rejected_share"]) == (12, 0, 0, 0.0)
    assert report["labels"] == {"apple": 6, "pear": 6}
    assert report["selections"] == {"none": 12}


def test_nothing_of_it_is_kept(api, shop):
    before = shop.get("/v1/catalogues/fruit").json()
    blobs = api.context.blobs.keys("acme/")
    finished(shop, classified(shop, asked()))
    assert shop.get("/v1/catalogues/fruit").json() == before
    assert api.context.blobs.keys("acme/") == blobs


def test_a_stored_picture_keeps_its_bytes_and_its_cached_embedding_is_used(api, shop, monkeypatch):
    stored = fruit()
    blobs = api.context.blobs.keys("acme/")
    decoded = []
    real = type(api.context.decoder).decode
    monkeypatch.setattr(
        type(api.context.decoder), "decode", lambda *args: decoded.append(1) or real(*args), raising=True
    )
    done = finished(shop, classified(shop, stored))
    assert done["result"]["labels"] == {"apple": 4, "pear": 4}
    assert decoded == []
    assert api.context.blobs.keys("acme/") == blobs


def test_broken_pictures_fail_alone_and_say_why(api, shop):
    sent = asked(2) | {"text.png": b"not a picture", "empty.png": b""}
    job = classified(shop, sent)
    done = finished(shop, job)
    assert (done["state"], done["result"]["answered"], done["result"]["failed"]) == ("done", 4, 2)
    lines = results(shop, job)
    assert [line["path"] for line in lines] == list(sent)
    assert "text file" in lines[4]["error"]
    assert "0 bytes" in lines[5]["error"]
    assert {one["path"] for one in done["result"]["errors"]} == {"text.png", "empty.png"}


def test_bulk_and_single_answers_agree(api, shop):
    sent = asked(3)
    job = classified(shop, sent, top=1)
    finished(shop, job)
    files = [("pictures", (name, data)) for name, data in sent.items()]
    single = shop.post("/v1/catalogues/fruit:classify", files=files, data={"top": "1"})
    assert single.status_code == 200, single.text
    for bulk, one in zip(results(shop, job), single.json()["items"], strict=True):
        assert (bulk["path"], bulk["label"], len(bulk["top"])) == (one["path"], one["label"], 1)
        assert bulk["confidence"] == pytest.approx(one["confidence"])


def test_an_empty_catalogue_cannot_answer(acme):
    acme.post("/v1/catalogues", json={"name": "empty"})
    answer = ingest(acme, asked(1), catalogue="empty", purpose="classify")
    assert (answer.status_code, answer.json()["code"]) == (409, "NothingToServe")


def test_an_error_that_nobody_measured_cannot_be_promised(shop):
    answer = ingest(shop, asked(1), purpose="classify", max_error="0.05")
    assert answer.status_code == 422
    assert "never optimised" in answer.json()["detail"]


def test_a_catalogue_that_lost_its_examples_meanwhile_ends_the_job_with_the_reason(api, shop):
    job = classified(shop, asked(1), open="true")
    catalogue = api.context.registry.catalogue("acme", "fruit")
    ids = [one.id for one in api.context.registry.examples(catalogue.id)]
    answer = shop.post("/v1/catalogues/fruit/examples:delete", json={"ids": ids})
    assert answer.status_code in (200, 204), answer.text
    shop.post(f"/v1/jobs/{job['id']}:seal")
    done = finished(shop, job)
    assert done["state"] == "failed"
    assert "no example that could answer" in done["error"]


def test_results_of_an_unfinished_job_have_to_be_asked_for(shop):
    job = classified(shop, asked(1), open="true")
    answer = shop.get(f"/v1/jobs/{job['id']}/results")
    assert (answer.status_code, answer.json()["code"]) == (409, "WrongState")
    assert "0 of 2" in answer.json()["detail"]
    assert results(shop, job, partial="true") == []


def test_results_are_of_classify_jobs_and_of_their_tenant_alone(api, shop):
    stored = ingest(shop, {"apple/x.png": picture(seed=900)}).json()
    finished(shop, stored)
    assert shop.get(f"/v1/jobs/{stored['id']}/results").status_code == 422
    job = classified(shop, asked(1))
    finished(shop, job)
    assert api.as_tenant("other").get(f"/v1/jobs/{job['id']}/results").status_code == 404


def test_an_open_classify_job_takes_pictures_without_labels(shop):
    sent = asked(2)
    job = classified(shop, dict(list(sent.items())[:2]), open="true")
    assert add(shop, job["id"], dict(list(sent.items())[1:])).json()["total"] == 4
    assert add(shop, job["id"], {"x.png": picture()}, label="apple").status_code == 422
    shop.post(f"/v1/jobs/{job['id']}:seal")
    assert finished(shop, job)["result"]["answered"] == 4


def test_two_jobs_with_the_same_pictures_do_not_take_each_others_bytes(api, shop):
    with ThreadPoolExecutor(3) as pool:
        jobs = list(pool.map(lambda _: classified(shop, asked()), range(3)))
    assert [finished(shop, job)["result"]["answered"] for job in jobs] == [12, 12, 12]
    assert uploads(api) == []


def test_deleting_the_catalogue_forgets_what_waits(api, shop):
    classified(shop, asked(), open="true")
    assert len(uploads(api)) == 12
    assert shop.delete("/v1/catalogues/fruit").status_code == 204
    assert api.context.blobs.keys("acme/") == []


def test_each_answer_names_the_selection_that_gave_it(api, shop):
    more = {f"apple/{n}.png": picture(APPLE, 7000 + n) for n in range(8)}
    more |= {f"pear/{n}.png": picture(PEAR, 8000 + n) for n in range(8)}
    finished(shop, ingest(shop, more).json())
    started = shop.post("/v1/catalogues/fruit:optimise", json={})
    assert started.status_code == 202, started.text
    selection = finished(shop, started.json(), 120)["result"]["selection"]
    job = classified(shop, asked())
    done = finished(shop, job)
    active = shop.get("/v1/catalogues/fruit").json()["active_selection"]
    assert active is not None
    assert {line["selection"] for line in results(shop, job)} == {active}
    assert done["result"]["selections"] == {active: 12}
    assert selection is not None


def test_items_of_a_classify_job_are_answered_once(api, shop):
    """The message of a chunk that comes again, and a worker that settles late, change nothing."""
    from service.ports import EmbedChunk

    job = classified(shop, asked())
    finished(shop, job)
    before = api.context.registry.items(job["id"])
    api.context.queue.enqueue(EmbedChunk(job["id"], 0))
    finished(shop, classified(shop, asked(1)))  # came after it on the same queue
    assert api.context.registry.items(job["id"]) == before
    assert {item.state for item in before} == {ItemState.ANSWERED}
    assert api.context.registry.job(job["id"]).state is JobState.DONE
