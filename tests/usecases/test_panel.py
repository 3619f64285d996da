"""The panel on pictures from outside, beside what the store would answer."""

from __future__ import annotations

import json

import numpy as np
import pytest

from service.core.baselines import MEMBERS
from service.core.evaluation import evaluate
from service.core.fitting import everything
from service.core.pipeline import HOLOTYPE, RAW, build, compare, joined
from service.core.voting import class_scores
from service.usecases.holdings import load_holdings
from service.usecases.panel import member_figures, panel_on, with_selection
from service.usecases.resolver import Resolver
from service.usecases.selections import recipe_of
from tests.core.clusters import clusters
from tests.usecases.optimising import LOPSIDED, FixedSearch, clear_cut, lopsided, optimised, planted

pytestmark = pytest.mark.usefixtures("what_is_found_is_taken")

MEDOIDS = {"head": "lda", "shrinkage": 0.3, "pull": 0.5, "per_label": 2, "strategy": "medoids", "medoids": 3}
OUTSIDE = clusters([40, 40, 40], noise=0.5, draw=9)
LABELS = [OUTSIDE.classes[code] for code in OUTSIDE.codes]


def case(parameters=MEDOIDS, **asked):
    context, _ = planted(*lopsided(), search=FixedSearch(parameters))
    selection = optimised(context, budget=15, **asked)
    return context, context.registry.catalogue("acme", "fruit"), selection


@pytest.mark.parametrize("parameters", [MEDOIDS, LOPSIDED])
def test_without_a_refit_it_is_the_comparison_that_the_core_makes(parameters):
    context, catalogue, selection = case(parameters, refit=False)
    holdings = load_holdings(context, catalogue)
    fitted = build(recipe_of(selection), holdings.support, holdings.tuning, selection.seed)
    comparison = compare(fitted, holdings.support, OUTSIDE, selection.seed)
    panels = panel_on(context, catalogue, selection, OUTSIDE.embeddings, LABELS)
    for name, pull in (("panel", True), ("panel_no_pull", False)):
        expected = comparison.evaluations(holdings.support.classes, pull=pull)
        assert set(panels[name]) == {RAW, HOLOTYPE, *MEMBERS}
        for member, evaluation in expected.items():
            assert panels[name][member] == pytest.approx(member_figures(evaluation, comparison.references[member]))
    assert panels["panel"] != panels["panel_no_pull"]
    json.dumps(panels)


def test_after_a_refit_every_labelled_picture_is_a_candidate():
    context, catalogue, selection = case()
    holdings = load_holdings(context, catalogue)
    whole = joined(joined(holdings.support, holdings.tuning), holdings.holdout)
    fitted = build(recipe_of(selection), whole, whole.take(np.zeros(0, np.int64)), selection.seed)
    panels = panel_on(context, catalogue, selection, OUTSIDE.embeddings, LABELS)
    assert panels["panel"]["all"]["references"] == panels["panel"][RAW]["references"] == len(whole)
    assert panels["panel"]["random"]["references"] == len(fitted.references) == 9
    scores = everything(fitted, whole).scores(OUTSIDE.embeddings)
    assert panels["panel"]["all"]["accuracy"] == evaluate(OUTSIDE.codes, scores, whole.classes).accuracy


def test_the_selections_own_line_is_what_it_answers():
    context, catalogue, selection = case()
    panels = panel_on(context, catalogue, selection, OUTSIDE.embeddings, LABELS)
    predictions = Resolver(context).resolve(catalogue, OUTSIDE.embeddings, top=3).predictions
    right = np.mean([one.label == label for one, label in zip(predictions, LABELS, strict=True)])
    assert panels["panel"][HOLOTYPE]["accuracy"] == pytest.approx(right)
    assert panels["panel"][HOLOTYPE]["references"] == len(context.registry.members(selection.id))


def test_raw_is_the_nearest_raw_embedding_whatever_the_recipe_votes():
    context, catalogue, selection = case(refit=False)
    support = load_holdings(context, catalogue).support
    scores = class_scores(OUTSIDE.embeddings @ support.embeddings.T, support.codes, 3, 1)
    expected = member_figures(evaluate(OUTSIDE.codes, scores, support.classes), 90)
    panels = panel_on(context, catalogue, selection, OUTSIDE.embeddings, LABELS)
    assert panels["panel"][RAW] == panels["panel_no_pull"][RAW] == pytest.approx(expected)
    assert panels["panel"][RAW]["accuracy"] != panels["panel"]["all"]["accuracy"]


def test_a_label_that_the_catalogue_does_not_know_is_wrong_whatever_is_answered():
    context, catalogue, selection = case()
    known = panel_on(context, catalogue, selection, OUTSIDE.embeddings, LABELS)
    strange = panel_on(context, catalogue, selection, OUTSIDE.embeddings, [*LABELS[:60], *["aardvark"] * 60])
    alone = panel_on(context, catalogue, selection, OUTSIDE.embeddings[:60], LABELS[:60])
    for member, figures in strange["panel"].items():
        assert figures["accuracy"] == pytest.approx(alone["panel"][member]["accuracy"] / 2)
        assert figures["references"] == known["panel"][member]["references"]


def test_references_are_as_they_are_now():
    context, catalogue, selection = case(refit=False)
    gone = context.registry.members(selection.id)[0].example_id
    context.registry.delete_examples(catalogue.id, [gone])
    panels = panel_on(context, catalogue, selection, OUTSIDE.embeddings, LABELS)
    assert panels["panel"][HOLOTYPE]["references"] == 8
    assert panels["panel"]["all"]["references"] == 89


def test_what_was_really_answered_takes_the_selections_place():
    context, catalogue, selection = case()
    panels = panel_on(context, catalogue, selection, OUTSIDE.embeddings, LABELS)
    wrong = evaluate(OUTSIDE.codes, np.roll(np.eye(3, dtype=np.float32)[OUTSIDE.codes], 1, axis=1), OUTSIDE.classes)
    changed = with_selection(panels, wrong, 7)
    assert changed["panel"][HOLOTYPE] == member_figures(wrong, 7)
    assert (changed["panel"][HOLOTYPE]["accuracy"], changed["panel"][HOLOTYPE]["references"]) == (0.0, 7.0)
    assert changed["panel_no_pull"] == panels["panel_no_pull"]
    assert {**changed["panel"], HOLOTYPE: None} == {**panels["panel"], HOLOTYPE: None}
    assert panels["panel"][HOLOTYPE]["accuracy"] > 0.5, "the panel that was given is left as it was"


def test_a_catalogue_without_a_head_has_a_panel_too():
    context, _ = planted(*clear_cut(), search=FixedSearch({"strategy": "medoids", "head": "none", "pull": 0.0}))
    selection = optimised(context, refit=False)
    catalogue = context.registry.catalogue("acme", "fruit")
    queries = clear_cut()[2]
    labels = [queries.classes[code] for code in queries.codes]
    panels = panel_on(context, catalogue, selection, queries.embeddings, labels)
    assert panels["panel"] == panels["panel_no_pull"]
    assert panels["panel"]["all"] == panels["panel"][RAW]
    assert panels["panel"]["means"]["references"] == 4
