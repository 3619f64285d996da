"""Classes that came after the optimisation, and the reconciler."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Event, Semaphore, Thread

import numpy as np
import pytest

from service.adapters.registry_sql import SqlRegistry
from service.core.projection import Head
from service.core.pull import class_means, pulled
from service.errors import LeaseHeld, Unavailable
from service.records import ExampleState, SelectionState, Split
from service.usecases.classes import rename_label
from service.usecases.context import Context, partition_of
from service.usecases.decide import drop, relabel
from service.usecases.provisional import add_provisional, going, unflag
from service.usecases.publish import activate, publish, reconcile
from service.usecases.references import References
from service.usecases.selections import MOST_WAITING
from tests.fakes import FakeClock, fruit, ingested, write_pictures
from tests.usecases.serving import (
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


def published(context, **options):
    return publish(context, fruit_of(context), draft(context, **options), sleep=no_sleep)


def late_class(context: Context, folder: Path, each: int = 5, label: str = "quince", **options) -> None:
    """A label that no optimisation has seen. Other seeds than the first classes have."""
    pictures = fruit(each, ("x", "x2", "x3", label))
    ingested(
        context, write_pictures(folder, {name: data for name, data in pictures.items() if label in name}), **options
    )


def of_label(context, selection, label):
    return [member for member in context.registry.members(selection.id) if member.label == label]


def ids_of(context, label, split=None):
    examples = context.registry.examples(fruit_of(context).id, split)
    return {example.id for example in examples if example.label == label}


@pytest.fixture(params=["fake", "sql"])
def stock(request, tmp_path):
    """A context and its catalogue, over the fake registry and the real one."""
    if request.param == "fake":
        yield stocked(tmp_path / "first")
        return
    clock = FakeClock()
    registry = SqlRegistry(f"sqlite:///{tmp_path / 'rows.db'}", clock)
    yield stocked(tmp_path / "first", registry=registry, clock=clock)
    registry.close()


def test_a_late_class_answers_through_its_support_examples(stock, tmp_path):
    context, _ = stock
    selection = published(context)
    late_class(context, tmp_path / "late")
    members = of_label(context, selection, "quince")
    assert {member.example_id for member in members} == ids_of(context, "quince", Split.SUPPORT) != set()
    assert all(member.provisional and member.centrality is None for member in members)
    assert serves_whole(context)
    named = {scored.label for prediction in answers(context)[1:] for scored in prediction.top}
    assert "quince" in named


def test_provisional_references_are_projected_and_pulled_as_the_recipe_says(stock, tmp_path):
    context, catalogue = stock
    selection = published(context, pull=0.4)
    late_class(context, tmp_path / "late")
    ids = sorted(ids_of(context, "quince", Split.SUPPORT))
    embeddings = context.store.fetch(partition_of(fruit_of(context)), ids).embeddings
    projections = Head.from_bytes(context.blobs.get(selection.head_blob)).project(embeddings)
    codes = np.zeros(len(ids), dtype=np.int64)
    expected = pulled(projections, codes, class_means(projections, codes, 1), 0.4)
    found = context.store.nearest(
        partition_of(catalogue), f"projection_{selection.slot}", expected, {"label": "quince"}, limit=1
    )
    assert [hits[0].example_id for hits in found] == ids
    assert [hits[0].similarity for hits in found] == pytest.approx([1.0] * len(ids), abs=1e-6)


@pytest.mark.parametrize("leave", ["drop", "relabel", "conflict"])
def test_those_that_stay_are_projected_as_if_the_others_had_never_been_there(stock, tmp_path, leave):
    """Their pull is to the mean of what is left: a restored copy, which projects them anew, answers alike."""
    context, catalogue = stock
    selection = published(context, pull=0.4)
    late_class(context, tmp_path / "late", each=6, split="support")
    gone = min(ids_of(context, "quince"))
    if leave == "drop":
        drop(context, "acme", "fruit", [gone])
    elif leave == "relabel":
        relabel(context, "acme", "fruit", gone, "apple")
    else:
        (row,) = context.registry.examples_by_id(catalogue.id, [gone]).values()
        picture_of = Path(row.source).read_bytes()
        ingested(context, write_pictures(tmp_path / "again", {"apple/same.png": picture_of}))
    staying = sorted(one.example_id for one in of_label(context, selection, "quince"))
    assert len(staying) == 5
    anew = References(context, fruit_of(context), selection).provisional("quince", staying)
    found = context.store.nearest(
        partition_of(catalogue), f"projection_{selection.slot}", anew.projections, {"label": "quince"}, limit=1
    )
    assert [hits[0].example_id for hits in found] == staying
    assert [hits[0].similarity for hits in found] == pytest.approx([1.0] * 5, abs=1e-6)


def test_pictures_that_come_later_join_their_late_class(stock, tmp_path):
    context, _ = stock
    selection = published(context)
    late_class(context, tmp_path / "late", each=1, split="support")
    assert len(of_label(context, selection, "quince")) == 1
    late_class(context, tmp_path / "later", each=6, split="support")
    assert len(of_label(context, selection, "quince")) == 6
    assert serves_whole(context)


def test_a_class_with_chosen_references_takes_no_more(stock, tmp_path):
    context, _ = stock
    selection = published(context)
    before = member_ids(context, selection.id)
    ingested(context, write_pictures(tmp_path / "more", fruit(12, ("apple",))))
    assert member_ids(context, selection.id) == before


def test_a_class_without_support_answers_through_what_it_has(stock, tmp_path):
    context, _ = stock
    selection = published(context)
    late_class(context, tmp_path / "late", split="holdout")
    assert len(of_label(context, selection, "quince")) == 5


def test_a_class_whose_references_all_went_gets_provisional_ones(stock):
    context, _ = stock
    selection = published(context)
    drop(context, "acme", "fruit", [member.example_id for member in of_label(context, selection, "pear")])
    left = of_label(context, selection, "pear")
    assert {member.example_id for member in left} == ids_of(context, "pear", Split.SUPPORT) != set()
    assert serves_whole(context)


def test_a_reference_relabelled_to_a_new_class_answers_for_it(stock):
    context, _ = stock
    selection = published(context)
    moved = of_label(context, selection, "pear")[0].example_id
    relabel(context, "acme", "fruit", moved, "medlar")
    assert [member.example_id for member in of_label(context, selection, "medlar")] == [moved]
    assert serves_whole(context)
    assert "medlar" in {scored.label for prediction in answers(context)[1:] for scored in prediction.top}


def labels_that_answer(context, selection) -> set[str]:
    """The labels of the points that carry the selection's flag."""
    partition = partition_of(fruit_of(context))
    payloads = context.store.fetch(partition, sorted(flagged_ids(context, selection.slot, selection.id))).payloads
    return {payload["label"] for payload in payloads}


@pytest.mark.parametrize("leave", ["drop", "relabel"])
def test_no_moment_without_a_reference_while_all_of_them_go(stock, leave):
    """Others stand in before the first goes, and nobody else can publish meanwhile."""
    context, catalogue = stock
    selection = published(context)
    chosen = sorted(member_ids(context, selection.id))
    spying, store = watched(context)
    missing: list[tuple[str, set[str]]] = []
    free: list[str] = []

    def look(name, arguments):
        if lacking := {"apple", "pear", "plum"} - labels_that_answer(context, selection):
            missing.append((name, lacking))
        if name in ("delete", "unflag"):
            try:
                context.registry.take_lease(f"catalogue:{catalogue.id}", "another", 60)
                free.append(name)
            except LeaseHeld:
                pass

    store.before = store.after = look
    if leave == "drop":
        drop(spying, "acme", "fruit", chosen)
        assert member_ids(context, selection.id).isdisjoint(chosen)
    else:
        for one in context.registry.examples_by_id(catalogue.id, chosen).values():
            relabel(spying, "acme", "fruit", one.id, "quince")
        assert labels_that_answer(context, selection) == {"apple", "pear", "plum", "quince"}
    assert {"delete", "unflag"} & set(store.calls)
    assert (missing, free) == ([], [])
    assert serves_whole(context)


def test_nothing_goes_while_somebody_publishes(stock):
    context, catalogue = stock
    published(context)
    before = context.registry.examples(catalogue.id)
    context.registry.take_lease(f"catalogue:{catalogue.id}", "another", 3600)
    waited: list[float] = []
    with pytest.raises(LeaseHeld), going(context, catalogue, [before[0].id], waited.append):
        pytest.fail("the block must not run")
    assert sum(waited) == pytest.approx(60), "as long as any publication takes"
    assert context.registry.examples(catalogue.id) == before


@pytest.mark.parametrize("leave", ["drop", "rename", "undone"])
def test_stand_ins_go_when_what_they_stood_in_for_stays(stock, monkeypatch, leave):
    """A drop or relabelling that was broken off, or taken back: what serves is what was measured."""
    context, _ = stock
    selection = published(context)
    before = context.registry.members(selection.id)
    apples = [one.example_id for one in before if one.label == "apple"]

    def fail(*arguments):
        raise Unavailable("no answer")

    if leave == "undone":
        for label in ("quince", "apple"):
            for one in apples:
                relabel(context, "acme", "fruit", one, label)
    else:
        steps = {
            "drop": ("delete", lambda: drop(context, "acme", "fruit", apples)),
            "rename": ("unflag", lambda: rename_label(context, "acme", "fruit", "apple", "quince")),
        }
        step, ask = steps[leave]
        with monkeypatch.context() as patch:
            patch.setattr(context.store, step, fail)
            with pytest.raises(Unavailable):
                ask()
        if leave == "drop":
            assert len(of_label(context, selection, "apple")) > len(apples), "others stood in"
    reconcile(context, fruit_of(context))
    served = context.registry.members(selection.id)
    assert [(one.example_id, one.label, one.provisional) for one in served] == [
        (one.example_id, one.label, False) for one in before
    ]
    assert serves_whole(context)


def test_few_threads_wait_while_somebody_publishes(stock):
    """The others are told at once: a server's threads are for everybody's requests."""
    context, catalogue = stock
    published(context)
    context.registry.take_lease(f"catalogue:{catalogue.id}", "another", 3600)
    waiting, over = Semaphore(0), Event()

    def wait(_seconds):
        waiting.release()
        over.wait(60)

    def ask():
        with suppress(LeaseHeld), going(context, catalogue, ["x"], wait):
            pass

    threads = [Thread(target=ask) for _ in range(MOST_WAITING)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert waiting.acquire(timeout=60)
    with pytest.raises(LeaseHeld), going(context, catalogue, ["x"], lambda _seconds: pytest.fail("it must not wait")):
        pytest.fail("the block must not run")
    context.clock.now += 3601
    over.set()
    for thread in threads:
        thread.join(60)


def test_before_any_optimisation_nothing_is_flagged(stock, tmp_path):
    context, catalogue = stock
    assert add_provisional(context, catalogue) == 0
    assert answers(context)[0] is None


def test_a_roll_back_carries_late_classes_over_before_it_serves(stock, tmp_path):
    context, _ = stock
    first = published(context)
    second = published(context, skip=1, seed=1)
    late_class(context, tmp_path / "late")
    assert of_label(context, first, "quince") == []
    seen, store = watched(context)
    lacking = []

    def check(name, arguments):
        active = fruit_of(context).active_selection
        lacking.append(active == first.id and not of_label(context, first, "quince"))

    store.after = check
    activate(seen, "acme", "fruit", first.id, sleep=no_sleep)
    assert lacking
    assert not any(lacking)
    assert {member.example_id for member in of_label(context, first, "quince")} == ids_of(
        context, "quince", Split.SUPPORT
    )
    assert serves_whole(context)
    assert of_label(context, second, "quince"), "the one before keeps its own"


def test_a_roll_back_into_the_other_slot_takes_provisional_references_along(stock, tmp_path):
    context, _ = stock
    first = published(context)
    late_class(context, tmp_path / "late")
    before = answers(context)
    published(context, skip=1, seed=1)
    published(context, each=3, seed=2)
    activate(context, "acme", "fruit", first.id, sleep=no_sleep)
    assert context.registry.selection(fruit_of(context).id, first.id).slot == "b"
    assert answers(context) == before


def test_the_reconciler_has_nothing_to_do_where_nothing_drifted(stock, tmp_path):
    context, catalogue = stock
    assert reconcile(context, catalogue) == 0
    published(context)
    late_class(context, tmp_path / "late")
    seen, store = watched(context)
    assert reconcile(seen, fruit_of(context)) == 0
    assert not {"flag", "unflag", "set_payload", "insert"} & set(store.calls)
    assert reconcile(context, replace(catalogue, fingerprint=None)) == 0


def test_the_reconciler_mends_flags_both_ways(stock, tmp_path):
    context, _ = stock
    selection = published(context)
    late_class(context, tmp_path / "late")
    before = answers(context)
    partition = partition_of(fruit_of(context))
    chosen = next(m.example_id for m in context.registry.members(selection.id) if not m.provisional)
    provisional = of_label(context, selection, "quince")[0].example_id
    stranger = min(ids_of(context, "apple") - member_ids(context, selection.id))
    unflag(context, fruit_of(context), [chosen, provisional])
    context.store.flag(partition, "a", selection.id, [stranger], np.eye(1, 5, dtype=np.float32))
    assert answers(context) != before
    assert reconcile(context, fruit_of(context)) == 3
    assert answers(context) == before
    assert stranger not in flagged_ids(context, "a", selection.id)
    assert reconcile(context, fruit_of(context)) == 0


def test_the_reconciler_mends_labels_and_splits(stock):
    context, catalogue = stock
    selection = published(context)
    partition = partition_of(catalogue)
    member = context.registry.members(selection.id)[0]
    other = min(ids_of(context, "plum") - member_ids(context, selection.id))
    context.store.set_payload(partition, {member.example_id: {"label": "nonsense"}, other: {"split": "tuning"}})
    wrong = context.registry.example(catalogue.id, other).split != Split.TUNING
    assert reconcile(context, catalogue) == 1 + wrong
    payload = context.store.fetch(partition, [member.example_id]).payloads[0]
    assert payload["label"] == member.label
    assert (
        context.store.fetch(partition, [other]).payloads[0]["split"]
        == context.registry.example(catalogue.id, other).split
    )


def test_the_reconciler_takes_conflicts_out(stock, tmp_path):
    context, catalogue = stock
    selection = published(context)
    member = context.registry.members(selection.id)[0]
    example = context.registry.example(catalogue.id, member.example_id)
    name = Path(example.source).name
    data = (tmp_path / "first" / example.label / name).read_bytes()
    job = "other"
    ingested(context, write_pictures(tmp_path / "conflict", {f"{job}/{name}": data}))
    assert context.registry.example(catalogue.id, example.id).state is ExampleState.CONFLICT
    partition = partition_of(catalogue)
    context.store.set_payload(partition, {example.id: {"split": "support"}})
    context.store.flag(partition, "a", selection.id, [example.id], np.eye(1, 5, dtype=np.float32))
    assert reconcile(context, catalogue) == 2
    assert context.store.fetch(partition, [example.id]).payloads[0]["split"] == "conflict"
    assert example.id not in flagged_ids(context, "a", selection.id)


def test_the_reconciler_buries_what_a_dead_writer_left(stock):
    context, catalogue = stock
    selection = published(context)
    context.registry.open_selection(replace(selection, id="11111111-1111-4111-8111-111111111111"), [])
    reconcile(context, catalogue)
    states = {one.id: one.state for one in context.registry.selections(catalogue.id)}
    assert states["11111111-1111-4111-8111-111111111111"] is SelectionState.FAILED
    assert states[selection.id] is SelectionState.ACTIVE


def test_the_reconciler_leaves_flags_to_whoever_publishes(stock):
    context, catalogue = stock
    selection = published(context)
    unflag(context, catalogue, sorted(member_ids(context, selection.id))[:1])
    context.registry.take_lease(f"catalogue:{catalogue.id}", "another", 60)
    assert reconcile(context, catalogue) == 0
    context.clock.now += 61
    assert reconcile(context, catalogue) == 1
