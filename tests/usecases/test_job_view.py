"""A job as it is told."""

from __future__ import annotations

import pytest

from service.core.pace import begun, rested
from service.records import ItemState, Job, JobKind, JobState
from service.usecases.job_view import MOST_LISTED, images_per_s, job_view, overall_images_per_s


def job(**changes):
    values = {"id": "j", "tenant": "t", "catalogue_id": "c", "kind": JobKind.INGEST, "state": JobState.RUNNING}
    values |= {"parameters": {}, "stage": "", "done": 30, "total": 90, "result": None, "error": None}
    return Job(**(values | {"created_at": 1.0} | changes))


def test_the_rate_of_a_running_job_and_when_it_will_be_done():
    view = job_view(job(pace=begun(None, 100.0, 0).as_dict()), "fruit", {}, 115.0)
    assert (view["images_per_s"], view["eta_s"]) == (2.0, 30.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"pace": None},
        {"pace": begun(None, 100.0, 30).as_dict()},
        {"kind": JobKind.OPTIMISE, "pace": begun(None, 100.0, 0).as_dict()},
    ],
)
def test_what_is_unknown_is_null(changes):
    view = job_view(job(**changes), "fruit", {}, 115.0)
    assert (view["images_per_s"], view["eta_s"]) == (None, None)


def test_a_job_that_rests_has_a_rate_and_no_end():
    pace = rested(begun(None, 100.0, 0), 110.0).as_dict()
    for state in (JobState.PAUSED, JobState.DONE, JobState.QUEUED):
        view = job_view(job(pace=pace, state=state), "fruit", {}, 999.0)
        assert (view["images_per_s"], view["eta_s"]) == (3.0, None)


def test_cancelled_pictures_are_not_done():
    pace = rested(begun(None, 100.0, 0), 110.0).as_dict()
    counts = {ItemState.STORED: 30, ItemState.CANCELLED: 60, ItemState.FAILED: 0}
    view = job_view(job(pace=pace, state=JobState.CANCELLED, done=90), "fruit", counts, 999.0)
    assert (view["done"], view["total"], view["images_per_s"]) == (30, 90, 3.0)
    assert view["counts"] == {"cancelled": 60, "stored": 30}


def test_only_a_classify_job_has_results():
    assert job_view(job(), "fruit", {}, 1.0)["links"]["results"] is None
    assert job_view(job(kind=JobKind.CLASSIFY), "fruit", {}, 1.0)["links"]["results"] == "/v1/jobs/j/results"


def test_long_lists_are_cut_and_say_so():
    result = {"errors": list(range(MOST_LISTED + 5)), "conflicts": [1], "stored": 3}
    told = job_view(job(result=result), "fruit", {}, 1.0)["result"]
    assert (len(told["errors"]), told["errors_left_out"]) == (MOST_LISTED, 5)
    assert (told["conflicts"], told["stored"]) == ([1], 3)
    assert "conflicts_left_out" not in told


def test_what_is_reported_is_the_rate_of_the_whole_job_not_of_its_long_end() -> None:
    pace = {"before": 10, "worked_s": 100.0, "since": 1000.0, "marks": [[1080.0, 900], [1095.0, 980]]}
    running = job(pace=pace, done=1010)
    assert images_per_s(running, {}, 1180.0) == pytest.approx(110 / 100)
    assert overall_images_per_s(running, {}, 1180.0) == pytest.approx(1000 / 280)
    assert overall_images_per_s(job(pace={**pace, "since": None, "marks": []}, done=1010), {}, 9e9) == 10.0
