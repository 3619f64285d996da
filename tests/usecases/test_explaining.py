"""The `why` of a selection: every sentence where it is true, with its numbers, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from service.core.gate import Verdict
from service.core.pipeline import HOLOTYPE, Comparison
from service.usecases.explaining import explain, unjudged_classes
from service.usecases.holdings import Holdings
from service.usecases.judging import Judgement
from service.usecases.optimise_request import OptimiseRequest
from tests.core.clusters import clusters
from tests.usecases.optimising import only

PLAIN = OptimiseRequest(refit=False)
BETTER = Verdict(0.0123, (-0.004, 0.026), 250, conclusive=True, passes=True)
WORSE = Verdict(-0.05, (-0.09, -0.012), 250, conclusive=True, passes=False)
UNSURE = Verdict(0.0, (-0.03, 0.03), 90, conclusive=False, passes=True)


def comparison_of(codes) -> Comparison:
    nothing = {HOLOTYPE: np.zeros((len(codes), 3), np.float32)}
    return Comparison(np.array(codes, dtype=np.int64), nothing, nothing, {HOLOTYPE: 11.6}, 48.2)


def told(verdict=BETTER, *, on="holdout", request=PLAIN, unjudged=(), searched=True, lacking=(), straddling=0) -> str:
    support = only(clusters([4, 4, 4]), sorted({0, 1, 2} - set(lacking)))
    nobody = support.take(np.zeros(0, np.int64))
    holdings = Holdings(support, nobody, nobody, "splits", straddling)
    judgement = Judgement(None if on == "nothing" else comparison_of([0, 1, 2]), verdict, on)
    return explain(judgement, holdings, request, 5, 7, 0.015, set(unjudged), searched=searched)


def test_a_choice_that_passed_serves() -> None:
    assert told() == (
        "7 of 12 pictures answer now. In the test 5 of 12 did about as well as all of them: +1.2 points "
        "(95 % interval -0.4 to +2.6) on 250 pictures of the holdout."
    )


def test_a_refusal_names_the_margin() -> None:
    why = told(WORSE)
    assert why.startswith(
        "7 of 12 pictures answer now: fewer could lose more than 1.5 points. In the test 5 of 12 did "
    )
    assert "worse than all of them: -5.0 points (95 % interval -9.0 to -1.2) on 250" in why


def test_only_an_interval_without_zero_is_better_or_worse() -> None:
    assert "did better than all of them: +3.0" in told(Verdict(0.03, (0.01, 0.05), 250, conclusive=True, passes=True))
    assert "did about as well as all of them: +0.0" in told(UNSURE)


def test_a_budget_is_named_only_where_it_overrides_the_gate() -> None:
    budget = OptimiseRequest(refit=False, budget=2)
    assert told(WORSE, request=budget).startswith(
        "7 of 12 pictures answer now: a budget of 2 a class was asked for. In the test 5 of 12 did worse"
    )
    assert "budget" not in told(BETTER, request=budget)


@pytest.mark.parametrize("verdict", [BETTER, WORSE, UNSURE])
def test_all_references_that_were_asked_for_are_no_choice(verdict) -> None:
    asked = OptimiseRequest(refit=False, strategy="all")
    assert told(verdict, request=asked).startswith("7 of 12 pictures answer now: all were asked for. In the test 5 ")
    bound = OptimiseRequest(refit=False, strategy="all", budget=2)
    assert "all were asked for" not in told(verdict, request=bound), "a budget leaves some out"


def test_an_interval_that_tells_nothing_is_called_that() -> None:
    assert "(95 % interval -3.0 to +3.0, not sure either way)" in told(UNSURE)
    assert "not sure" not in told()


def test_cross_fitting_tells_mean_sizes_and_all_pictures() -> None:
    why = told(UNSURE, on="cross-fitting")
    assert "In the test about 12 of 48 did" in why
    assert "on 90 pictures, each answered by a choice made without it" in why
    assert "holdout" not in why


def test_one_class_had_nothing_to_be_told_from() -> None:
    alone = "with one class nothing can be told apart, so nothing was chosen and nothing measured."
    refitted = OptimiseRequest()
    assert told(on="nothing", request=refitted, searched=False, lacking=(0, 1)) == f"Every picture answers now: {alone}"
    bound = OptimiseRequest(budget=3)
    why = told(on="nothing", request=bound, searched=False, lacking=(0, 1))
    assert why == f"A budget of 3 serves, as was asked: {alone}"


@pytest.mark.parametrize("verdict", [BETTER, WORSE])
def test_one_shot_had_no_choice(verdict) -> None:
    assert told(verdict, searched=False) == (
        "7 of 12 pictures answer now (one-shot): with one a class there is nothing to choose."
    )


def test_where_nothing_was_measured_no_number_is_told() -> None:
    nothing = Verdict(0.0, (-1.0, 1.0), 0, conclusive=False, passes=False)
    plain = "Every picture answers now (one-shot): with one a class nothing can be chosen, and nothing measured."
    assert told(nothing, on="nothing", request=OptimiseRequest(), searched=False) == plain
    why = told(nothing, on="nothing", searched=False, straddling=3, lacking=[1])
    assert why.startswith(plain + " 'c01' have no support picture")
    assert "3 holdout pictures have near-duplicates" in why


def test_a_refit_says_that_its_figures_are_older() -> None:
    sentence = "The figures are of the test: after it all labelled pictures were candidates."
    assert sentence in told(request=OptimiseRequest())
    assert sentence not in told()


def test_unjudged_classes_are_named_five_at_most() -> None:
    assert "'b' had no picture to judge with: their figures are cross-fitted" in told(unjudged="b")
    assert "'b' had no picture to judge with: nothing was measured about them" in told(unjudged="b", searched=False)
    assert "'a', 'b', 'c', 'd', 'e' had no picture" in told(unjudged="edcba")
    assert "'a', 'b', 'c', 'd', 'e' and 2 more classes had no picture" in told(unjudged="gfedcba")
    assert "no picture" not in told()


def test_classes_without_support_are_named_unless_a_refit_gave_them_references() -> None:
    sentence = "'c00', 'c02' have no support picture: pictures of other splits serve, provisionally"
    assert sentence in told(lacking=[0, 2])
    assert "no support" not in told(lacking=[0, 2], request=OptimiseRequest())
    assert "no support" not in told()


def test_pictures_that_straddle_are_counted() -> None:
    assert told(straddling=4).endswith("4 holdout pictures have near-duplicates in other splits and judged nothing.")
    assert "near-duplicates" not in told()


@pytest.mark.parametrize(("judged", "missing"), [([0, 2, 2], {"c01"}), ([0, 1, 2], set()), ([1], {"c00", "c02"})])
def test_a_class_is_unjudged_where_no_judging_picture_is_of_it(judged, missing) -> None:
    assert unjudged_classes(Judgement(comparison_of(judged), BETTER, "holdout"), clusters([2, 2, 2])) == missing


def test_where_nobody_was_judged_no_class_is_singled_out() -> None:
    assert unjudged_classes(Judgement(None, BETTER, "nothing"), clusters([1, 1])) == set()
