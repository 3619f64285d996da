"""The contract of `ports.JobRegistry` for chunks: claiming, settling, conflicts, splitting."""

from __future__ import annotations

import pytest

from service.errors import LeaseHeld
from service.ports import Registry
from service.records import Catalogue, ExampleState, FailedItem, ItemState, JobState, Settlement, Split
from tests.registry_rows import Clock, claimed, embedded, example_id, ingested, picture, sealed, settled


def test_a_chunk_is_leased_to_one_owner_and_attempts_are_counted(
    registry: Registry, catalogue: Catalogue, clock: Clock
) -> None:
    job_id = sealed(registry, catalogue, [picture("a")])
    assert claimed(registry, job_id, 0, "first").attempt == 1
    assert registry.open_chunks() == []
    assert registry.claim_chunk(job_id, 0, "second", 60) is None
    clock.now += 60
    assert registry.open_chunks() == [(job_id, 0)]
    assert claimed(registry, job_id, 0, "second").attempt == 2
    assert registry.claim_chunk(job_id, 0, "first", 60) is None
    assert claimed(registry, job_id, 0, "second").attempt == 3  # the same owner tries again at once
    assert registry.claim_chunk(job_id, 1, "first", 60) is None
    assert registry.claim_chunk("x", 0, "first", 60) is None


def test_a_chunk_that_is_given_back_has_lost_no_attempt(registry: Registry, catalogue: Catalogue, clock: Clock) -> None:
    job_id = sealed(registry, catalogue, [picture("a")])
    chunk = claimed(registry, job_id, 0, "first")
    registry.release_chunk(chunk, "second")
    assert registry.open_chunks() == []
    registry.release_chunk(chunk, "first")
    registry.release_chunk(chunk, "first")
    assert registry.open_chunks() == [(job_id, 0)]
    assert claimed(registry, job_id, 0, "second").attempt == 1
    clock.now += 60
    third = claimed(registry, job_id, 0, "third")
    registry.release_chunk(chunk, "first")
    assert registry.open_chunks() == []
    settled(registry, catalogue, third, "third")
    registry.release_chunk(third, "third")
    assert registry.open_chunks() == []


def test_settling_writes_the_examples_and_ends_the_chunk(
    registry: Registry, catalogue: Catalogue, clock: Clock
) -> None:
    pictures = [picture("a", "owl", split=Split.HOLDOUT), picture("b", "rook")]
    job_id = sealed(registry, catalogue, pictures)
    assert settled(registry, catalogue, claimed(registry, job_id)) == Settlement(conflicts=(), job_settled=True)
    first, second = registry.items(job_id)
    assert (first.state, first.reason) == (ItemState.STORED, None)
    assert first.example_id == example_id(catalogue, first.content_hash)
    stored = registry.example(catalogue.id, first.example_id)
    assert (stored.catalogue_id, stored.label, stored.split, stored.state) == (
        catalogue.id,
        "owl",
        Split.HOLDOUT,
        ExampleState.ACTIVE,
    )
    assert (stored.content_hash, stored.source) == (first.content_hash, "owl/a.jpg")
    assert (stored.width_px, stored.height_px, stored.perceptual_hash) == (640, 480, "0123456789abcdef")
    assert (stored.created_at, stored.conflict_labels, stored.settled_labels) == (clock.now, (), ())
    assert second.state is ItemState.STORED
    assert registry.open_chunks() == []
    assert registry.claim_chunk(job_id, 0, "another", 60) is None
    job = registry.job(job_id)
    assert (job.done, job.total, job.state) == (2, 2, JobState.RUNNING)


def test_the_last_chunk_settles_the_job(registry: Registry, catalogue: Catalogue) -> None:
    job_id = sealed(registry, catalogue, [picture("a"), picture("b"), picture("c")], chunk_size=2)
    assert not settled(registry, catalogue, claimed(registry, job_id, 1)).job_settled
    assert registry.job(job_id).done == 1
    assert settled(registry, catalogue, claimed(registry, job_id, 0)).job_settled


def test_settling_twice_changes_nothing(registry: Registry, catalogue: Catalogue, clock: Clock) -> None:
    ingested(registry, catalogue, [picture("a", "owl")])
    job_id = sealed(registry, catalogue, [picture("a", "rook"), picture("b", "owl")])
    chunk = claimed(registry, job_id)
    first = settled(registry, catalogue, chunk)
    before = registry.items(job_id), registry.examples(catalogue.id)
    clock.now += 10_000
    assert settled(registry, catalogue, chunk) == first
    assert first.conflicts == (example_id(catalogue, picture("a").content_hash),)
    assert (registry.items(job_id), registry.examples(catalogue.id)) == before


def test_who_lost_the_lease_cannot_settle(registry: Registry, catalogue: Catalogue, clock: Clock) -> None:
    job_id = sealed(registry, catalogue, [picture("a")])
    slow = claimed(registry, job_id, 0, "slow")
    clock.now += 60
    fast = claimed(registry, job_id, 0, "fast")
    with pytest.raises(LeaseHeld, match=r"chunk 0 .* went to fast"):
        settled(registry, catalogue, slow, "slow")
    assert registry.examples(catalogue.id) == []
    settled(registry, catalogue, fast, "fast")
    with pytest.raises(LeaseHeld):
        settled(registry, catalogue, slow, "slow")
    assert len(registry.examples(catalogue.id)) == 1


def test_a_lease_that_ran_out_and_that_nobody_took_is_good(
    registry: Registry, catalogue: Catalogue, clock: Clock
) -> None:
    job_id = sealed(registry, catalogue, [picture("a")])
    chunk = claimed(registry, job_id)
    clock.now += 1000
    assert settled(registry, catalogue, chunk).job_settled
    assert registry.open_chunks() == []


def test_failed_items_say_why(registry: Registry, catalogue: Catalogue) -> None:
    job_id = sealed(registry, catalogue, [picture("a"), picture("b")])
    chunk = claimed(registry, job_id)
    done = [embedded(catalogue, chunk.items[0])]
    settlement = registry.settle_chunk(
        chunk, "worker", done, [FailedItem(item_id=chunk.items[1].id, reason="no header")]
    )
    assert settlement.job_settled
    good, bad = registry.items(job_id)
    assert good.state is ItemState.STORED
    assert (bad.state, bad.reason, bad.example_id) == (ItemState.FAILED, "no header", None)
    assert len(registry.examples(catalogue.id)) == 1


def test_items_that_were_left_out_stay_pending_in_a_free_chunk(registry: Registry, catalogue: Catalogue) -> None:
    job_id = sealed(registry, catalogue, [picture("a"), picture("b")])
    chunk = claimed(registry, job_id)
    settlement = registry.settle_chunk(chunk, "worker", [embedded(catalogue, chunk.items[0])], [])
    assert not settlement.job_settled
    assert registry.open_chunks() == [(job_id, 0)]
    again = claimed(registry, job_id, 0, "another")
    assert again.items == chunk.items[1:]
    assert settled(registry, catalogue, again, "another").job_settled


def test_items_of_another_chunk_are_left_alone(registry: Registry, catalogue: Catalogue) -> None:
    job_id = sealed(registry, catalogue, [picture("a"), picture("b")], chunk_size=1)
    mine, other = claimed(registry, job_id, 0), claimed(registry, job_id, 1, "another")
    registry.settle_chunk(mine, "worker", [embedded(catalogue, mine.items[0]), embedded(catalogue, other.items[0])], [])
    assert [item.state for item in registry.items(job_id)] == [ItemState.STORED, ItemState.PENDING]
    assert len(registry.examples(catalogue.id)) == 1


def test_the_same_picture_again_is_a_duplicate(registry: Registry, catalogue: Catalogue) -> None:
    job_id = ingested(registry, catalogue, [picture("a"), picture("a"), picture("b")])
    states = [item.state for item in registry.items(job_id)]
    assert states == [ItemState.STORED, ItemState.DUPLICATE, ItemState.STORED]
    before = registry.examples(catalogue.id)
    again = ingested(registry, catalogue, [picture("a", split=Split.HOLDOUT), picture("b")])
    assert registry.item_counts(again) == {ItemState.DUPLICATE: 2}
    assert registry.examples(catalogue.id) == before


def test_another_catalogue_has_its_own_pictures(registry: Registry, catalogue: Catalogue) -> None:
    other = registry.create_catalogue("tenant", "other", "pixel")
    ingested(registry, catalogue, [picture("a", "owl")])
    assert registry.item_counts(ingested(registry, other, [picture("a", "rook")])) == {ItemState.STORED: 1}
    assert [example.label for example in registry.examples(catalogue.id)] == ["owl"]


@pytest.mark.parametrize("together", [True, False])
def test_one_picture_under_two_labels_is_a_conflict(
    registry: Registry, catalogue: Catalogue, *, together: bool
) -> None:
    pictures = [picture("a", "owl"), picture("b", "owl"), picture("a", "rook")]
    job_id = sealed(registry, catalogue, pictures, chunk_size=3 if together else 2)
    conflicts = [settled(registry, catalogue, claimed(registry, *chunk)).conflicts for chunk in registry.open_chunks()]
    contested = example_id(catalogue, picture("a").content_hash)
    assert conflicts[-1] == (contested,)
    assert conflicts[:-1] in ([], [()])
    first, second, third = registry.items(job_id)
    assert [first.state, second.state, third.state] == [ItemState.STORED, ItemState.STORED, ItemState.CONFLICT]
    assert third.reason is not None
    assert "'owl', 'rook'" in third.reason
    example = registry.example(catalogue.id, contested)
    assert (example.state, example.label, example.conflict_labels) == (ExampleState.CONFLICT, "owl", ("owl", "rook"))


def test_a_conflict_stays_and_gathers_labels(registry: Registry, catalogue: Catalogue) -> None:
    ingested(registry, catalogue, [picture("a", "owl"), picture("a", "rook")])
    job_id = ingested(registry, catalogue, [picture("a", "owl"), picture("a", "rook"), picture("a", "crow")])
    assert registry.item_counts(job_id) == {ItemState.CONFLICT: 3}
    (example,) = registry.examples(catalogue.id)
    assert (example.state, example.conflict_labels) == (ExampleState.CONFLICT, ("owl", "rook", "crow"))


def test_a_label_decided_against_is_a_duplicate_from_then_on(registry: Registry, catalogue: Catalogue) -> None:
    ingested(registry, catalogue, [picture("a", "owl"), picture("a", "rook")])
    contested = example_id(catalogue, picture("a").content_hash)
    registry.relabel_example(catalogue.id, contested, "rook", Split.SUPPORT)
    job_id = ingested(registry, catalogue, [picture("a", "owl"), picture("a", "rook")])
    assert registry.item_counts(job_id) == {ItemState.DUPLICATE: 2}
    assert registry.example(catalogue.id, contested).state is ExampleState.ACTIVE
    assert registry.item_counts(ingested(registry, catalogue, [picture("a", "crow")])) == {ItemState.CONFLICT: 1}
    example = registry.example(catalogue.id, contested)
    assert (example.conflict_labels, example.settled_labels) == (("rook", "crow"), ("owl",))


def test_a_chunk_is_split_into_single_items(registry: Registry, catalogue: Catalogue, clock: Clock) -> None:
    job_id = sealed(registry, catalogue, [picture(name) for name in "abcd"], chunk_size=3)
    slow = claimed(registry, job_id, 0, "slow")
    clock.now += 60
    chunk = claimed(registry, job_id, 0, "sweeper")
    with pytest.raises(LeaseHeld):
        registry.split_chunk(slow)
    numbers = registry.split_chunk(chunk)
    assert numbers == [2, 3, 4]
    assert registry.split_chunk(chunk) == []
    assert registry.claim_chunk(job_id, 0, "worker", 60) is None
    with pytest.raises(LeaseHeld, match="split"):
        settled(registry, catalogue, chunk, "sweeper")
    assert registry.open_chunks() == [(job_id, number) for number in (1, 2, 3, 4)]
    pieces = [claimed(registry, job_id, number) for number in (1, *numbers)]
    assert [piece.attempt for piece in pieces] == [1, 1, 1, 1]
    assert [item.source for piece in pieces for item in piece.items] == [f"owl/{name}.jpg" for name in "dabc"]
    assert [settled(registry, catalogue, piece).job_settled for piece in pieces] == [False, False, False, True]


def test_splitting_leaves_one_item_and_settled_chunks_as_they_are(
    registry: Registry, catalogue: Catalogue, clock: Clock
) -> None:
    job_id = sealed(registry, catalogue, [picture("a"), picture("b")], chunk_size=1)
    single = claimed(registry, job_id, 0)
    assert registry.split_chunk(single) == [0]
    assert claimed(registry, job_id, 0, "another").attempt == 2
    done = claimed(registry, job_id, 1)
    settled(registry, catalogue, done)
    assert registry.split_chunk(done) == []


def test_open_chunks_come_oldest_first_and_only_of_unfinished_jobs(registry: Registry, catalogue: Catalogue) -> None:
    ended = sealed(registry, catalogue, [picture("z")])
    first = sealed(registry, catalogue, [picture("a"), picture("b")], chunk_size=1)
    second = sealed(registry, catalogue, [picture("c")])
    registry.finish_job(ended, None, "stopped")
    assert registry.open_chunks() == [(first, 0), (first, 1), (second, 0)]
    assert registry.open_chunks(limit=2) == [(first, 0), (first, 1)]
    assert registry.claim_chunk(ended, 0, "worker", 60) is None
