import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.errors import EncoderMismatch, JobFailed, LeaseHeld, NotFound, Unavailable
from service.ports import QUEUES, DeliverWebhook, EmbedChunk, FinishIngest, RunFinetune, RunOptimise, Sweep
from service.records import JobKind, JobState
from service.usecases.jobs import wait_for_job
from workers import tasks
from workers.app import worker_app
from workers.tasks import carry_out

MESSAGES = (
    EmbedChunk("job", 1),
    FinishIngest("job"),
    RunOptimise("job"),
    RunFinetune("job"),
    DeliverWebhook("message"),
    Sweep(),
)


@pytest.fixture
def raising(monkeypatch):
    """Makes every use case raise this error."""

    def arrange(error):
        def call(context, message):
            raise error

        monkeypatch.setattr(tasks, "_call_use_case", call)

    return arrange


@pytest.fixture
def job(context):
    catalogue = context.registry.create_catalogue("t", "birds", "pixel")
    opened = context.registry.open_job(catalogue, JobKind.OPTIMISE, {})
    context.registry.seal_job(opened.id, 1)
    return opened


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_survives_the_way_through_celery(settings, message):
    """As the worker does it: the task of that name is called with the fields as keywords."""
    from dataclasses import asdict

    seen = []
    with worker_app(settings, QUEUES[type(message)], seen.append) as app:
        app.tasks[type(message).__name__].run(**asdict(message))
    assert seen == [message]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_work_that_is_gone_is_nothing_to_do(context, message):
    carry_out(context, message)


def test_an_outage_is_for_celery_to_try_again(context, job, raising):
    raising(Unavailable("the store does not answer"))
    with pytest.raises(Unavailable):
        carry_out(context, RunOptimise(job.id))
    assert context.registry.job(job.id).state is JobState.QUEUED


@pytest.mark.parametrize("error", [LeaseHeld("taken"), NotFound("gone")])
def test_work_in_other_hands_or_gone_ends_nothing(context, job, raising, error):
    raising(error)
    carry_out(context, RunOptimise(job.id))
    assert context.registry.job(job.id).state is JobState.QUEUED


def test_the_end_of_an_ingest_waits_for_its_turn(context, job, raising):
    raising(LeaseHeld("another job of the catalogue is being closed"))
    with pytest.raises(LeaseHeld):
        carry_out(context, FinishIngest(job.id))


@pytest.mark.parametrize("error", [EncoderMismatch("a is not b"), ValueError("a bug"), ZeroDivisionError()])
def test_what_trying_again_would_not_mend_ends_the_job(context, job, raising, error, caplog):
    raising(error)
    with caplog.at_level(logging.ERROR):
        carry_out(context, EmbedChunk(job.id, 0))
    assert "EmbedChunk" in caplog.text
    with pytest.raises(JobFailed, match=str(error) or "ZeroDivisionError"):
        wait_for_job(context, job.id, lambda *_: None)


def test_a_sweep_that_fails_is_told_in_the_log(context, raising, caplog):
    raising(ValueError("a bug"))
    with caplog.at_level(logging.ERROR):
        carry_out(context, Sweep())
    assert "a bug" in caplog.text


SPYING = """
import json
from threadpoolctl import threadpool_info
from service.ports import RunOptimise
from workers import tasks

def spy(context, job_id, threads):
    assert threads == 2, "what the process was given runs folds side by side"
    import scipy.linalg
    import scipy.sparse.linalg

    blas = [library for library in threadpool_info() if library["user_api"] == "blas"]
    print(json.dumps([(library["filepath"], library["num_threads"]) for library in blas]))

tasks.run_optimise = spy
tasks._call_use_case(None, RunOptimise("job"))
"""


def test_every_linear_algebra_has_one_thread_while_it_optimises():
    """NumPy's and SciPy's own: what is loaded after the limit was set would not be told of it."""
    spied = subprocess.run(
        [sys.executable, "-c", SPYING],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=True,
    )
    threads = {Path(path).parent.name: count for path, count in json.loads(spied.stdout)}
    assert {"numpy.libs", "scipy.libs"} <= set(threads)
    assert set(threads.values()) == {1}
