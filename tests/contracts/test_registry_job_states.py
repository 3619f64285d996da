"""The contract of `ports.JobControlRegistry`: pausing, resuming, cancelling, ending, retrying; pages."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.core.pace import Pace, rate
from service.errors import NotFound, QuotaExceeded, WrongState
from service.ports import Registry
from service.records import Catalogue, FailedItem, ItemState, Job, JobKind, JobState, Quotas
from tests.registry_rows import Clock, claimed, picture, sealed, settled

ENDED = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


def cancelled(registry: Registry, job_id: str) -> None:
    registry.cancel_job(job_id)
    while registry.cancel_chunks(job_id, 2):
        pass


def states(registry: Registry, job_id: str) -> list[ItemState]:
    return [item.state for item in registry.items(job_id)]


def test_a_paused_job_is_not_worked_on_and_what_is_at_work_settles(registry: Registry, catalogue: Catalogue) -> None:
    job_id = sealed(registry, catalogue, [picture(name) for name in "abc"], chunk_size=1)
    at_work = claimed(registry, job_id, 0)
    assert registry.pause_job(job_id).state is JobState.PAUSED
    assert registry.pause_job(job_id).state is JobState.PAUSED
    assert registry.open_chunks() == []
    assert registry.claim_chunk(job_id, 1, "worker", 60) is None
    assert registry.claim_next_chunk("another", 60) is None
    assert not registry.set_progress(job_id, "embedding", 0, 0)
    settled(registry, catalogue, at_work)
    job = registry.job(job_id)
    assert (job.state, job.done, job.total) == (JobState.PAUSED, 1, 3)
    assert registry.resume_job(job_id).state is JobState.QUEUED
    assert registry.resume_job(job_id).state is JobState.QUEUED
    assert registry.open_chunks() == [(job_id, 1), (job_id, 2)]
    claimed(registry, job_id, 1)
    assert registry.job(job_id).state is JobState.RUNNING
    assert registry.resume_job(job_id).state is JobState.RUNNING


def test_when_it_began_and_ended_and_how_fast_it_was(registry: Registry, catalogue: Catalogue, clock: Clock) -> None:
    job_id = sealed(registry, catalogue, [picture(name) for name in "abc"], chunk_size=1)
    job = registry.job(job_id)
    assert (job.started_at, job.finished_at, job.pace) == (None, None, None)
    clock.now += 1000  # it waits for its turn
    begun_at = clock.now
    for number in range(2):
        chunk = claimed(registry, job_id, number)
        clock.now += 10
        settled(registry, catalogue, chunk)
    job = registry.job(job_id)
    assert (job.started_at, job.finished_at) == (begun_at, None)
    assert rate(Pace.from_dict(job.pace), job.done, clock.now) == pytest.approx(0.1)
    registry.pause_job(job_id)
    clock.now += 5000
    registry.resume_job(job_id)
    chunk = claimed(registry, job_id, 2)
    clock.now += 40
    settled(registry, catalogue, chunk)
    registry.finish_job(job_id, {})
    job = registry.job(job_id)
    assert (job.started_at, job.finished_at) == (begun_at, clock.now)
    assert rate(Pace.from_dict(job.pace), job.done, clock.now + 999) == pytest.approx(3 / 60)


def test_cancelling_ends_what_waits_and_leaves_what_is_at_work(
    registry: Registry, catalogue: Catalogue, clock: Clock
) -> None:
    job_id = sealed(registry, catalogue, [picture(name) for name in "abcdefg"], chunk_size=1)
    settled(registry, catalogue, claimed(registry, job_id, 0))
    at_work = claimed(registry, job_id, 1)
    lost = claimed(registry, job_id, 2, "vanished")
    asked = registry.cancel_job(job_id)
    assert (asked.state, asked.cancelled_at, asked.stage) == (JobState.RUNNING, clock.now, "cancelling")
    assert registry.open_chunks() == []
    assert registry.claim_next_chunk("another", 60) is None
    cancelled(registry, job_id)
    assert registry.item_counts(job_id) == {ItemState.STORED: 1, ItemState.PENDING: 2, ItemState.CANCELLED: 4}
    assert not settled(registry, catalogue, at_work).job_settled
    clock.now += 61
    assert registry.claim_chunk(job_id, 2, "another", 60) is None
    cancelled(registry, job_id)
    assert states(registry, job_id)[:3] == [ItemState.STORED, ItemState.STORED, ItemState.CANCELLED]
    assert lost.items[0].id not in {item.id for item in registry.items(job_id, [ItemState.PENDING])}
    job = registry.job(job_id)
    assert (job.done, job.total, job.state) == (7, 7, JobState.RUNNING)
    registry.finish_job(job_id, {"stored": 2})
    registry.cancel_job(job_id)
    job = registry.job(job_id)
    assert (job.state, job.result, job.finished_at) == (JobState.CANCELLED, {"stored": 2}, clock.now)
    assert not registry.cancel_chunks(job_id, 10)


def test_a_job_that_is_still_being_filled_can_be_cancelled(registry: Registry, catalogue: Catalogue) -> None:
    job = registry.open_job(catalogue, JobKind.INGEST, {})
    registry.add_items(job.id, [picture("a"), picture("b", failure="no picture")])
    cancelled(registry, job.id)
    assert states(registry, job.id) == [ItemState.CANCELLED, ItemState.FAILED]
    assert registry.seal_job(job.id, 32) == 0
    assert registry.job(job.id).done == 2


def test_a_cancelled_job_whose_filling_was_broken_off_leaves_nothing_pending(
    registry: Registry, catalogue: Catalogue
) -> None:
    job = registry.open_job(catalogue, JobKind.INGEST, {})
    registry.add_items(job.id, [picture("a")])
    registry.cancel_job(job.id)
    registry.finish_job(job.id, None, "reading was broken off")
    ended = registry.job(job.id)
    assert (ended.state, ended.error, ended.done) == (JobState.CANCELLED, "reading was broken off", 1)
    assert states(registry, job.id) == [ItemState.CANCELLED]


def test_cancelling_nothing_that_was_not_asked_for(registry: Registry, catalogue: Catalogue) -> None:
    job_id = sealed(registry, catalogue, [picture("a")])
    assert not registry.cancel_chunks(job_id, 10)
    assert states(registry, job_id) == [ItemState.PENDING]


def test_an_optimise_job_that_published_is_done_even_if_it_was_to_be_cancelled(
    registry: Registry, catalogue: Catalogue
) -> None:
    ends: list[tuple[dict[str, int] | None, str | None, JobState]] = [
        ({"references": 3}, None, JobState.DONE),
        (None, None, JobState.CANCELLED),
        (None, "it broke", JobState.CANCELLED),
    ]
    for result, error, state in ends:
        job = registry.open_job(catalogue, JobKind.OPTIMISE, {})
        registry.seal_job(job.id, 1)
        assert registry.set_progress(job.id, "search", 1, 9)
        assert registry.job(job.id).started_at is not None
        registry.cancel_job(job.id)
        assert not registry.set_progress(job.id, "search", 2, 9)
        registry.finish_job(job.id, result, error)
        assert registry.job(job.id).state is state


@pytest.mark.parametrize("end", ENDED)
@pytest.mark.parametrize("verb", ["pause_job", "resume_job", "cancel_job"])
def test_a_job_that_has_ended_stays_as_it_is(
    registry: Registry, catalogue: Catalogue, end: JobState, verb: str
) -> None:
    job_id = sealed(registry, catalogue, [picture("a")])
    if end is JobState.CANCELLED:
        registry.cancel_job(job_id)
    registry.finish_job(job_id, None, "it broke" if end is JobState.FAILED else None)
    change: Callable[[str], Job] = getattr(registry, verb)
    if (end, verb) == (JobState.CANCELLED, "cancel_job"):
        assert change(job_id).state is JobState.CANCELLED
        return
    with pytest.raises(WrongState, match=f"it is {end} already"):
        change(job_id)
    assert registry.job(job_id).state is end
    assert registry.finish_job(job_id, {"later": 1}) == ()
    assert registry.job(job_id).result is None


@pytest.mark.parametrize("verb", ["pause_job", "resume_job", "cancel_job", "cancel_chunks", "retry_job"])
def test_there_is_no_such_job(registry: Registry, verb: str) -> None:
    change = getattr(registry, verb)
    arguments = [10] if verb in ("cancel_chunks", "retry_job") else []
    if verb == "cancel_chunks":
        assert not change("nothing", *arguments)
        return
    with pytest.raises(NotFound, match="there is no job nothing"):
        change("nothing", *arguments)


def test_a_job_that_opens_or_ends_cannot_be_paused(registry: Registry, catalogue: Catalogue) -> None:
    opening = registry.open_job(catalogue, JobKind.INGEST, {}).id
    ending = sealed(registry, catalogue, [picture("a")])
    registry.cancel_job(ending)
    for change in (registry.pause_job, registry.resume_job):
        with pytest.raises(WrongState, match="being handed over"):
            change(opening)
        with pytest.raises(WrongState, match="being cancelled"):
            change(ending)


def failed_job(registry: Registry, catalogue: Catalogue) -> str:
    """One stored, one failed at work, one never read, two cancelled."""
    pictures = [picture("a"), picture("b", "rook"), picture("", failure="no picture"), picture("c"), picture("d")]
    pictures[2] = type(pictures[2])(
        source="broken.jpg", content_hash="", label="owl", split=pictures[2].split, failure="no picture"
    )
    job_id = sealed(registry, catalogue, pictures, chunk_size=1)
    settled(registry, catalogue, claimed(registry, job_id, 0))
    chunk = claimed(registry, job_id, 1)
    registry.settle_chunk(chunk, "worker", [], [FailedItem(item_id=chunk.items[0].id, reason="no memory")])
    cancelled(registry, job_id)
    return job_id


def test_what_failed_or_was_cancelled_becomes_a_new_job_once(
    registry: Registry, catalogue: Catalogue, clock: Clock
) -> None:
    job_id = failed_job(registry, catalogue)
    with pytest.raises(WrongState, match="wait for its end"):
        registry.retry_job(job_id, 2)
    registry.finish_job(job_id, {})
    clock.now += 60
    with ThreadPoolExecutor(4) as threads:
        (fresh,) = {job.id for job in threads.map(lambda _: registry.retry_job(job_id, 2), range(4))}
    job = registry.job(fresh)
    assert (job.state, job.kind, job.done, job.total) == (JobState.QUEUED, JobKind.INGEST, 0, 3)
    assert (job.parameters["retry_of"], job.created_at, job.catalogue_id) == (job_id, clock.now, catalogue.id)
    items = registry.items(fresh)
    assert [(item.source, item.label) for item in items] == [
        ("rook/b.jpg", "rook"),
        ("owl/c.jpg", "owl"),
        ("owl/d.jpg", "owl"),
    ]
    assert {(item.state, item.reason, item.example_id) for item in items} == {(ItemState.PENDING, None, None)}
    assert registry.open_chunks() == [(fresh, 0), (fresh, 1)]
    assert registry.job(job_id).retried_as == fresh


def test_a_retry_goes_by_the_quotas(registry: Registry, catalogue: Catalogue) -> None:
    registry.create_tenant(catalogue.tenant, Quotas())
    job_id = failed_job(registry, catalogue)
    registry.finish_job(job_id, {})
    registry.change_quotas(catalogue.tenant, {"inflight_items": 2})
    with pytest.raises(QuotaExceeded):
        registry.retry_job(job_id, 2)
    assert registry.job(job_id).retried_as is None
    registry.change_quotas(catalogue.tenant, {"inflight_items": 3})
    assert registry.job(registry.retry_job(job_id, 2).id).total == 3


def test_there_must_be_something_to_retry(registry: Registry, catalogue: Catalogue) -> None:
    job_id = sealed(registry, catalogue, [picture("a")])
    settled(registry, catalogue, claimed(registry, job_id))
    registry.finish_job(job_id, {})
    with pytest.raises(WrongState, match="none of its pictures failed"):
        registry.retry_job(job_id, 2)
    optimising = registry.open_job(catalogue, JobKind.OPTIMISE, {})
    registry.finish_job(optimising.id, None, "it broke")
    with pytest.raises(WrongState, match="start a new one"):
        registry.retry_job(optimising.id, 2)


def test_ended_jobs_are_forgotten_after_a_day(registry: Registry, catalogue: Catalogue, clock: Clock) -> None:
    job_id = sealed(registry, catalogue, [picture("a")])
    registry.finish_job(job_id, {})
    assert registry.jobs_to_forget(10) == []
    clock.now += 24 * 3600
    assert [job.id for job in registry.jobs_to_forget(10)] == [job_id]
    registry.forgot_job(job_id)
    assert registry.jobs_to_forget(10) == []


def test_pages_of_jobs_come_newest_first(registry: Registry, catalogue: Catalogue) -> None:
    other = registry.create_catalogue("tenant", "fish", "pixel")
    theirs = registry.create_catalogue("another", "birds", "pixel")
    made = [
        registry.open_job(one, kind, {}).id
        for one, kind in [(catalogue, JobKind.INGEST), (other, JobKind.INGEST), (catalogue, JobKind.OPTIMISE)] * 2
    ]
    registry.open_job(theirs, JobKind.INGEST, {})
    registry.finish_job(made[0], None, "it broke")
    first = registry.jobs_page("tenant", limit=4)
    rest = registry.jobs_page("tenant", before=first[-1][0], limit=4)
    assert [job.id for _, job in (*first, *rest)] == made[::-1]

    def listed(**narrowed: object) -> list[str]:
        return [job.id for _, job in registry.jobs_page("tenant", limit=9, **narrowed)]  # type: ignore[arg-type]

    assert listed(states=[JobState.FAILED]) == [made[0]]
    assert listed(kind=JobKind.OPTIMISE) == [made[5], made[2]]
    assert listed(catalogue_id=other.id) == [made[4], made[1]]
    assert listed(catalogue_id=other.id, kind=JobKind.OPTIMISE) == []


def test_pages_of_items_come_by_id_and_by_state(registry: Registry, catalogue: Catalogue) -> None:
    job_id = failed_job(registry, catalogue)
    everything = registry.items(job_id)
    assert registry.items_page(job_id, limit=9) == everything
    assert registry.items_page(job_id, limit=2) == everything[:2]
    assert registry.items_page(job_id, after=everything[1].id, limit=2) == everything[2:4]
    failed = [item for item in everything if item.state is ItemState.FAILED]
    assert len(failed) == 2
    assert registry.items_page(job_id, states=[ItemState.FAILED], limit=9) == failed
    assert registry.items_page(job_id, states=[ItemState.FAILED], after=failed[0].id, limit=9) == failed[1:]
    assert registry.items_page(job_id, states=[], limit=9) == []
    assert registry.items_page("nothing", limit=9) == []
    counts = {ItemState.STORED: 1, ItemState.FAILED: 2, ItemState.CANCELLED: 2}
    assert registry.item_counts_of([job_id, "nothing"]) == {job_id: counts, "nothing": {}}
