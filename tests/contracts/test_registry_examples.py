"""The contract of `ports.ExampleRegistry` and `ports.SelectionRegistry`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.errors import AlreadyExists, InvalidInput, LeaseHeld, SelectionNotFound
from service.ports import Registry
from service.records import Catalogue, ExampleState, JobKind, SelectionState, Split, Trial
from tests.registry_rows import Clock, example_id, ingested, members_of, picture, sealed, selection_of


def ids_of(registry: Registry, catalogue: Catalogue) -> list[str]:
    return [example.id for example in registry.examples(catalogue.id)]


def test_examples_come_by_id_and_split_in_every_state(registry: Registry, catalogue: Catalogue) -> None:
    pictures = [picture(str(number), split=Split.SUPPORT if number % 3 else Split.TUNING) for number in range(30)]
    ingested(registry, catalogue, [*pictures, picture("1", "rook")])
    ids = ids_of(registry, catalogue)
    assert ids == sorted(example_id(catalogue, new.content_hash) for new in pictures)
    tuning = registry.examples(catalogue.id, Split.TUNING)
    assert len(tuning) == 10
    assert [example.id for example in tuning] == sorted(example.id for example in tuning)
    support = registry.examples(catalogue.id, Split.SUPPORT)
    assert sum(example.state is ExampleState.CONFLICT for example in support) == 1


def test_examples_come_of_the_state_and_the_labels_asked_for(registry: Registry, catalogue: Catalogue) -> None:
    pictures = [picture(str(number), ("owl", "rook", "jay")[number % 3]) for number in range(30)]
    ingested(registry, catalogue, [*pictures, picture("0", "rook"), picture("4", "owl", split=Split.SUPPORT)])
    every = registry.examples(catalogue.id)
    held = [example for example in every if example.state is ExampleState.CONFLICT]
    assert len(held) == 2
    assert registry.examples(catalogue.id, state=ExampleState.CONFLICT) == held
    assert registry.examples(catalogue.id, state=ExampleState.ACTIVE) == [one for one in every if one not in held]
    assert registry.examples(catalogue.id, labels=["rook", "owl", "rook", "wren"]) == [
        example for example in every if example.label in ("owl", "rook")
    ]
    owls = registry.examples(catalogue.id, Split.UNASSIGNED, ExampleState.ACTIVE, ["owl"])
    assert owls == [example for example in every if example.label == "owl" and example not in held]
    assert registry.examples(catalogue.id, labels=[]) == []
    assert registry.examples(catalogue.id, labels=[str(number) for number in range(2500)] + ["jay"]) == [
        example for example in every if example.label == "jay"
    ]
    assert registry.examples("x", state=ExampleState.CONFLICT) == []


def test_examples_of_some_labels_are_counted(registry: Registry, catalogue: Catalogue) -> None:
    pictures = [picture("a", "owl"), picture("b", "owl", split=Split.HOLDOUT), picture("c", "rook")]
    ingested(registry, catalogue, [*pictures, picture("d", "rook"), picture("d", "jay")])
    splits, labels = registry.example_counts(catalogue.id, ["owl", "wren"])
    assert splits == {Split.UNASSIGNED: 1, Split.HOLDOUT: 1}
    assert labels == {"owl": 2}
    assert registry.example_counts(catalogue.id, ["rook"]) == ({Split.UNASSIGNED: 1}, {"rook": 1})
    assert registry.example_counts(catalogue.id, []) == ({}, {})


def test_members_are_counted_by_label(registry: Registry, catalogue: Catalogue) -> None:
    ingested(registry, catalogue, [picture("a", "owl"), picture("b", "owl"), picture("c", "rook"), picture("d", "jay")])
    selection = selection_of(catalogue)
    examples = registry.examples(catalogue.id)
    registry.open_selection(selection, members_of([(example.id, example.label) for example in examples]))
    assert registry.member_counts(selection.id) == {"owl": 2, "rook": 1, "jay": 1}
    (rook,) = registry.examples(catalogue.id, labels=["rook"])
    registry.relabel_example(catalogue.id, rook.id, "crow", Split.SUPPORT)
    assert registry.member_counts(selection.id) == {"owl": 2, "jay": 1}, "as `members` has it"
    assert registry.member_counts("x") == {}


def test_examples_are_found_by_content_hash(registry: Registry, catalogue: Catalogue) -> None:
    ingested(registry, catalogue, [picture("a"), picture("b")])
    asked = [picture(name).content_hash for name in ("a", "c", "a")]
    found = registry.examples_by_hash(catalogue.id, asked)
    assert found == {asked[0]: registry.example(catalogue.id, example_id(catalogue, asked[0]))}
    assert registry.examples_by_hash(catalogue.id, []) == {}
    assert registry.examples_by_hash("x", asked) == {}


def test_active_examples_are_counted_by_split_and_label(registry: Registry, catalogue: Catalogue) -> None:
    pictures = [picture("a", "owl"), picture("b", "owl", split=Split.HOLDOUT), picture("c", "rook")]
    ingested(registry, catalogue, [*pictures, picture("d", "crow"), picture("d", "jay")])
    splits, labels = registry.example_counts(catalogue.id)
    assert splits == {Split.UNASSIGNED: 2, Split.HOLDOUT: 1}
    assert splits[Split.TUNING] == 0
    assert labels == {"owl": 2, "rook": 1}
    assert registry.example_counts("x") == ({}, {})


def test_splits_are_set_for_many(registry: Registry, catalogue: Catalogue) -> None:
    other = registry.create_catalogue("tenant", "other", "pixel")
    ingested(registry, catalogue, [picture(str(number)) for number in range(2500)])
    ingested(registry, other, [picture("a")])
    ids = ids_of(registry, catalogue)
    splits = {id_: (Split.SUPPORT, Split.TUNING, Split.HOLDOUT)[number % 3] for number, id_ in enumerate(ids)}
    registry.set_splits(catalogue.id, {**splits, "x": Split.SUPPORT, ids_of(registry, other)[0]: Split.SUPPORT})
    assert {example.id: example.split for example in registry.examples(catalogue.id)} == splits
    assert [example.split for example in registry.examples(other.id)] == [Split.UNASSIGNED]
    registry.set_splits(catalogue.id, {})


def test_relabelling_ends_a_conflict_and_remembers_the_other_labels(registry: Registry, catalogue: Catalogue) -> None:
    ingested(registry, catalogue, [picture("a", label) for label in ("owl", "rook", "jay")])
    (id_,) = ids_of(registry, catalogue)
    decided = registry.relabel_example(catalogue.id, id_, "rook", Split.TUNING)
    assert decided == registry.example(catalogue.id, id_)
    assert (decided.label, decided.split, decided.state) == ("rook", Split.TUNING, ExampleState.ACTIVE)
    assert (decided.conflict_labels, decided.settled_labels) == ((), ("jay", "owl"))
    again = registry.relabel_example(catalogue.id, id_, "owl", Split.SUPPORT)
    assert (again.label, again.settled_labels) == ("owl", ("jay", "rook"))


def test_deleted_examples_leave_their_selections_and_may_come_again(registry: Registry, catalogue: Catalogue) -> None:
    job_id = ingested(registry, catalogue, [picture("a"), picture("b")])
    dropped, kept = ids_of(registry, catalogue)
    selection = selection_of(catalogue)
    registry.open_selection(selection, members_of([(dropped, "owl"), (kept, "owl")]))
    states = [item.state for item in registry.items(job_id)]
    registry.delete_examples("x", [dropped])
    registry.delete_examples(catalogue.id, [dropped, dropped, "x"])
    registry.delete_examples(catalogue.id, [])
    assert ids_of(registry, catalogue) == [kept]
    assert [item.state for item in registry.items(job_id)] == states
    ingested(registry, catalogue, [picture("a"), picture("b")])
    assert len(ids_of(registry, catalogue)) == 2
    assert [member.example_id for member in registry.members(selection.id)] == [kept]


def test_bytes_are_in_use_while_an_example_or_an_unfinished_job_needs_them(
    registry: Registry, catalogue: Catalogue
) -> None:
    ingested(registry, catalogue, [picture("stored")])
    waiting = sealed(registry, catalogue, [picture("waiting"), picture("broken", failure="no picture")])
    opening = registry.open_job(catalogue, JobKind.INGEST, {})
    registry.add_items(opening.id, [picture("opening")])
    hashes = {name: picture(name).content_hash for name in ("stored", "waiting", "opening", "broken", "unknown")}
    needed = {hashes[name] for name in ("stored", "waiting", "opening")}
    assert registry.pictures_in_use("tenant", list(hashes.values())) == needed
    assert registry.pictures_in_use("another", list(hashes.values())) == set()
    registry.finish_job(waiting, None, "stopped")
    registry.finish_job(opening.id, None, "stopped")
    registry.delete_examples(catalogue.id, ids_of(registry, catalogue))
    assert registry.pictures_in_use("tenant", list(hashes.values())) == set()


def test_many_hashes_are_asked_for_at_once(registry: Registry, catalogue: Catalogue) -> None:
    pictures = [picture(str(number)) for number in range(2500)]
    sealed(registry, catalogue, pictures)
    hashes = [new.content_hash for new in pictures]
    assert registry.pictures_in_use("tenant", [*hashes, "x"]) == set(hashes)


def test_a_selection_is_written_with_its_members(registry: Registry, catalogue: Catalogue) -> None:
    ingested(registry, catalogue, [picture("a", "owl"), picture("b", "rook")])
    members = members_of([(example.id, example.label) for example in registry.examples(catalogue.id)])
    selection = selection_of(catalogue)
    registry.open_selection(replace(selection, state=SelectionState.ACTIVE), members)
    assert registry.selection(catalogue.id, selection.id) == selection
    assert registry.members(selection.id) == members
    assert registry.catalogue_by_id(catalogue.id).active_selection is None
    with pytest.raises(AlreadyExists):
        registry.open_selection(selection, [])
    for catalogue_id, selection_id in ((catalogue.id, "x"), ("x", selection.id)):
        with pytest.raises(SelectionNotFound):
            registry.selection(catalogue_id, selection_id)


def test_activation_moves_the_pointer_and_retires_the_former(
    registry: Registry, catalogue: Catalogue, clock: Clock
) -> None:
    first, second = selection_of(catalogue), selection_of(catalogue, created_at=2.0)
    for selection, slot in ((first, "a"), (second, "b")):
        registry.open_selection(selection, [])
        registry.activate_selection(catalogue.id, selection.id, slot)  # type: ignore[arg-type]
    assert registry.catalogue("tenant", "birds").active_selection == second.id
    newest, oldest = registry.selections(catalogue.id)
    assert (newest.id, newest.state, newest.slot, newest.retired_at) == (second.id, SelectionState.ACTIVE, "b", None)
    assert (oldest.id, oldest.state, oldest.slot, oldest.retired_at) == (
        first.id,
        SelectionState.RETIRED,
        "a",
        clock.now,
    )
    clock.now += 5
    registry.activate_selection(catalogue.id, first.id, "b")  # a rollback, into the other slot
    newest, oldest = registry.selections(catalogue.id)
    assert (newest.state, newest.retired_at) == (SelectionState.RETIRED, clock.now)
    assert (oldest.state, oldest.slot, oldest.retired_at) == (SelectionState.ACTIVE, "b", None)
    registry.activate_selection(catalogue.id, first.id, "b")
    assert registry.catalogue("tenant", "birds").active_selection == first.id
    assert registry.selection(catalogue.id, first.id).state is SelectionState.ACTIVE


def test_whoever_has_lost_the_lease_moves_nothing(registry: Registry, catalogue: Catalogue, clock: Clock) -> None:
    served, late = selection_of(catalogue), selection_of(catalogue, created_at=2.0)
    registry.open_selection(late, [])
    registry.take_lease("lease", "late", 60)
    clock.now += 61
    registry.open_selection(served, [])
    registry.take_lease("lease", "quick", 60)
    registry.activate_selection(catalogue.id, served.id, "a", lease="lease", owner="quick")
    for let_go in (False, True):
        if let_go:
            registry.release_lease("lease", "quick")
        with pytest.raises(LeaseHeld):
            registry.activate_selection(catalogue.id, late.id, "a", lease="lease", owner="late")
        assert registry.catalogue_by_id(catalogue.id).active_selection == served.id
        assert registry.selection(catalogue.id, late.id).state is SelectionState.WRITING


def test_an_unknown_selection_moves_nothing(registry: Registry, catalogue: Catalogue) -> None:
    other = registry.create_catalogue("tenant", "other", "pixel")
    active, foreign = selection_of(catalogue), selection_of(other)
    registry.open_selection(active, [])
    registry.open_selection(foreign, [])
    registry.activate_selection(catalogue.id, active.id, "a")
    for unknown in (foreign.id, "x"):
        with pytest.raises(SelectionNotFound):
            registry.activate_selection(catalogue.id, unknown, "b")
    assert registry.catalogue_by_id(catalogue.id).active_selection == active.id
    assert registry.selection(catalogue.id, active.id).state is SelectionState.ACTIVE
    assert registry.selection(other.id, foreign.id).state is SelectionState.WRITING


def test_a_state_is_set(registry: Registry, catalogue: Catalogue, clock: Clock) -> None:
    selection = selection_of(catalogue)
    registry.open_selection(selection, [])
    registry.set_selection_state(selection.id, SelectionState.FAILED)
    failed = registry.selection(catalogue.id, selection.id)
    assert (failed.state, failed.retired_at) == (SelectionState.FAILED, None)
    registry.set_selection_state(selection.id, SelectionState.RETIRED)
    assert registry.selection(catalogue.id, selection.id).retired_at == clock.now
    with pytest.raises(SelectionNotFound):
        registry.set_selection_state("x", SelectionState.FAILED)


def test_selections_come_newest_first(registry: Registry, catalogue: Catalogue) -> None:
    selections = [selection_of(catalogue, created_at=created_at) for created_at in (5.0, 5.0, 1.0, 9.0)]
    for selection in selections:
        registry.open_selection(selection, [])
    newest_first = [selections[index].id for index in (3, 1, 0, 2)]
    assert [selection.id for selection in registry.selections(catalogue.id)] == newest_first


def test_members_are_active_examples_under_the_same_label(registry: Registry, catalogue: Catalogue) -> None:
    ingested(registry, catalogue, [picture(name) for name in "abcd"])
    chosen = [example_id(catalogue, picture(name).content_hash) for name in "abcd"]
    kept, relabelled, contested, dropped = chosen
    selection = selection_of(catalogue)
    registry.open_selection(selection, members_of([(id_, "owl") for id_ in chosen]))
    assert [member.example_id for member in registry.members(selection.id)] == sorted(chosen)
    registry.relabel_example(catalogue.id, relabelled, "rook", Split.SUPPORT)
    ingested(registry, catalogue, [picture("c", "rook")])
    registry.delete_examples(catalogue.id, [dropped])
    assert [member.example_id for member in registry.members(selection.id)] == [kept]
    registry.relabel_example(catalogue.id, contested, "owl", Split.SUPPORT)
    assert [member.example_id for member in registry.members(selection.id)] == sorted([kept, contested])


def test_members_that_are_there_stay_as_they_are(registry: Registry, catalogue: Catalogue) -> None:
    ingested(registry, catalogue, [picture("a"), picture("b")])
    ids = ids_of(registry, catalogue)
    selection = selection_of(catalogue)
    registry.open_selection(selection, members_of([(ids[0], "owl")]))
    registry.add_members(selection.id, members_of([(id_, "owl") for id_ in ids], provisional=True))
    registry.add_members(selection.id, [])
    first, second = registry.members(selection.id)
    assert (first.centrality, first.provisional) == (0.5, False)
    assert (second.centrality, second.provisional) == (None, True)
    registry.remove_provisional(selection.id, [first.example_id, second.example_id, "none"])
    assert registry.members(selection.id) == [first], "chosen ones stay"
    registry.remove_provisional("none", [first.example_id])
    with pytest.raises(SelectionNotFound):
        registry.add_members("x", [])


def test_trials_keep_their_order(registry: Registry) -> None:
    trials = [Trial(parameters={"m": number, "head": "lda", "x": None}, value=number / 3) for number in (3, 1, 2)]
    for trial in trials:
        registry.add_trial("study", trial)
    registry.add_trial("another", trials[0])
    assert registry.trials("study") == trials
    assert registry.trials("x") == []
    with pytest.raises(InvalidInput, match="finite"):
        registry.add_trial("study", Trial(parameters={}, value=float("nan")))
