"""The contract of `ports.JobRegistry` for pictures that come by HTTP: added once, fetched, answered."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from service.errors import InvalidInput, LeaseHeld
from service.ports import Registry
from service.records import (
    AnsweredItem,
    Catalogue,
    FailedItem,
    ItemState,
    JobKind,
    JobState,
    NewItem,
    Settlement,
    Split,
)
from tests.registry_rows import Clock, claimed, embedded, picture, sealed, settled

ANSWER = {"path": "a.jpg", "label": "owl", "confidence": 0.25, "top": [{"label": "owl", "score": 1.0}]}


def linked(url: str, label: str = "owl") -> NewItem:
    """An item that is still to be fetched."""
    return NewItem(source=url, content_hash="", label=label, split=Split.UNASSIGNED)


def opened(registry: Registry, catalogue: Catalogue, kind: JobKind = JobKind.INGEST) -> str:
    return registry.open_job(catalogue, kind, {"open": True}).id


def asked(registry: Registry, catalogue: Catalogue, names: list[str], chunk_size: int = 32) -> str:
    """Id of a sealed classify job."""
    job_id = opened(registry, catalogue, JobKind.CLASSIFY)
    registry.add_items(job_id, [picture(name, "") for name in names])
    registry.seal_job(job_id, chunk_size)
    return job_id


def test_items_are_added_once(registry: Registry, catalogue: Catalogue) -> None:
    job_id = opened(registry, catalogue)
    first = [picture("a"), picture("b"), picture("b"), linked("https://x/1"), picture("bad", failure="it is broken")]
    first[-1] = replace(first[-1], content_hash="")
    assert registry.add_items(job_id, first, once=True) == 4
    assert registry.add_items(job_id, first, once=True) == 0
    others = [picture("a", "rook"), picture("c"), linked("https://x/1", "rook"), linked("https://x/2")]
    moved = replace(picture("a"), source="owl/elsewhere.jpg")
    assert registry.add_items(job_id, [*others, moved, *first], once=True) == 5
    assert registry.job(job_id).total == 9
    assert len(registry.items(job_id)) == 9


def test_without_once_all_are_added(registry: Registry, catalogue: Catalogue) -> None:
    job_id = opened(registry, catalogue)
    assert registry.add_items(job_id, [picture("a"), picture("a")]) == 2


def test_another_jobs_items_do_not_count(registry: Registry, catalogue: Catalogue) -> None:
    pictures = [picture("a"), linked("https://x/1")]
    assert registry.add_items(opened(registry, catalogue), pictures, once=True) == 2
    assert registry.add_items(opened(registry, catalogue), pictures, once=True) == 2


def test_the_same_request_several_times_at_once_adds_once(registry: Registry, catalogue: Catalogue) -> None:
    job_id = opened(registry, catalogue)
    pictures = [picture(f"p{number}") for number in range(600)]
    with ThreadPoolExecutor(4) as pool:
        added = list(pool.map(lambda _: registry.add_items(job_id, pictures, once=True), range(4)))
    assert sorted(added) == [0, 0, 0, 600]
    assert registry.job(job_id).total == 600


def test_a_job_keeps_when_it_heard_of_pictures(registry: Registry, catalogue: Catalogue, clock: Clock) -> None:
    job_id = opened(registry, catalogue)
    assert registry.job(job_id).heard_at is None
    clock.now += 10
    registry.add_items(job_id, [])
    assert registry.job(job_id).heard_at == clock.now
    clock.now += 10
    registry.add_items(job_id, [picture("a")], once=True)
    assert registry.job(job_id).heard_at == clock.now
    registry.seal_job(job_id, 32)
    with pytest.raises(InvalidInput, match="before it is sealed"):
        registry.add_items(job_id, [])


def test_metadata_goes_from_item_to_example(registry: Registry, catalogue: Catalogue) -> None:
    told = replace(picture("a"), metadata={"lot": "17", "place": "Zürich"})
    job_id = sealed(registry, catalogue, [told, picture("b")])
    assert [dict(item.metadata) for item in registry.items(job_id)] == [told.metadata, {}]
    settled(registry, catalogue, claimed(registry, job_id))
    kept = {one.content_hash: dict(one.metadata) for one in registry.examples(catalogue.id)}
    assert kept == {told.content_hash: told.metadata, picture("b").content_hash: {}}


# -------------------------------------------------------------------------------------------------------------- fetched


def test_what_was_fetched_is_written_down(registry: Registry, catalogue: Catalogue, clock: Clock) -> None:
    job_id = sealed(registry, catalogue, [linked("https://x/1"), linked("https://x/2")])
    chunk = claimed(registry, job_id)
    clock.now += 50
    registry.record_fetched(chunk, "worker", {chunk.items[1].id: "ff00"}, 60)
    assert [item.content_hash for item in registry.items(job_id)] == ["", "ff00"]
    clock.now += 50  # the lease began anew
    assert registry.open_chunks() == []
    clock.now += 10
    again = claimed(registry, job_id, 0, "another")
    assert [item.content_hash for item in again.items] == ["", "ff00"]
    with pytest.raises(LeaseHeld):
        registry.record_fetched(chunk, "worker", {chunk.items[0].id: "aa00"}, 60)
    assert [item.content_hash for item in registry.items(job_id)] == ["", "ff00"]


def test_an_example_of_a_fetched_picture_has_its_hash(registry: Registry, catalogue: Catalogue) -> None:
    job_id = sealed(registry, catalogue, [linked("https://x/1")])
    chunk = claimed(registry, job_id)
    registry.record_fetched(chunk, "worker", {chunk.items[0].id: "ff00"}, 60)
    item = replace(chunk.items[0], content_hash="ff00")
    registry.settle_chunk(chunk, "worker", [embedded(catalogue, item)], [])
    assert [one.content_hash for one in registry.examples(catalogue.id)] == ["ff00"]
    registry.record_fetched(chunk, "worker", {item.id: "aa00"}, 60)  # too late: it is settled
    assert registry.items(job_id)[0].content_hash == "ff00"
    assert registry.open_chunks() == []


# ------------------------------------------------------------------------------------------------------------- answered


def test_answers_are_written_once(registry: Registry, catalogue: Catalogue, clock: Clock) -> None:
    job_id = asked(registry, catalogue, ["a", "b"])
    chunk = claimed(registry, job_id)
    first, second = chunk.items
    answers = [AnsweredItem(item_id=first.id, result=ANSWER)]
    failed = [FailedItem(item_id=second.id, reason="it is broken")]
    expected = Settlement(conflicts=(), job_settled=True)
    assert registry.settle_chunk(chunk, "worker", [], failed, answers) == expected
    items = registry.items(job_id)
    assert [(item.state, item.result, item.reason) for item in items] == [
        (ItemState.ANSWERED, ANSWER, None),
        (ItemState.FAILED, None, "it is broken"),
    ]
    assert registry.examples(catalogue.id) == []
    other = [AnsweredItem(item_id=item.id, result={"label": "rook"}) for item in items]
    assert registry.settle_chunk(chunk, "worker", [], [], other) == expected
    assert registry.items(job_id) == items
    job = registry.job(job_id)
    assert (job.done, job.total, job.state) == (2, 2, JobState.RUNNING)


def test_answers_of_who_lost_the_lease_are_not_used(registry: Registry, catalogue: Catalogue, clock: Clock) -> None:
    job_id = asked(registry, catalogue, ["a"])
    slow = claimed(registry, job_id, 0, "slow")
    clock.now += 60
    fast = claimed(registry, job_id, 0, "fast")
    answers = [AnsweredItem(item_id=slow.items[0].id, result={"label": "rook"})]
    with pytest.raises(LeaseHeld):
        registry.settle_chunk(slow, "slow", [], [], answers)
    registry.settle_chunk(fast, "fast", [], [], [AnsweredItem(item_id=fast.items[0].id, result=ANSWER)])
    assert registry.items(job_id)[0].result == ANSWER


def test_pictures_of_another_chunk_are_left_alone(registry: Registry, catalogue: Catalogue) -> None:
    job_id = asked(registry, catalogue, ["a", "b"], chunk_size=1)
    chunk = claimed(registry, job_id, 0)
    ids = [item.id for item in registry.items(job_id)]
    answers = [AnsweredItem(item_id=one, result=ANSWER) for one in ids]
    assert not registry.settle_chunk(chunk, "worker", [], [], answers).job_settled
    assert [item.state for item in registry.items(job_id)] == [ItemState.ANSWERED, ItemState.PENDING]
    assert registry.open_chunks() == [(job_id, 1)]
