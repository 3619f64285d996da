"""Optimise over HTTP: a job, one at a time, once for an idempotency key."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from service.records import JobKind, JobState
from tests.api.filled import finished
from tests.api.shop import Shop, opened_shop

OPTIMISE = "/v1/catalogues/fruit:optimise"


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Iterator[Shop]:
    with opened_shop(tmp_path_factory.mktemp("shop"), fruit=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def writer(shop):
    return shop.as_tenant("acme")


def test_an_optimisation_is_a_job_that_ends_with_a_selection_that_serves(shop, writer):
    answer = writer.post(OPTIMISE, json={"trials": 2, "seed": 5, "metric": "macro_f1"})
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}" == job["links"]["self"]
    assert (job["kind"], job["catalogue"], job["state"]) == ("optimise", "fruit", "queued")
    done = finished(shop.context, job["id"])
    assert done.state is JobState.DONE, done.error
    assert done.parameters["seed"] == 5
    assert done.parameters["metric"] == "macro_f1"
    shown = writer.get(answer.headers["location"]).json()
    assert (shown["stage"], shown["done"], shown["total"]) == ("publish", 1, 1)
    assert shown["result"]["selection"] == shop.catalogue().active_selection


def test_while_one_runs_another_is_refused_and_told_which(shop, writer):
    waiting = shop.context.registry.open_job(shop.catalogue(), JobKind.OPTIMISE, {"seed": 1})
    answer = writer.post(OPTIMISE, json={"trials": 2})
    assert (answer.status_code, answer.json()["code"]) == (409, "Busy")
    assert answer.json()["job"] == waiting.id
    assert "Retry-After" in answer.headers
    shop.context.registry.finish_job(waiting.id, None, "enough")
    again = writer.post(OPTIMISE, json={"trials": 2})
    assert again.status_code == 202
    finished(shop.context, again.json()["id"])


def test_whoever_asks_in_the_same_moment_hears_nothing_of_the_process_that_is_at_it(shop, writer):
    lease = f"optimise:{shop.catalogue().id}"
    shop.context.registry.take_lease(lease, "host-7:4711:secret", 60.0)
    answer = writer.post(OPTIMISE, json={"trials": 2})
    shop.context.registry.release_lease(lease, "host-7:4711:secret")
    assert (answer.status_code, answer.json()["code"]) == (409, "LeaseHeld")
    assert "Retry-After" in answer.headers
    assert "host-7" not in answer.text
    assert "at work on the same" in answer.json()["detail"]


def test_nothing_has_to_be_said(shop, writer):
    answer = writer.post(OPTIMISE)
    assert answer.status_code == 202, answer.text
    job = shop.context.registry.job(answer.json()["id"])
    writer.post(f"/v1/jobs/{job.id}:cancel")
    assert job.parameters["strategy"] == "auto"
    finished(shop.context, job.id)


def test_the_same_key_starts_one_job(shop, writer):
    headers = {"Idempotency-Key": "one"}
    first = writer.post(OPTIMISE, json={"trials": 2}, headers=headers)
    again = writer.post(OPTIMISE, json={"trials": 2}, headers=headers)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    other = writer.post(OPTIMISE, json={"trials": 3}, headers=headers)
    assert other.status_code == 422
    finished(shop.context, first.json()["id"])


@pytest.mark.parametrize(
    "body",
    [
        {"budget": 0},
        {"budget": -1},
        {"metric": "guess"},
        {"strategy": "guess"},
        {"search": "guess"},
        {"search": "thresholds", "strategy": "medoids"},
        {"trials": 0},
        {"trials": 10**9},
        {"seed": -1},
        {"seed": 2**32},
        {"seed": 1.5},
        {"refit": "perhaps"},
        {"colour": 1},
        [],
        "text",
    ],
)
def test_options_that_are_none_are_refused(writer, body):
    answer = writer.post(OPTIMISE, json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"]


def test_another_tenants_catalogue_is_not_there(shop):
    answer = shop.as_tenant("stranger").post(OPTIMISE, json={})
    assert (answer.status_code, answer.json()["code"]) == (404, "CatalogueNotFound")
