from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from service.core.voting import class_scores
from service.errors import (
    EncoderMismatch,
    InvalidInput,
    LeaseHeld,
    NothingToServe,
    PublishIncomplete,
    SelectionNotFound,
)
from service.records import SelectionState
from service.usecases import publish as publishing
from service.usecases.context import head_key, partition_of, references_key, report_key
from service.usecases.decide import drop, relabel
from service.usecases.provisional import unflag
from service.usecases.publish import activate, list_selections, publish, reconcile
from service.usecases.selections import LEASE_PATIENCE_S, selection_summary
from service.usecases.slots import SLOT_REST_S
from tests.usecases.serving import (
    QUERIES,
    Killed,
    answers,
    draft,
    flagged_ids,
    fruit_of,
    member_ids,
    no_sleep,
    serves_whole,
    stocked,
    watched,
)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    """So that a publication takes many calls, each of which may be the last."""
    monkeypatch.setattr("service.usecases.selections.CHUNK_POINTS", 2)
    monkeypatch.setattr("service.usecases.selections.chunked.__defaults__", (2,))


def published(context, **options):
    return publish(context, fruit_of(context), draft(context, **options), sleep=no_sleep)


def test_references_answer_after_publishing(tmp_path):
    context, catalogue = stocked(tmp_path)
    made = draft(context, per_label=2)
    selection = publish(context, catalogue, made)
    assert (selection.state, selection.slot) == (SelectionState.ACTIVE, "a")
    assert fruit_of(context).active_selection == selection.id
    assert serves_whole(context)
    assert member_ids(context, selection.id) == {member.example_id for member in made.members}
    labels = sorted({member.label for member in made.members})
    codes = np.array([labels.index(member.label) for member in made.members])
    scores = class_scores(made.head.project(QUERIES) @ made.projections.T, codes, len(labels), 2)
    served, *predictions = answers(context)
    assert served == selection.id
    assert [one.label for one in predictions] == [labels[code] for code in scores.argmax(axis=1)]
    assert [one.top[0].score for one in predictions] == pytest.approx(scores.max(axis=1), abs=1e-5)


def test_head_references_and_report_are_stored(tmp_path):
    context, _ = stocked(tmp_path)
    selection = published(context)
    assert selection.head_blob == head_key("acme", selection.id)
    assert context.blobs.exists(selection.head_blob)
    assert context.blobs.exists(references_key("acme", selection.id))
    assert json.loads(context.blobs.get(report_key("acme", selection.id))) == {"versions": {"numpy": "2"}}


def test_no_selection_names_bytes_that_a_power_cut_could_take(tmp_path, monkeypatch):
    context, _ = stocked(tmp_path)
    open_selection, unsafe = context.registry.open_selection, []

    def opened(*args):
        unsafe.extend(context.blobs.unsafe)
        open_selection(*args)

    monkeypatch.setattr(context.registry, "open_selection", opened)
    assert published(context).head_blob is not None
    assert unsafe == []


def test_a_selection_without_a_head_answers_on_embeddings(tmp_path):
    context, catalogue = stocked(tmp_path)
    made = draft(context)
    ids = [member.example_id for member in made.members]
    embeddings = context.store.fetch(partition_of(catalogue), ids).embeddings
    selection = publish(context, catalogue, replace(made, head=None, projections=embeddings))
    assert selection.head_blob is None
    served, *predictions = answers(context)
    assert served == selection.id
    nearest = (QUERIES @ embeddings.T).max(axis=1)
    assert [one.top[0].score for one in predictions] == pytest.approx(nearest, abs=1e-5)


def test_selections_take_turns_in_two_slots(tmp_path):
    context, _ = stocked(tmp_path)
    assert [published(context, seed=seed).slot for seed in range(4)] == ["a", "b", "a", "b"]
    states = [one.state for one in context.registry.selections(fruit_of(context).id)]
    assert sorted(states) == [SelectionState.ACTIVE] + [SelectionState.RETIRED] * 3
    assert serves_whole(context)


def test_a_slot_rests_before_it_is_written_again(tmp_path):
    context, catalogue = stocked(tmp_path)
    slept = []
    for _ in range(2):
        publish(context, catalogue, draft(context), sleep=slept.append)
    assert slept == [], "the other slot was never used"
    context.clock.now += 1.5
    publish(context, catalogue, draft(context), sleep=slept.append)
    assert slept == [SLOT_REST_S - 1.5]
    context.clock.now += SLOT_REST_S
    publish(context, catalogue, draft(context), sleep=slept.append)
    assert len(slept) == 1, "rested long enough"
    context.clock.now -= 1000.0
    publish(context, catalogue, draft(context), sleep=slept.append)
    assert slept[1] == SLOT_REST_S, "a clock that is ahead cannot make anybody wait for longer"


def calls_of(context) -> int:
    """How many calls to the store a publication takes."""
    seen, store = watched(context)
    published(seen, skip=1, seed=1)
    assert len(store.calls) > 10
    return len(store.calls)


def crash_at(store, call: int, *, late: bool, error: type[BaseException]) -> None:
    """Let the store fail in the given call from now on: before it had an effect, or after."""
    left = [call]

    def hook(name, arguments):
        left[0] -= 1
        if left[0] < 0:
            raise error("the end")

    if late:
        store.after = hook
    else:
        store.before = hook


def test_whoever_stood_still_for_longer_than_its_lease_moves_no_pointer(tmp_path, monkeypatch):
    """Flags verified, then a long pause in which others publish into the same slot: they would be gone."""
    context, _ = stocked(tmp_path)
    published(context)
    verify = publishing.verify_flags

    def pause(*arguments):
        verify(*arguments)
        monkeypatch.setattr(publishing, "verify_flags", verify)
        context.clock.now += context.limits.job_lease_s + 1
        published(replace(context, owner="another"), skip=1, seed=2)

    monkeypatch.setattr(publishing, "verify_flags", pause)
    with pytest.raises(LeaseHeld):
        published(context, skip=1, seed=1)
    assert serves_whole(context)
    states = [one.state for one in context.registry.selections(fruit_of(context).id)]
    assert sorted(states) == [SelectionState.ACTIVE, SelectionState.FAILED, SelectionState.RETIRED]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("error", [ConnectionError, Killed])
def test_an_interrupted_publication_leaves_the_old_selection_whole(tmp_path, monkeypatch, late, error):
    context, _ = stocked(tmp_path)
    calls = calls_of(context)
    if error is Killed:
        monkeypatch.setattr(publishing, "_mark_failed", lambda *arguments: None)
    for call in range(calls):
        old = published(context, seed=call)
        before = answers(context)
        broken, store = watched(context)
        crash_at(store, call, late=late, error=error)
        with pytest.raises(error):
            published(broken, skip=1, seed=call + 1)
        assert answers(context) == before, f"call {call}"
        assert serves_whole(context)
        newest, *_ = context.registry.selections(fruit_of(context).id)
        assert newest.state is (SelectionState.WRITING if error is Killed else SelectionState.FAILED) or newest == old
        assert reconcile(context, fruit_of(context)) == 0
        assert answers(context) == before
        states = {one.id: one.state for one in context.registry.selections(fruit_of(context).id)}
        assert states.pop(old.id) is SelectionState.ACTIVE
        assert not {SelectionState.WRITING, SelectionState.ACTIVE} & set(states.values())


def test_no_query_ever_sees_half_a_selection(tmp_path):
    context, _ = stocked(tmp_path)
    published(context)
    old = answers(context)
    seen, store = watched(context)
    met = []
    store.before = store.after = lambda name, arguments: met.append(answers(context))
    new = published(seen, skip=1, seed=1)
    assert len(met) > 20
    assert all(answer == old for answer in met), "the pointer moves after the store's last call"
    assert answers(context)[0] == new.id


def test_roll_back_moves_the_pointer_where_the_slot_is_whole(tmp_path):
    context, _ = stocked(tmp_path)
    first = published(context)
    before = answers(context)
    second = published(context, skip=1, seed=1)
    seen, store = watched(context)
    summary = activate(seen, "acme", "fruit", first.id, sleep=no_sleep)
    assert (summary.active, summary.references) == (True, 6)
    assert answers(context) == before
    assert not {"flag", "unflag"} & set(store.calls), "nothing had to be written"
    states = {one.id: one.state for one in context.registry.selections(fruit_of(context).id)}
    assert states == {first.id: SelectionState.ACTIVE, second.id: SelectionState.RETIRED}
    assert activate(context, "acme", "fruit", first.id).active, "asked twice, nothing changes"


def test_roll_back_writes_anew_what_was_overwritten_bit_for_bit(tmp_path):
    context, _ = stocked(tmp_path)
    first = published(context)
    before = answers(context)
    published(context, skip=1, seed=1)
    third = published(context, each=3, seed=2)
    assert flagged_ids(context, "a", first.id) < member_ids(context, first.id)
    activate(context, "acme", "fruit", first.id, sleep=no_sleep)
    assert answers(context) == before
    assert context.registry.selection(fruit_of(context).id, first.id).slot == "b"
    activate(context, "acme", "fruit", third.id, sleep=no_sleep)
    assert serves_whole(context)


@pytest.mark.parametrize("late", [False, True])
def test_a_slot_that_was_written_over_in_part_is_not_taken_for_whole(tmp_path, late):
    """Were the new projection written under the old flag, a roll back would serve another head's projections."""
    context, _ = stocked(tmp_path)
    for call in range(calls_of(context)):
        first = published(context, seed=call)
        before = answers(context)
        published(context, skip=1, seed=1)
        broken, store = watched(context)
        crash_at(store, call, late=late, error=ConnectionError)
        with pytest.raises(ConnectionError):
            published(broken, each=2, seed=call + 2)
        activate(context, "acme", "fruit", first.id, sleep=no_sleep)
        assert answers(context) == before, f"call {call}"


def test_projections_are_not_changed_under_the_flag_of_another_selection(tmp_path):
    """Stores write the vector and then the flag; a writer may die in between."""
    context, catalogue = stocked(tmp_path)
    collection = context.store._collections[catalogue.fingerprint.collection]

    def torn(partition, slot, selection_id, ids, projections):
        for example_id, row in zip(ids, projections, strict=True):
            padded = np.pad(row, (0, collection.dimension - len(row)))
            collection.points[example_id].vectors[f"projection_{slot}"] = padded
        raise ConnectionError("the end")

    first = published(context)
    before = answers(context)
    published(context, skip=1, seed=1)
    broken, store = watched(context)
    store.__dict__["flag"] = torn
    with pytest.raises(ConnectionError):
        published(broken, seed=2)
    activate(context, "acme", "fruit", first.id, sleep=no_sleep)
    assert answers(context) == before


def test_an_interrupted_roll_back_leaves_what_serves(tmp_path):
    context, _ = stocked(tmp_path)
    first = published(context)
    published(context, skip=1, seed=1)
    published(context, each=3, seed=2)
    before = answers(context)
    broken, store = watched(context)
    crash_at(store, 4, late=True, error=ConnectionError)
    with pytest.raises(ConnectionError):
        activate(broken, "acme", "fruit", first.id, sleep=no_sleep)
    assert answers(context) == before
    assert context.registry.selection(fruit_of(context).id, first.id).state is SelectionState.RETIRED


def test_a_store_that_loses_flags_is_found_out(tmp_path):
    context, _ = stocked(tmp_path)
    published(context)
    before = answers(context)
    broken, store = watched(context)
    store.__dict__["flag"] = lambda *arguments: None
    with pytest.raises(PublishIncomplete, match="6 references lack their flag"):
        published(broken, skip=1, seed=1)
    assert answers(context) == before
    assert context.registry.selections(fruit_of(context).id)[0].state is SelectionState.FAILED


def test_what_a_person_decided_meanwhile_is_respected(tmp_path):
    context, catalogue = stocked(tmp_path)
    made = draft(context, each=3)
    gone, moved = made.members[0], made.members[4]
    drop(context, "acme", "fruit", [gone.example_id])
    relabel(context, "acme", "fruit", moved.example_id, "plum")
    selection = publish(context, catalogue, made)
    expected = {member.example_id for member in made.members} - {gone.example_id, moved.example_id}
    assert member_ids(context, selection.id) == expected
    assert serves_whole(context)


@pytest.mark.parametrize("method", ["flag", "ids", "unflag"])
def test_what_is_relabelled_while_publishing_does_not_serve_under_its_old_label(tmp_path, method):
    context, _ = stocked(tmp_path)
    for moment in range(3):
        made = draft(context, each=2, seed=moment)
        victim = made.members[0].example_id
        seen, store = watched(context)
        left = [moment]

        def hook(name, arguments, context=context, victim=victim, left=left):
            if name == method:
                left[0] -= 1
                if left[0] == -1:
                    context.registry.relabel_example(fruit_of(context).id, victim, "other", "holdout")
                    unflag(context, fruit_of(context), [victim])

        store.after = hook
        selection = publish(seen, fruit_of(context), made, sleep=no_sleep)
        members = context.registry.members(selection.id)
        assert all(member.provisional for member in members if member.example_id == victim)
        assert serves_whole(context) or reconcile(context, fruit_of(context)) > 0
        assert serves_whole(context)


def test_a_draft_of_which_nothing_is_left_is_refused(tmp_path):
    context, catalogue = stocked(tmp_path)
    made = draft(context, each=1)
    drop(context, "acme", "fruit", [member.example_id for member in made.members])
    with pytest.raises(NothingToServe, match="none of the 3 chosen references"):
        publish(context, catalogue, made)
    assert fruit_of(context).active_selection is None


def test_a_draft_must_fit_together(tmp_path):
    context, catalogue = stocked(tmp_path)
    made = draft(context)
    with pytest.raises(InvalidInput, match="5 projections"):
        publish(context, catalogue, replace(made, projections=made.projections[:5]))
    with pytest.raises(InvalidInput, match="unit length"):
        publish(context, catalogue, replace(made, projections=2 * made.projections))
    assert context.registry.selections(catalogue.id) == []


def test_the_same_id_is_published_once(tmp_path):
    context, catalogue = stocked(tmp_path)
    first = publish(context, catalogue, draft(context), selection_id="11111111-1111-4111-8111-111111111111")
    seen, store = watched(context)
    assert publish(seen, catalogue, draft(context, seed=9), selection_id=first.id) == first
    assert store.calls == [call for call in store.calls if call == "fetch"], "only the draft was made"


def test_an_interrupted_publication_is_finished_under_its_id(tmp_path):
    context, catalogue = stocked(tmp_path)
    broken, store = watched(context)
    made = draft(context)
    crash_at(store, 5, late=True, error=ConnectionError)
    name = "11111111-1111-4111-8111-111111111111"
    with pytest.raises(ConnectionError):
        publish(broken, catalogue, made, selection_id=name)
    assert context.registry.selection(catalogue.id, name).state is SelectionState.FAILED
    assert publish(context, catalogue, made, selection_id=name).state is SelectionState.ACTIVE
    assert serves_whole(context)


def test_publishing_waits_for_somebody_else_who_publishes(tmp_path):
    context, catalogue = stocked(tmp_path)
    context.registry.take_lease(f"catalogue:{catalogue.id}", "another", 20)
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        context.clock.now += seconds

    publish(context, catalogue, draft(context), sleep=sleep)
    assert 20 <= sum(slept) <= 21
    context.registry.take_lease(f"catalogue:{catalogue.id}", "another", 1000)
    before = len(slept)
    with pytest.raises(LeaseHeld):
        publish(context, catalogue, draft(context), sleep=sleep)
    assert sum(slept[before:]) == pytest.approx(LEASE_PATIENCE_S)


def test_unflagged_examples_answer_nothing_in_either_slot(tmp_path):
    context, catalogue = stocked(tmp_path)
    first = published(context)
    second = published(context, seed=1)
    ids = sorted(member_ids(context, second.id))[:3]
    unflag(context, catalogue, ids)
    assert flagged_ids(context, "b", second.id) == member_ids(context, second.id) - set(ids)
    assert flagged_ids(context, "a", first.id) == member_ids(context, first.id) - set(ids)
    unflag(context, replace(catalogue, fingerprint=None), ids)


def test_activating_what_cannot_serve(tmp_path):
    context, catalogue = stocked(tmp_path)
    with pytest.raises(SelectionNotFound):
        activate(context, "acme", "fruit", "11111111-1111-4111-8111-111111111111")
    first = published(context)
    published(context, seed=1)
    stranger = replace(context.registry.selection_rows[first.id], fingerprint_digest="feedfeedfeedfeed")
    context.registry.selection_rows[first.id] = stranger
    with pytest.raises(EncoderMismatch, match=f"feedfeedfeedfeed.*{catalogue.fingerprint.digest}"):
        activate(context, "acme", "fruit", first.id, sleep=no_sleep)


def test_selections_are_listed_newest_first_as_json(tmp_path):
    context, _ = stocked(tmp_path)
    first, second = published(context), published(context, each=3, seed=1)
    listed = json.loads(json.dumps([one.as_dict() for one in list_selections(context, "acme", "fruit")]))
    assert [(one["selection"], one["activated"], one["references"]) for one in listed] == [
        (second.id, True, 9),
        (first.id, False, 6),
    ]
    assert listed[0] == selection_summary(context, fruit_of(context), second)
    wanted = {"selection", "activated", "why", "references", "head", "strategy", "figures", "measured_on"}
    assert wanted <= set(listed[0])
    assert (listed[0]["head"], listed[0]["strategy"]) == ("within", "medoids")
