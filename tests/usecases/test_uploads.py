"""Uploads without HTTP: what happens to open jobs that fall silent, to workers that vanish, to bytes that are left."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from service.errors import InvalidInput, QuotaExceeded, Unavailable, WrongState
from service.ports import EmbedChunk
from service.records import ItemState, JobKind, JobState, Quotas
from service.usecases.answer_chunk import answer_claimed
from service.usecases.claimed import KILLER
from service.usecases.classify import classify
from service.usecases.classify_results import job_results
from service.usecases.handing_over import Picture
from service.usecases.job_control import cancel_job, retry_job
from service.usecases.next_chunk import work_on_next_chunk
from service.usecases.sweep import sweep
from service.usecases.uploads import Purpose, add_to_upload, seal_upload, start_upload
from tests.fakes import fake_context, fruit, ingested, picture, write_pictures

DAY_S = 24 * 3600.0
STORE = Purpose(kind=JobKind.INGEST)
ASK = Purpose(kind=JobKind.CLASSIFY, top=2)


def stocked_context(tmp_path, **changes):
    """A context whose catalogue "fruit" of tenant "acme" knows apples and pears."""
    context = fake_context(**changes)
    context.registry.ensure_tenant("acme")
    ingested(context, write_pictures(tmp_path, fruit()))
    return context


def sent(pictures: dict[str, bytes], label: str = "") -> list[Picture]:
    return [Picture(source=name, read=lambda data=data: data, label=label) for name, data in pictures.items()]


def asked(count: int = 8) -> dict[str, bytes]:
    """New pictures, nearly those that are stored."""
    return {f"new{number}": picture(f"new{number}", number % 6, noise=1 + number // 2) for number in range(count)}


def uploads(context) -> list[str]:
    return context.blobs.keys("acme/uploads/")


def opened(context, pictures, kind=JobKind.INGEST, label="apple"):
    return start_upload(context, "acme", "fruit", sent(pictures, label), Purpose(kind=kind, open=True))


# --------------------------------------------------------------------------------------------------------------- silent


def test_an_open_job_is_given_up_when_nobody_adds_to_it_for_long(tmp_path):
    context = stocked_context(tmp_path)
    job = opened(context, asked(2))
    context.clock.now += context.limits.upload_silence_s - 1
    assert sweep(context).abandoned == 0
    add_to_upload(context, "acme", job.id, sent({"x": picture("x", 9)}, "apple"), fetches=False)
    context.clock.now += context.limits.upload_silence_s - 1
    assert sweep(context).abandoned == 0
    context.clock.now += 2
    assert sweep(context).abandoned == 1
    given_up = context.registry.job(job.id)
    assert given_up.state is JobState.FAILED
    assert "HOLOTYPE_UPLOAD_SILENCE_S" in given_up.error
    with pytest.raises(WrongState):
        add_to_upload(context, "acme", job.id, sent(asked(1), "apple"), fetches=False)


def test_an_open_job_outlives_a_restart(tmp_path):
    context = stocked_context(tmp_path)
    opened(context, asked(2))
    context.clock.now += context.limits.job_lease_s + 1
    context.registry.expire_leases()
    assert sweep(context).abandoned == 0


@pytest.mark.parametrize("kind", [JobKind.INGEST, JobKind.CLASSIFY])
def test_a_request_whose_process_died_is_found_out(tmp_path, kind):
    context = stocked_context(tmp_path)
    job = context.registry.open_job(context.registry.catalogue("acme", "fruit"), kind, STORE.as_parameters())
    context.clock.now += context.limits.job_lease_s + 1
    assert sweep(context).abandoned == 1
    assert context.registry.job(job.id).state is JobState.FAILED


def test_first_pictures_that_are_too_many_leave_no_open_job(tmp_path):
    context = stocked_context(tmp_path)
    context.registry.change_quotas("acme", {"examples": context.registry.usage("acme").examples + 3})
    with pytest.raises(QuotaExceeded):
        opened(context, asked(4))
    assert context.registry.jobs([JobState.OPENING]) == []


def test_a_seal_that_was_lost_half_way_is_found_by_the_sweeper(tmp_path):
    context = stocked_context(tmp_path)
    job = opened(context, asked(3))
    seal_upload(context, "acme", job.id)
    context.queue.messages.clear()
    seal_upload(context, "acme", job.id)
    assert not context.queue.messages
    context.clock.now += 10
    sweep(context)
    context.queue.deliver(context)
    assert context.registry.job(job.id).state is JobState.DONE


def test_a_job_that_is_sealed_while_pictures_arrive_takes_none_of_them(tmp_path):
    context = stocked_context(tmp_path)
    job = opened(context, asked(1))

    def sealing() -> bytes:
        seal_upload(context, "acme", job.id)
        return picture("late", 9)

    with pytest.raises(WrongState, match="takes no further pictures"):
        add_to_upload(context, "acme", job.id, [Picture(source="late", read=sealing, label="apple")], fetches=False)
    assert context.registry.job(job.id).total == 1


def test_files_and_urls_do_not_mix(tmp_path):
    context = stocked_context(tmp_path)
    job = opened(context, asked(1))
    with pytest.raises(InvalidInput, match="opened for files"):
        add_to_upload(context, "acme", job.id, [Picture(source="https://x/1", label="a")], fetches=True)


def test_a_blob_store_that_is_down_takes_nothing(tmp_path):
    context = stocked_context(tmp_path)
    context.blobs.down = True
    with pytest.raises(Unavailable):
        start_upload(context, "acme", "fruit", sent(asked(2), "apple"), STORE)
    (job,) = context.registry.jobs([JobState.FAILED])
    assert "nothing was taken" in job.error


# ------------------------------------------------------------------------------------------------------------- classify


def answers(context, job) -> Sequence[str]:
    return [item.result["label"] for item in job_results(context, "acme", job.id, partial=False)[1]]


def test_answers_are_those_of_classify(tmp_path):
    context = stocked_context(tmp_path)
    job = start_upload(context, "acme", "fruit", sent(asked()), ASK)
    context.queue.deliver(context)
    single = classify(context, "acme", "fruit", list(asked().items()), top=2)
    assert [item.result for item in context.registry.items(job.id)] == [one.as_dict() for one in single]
    assert uploads(context) == []


def test_a_chunk_whose_worker_vanished_is_done_by_the_next(tmp_path):
    context = stocked_context(tmp_path)
    job = start_upload(context, "acme", "fruit", sent(asked()), ASK)
    assert context.registry.claim_chunk(job.id, 0, "vanished", 60) is not None
    context.queue.deliver(context)
    assert context.registry.job(job.id).state is JobState.RUNNING
    context.clock.now += 61
    sweep(context)
    context.queue.deliver(context)
    assert context.registry.job(job.id).state is JobState.DONE
    assert len(answers(context, job)) == 8


@pytest.mark.parametrize("method", ["settle_chunk", "example_counts"])
def test_an_outage_gives_the_chunk_back(tmp_path, monkeypatch, method):
    context = stocked_context(tmp_path)
    job = start_upload(context, "acme", "fruit", sent(asked()), ASK)

    def down(*_args, **_options):
        raise Unavailable("the registry went away")

    with monkeypatch.context() as patched:
        patched.setattr(context.registry, method, down)
        with pytest.raises(Unavailable):
            work_on_next_chunk(context)
    assert context.registry.item_counts(job.id)[ItemState.PENDING] == 8
    context.queue.deliver(context)
    assert context.registry.job(job.id).state is JobState.DONE


def test_who_comes_late_changes_no_answer(tmp_path):
    context = stocked_context(tmp_path)
    job = start_upload(context, "acme", "fruit", sent(asked()), ASK)
    chunk = context.registry.claim_chunk(job.id, 0, context.owner, 60)
    context.queue.deliver(context)
    before = context.registry.items(job.id)
    answer_claimed(context, chunk)
    assert context.registry.items(job.id) == before


def test_a_picture_that_kills_workers_is_buried_alone(tmp_path):
    context = stocked_context(tmp_path)
    job = start_upload(context, "acme", "fruit", sent(asked(4)), ASK)
    for _ in range(40):
        claimed = context.registry.claim_next_chunk("vanishing", 60)
        if claimed is None:
            break
        if any(item.source == "new2" for item in claimed.items) and claimed.attempt <= 3:
            context.clock.now += 61  # its worker was lost
            if claimed.attempt <= 2 or len(claimed.items) == 1:
                continue
        context.registry.release_chunk(claimed, "vanishing")
        context.clock.now += 61
        mine = context.registry.claim_chunk(claimed.job_id, claimed.number, context.owner, 60)
        answer_claimed(context, mine)
    sweep(context)
    context.queue.deliver(context)
    items = {item.source: item for item in context.registry.items(job.id)}
    assert items["new2"].reason == KILLER
    assert [items[f"new{number}"].state for number in (0, 1, 3)] == [ItemState.ANSWERED] * 3


def test_what_failed_is_kept_a_day_for_another_try(tmp_path):
    context = stocked_context(tmp_path)
    broken = {"broken": picture("broken", 1, crashes=2)}
    job = start_upload(context, "acme", "fruit", sent(asked(2) | broken), ASK)
    context.queue.deliver(context)
    assert context.registry.item_counts(job.id)[ItemState.FAILED] == 1
    assert len(uploads(context)) == 1
    again = retry_job(context, "acme", job.id)
    context.queue.deliver(context)
    assert context.registry.item_counts(again.id)[ItemState.ANSWERED] == 1
    assert uploads(context) == []


def test_what_nobody_tried_again_is_forgotten_after_a_day(tmp_path):
    context = stocked_context(tmp_path)
    job = start_upload(context, "acme", "fruit", sent(asked(2) | {"text": b"no picture"}), ASK)
    context.queue.deliver(context)
    assert context.registry.job(job.id).state is JobState.DONE
    assert len(uploads(context)) == 1
    context.clock.now += DAY_S + 1
    assert sweep(context).leftovers >= 1
    assert uploads(context) == []


def test_a_cancelled_job_leaves_nothing_after_a_day(tmp_path):
    context = stocked_context(tmp_path)
    job = start_upload(context, "acme", "fruit", sent(asked()), ASK)
    work_on_next_chunk(context)
    cancel_job(context, "acme", job.id)
    context.queue.deliver(context)
    assert context.registry.job(job.id).state is JobState.CANCELLED
    counts = context.registry.item_counts(job.id)
    assert (counts[ItemState.ANSWERED], counts[ItemState.CANCELLED]) == (4, 4)
    assert len(list(job_results(context, "acme", job.id, partial=False)[1])) == 8
    context.clock.now += DAY_S + 1
    sweep(context)
    assert uploads(context) == []


def test_a_finisher_that_dies_before_the_end_leaves_no_bytes_and_the_next_one_ends_the_job(tmp_path, monkeypatch):
    context = stocked_context(tmp_path)
    job = start_upload(context, "acme", "fruit", sent(asked()), ASK)
    left = []

    def die(*_):
        left.append(uploads(context))
        raise Unavailable("the database does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(context.registry, "finish_job", die)
        with pytest.raises(Unavailable):
            context.queue.deliver(context)
    assert left == [[]], "whatever happens behind the end, nothing is left to be deleted"
    assert context.registry.job(job.id).state is JobState.RUNNING
    assert sweep(context).finishing == 1
    context.queue.deliver(context)
    assert context.registry.job(job.id).result["answered"] == len(asked())


def test_lost_messages_of_a_classify_job_are_sent_again(tmp_path):
    context = stocked_context(tmp_path)
    job = start_upload(context, "acme", "fruit", sent(asked()), ASK)
    context.queue.messages.clear()
    assert sweep(context).chunks == 2
    assert all(isinstance(message, EmbedChunk) for message in context.queue.messages)
    context.queue.deliver(context, most=2)
    context.queue.messages.clear()  # the end is lost, too
    assert sweep(context).finishing == 1
    context.queue.deliver(context)
    assert context.registry.job(job.id).state is JobState.DONE


def test_pictures_to_be_answered_need_no_room_for_examples(tmp_path):
    context = stocked_context(tmp_path)
    context.registry.change_quotas("acme", {"examples": 12})
    job = start_upload(context, "acme", "fruit", sent(asked()), ASK)
    context.queue.deliver(context)
    assert context.registry.job(job.id).result["answered"] == 8
    assert context.registry.tenant("acme").quotas == Quotas(examples=12)


# ------------------------------------------------------------------------------------------------- bytes without a row


def full_after(monkeypatch, context, count):
    """The disk is full after so many pictures more; what is there can be deleted."""
    own, left = context.blobs.put, iter(range(count))

    def put(key, data):
        if next(left, None) is None:
            raise Unavailable("no space left on device")
        own(key, data)

    monkeypatch.setattr(context.blobs, "put", put)


@pytest.mark.parametrize("open_", [False, True])
def test_bytes_of_a_job_that_was_never_filled_go_with_it(tmp_path, monkeypatch, open_):
    context = stocked_context(tmp_path)
    full_after(monkeypatch, context, 3)
    with pytest.raises(Unavailable):
        start_upload(context, "acme", "fruit", sent(asked()), Purpose(kind=JobKind.CLASSIFY, open=open_))
    assert uploads(context) == []


def test_bytes_of_an_open_job_that_fell_silent_go_with_it(tmp_path):
    context = stocked_context(tmp_path)
    opened(context, asked(2), kind=JobKind.CLASSIFY, label="")
    assert len(uploads(context)) == 2
    context.clock.now += context.limits.upload_silence_s
    assert sweep(context).abandoned == 1
    assert uploads(context) == []


def test_bytes_of_a_broken_off_request_go_at_the_end_of_its_job(tmp_path, monkeypatch):
    context = stocked_context(tmp_path)
    job = opened(context, asked(2), kind=JobKind.CLASSIFY, label="")
    with monkeypatch.context() as patched:
        full_after(patched, context, 1)
        with pytest.raises(Unavailable):
            add_to_upload(
                context, "acme", job.id, sent({f"x{n}": picture(f"x{n}", 7 + n) for n in (1, 2)}), fetches=False
            )
    assert len(uploads(context)) == 3
    seal_upload(context, "acme", job.id)
    context.queue.deliver(context)
    assert context.registry.job(job.id).state is JobState.DONE
    assert uploads(context) == []
