"""The sweeper finds what was lost."""

from dataclasses import replace

import pytest

from service.adapters.vector_exact import ExactStore
from service.ports import EmbedChunk, FinishIngest, RunOptimise
from service.records import JobKind, JobState, Split
from service.usecases import provisional, publish
from service.usecases import sweep as module
from service.usecases.context import partition_of
from service.usecases.ingest import ingest_report, start_ingest
from service.usecases.sweep import WHOLE_COMPARISON_S, SweepReport, sweep
from tests.fakes import FAKE_ENCODER, fake_context, fruit, ingested, write_pictures
from tests.usecases.serving import answers, draft, member_ids, no_sleep, serves_whole, stocked, watched

NOTHING = SweepReport(chunks=0, finishing=0, whole=0, abandoned=0, repaired=0)


def started(context, folder):
    job = start_ingest(context, "acme", "fruit", write_pictures(folder, fruit()), encoder=FAKE_ENCODER)
    context.queue.messages.clear()  # all messages are lost
    return job


def test_nothing_to_do():
    assert sweep(fake_context()) == NOTHING


def test_lost_messages_are_sent_again(tmp_path):
    context = fake_context()
    job = started(context, tmp_path)
    assert sweep(context) == replace(NOTHING, chunks=3)
    assert list(context.queue.messages) == [EmbedChunk(job.id, number) for number in range(3)]
    context.queue.deliver(context)
    assert ingest_report(context, job.id)["stored"] == 12
    assert sweep(context) == NOTHING


def test_chunks_at_work_are_left_alone_until_their_lease_runs_out(tmp_path):
    context = fake_context()
    job = started(context, tmp_path)
    for number in range(3):
        context.registry.claim_chunk(job.id, number, "vanished", 60)
    assert sweep(context).chunks == 0
    context.clock.now += 61
    assert sweep(context).chunks == 3


def test_waiting_chunks_are_not_doubled_without_end(tmp_path, monkeypatch):
    context = fake_context()
    started(context, tmp_path)
    assert [sweep(context).chunks for _ in range(3)] == [3, 0, 0]
    context.clock.now += 3 * module.SECONDS_A_CHUNK + 0.1
    assert sweep(context).chunks == 3


def test_a_lost_end_is_announced_again(tmp_path):
    context = fake_context()
    job = started(context, tmp_path)
    sweep(context)
    context.queue.deliver(context, most=3)
    context.queue.messages.clear()
    assert sweep(context) == replace(NOTHING, finishing=1)
    assert list(context.queue.messages) == [FinishIngest(job.id)]
    context.queue.deliver(context)
    assert context.registry.job(job.id).state is JobState.DONE


def test_unfinished_optimise_jobs_are_enqueued(tmp_path):
    context = fake_context()
    ingested(context, write_pictures(tmp_path, fruit()))
    job = context.registry.open_job(context.registry.catalogue("acme", "fruit"), JobKind.OPTIMISE, {})
    context.registry.seal_job(job.id, 1)
    assert sweep(context) == replace(NOTHING, whole=1)
    assert list(context.queue.messages) == [RunOptimise(job.id)]


def opening(context):
    catalogue = context.registry.create_catalogue("acme", "fruit", FAKE_ENCODER)
    return context.registry.open_job(catalogue, JobKind.INGEST, {})


def test_a_reader_that_died_is_found_out():
    context = fake_context()
    job = opening(context)
    context.registry.take_lease(f"job:{job.id}", "dead reader", context.limits.job_lease_s)
    assert sweep(context).abandoned == 0
    context.clock.now += context.limits.job_lease_s + 1
    assert sweep(context).abandoned == 1
    assert context.registry.job(job.id).state is JobState.FAILED
    assert "run it again" in context.registry.job(job.id).error
    assert not context.registry.leases
    assert sweep(context).abandoned == 0


def test_a_slow_reader_is_left_alone():
    context = fake_context()
    job = opening(context)
    for _ in range(5):
        context.registry.take_lease(f"job:{job.id}", "slow reader", context.limits.job_lease_s)
        context.clock.now += context.limits.job_lease_s - 1
        assert sweep(context).abandoned == 0
    assert context.registry.job(job.id).state is JobState.OPENING


def test_an_optimise_job_that_opens_is_not_a_reader():
    context = fake_context()
    catalogue = context.registry.create_catalogue("acme", "fruit", FAKE_ENCODER)
    context.registry.open_job(catalogue, JobKind.OPTIMISE, {})
    context.clock.now += 10_000
    assert sweep(context) == NOTHING


def test_every_catalogue_is_reconciled_and_one_that_is_busy_stops_no_other(tmp_path, monkeypatch):
    context = fake_context()
    folder = write_pictures(tmp_path, fruit())
    ingested(context, folder, name="busy")
    ingested(context, folder, name="drifted")
    context.registry.create_catalogue("acme", "empty", FAKE_ENCODER)
    seen = []

    def reconcile(context, catalogue, *, whole):
        seen.append(catalogue.name)
        if catalogue.name == "busy":
            context.registry.take_lease("publish", "another", 60)
            context.registry.take_lease("publish", "me", 60)
        return 2

    monkeypatch.setattr(publish, "reconcile", reconcile)
    assert sweep(context) == replace(NOTHING, repaired=2)
    assert seen == ["busy", "drifted"]


def test_every_example_is_compared_at_first_and_then_hourly(tmp_path):
    context = fake_context()
    ingested(context, write_pictures(tmp_path, fruit()))
    catalogue = context.registry.catalogue("acme", "fruit")
    context, store = watched(context)
    (one, *_) = context.registry.examples(catalogue.id, Split.SUPPORT)

    def drift():
        context.store.set_payload(partition_of(catalogue), {one.id: {"split": "tuning"}})
        store.calls.clear()

    drift()
    assert sweep(context) == replace(NOTHING, repaired=1)
    drift()
    context.clock.now += WHOLE_COMPARISON_S - 1
    assert sweep(context) == NOTHING
    assert not store.calls, "without a selection nothing has to be looked at"
    context.clock.now += 1
    assert sweep(context) == replace(NOTHING, repaired=1)
    drift()
    context.clock.now += 1
    context.registry.expire_leases()  # as the next owner of the data directory does
    assert sweep(context) == replace(NOTHING, repaired=1)


def test_the_references_of_what_serves_are_compared_every_time(tmp_path):
    context, catalogue = stocked(tmp_path)
    selection = publish.publish(context, catalogue, draft(context), sleep=no_sleep)
    sweep(context)
    for lost in sorted(member_ids(context, selection.id))[:2]:
        provisional.unflag(context, catalogue, [lost])
        assert sweep(context) == replace(NOTHING, repaired=1)
        assert serves_whole(context)


def test_points_that_the_store_lost_come_back_from_what_was_stored_with_the_pictures(tmp_path):
    context, catalogue = stocked(tmp_path)
    selection = publish.publish(context, catalogue, draft(context), sleep=no_sleep)
    rows = [row.id for row in context.registry.examples(catalogue.id)]
    answered = answers(context)
    emptied = replace(context, store=ExactStore())
    references = len(member_ids(context, selection.id))
    assert sweep(emptied) == replace(NOTHING, repaired=len(rows) + references)
    assert emptied.store.ids(partition_of(catalogue), {}) == rows
    assert answers(emptied) == answered


@pytest.mark.parametrize("dropped", [False, True])
def test_a_point_that_comes_back_while_its_example_is_dropped_goes_again(tmp_path, dropped):
    context, catalogue = stocked(tmp_path)
    (one, *_) = context.registry.examples(catalogue.id)
    context.store.delete(partition_of(catalogue), [one.id])
    context, store = watched(context)

    def drop_it(name, arguments):
        if name == "insert" and dropped:
            context.registry.delete_examples(catalogue.id, [one.id])

    store.before = drop_it
    assert sweep(context).repaired == (0 if dropped else 1)
    assert (one.id in context.store.ids(partition_of(catalogue), {})) is not dropped


def test_a_comparison_that_was_broken_off_stays_due(tmp_path):
    context = fake_context()
    ingested(context, write_pictures(tmp_path, fruit()))
    catalogue = context.registry.catalogue("acme", "fruit")
    context, store = watched(context)
    (one, *_) = context.registry.examples(catalogue.id, Split.SUPPORT)
    context.store.set_payload(partition_of(catalogue), {one.id: {"split": "tuning"}})

    def die(name, arguments):
        raise SystemExit

    store.before = die
    with pytest.raises(SystemExit):
        sweep(context)
    store.before = lambda name, arguments: None
    assert sweep(context) == replace(NOTHING, repaired=1)
