from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from service.core.agreement import WITH_ANSWERS
from service.core.crossfit import CrossFitter
from service.core.fitting import everything
from service.core.pairing import compared_pairs, crossfitted_pairs
from service.core.pipeline import build, joined
from service.core.recipe import Recipe
from service.core.rejection import Policy
from service.core.trust import readings, with_nearness
from service.core.unknowns import out_of_fold
from service.core.verification import joined as all_pairs
from service.core.verification import judged_pairs
from service.usecases.trusting import Trusted, measure_trust
from service.usecases.unmeasured import NONE_ASKED
from tests.core.clusters import clusters

RECIPE = Recipe(strategy="medoids", medoids=3, head="within", pull=0.3)


def three_splits(classes: int, each: int = 20, noise: float = 0.45):
    """Support, tuning and holdout around the same centres, with groups of their own."""
    parts, base = [], 0
    for draw, (name, count) in enumerate((("s", each), ("t", each // 2), ("h", each // 2))):
        data = clusters([count] * classes, noise=noise, draw=draw, prefix=name)
        parts.append(replace(data, groups=data.groups + base))
        base += len(data)
    return parts


def measured(classes: int = 8, *, all_serve: bool = False, holdout: bool = True, recipe: Recipe = RECIPE, **options):
    support, tuning, judged = three_splits(classes, **options)
    fitter = CrossFitter(joined(support, tuning), 0)
    candidate = build(recipe, support, tuning, 0)
    if all_serve:
        candidate = everything(candidate, support)
    judged = judged if holdout else judged.take(np.zeros(0, dtype=np.int64))
    return measure_trust(fitter, candidate, recipe, judged, all_serve=all_serve), fitter, candidate, judged


@pytest.mark.parametrize("all_serve", [False, True])
def test_everything_is_measured_and_can_be_stored(all_serve: bool) -> None:
    found, *_ = measured(all_serve=all_serve)
    figures = found.figures
    assert set(figures) == {
        *("policy", "confidence", "ece", "ece_temperature", "auroc", "fpr95", "raw_auroc", "raw_fpr95"),
        *("unknown_pictures", "verification"),
    }
    assert set(found.report) == {"risk_coverage", "reliability", "unknown_roc", "pairs"}
    json.dumps([figures, found.report], allow_nan=False)
    assert len(json.dumps(figures)) < 12_000, "small: it is read at every answer"
    assert 0.5 < figures["auroc"] <= 1.0
    assert figures["unknown_pictures"] == 8 * 30


def test_figures_are_those_of_the_answers() -> None:
    found, fitter, _, _ = measured()
    answers = out_of_fold(fitter, RECIPE, all_serve=False, leave_out=True)
    policy = Policy.from_dict(found.figures["policy"])
    table = with_nearness(readings(answers.scores, RECIPE.temperature), answers.raw)
    table = table[:, : len(policy.trust.weights)]
    assert policy.typical == pytest.approx(np.median(table[answers.right], axis=0))
    # The policy's own model, fitted on all, accepts about what the out-of-fold curve promised.
    for point in policy.curve[5::20]:
        accepted = policy.trust.probabilities(table) >= point.threshold
        coverage = (answers.weights * accepted).sum() / answers.weights.sum()
        assert coverage == pytest.approx(point.coverage, abs=0.05)
    mixed, known = (np.array(found.report["risk_coverage"][name]) for name in ("mixed", "known"))
    wrong = (answers.weights * ~answers.right).sum() / answers.weights.sum()
    assert mixed[-1] == pytest.approx([1.0, wrong], abs=1e-4)
    assert known[-1] == pytest.approx([1.0, 1.0 - answers.right[answers.known].mean()], abs=1e-4)


def test_the_better_confidence_is_kept() -> None:
    """A temperature of 1 makes every confidence low, one of 0.005 too high: no softmax, then."""
    for temperature in (1.0, 0.005):
        figures = measured(recipe=replace(RECIPE, temperature=temperature))[0].figures
        assert figures["confidence"] == "logistic"
        assert figures["ece"] < figures["ece_temperature"]
        assert Policy.from_dict(figures["policy"]).confidence is not None


def test_the_holdout_judges_the_thresholds_of_verification() -> None:
    found, fitter, candidate, holdout = measured()
    tuned = all_pairs(crossfitted_pairs(fitter, RECIPE))
    unseen = compared_pairs(candidate, holdout, 0)
    expected = judged_pairs(tuned, unseen, "holdout") | {"compared": WITH_ANSWERS}
    assert found.figures["verification"]["pictures"] == expected
    labels = found.figures["verification"]["labels"]
    assert (labels["same"], labels["different"], labels["measured_on"]) == (80, 560, "holdout")


def test_without_a_holdout_cross_fitting_judges_them() -> None:
    verification = measured(holdout=False)[0].figures["verification"]
    assert {one["measured_on"] for one in verification.values()} == {"cross-fitting"}
    assert 0.5 < verification["pictures"]["otsu"]["tpr"] <= 1.0
    assert 0.5 < verification["labels"]["eer"]["tnr"] <= 1.0


def test_two_classes_tell_unknown_pictures_by_nearness() -> None:
    """None can be left out; each picture is asked once more as if its class was not there."""
    for noise in (0.01, 1.5):
        figures = measured(classes=2, noise=noise)[0].figures
        assert figures["unknown_pictures"] == 2 * 30
        assert figures["auroc"] == pytest.approx(figures["raw_auroc"], abs=0.1)
        policy = Policy.from_dict(figures["policy"])
        assert policy.trust.reads_nearness
        assert len(policy.curve) >= 1
        assert len(policy.typical) == 4
    assert "pictures" in figures["verification"]


def test_answers_that_are_hardly_ever_wrong_make_no_policy_where_nobody_unknown_can_be_asked(monkeypatch) -> None:
    monkeypatch.setattr("service.core.evidence.strangers", lambda fitter: None)
    found = measured(classes=2, noise=0.01)[0]
    assert "policy" not in found.figures
    assert "right and 0 wrong answers to pictures kept back; 5 of either are needed" in found.unmeasured["risk"]
    assert found.figures["ece"] < 0.5
    found = measured(classes=2, noise=1.5)[0]
    assert found.unmeasured == {"unknown": NONE_ASKED}
    assert not Policy.from_dict(found.figures["policy"]).trust.reads_nearness


def test_one_class_and_one_picture_say_nothing() -> None:
    one_shot = clusters([1, 1, 1])
    fitted = build(RECIPE, one_shot, one_shot.take(np.zeros(0, np.int64)), 0)
    assert measure_trust(None, fitted, RECIPE, one_shot.take(np.zeros(0, np.int64)), all_serve=True) == Trusted()
    found = measured(classes=1)[0]
    assert "policy" not in found.figures
    assert "verification" not in found.figures
    assert found.unmeasured.keys() == {"risk", "unknown", "pairs"}
    assert "pairs" not in found.report


@pytest.mark.parametrize("each", [2, 3, 5])
def test_thin_data_do_no_harm(each: int) -> None:
    data = clusters([each] * 6, noise=0.5)
    none = data.take(np.zeros(0, np.int64))
    found = measure_trust(CrossFitter(data, 0), build(RECIPE, data, none, 0), RECIPE, none, all_serve=False)
    json.dumps([found.figures, found.report], allow_nan=False)


def test_each_class_may_have_a_threshold_of_its_own() -> None:
    shared = Policy.from_dict(measured()[0].figures["policy"])
    assert not shared.class_curves
    _, fitter, candidate, holdout = measured()
    found = measure_trust(fitter, candidate, RECIPE, holdout, all_serve=False, by_class=True)
    policy = Policy.from_dict(found.figures["policy"])
    assert policy.curve == shared.curve
    assert set(policy.class_curves) <= set(holdout.classes)
    assert sum(policy.class_shares.values()) == pytest.approx(1.0)
    error = policy.curve[-1].error
    assert policy.coverage(error) == pytest.approx(1.0, abs=0.3)
