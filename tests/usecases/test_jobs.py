import threading
import time
from dataclasses import replace

import pytest

from service.errors import JobFailed, NotFound, Unavailable
from service.records import JobKind
from service.usecases import jobs
from service.usecases.jobs import end_job, fail_job, wait_for_job


@pytest.fixture
def job(context):
    catalogue = context.registry.create_catalogue("t", "birds", "pixel")
    opened = context.registry.open_job(catalogue, JobKind.OPTIMISE, {})
    context.registry.seal_job(opened.id, 1)
    return opened


def test_each_change_is_told_once_and_the_finished_job_returned(context, job):
    seen = []

    def worker():
        for stage, done in (("search", 1), ("search", 2), ("judge", 1)):
            context.registry.set_progress(job.id, stage, done, 2)
            reached = (stage, done, 2)
            while reached not in seen:
                time.sleep(0.005)
        context.registry.finish_job(job.id, {"references": 3})

    thread = threading.Thread(target=worker)
    thread.start()
    finished = wait_for_job(context, job.id, lambda *progress: seen.append(progress), poll_s=0.01)
    thread.join()
    assert finished.result == {"references": 3}
    told = [progress for progress in seen if progress[0]]
    assert told[:3] == [("search", 1, 2), ("search", 2, 2), ("judge", 1, 2)]
    assert len(set(told)) == len(told)


def test_who_waits_in_the_same_process_does_not_sleep_through_the_end(context, job):
    waiting, seen = threading.Event(), threading.Event()

    def worker():
        waiting.wait()
        while not seen.wait(0.05):  # again, for a waiter that was not asleep yet when the job ended
            end_job(context, job.id, {"references": 3})

    thread = threading.Thread(target=worker)
    thread.start()
    finished = wait_for_job(context, job.id, lambda *_: waiting.set(), poll_s=3600)
    seen.set()
    thread.join()
    assert finished.result == {"references": 3}


def test_a_failed_job_raises_its_error(context, job):
    fail_job(context, job.id, ValueError("two encoders met"))
    with pytest.raises(JobFailed, match="optimise job failed: two encoders met") as caught:
        wait_for_job(context, job.id, lambda *_: None)
    assert caught.value.details == {"job": job.id, "error": "two encoders met"}


def test_a_finished_job_does_not_fail_afterwards(context, job):
    context.registry.finish_job(job.id, {"references": 3})
    fail_job(context, job.id, ValueError("too late"))
    assert wait_for_job(context, job.id, lambda *_: None).result == {"references": 3}


def test_there_is_no_such_job(context):
    with pytest.raises(NotFound):
        wait_for_job(context, "nothing", lambda *_: None)


class Flickering:
    """A registry that does not answer the first times."""

    def __init__(self, registry, outages):
        self._registry, self.outages = registry, outages

    def job(self, job_id):
        if self.outages > 0:
            self.outages -= 1
            raise Unavailable("the database does not answer")
        return self._registry.job(job_id)


def test_a_short_outage_is_waited_out(context, job, monkeypatch):
    context.registry.finish_job(job.id, {})
    flickering = replace(context, registry=Flickering(context.registry, 1))
    assert wait_for_job(flickering, job.id, lambda *_: None).result == {}


def test_a_long_outage_is_not(context, job, monkeypatch):
    monkeypatch.setattr(jobs, "OUTAGE_S", 0.0)
    with pytest.raises(Unavailable):
        wait_for_job(replace(context, registry=Flickering(context.registry, 99)), job.id, lambda *_: None)
