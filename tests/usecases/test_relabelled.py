"""Classes that were merged or relabelled after the optimisation: they answer at once, and say that they changed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from service.core.projection import Head
from service.core.pull import class_means, pulled
from service.records import SelectionState, Split
from service.usecases.catalogues import show_catalogue
from service.usecases.classes import rename_label
from service.usecases.classify import answers_of
from service.usecases.context import partition_of
from service.usecases.decide import relabel
from service.usecases.evaluate import stored_evaluation
from service.usecases.provisional import unflag
from service.usecases.publish import activate, publish, reconcile
from service.usecases.resolver import Resolver
from tests.fakes import ingested, picture, write_pictures
from tests.usecases.serving import draft, flagged_ids, fruit_of, no_sleep, serves_whole
from tests.usecases.test_provisional import ids_of, of_label, stock

__all__ = ["stock"]


@pytest.fixture
def pull():
    """Without a pull each reference answers for itself, whatever the head."""
    return 0.0


@pytest.fixture
def served(stock, pull):
    """An optimised catalogue in which all support examples are references, some seconds later."""
    context, _ = stock
    selection = publish(context, fruit_of(context), draft(context, each=99, pull=pull), sleep=no_sleep)
    context.clock.now += 10
    return context, selection


def labels_of(context, ids):
    """What the pictures themselves are answered, and the notes of the answers."""
    catalogue = fruit_of(context)
    points = context.store.fetch(partition_of(catalogue), sorted(ids))
    encoder = context.encoders.load(catalogue.encoder)
    given = answers_of(
        context, catalogue, encoder, Resolver(context), points.ids, points.embeddings, top=3, max_error=None
    )
    return [one.prediction.label for one in given], [note for one in given for note in one.notes]


def ids_and_flags(context, selection):
    """Members, whether they are provisional, and their projections in the slot that serves."""
    members = {one.example_id: (one.label, one.provisional) for one in context.registry.members(selection.id)}
    flag = {f"selection_{selection.slot}": selection.id}
    points = context.store.fetch(partition_of(fruit_of(context)), sorted(members))
    field = f"projection_{selection.slot}"
    nearest = context.store.nearest(partition_of(fruit_of(context)), field, points.embeddings, flag, limit=3)
    return members, [[(hit.example_id, round(hit.similarity, 5)) for hit in hits] for hits in nearest]


def test_an_example_that_was_none_moved_and_came_back_is_none_again(stock):
    context, _ = stock
    selection = publish(context, fruit_of(context), draft(context, each=2), sleep=no_sleep)
    context.clock.now += 10
    before = ids_and_flags(context, selection)
    one = min(ids_of(context, "pear", Split.SUPPORT) - before[0].keys())
    relabel(context, "acme", "fruit", one, "apple")
    assert len(context.registry.members(selection.id)) == len(before[0]) + 1
    relabel(context, "acme", "fruit", one, "pear")
    assert ids_and_flags(context, selection) == before
    assert stored_evaluation(context, "acme", "fruit")["changed"] is None


def test_a_merged_class_answers_for_the_one_that_it_went_into(served):
    context, selection = served
    pears = ids_of(context, "pear", Split.SUPPORT)
    chosen = {one.example_id for one in of_label(context, selection, "apple")}
    assert set(labels_of(context, pears)[0]) == {"pear"}
    assert rename_label(context, "acme", "fruit", "pear", "apple").merged
    assert set(labels_of(context, pears)[0]) == {"apple"}
    members = of_label(context, selection, "apple")
    assert {one.example_id for one in members} == chosen | pears
    assert {one.example_id for one in members if one.provisional} == pears
    assert serves_whole(context)
    assert reconcile(context, fruit_of(context)) == 0


def test_pictures_relabelled_one_by_one_answer_for_their_new_class(served):
    context, selection = served
    pears = ids_of(context, "pear")
    support = ids_of(context, "pear", Split.SUPPORT)
    for example_id in sorted(pears):
        relabel(context, "acme", "fruit", example_id, "apple")
    assert set(labels_of(context, support)[0]) == {"apple"}
    assert {one.example_id for one in of_label(context, selection, "apple") if one.provisional} == support
    assert serves_whole(context)


@pytest.mark.parametrize("pull", [0.4])
def test_what_moved_is_projected_and_pulled_as_the_recipe_says(served):
    context, selection = served
    pears = sorted(ids_of(context, "pear", Split.SUPPORT))
    rename_label(context, "acme", "fruit", "pear", "apple")
    partition = partition_of(fruit_of(context))
    embeddings = context.store.fetch(partition, pears).embeddings
    projections = Head.from_bytes(context.blobs.get(selection.head_blob)).project(embeddings)
    codes = np.zeros(len(pears), dtype=np.int64)
    expected = pulled(projections, codes, class_means(projections, codes, 1), 0.4)
    flag = {f"selection_{selection.slot}": selection.id}
    found = context.store.nearest(partition, f"projection_{selection.slot}", expected, flag, limit=1)
    assert [hits[0].example_id for hits in found] == pears
    assert [hits[0].similarity for hits in found] == pytest.approx([1.0] * len(pears), abs=1e-6)


def test_answers_say_that_a_class_changed(served):
    context, _ = served
    plums, pears = ids_of(context, "plum", Split.SUPPORT), ids_of(context, "pear", Split.SUPPORT)
    every = len(ids_of(context, "pear"))
    assert not [note for note in labels_of(context, pears | plums)[1] if note.startswith("changed")]
    one = min(plums)
    relabel(context, "acme", "fruit", one, "apple")
    rename_label(context, "acme", "fruit", "pear", "apple")
    notes = set(labels_of(context, pears | plums)[1])
    assert f"changed: {every + 1} pictures came to apple by relabelling since it was measured" in notes
    assert "changed: 1 picture of plum got another label since it was measured" in notes


def test_stored_figures_are_marked(served):
    context, _ = served
    assert stored_evaluation(context, "acme", "fruit")["changed"] is None
    assert show_catalogue(context, "acme", "fruit").as_dict()["changed"] is None
    before = context.clock.now - 10
    every = len(ids_of(context, "pear"))
    rename_label(context, "acme", "fruit", "pear", "apple")
    changed = {"since": before, "relabelled": every, "into": {"apple": every}, "out_of": {"pear": every}}
    changed |= {"added": {}, "new_classes": []}
    assert stored_evaluation(context, "acme", "fruit")["changed"] == changed
    assert show_catalogue(context, "acme", "fruit").as_dict()["changed"] == changed


def test_what_came_since_is_counted_and_new_classes_are_named(served, tmp_path):
    context, _ = served
    late = {f"{label}/late{number}.png": picture(f"{label}{number}", seed=9_000 + row)
            for row, label in enumerate(("apple", "quince")) for number in range(1 + 2 * row)}  # fmt: skip
    ingested(context, write_pictures(tmp_path / "late", late))
    changed = show_catalogue(context, "acme", "fruit").changed
    assert changed == stored_evaluation(context, "acme", "fruit")["changed"]
    assert (changed["added"], changed["new_classes"]) == ({"apple": 1, "quince": 3}, ["quince"])
    assert (changed["relabelled"], changed["into"]) == (0, {})
    context.clock.now += 10
    publish(context, fruit_of(context), draft(context, seed=1), sleep=no_sleep)
    assert show_catalogue(context, "acme", "fruit").changed is None


def test_the_next_selection_has_nothing_to_mark(served):
    context, _ = served
    rename_label(context, "acme", "fruit", "pear", "apple")
    context.clock.now += 10
    second = publish(context, fruit_of(context), draft(context, seed=1), sleep=no_sleep)
    assert stored_evaluation(context, "acme", "fruit")["changed"] is None
    assert not any(one.provisional for one in of_label(context, second, "apple"))


def test_a_selection_made_from_examples_read_before_serves_what_moved_meanwhile(served):
    """The search takes minutes; `as_of` says when it read the labels that it knows."""
    context, _ = served
    chosen = draft(context, seed=1)
    figures = {**chosen.figures, "as_of": context.clock.now}
    pears = ids_of(context, "pear", Split.SUPPORT)
    context.clock.now += 5
    rename_label(context, "acme", "fruit", "pear", "apple")
    context.clock.now += 5

    second = publish(context, fruit_of(context), replace(chosen, figures=figures), sleep=no_sleep)
    assert {one.example_id for one in of_label(context, second, "apple") if one.provisional} == pears
    assert stored_evaluation(context, "acme", "fruit")["changed"]["into"]["apple"] >= len(pears)


def test_a_roll_back_takes_what_moved_along(served):
    context, first = served
    pears = ids_of(context, "pear", Split.SUPPORT)
    rename_label(context, "acme", "fruit", "pear", "apple")
    context.clock.now += 10
    publish(context, fruit_of(context), draft(context, seed=1), sleep=no_sleep)
    context.clock.now += 10
    activate(context, "acme", "fruit", first.id, sleep=no_sleep)
    assert {one.example_id for one in of_label(context, first, "apple") if one.provisional} == pears
    assert set(labels_of(context, pears)[0]) == {"apple"}
    assert serves_whole(context)


def test_the_reconciler_finishes_a_merge_that_was_broken_off(served):
    """Rows were changed, and the process died before anything else."""
    context, selection = served
    pears = ids_of(context, "pear", Split.SUPPORT)
    unflag(context, fruit_of(context), sorted(pears))
    context.registry.relabel_examples(fruit_of(context).id, sorted(ids_of(context, "pear")), "apple")
    assert reconcile(context, fruit_of(context)) > 0
    assert pears <= flagged_ids(context, selection.slot, selection.id)
    assert set(labels_of(context, pears)[0]) == {"apple"}
    assert serves_whole(context)


def test_a_reference_that_moved_away_and_back_is_what_it_was(served):
    context, selection = served
    before = ids_and_flags(context, selection)
    one = of_label(context, selection, "pear")[0].example_id
    relabel(context, "acme", "fruit", one, "apple")
    assert stored_evaluation(context, "acme", "fruit")["changed"]["into"] == {"apple": 1}
    context.clock.now += 10
    relabel(context, "acme", "fruit", one, "pear")
    assert stored_evaluation(context, "acme", "fruit")["changed"] is None
    assert ids_and_flags(context, selection) == before, "a chosen one, not a provisional one"
    assert serves_whole(context)
    assert reconcile(context, fruit_of(context)) == 0
    assert context.registry.selection(fruit_of(context).id, selection.id).state is SelectionState.ACTIVE
