"""The figures of a selection belong to what serves, and the report's data is what its page says it is."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from service.core.baselines import MEMBERS
from service.core.crossfit import CrossFitter
from service.core.evaluation import bootstrap_interval, evaluate, mcnemar_p
from service.core.fitting import everything
from service.core.gate import judge
from service.core.pipeline import HOLOTYPE, RAW, build, compare, joined, pooled
from service.core.recipe import Recipe
from service.core.rejection import Policy, risk_curve
from service.core.trust import fit_trust, readings
from service.core.voting import confidences
from service.usecases.figures import cross_fitted_classes, figures_of, report_of
from service.usecases.judging import Judgement, verdict_of
from tests.usecases.optimising import LOPSIDED, lopsided

SUPPORT, TUNING, HOLDOUT = lopsided()
CANDIDATE = build(Recipe.from_dict({**LOPSIDED, "pull": 0.2}), SUPPORT, TUNING, 0)
COMPARISON = compare(CANDIDATE, SUPPORT, HOLDOUT, 0)
JUDGEMENT = Judgement(COMPARISON, verdict_of(COMPARISON, 0.01, 0), "holdout")
EVALUATIONS = COMPARISON.evaluations(SUPPORT.classes)
FITTER = CrossFitter(joined(SUPPORT, TUNING), 0)


@pytest.mark.parametrize(("served", "references"), [(HOLOTYPE, 11), ("all", 90)])
def test_figures_are_those_of_what_serves(served, references):
    figures = figures_of(JUDGEMENT, SUPPORT.classes, served, seed=4)
    own = EVALUATIONS[served]
    assert {name: figures[name] for name in own.as_dict()} == own.as_dict()
    assert figures["interval"] == list(bootstrap_interval(own.correct, 4))
    assert (figures["references"], figures["support"], figures["images"]) == (references, 90, 240)
    json.dumps(figures)


@pytest.mark.parametrize("served", [HOLOTYPE, "all"])
def test_the_difference_is_always_that_of_the_choice_from_all(served):
    figures = figures_of(JUDGEMENT, SUPPORT.classes, served, seed=0)
    chosen, whole = EVALUATIONS[HOLOTYPE], EVALUATIONS["all"]
    assert figures["difference"] == pytest.approx(chosen.accuracy - whole.accuracy)
    assert figures["difference"] < -0.1
    assert figures["difference_interval"] == list(JUDGEMENT.verdict.interval)
    assert figures["mcnemar_p"] == mcnemar_p(chosen.correct, whole.correct) < 0.01
    assert (figures["all_accuracy"], figures["all_macro_f1"]) == (whole.accuracy, whole.macro_f1)
    assert figures["raw_accuracy"] == EVALUATIONS[RAW].accuracy


@pytest.mark.parametrize(("panel", "pull"), [("panel", True), ("panel_no_pull", False)])
def test_every_member_of_the_panel_is_told_with_its_own_figures(panel, pull):
    figures = figures_of(JUDGEMENT, SUPPORT.classes, HOLOTYPE, seed=0)[panel]
    assert set(figures) == {RAW, HOLOTYPE, *MEMBERS}
    for name, evaluation in COMPARISON.evaluations(SUPPORT.classes, pull=pull).items():
        assert figures[name] == {
            "accuracy": evaluation.accuracy,
            "macro_f1": evaluation.macro_f1,
            "weighted_f1": evaluation.weighted_f1,
            "top5": evaluation.top5,
            "references": COMPARISON.references[name],
        }


def test_the_pull_makes_a_difference_in_this_case():
    figures = figures_of(JUDGEMENT, SUPPORT.classes, HOLOTYPE, seed=0)
    assert figures["panel"][HOLOTYPE] != figures["panel_no_pull"][HOLOTYPE]
    assert figures["panel"][RAW] == figures["panel_no_pull"][RAW]


def test_nothing_measured_is_no_figure():
    nothing = Judgement(None, judge(np.zeros(0, bool), np.zeros(0, bool), 0.01, 0), "nothing")
    assert figures_of(nothing, SUPPORT.classes, HOLOTYPE, 0) == {"images": 0}
    report = report_of(nothing, CANDIDATE, SUPPORT, None, HOLOTYPE)
    assert "confusion" not in report
    assert report["curve"] == []


def test_cross_fitted_figures_are_of_the_missing_classes_alone():
    recipe = Recipe(head="lda", strategy="medoids", medoids=2)
    found = cross_fitted_classes(FITTER, recipe, {"c02", "c00", "unknown"})
    figures = evaluate(FITTER.data.codes, FITTER.run(recipe).scores, FITTER.data.classes).per_class
    assert found == {label: {**figures[label], "measured_on": "cross-fitting"} for label in ("c00", "c02")}
    assert list(found) == ["c00", "c02"]
    assert found["c00"]["images"] == 35


# -------------------------------------------------------------------------------------------------- the report


@pytest.fixture(scope="module")
def report():
    return report_of(JUDGEMENT, CANDIDATE, SUPPORT, FITTER, HOLOTYPE)


def cosines(data, rows):
    """Mean cosine of every two classes over all pairs, the slow way."""
    own = data.take(rows)
    products = own.embeddings.astype(float) @ own.embeddings.T.astype(float)
    return [[products[own.codes == a][:, own.codes == b].mean() for b in range(3)] for a in range(3)]


def test_similarities_are_shown_before_and_after_choosing(report):
    assert report["similarity_before"]["labels"] == ["c00", "c01", "c02"]
    before = cosines(SUPPORT, np.arange(len(SUPPORT)))
    after = cosines(CANDIDATE.data, CANDIDATE.references)
    assert np.allclose(report["similarity_before"]["matrix"], before, atol=1e-4)
    assert np.allclose(report["similarity_after"]["matrix"], after, atol=1e-4)
    assert not np.allclose(before, after, atol=1e-3)
    histogram = report["cross_class_histogram"]
    assert histogram["before"] != histogram["after"]
    width = histogram["edges"][1] - histogram["edges"][0]
    assert sum(histogram["before"]) * width == pytest.approx(1) == sum(histogram["after"]) * width


def test_distances_are_those_of_the_served_means(report):
    expected = 1 - CANDIDATE.means.astype(float) @ CANDIDATE.means.T.astype(float)
    assert np.allclose(report["class_distance"]["matrix"], expected, atol=1e-4)


@pytest.mark.parametrize("name", [HOLOTYPE, "all"])
def test_the_confusion_is_that_of_what_serves(name):
    served = CANDIDATE if name == HOLOTYPE else everything(CANDIDATE, SUPPORT)
    report = report_of(JUDGEMENT, served, SUPPORT, None, name)
    assert report["confusion"] == EVALUATIONS[name].confusion_dict()
    assert np.trace(report["confusion"]["matrix"]) == EVALUATIONS[name].correct.sum()


def test_the_curve_goes_from_one_reference_a_class_to_all(report):
    curve = report["curve"]
    assert [point["strategy"] for point in curve] == ["all"] + ["medoids"] * 6 + ["thresholds"] * 4
    medoids = [point["references"] for point in curve[1:7]]
    assert medoids == sorted(medoids)
    assert medoids[0] == 3
    thresholds = [point["references"] for point in curve[7:]]
    assert thresholds == sorted(thresholds)
    assert len(set(thresholds)) == 4
    assert curve[0]["references"] == FITTER.run(Recipe()).support
    for point in curve:
        assert point["interval"][0] <= point["accuracy"] <= point["interval"][1]


def test_points_of_the_curve_are_cross_fitted_behind_the_served_head_and_pull(report):
    whole = replace(CANDIDATE.recipe, strategy="all", class_shares=None)
    scores = FITTER.run(whole).scores
    accuracy = evaluate(FITTER.data.codes, scores, FITTER.data.classes).accuracy
    assert report["curve"][0]["accuracy"] == accuracy
    five = FITTER.run(replace(whole, strategy="medoids", medoids=5)).scores
    assert report["curve"][4]["accuracy"] == evaluate(FITTER.data.codes, five, FITTER.data.classes).accuracy


def test_neither_a_budget_nor_chosen_shares_bend_the_curve(report):
    bound = replace(CANDIDATE, recipe=replace(CANDIDATE.recipe, maximum=1, minimum=3))
    assert report_of(JUDGEMENT, bound, SUPPORT, FITTER, HOLOTYPE)["curve"] == report["curve"]


def test_versions_name_what_is_installed(report):
    assert report["versions"]["numpy"] == np.__version__
    assert {"holotype", "scikit-learn", "torch"} <= set(report["versions"])
    json.dumps(report)


@pytest.mark.parametrize("served", [HOLOTYPE, "all"])
def test_single_judgements_add_up_to_the_confusion(served):
    fitted = CANDIDATE if served == HOLOTYPE else everything(CANDIDATE, SUPPORT)
    report = report_of(JUDGEMENT, fitted, SUPPORT, FITTER, served)
    json.dumps(report)
    judged, labels = report["judged"], report["confusion"]["labels"]
    assert judged["ids"] == list(HOLDOUT.ids)
    assert judged["truth"] == HOLDOUT.codes.tolist()
    matrix = np.zeros((len(labels), len(labels)), dtype=int)
    np.add.at(matrix, (judged["truth"], judged["predicted"]), 1)
    assert matrix.tolist() == report["confusion"]["matrix"]
    expected = confidences(COMPARISON.scores[served], fitted.recipe.temperature)
    assert judged["confidence"] == pytest.approx(expected.tolist(), abs=1e-4)


def test_judgements_tell_the_confidence_that_is_served():
    table, right = readings(COMPARISON.scores[HOLOTYPE], CANDIDATE.recipe.temperature), EVALUATIONS[HOLOTYPE].correct
    model = fit_trust(table, right)
    assert model is not None
    policy = Policy(model, model, (0.5, 0.1, 0.1), risk_curve(model.probabilities(table), right, np.ones(len(right))))
    report = report_of(JUDGEMENT, CANDIDATE, SUPPORT, FITTER, HOLOTYPE, policy.as_dict())
    assert report["judged"]["confidence"] == pytest.approx(model.probabilities(table).tolist(), abs=1e-4)


def test_folds_side_by_side_keep_whose_answer_is_whose():
    parts = [compare(CANDIDATE, SUPPORT, HOLDOUT.take(rows), 0) for rows in np.array_split(np.arange(len(HOLDOUT)), 3)]
    assert pooled(parts).ids == HOLDOUT.ids
