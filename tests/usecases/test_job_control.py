"""Jobs that are paused, cancelled and retried, through the use cases; and tenants that take turns."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.errors import HolotypeError, JobFailed, WrongState
from service.ports import EmbedChunk, FinishIngest, RunOptimise
from service.records import FailedItem, ItemState, JobKind, JobState
from service.usecases import optimise
from service.usecases.catalogues import delete_catalogue
from service.usecases.ingest import start_ingest
from service.usecases.job_control import cancel_job, pause_job, resume_job, retry_job
from service.usecases.jobs import wait_for_job
from service.usecases.next_chunk import work_on_next_chunk
from service.usecases.optimise import run_optimise, start_optimise
from service.usecases.optimise_request import OptimiseRequest
from service.usecases.sweep import sweep
from tests.fakes import FAKE_ENCODER, fake_context, fruit, ingested, write_pictures


@pytest.fixture
def context():
    return fake_context()


@pytest.fixture
def job(context, tmp_path):
    started = start_ingest(context, "acme", "fruit", write_pictures(tmp_path, fruit()), encoder=FAKE_ENCODER)
    context.queue.messages.clear()
    return started


def test_resuming_sends_for_every_chunk_that_is_left(context, job):
    work_on_next_chunk(context)
    pause_job(context, "acme", job.id)
    work_on_next_chunk(context)
    assert context.registry.job(job.id).done == 4
    resume_job(context, "acme", job.id)
    assert list(context.queue.messages) == [EmbedChunk(job.id, 0), EmbedChunk(job.id, 1)]


def test_a_paused_job_whose_last_chunk_was_at_work_ends(context, job):
    chunks = [context.registry.claim_next_chunk(f"worker {number}", 60) for number in range(3)]
    pause_job(context, "acme", job.id)
    for number, chunk in enumerate(chunks):
        failed = [FailedItem(item_id=item.id, reason="no") for item in chunk.items]
        context.registry.settle_chunk(chunk, f"worker {number}", [], failed)
    assert sweep(context).finishing == 1
    context.queue.deliver(context)
    assert context.registry.job(job.id).state is JobState.DONE


def test_who_waits_for_a_cancelled_job_is_told(context, job):
    cancel_job(context, "acme", job.id)
    assert list(context.queue.messages) == [FinishIngest(job.id)]
    context.queue.deliver(context)
    with pytest.raises(JobFailed, match="the ingest job was cancelled"):
        wait_for_job(context, job.id, lambda *_: None)


def test_a_cancelled_job_whose_worker_died_is_ended_by_the_sweeper(context, job):
    context.registry.claim_next_chunk("dies", 60)
    cancel_job(context, "acme", job.id)
    context.queue.deliver(context)
    assert context.registry.job(job.id).state is JobState.RUNNING
    assert sweep(context).finishing == 1
    context.queue.deliver(context)
    assert context.registry.job(job.id).state is JobState.RUNNING
    context.clock.now += 61
    assert sweep(context).chunks == 0
    context.queue.deliver(context)
    ended = context.registry.job(job.id)
    assert (ended.state, ended.result["cancelled"]) == (JobState.CANCELLED, 12)


def test_a_reader_at_work_hears_that_its_job_was_cancelled(context, tmp_path):
    seen = []

    def on_progress(stage, done, total):
        if done == 3 and not seen:
            (opening,) = context.registry.jobs([JobState.OPENING])
            seen.append(cancel_job(context, "acme", opening.id).id)

    with pytest.raises(HolotypeError, match=r"job \S+ is running"):
        start_ingest(
            context,
            "acme",
            "fruit",
            write_pictures(tmp_path, fruit()),
            encoder=FAKE_ENCODER,
            on_progress=on_progress,
        )
    context.queue.deliver(context)
    assert context.registry.job(seen[0]).state is JobState.CANCELLED
    assert ItemState.PENDING not in context.registry.item_counts(seen[0])
    assert context.registry.examples(context.registry.catalogue("acme", "fruit").id) == []


def test_a_catalogue_with_a_paused_job_can_be_deleted(context, job):
    pause_job(context, "acme", job.id)
    delete_catalogue(context, "acme", "fruit")
    assert context.registry.jobs(list(JobState)) == []
    assert not context.blobs.data


def test_a_retry_is_worked_off_like_any_job(context, tmp_path):
    pictures = fruit() | {"apple/broken.png": b"not a picture"}
    report = ingested(context, write_pictures(tmp_path, pictures))
    retried = retry_job(context, "acme", report["job"])
    assert list(context.queue.messages) == [EmbedChunk(retried.id, 0)]
    context.queue.deliver(context)
    ended = context.registry.job(retried.id)
    assert (ended.state, ended.result["failed"]) == (JobState.DONE, 1)
    assert retry_job(context, "acme", report["job"]).id == retried.id
    (again,) = context.registry.items(retry_job(context, "acme", retried.id).id)
    assert again.state is ItemState.PENDING


def test_two_tenants_take_turns(context, job, tmp_path):
    other = start_ingest(context, "globex", "fish", write_pictures(tmp_path, fruit()), encoder=FAKE_ENCODER)
    order = []
    for _ in range(6):
        before = context.registry.job(job.id).done
        context.clock.now += 1
        work_on_next_chunk(context)
        order.append("acme" if context.registry.job(job.id).done > before else "globex")
    assert order == ["acme", "globex"] * 3
    assert context.registry.job(other.id).done == 12


def test_an_error_ends_the_job_whose_chunk_it_was(context, job, tmp_path, monkeypatch):
    other = start_ingest(context, "globex", "fish", write_pictures(tmp_path, fruit()), encoder=FAKE_ENCODER)
    context.clock.now += 1
    work_on_next_chunk(context)

    def broken(*_args, **_kwargs):
        raise ValueError("a bug")

    monkeypatch.setattr(context.store, "insert", broken)
    context.clock.now += 1
    work_on_next_chunk(context)
    assert context.registry.job(other.id).error == "a bug"
    assert context.registry.job(job.id).state is JobState.RUNNING


class Halting:
    """A registry that has somebody press a button when an optimise job tells of a certain stage."""

    def __init__(self, registry, stage, press):
        self._registry, self.stage, self.press = registry, stage, press
        self.stages = []

    def set_progress(self, job_id, stage, done, total):
        if stage == self.stage and not self.stages.count(stage):
            self.press(job_id)
        self.stages.append(stage)
        return self._registry.set_progress(job_id, stage, done, total)

    def __getattr__(self, name):
        return getattr(self._registry, name)


@pytest.fixture
def optimising(context, tmp_path):
    ingested(context, write_pictures(tmp_path, fruit(12)))
    started = start_optimise(context, "acme", "fruit", OptimiseRequest(trials=4))
    context.queue.messages.clear()
    return started


STAGES = (optimise.STAGE_CENTRALITY, optimise.STAGE_SEARCH, optimise.STAGE_JUDGE, optimise.STAGE_PUBLISH)


@pytest.mark.parametrize("stage", STAGES)
def test_a_cancelled_optimise_job_activates_nothing(context, optimising, stage):
    halting = Halting(context.registry, stage, lambda job_id: cancel_job(context, "acme", job_id))
    run_optimise(replace(context, registry=halting), optimising.id)
    assert halting.stages[-1] == stage
    ended = context.registry.job(optimising.id)
    assert (ended.state, ended.result) == (JobState.CANCELLED, None)
    assert context.registry.catalogue("acme", "fruit").active_selection is None
    assert not context.registry.leases.get(f"job:{optimising.id}")


def test_a_waiting_optimise_job_is_cancelled_by_the_message(context, optimising):
    cancel_job(context, "acme", optimising.id)
    assert list(context.queue.messages) == [RunOptimise(optimising.id)]
    run_optimise(context, optimising.id)
    assert context.registry.job(optimising.id).state is JobState.CANCELLED


@pytest.mark.parametrize("stage", STAGES)
def test_a_paused_optimise_job_goes_on_where_it_was(context, optimising, stage):
    halting = Halting(context.registry, stage, lambda job_id: pause_job(context, "acme", job_id))
    run_optimise(replace(context, registry=halting), optimising.id)
    assert context.registry.job(optimising.id).state is JobState.PAUSED
    run_optimise(context, optimising.id)
    assert sweep(context).whole == 0
    assert context.registry.job(optimising.id).state is JobState.PAUSED
    resume_job(context, "acme", optimising.id)
    assert list(context.queue.messages) == [RunOptimise(optimising.id)]
    run_optimise(context, optimising.id)
    ended = context.registry.job(optimising.id)
    assert ended.state is JobState.DONE, ended.error
    assert context.registry.catalogue("acme", "fruit").active_selection == ended.result["selection"]


def test_an_optimise_job_has_no_pictures_to_retry(context, optimising):
    run_optimise(context, optimising.id)
    with pytest.raises(WrongState):
        retry_job(context, "acme", optimising.id)
    assert context.registry.job(optimising.id).kind is JobKind.OPTIMISE
