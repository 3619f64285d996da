"""The gate carried out: the holdout once, else nested cross-fitting, and nobody judged by what knows them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from service.adapters.optuna_search import OptunaSearch
from service.core.folds import fold_count
from service.core.model import LabelledEmbeddings
from service.core.pipeline import HOLOTYPE, build, compare, joined
from service.core.recipe import Recipe
from service.usecases import judging as module
from service.usecases.holdings import Holdings
from service.usecases.judging import judge_candidate, nested_comparison, verdict_of
from service.usecases.optimise_request import OptimiseRequest
from tests.core.clusters import clusters
from tests.fakes import FakeSearch

REQUEST = OptimiseRequest(trials=8)
MEDOIDS = Recipe(head="lda", shrinkage=0.1, strategy="medoids", medoids=2, pull=0.6)


def holdings_of(data: LabelledEmbeddings, tuning: LabelledEmbeddings, holdout: LabelledEmbeddings) -> Holdings:
    return Holdings(support=data, tuning=tuning, holdout=holdout, split_hash="splits")


def nobody(data: LabelledEmbeddings) -> LabelledEmbeddings:
    return data.take(np.zeros(0, dtype=np.int64))


def three_splits(sizes: tuple[int, int, int], noise: float, classes: int = 4) -> Holdings:
    parts = [
        clusters([each] * classes, noise=noise, draw=draw, prefix=prefix)
        for draw, (each, prefix) in enumerate(zip(sizes, "sth", strict=True))
    ]
    start = 0
    numbered = []
    for part in parts:
        numbered.append(replace(part, groups=np.arange(start, start + len(part))))
        start += len(part)
    return holdings_of(*numbered)


class NoSearch:
    def maximise(self, *_, **__):
        raise AssertionError("the holdout was enough")


def judged(holdings: Holdings, recipe: Recipe = MEDOIDS, search=None, request: OptimiseRequest = REQUEST):
    folds: list[tuple[int, int]] = []
    candidate = build(recipe, holdings.support, holdings.tuning, request.seed)
    judgement = judge_candidate(
        candidate, holdings, request, search or FakeSearch(), 0.01, lambda done, total: folds.append((done, total))
    )
    return judgement, folds


def test_a_holdout_that_can_tell_decides_alone() -> None:
    holdings = three_splits((12, 4, 150), noise=0.08)
    judgement, folds = judged(holdings, search=NoSearch())
    assert judgement.measured_on == "holdout"
    assert judgement.verdict.passes
    assert judgement.verdict.images == 600
    assert folds == []
    candidate = build(MEDOIDS, holdings.support, holdings.tuning, 0)
    expected = compare(candidate, holdings.support, holdings.holdout, 0)
    assert np.array_equal(judgement.comparison.scores[HOLOTYPE], expected.scores[HOLOTYPE])
    assert judgement.comparison.truth.tolist() == holdings.holdout.codes.tolist()


def test_a_bad_candidate_is_refused_on_the_holdout() -> None:
    """One reference for each of two classes against fifteen of the third, which takes their pictures."""
    holdings = three_splits((30, 4, 1000), noise=0.5, classes=3)
    bad = Recipe(strategy="thresholds", class_shares={"c00": 0.5, "c01": 0.01, "c02": 0.01})
    judgement, _ = judged(holdings, bad, search=NoSearch())
    assert judgement.measured_on == "holdout"
    assert not judgement.verdict.passes
    assert judgement.verdict.difference < -0.02


@pytest.mark.parametrize("holdout", [0, 3])
def test_a_holdout_that_cannot_tell_leaves_it_to_nested_cross_fitting(holdout: int) -> None:
    holdings = three_splits((8, 3, holdout), noise=0.3)
    judgement, folds = judged(holdings)
    everything = joined(joined(holdings.support, holdings.tuning), holdings.holdout)
    assert judgement.measured_on == "cross-fitting"
    assert judgement.verdict.images == len(everything)
    assert sorted(judgement.comparison.truth.tolist()) == sorted(everything.codes.tolist())
    assert folds == [(done, 5) for done in range(6)]


def test_cross_fitting_is_the_last_resort_and_decides_by_the_difference() -> None:
    judgement, _ = judged(three_splits((8, 3, 3), noise=0.2))
    assert not judgement.verdict.conclusive
    assert judgement.verdict.interval[0] <= -0.01 < judgement.verdict.difference
    assert judgement.verdict.passes
    assert judgement.verdict == verdict_of(judgement.comparison, 0.01, 0, last_resort=True)


def test_one_picture_a_class_leaves_nothing_to_measure_on() -> None:
    one_shot = clusters([1, 1, 1])
    judgement, folds = judged(holdings_of(one_shot, nobody(one_shot), nobody(one_shot)), Recipe(), search=NoSearch())
    assert (judgement.comparison, judgement.measured_on, folds) == (None, "nothing", [])
    assert not judgement.verdict.passes
    assert judgement.verdict.images == 0


def test_one_class_is_judged_on_nothing_for_every_answer_is_right() -> None:
    one, two, three = (clusters([6], draw=draw) for draw in range(3))
    judgement, folds = judged(holdings_of(one, two, three), Recipe(), search=NoSearch())
    assert (judgement.comparison, judgement.measured_on, folds) == (None, "nothing", [])


# ------------------------------------------------------------------------------------------------------- nested


def watched(monkeypatch, data: LabelledEmbeddings, request: OptimiseRequest, search=None):
    """Nested comparison, with the groups that each pipeline saw and those that it then judged."""
    group_of = dict(zip(data.ids, data.groups.tolist(), strict=True))
    seen: list[set[int]] = []
    pairs: list[tuple[set[int], set[int]]] = []
    real_fitter, real_build, real_compare = module.CrossFitter, module.build, module.compare

    def fitter(rest, *args, **options):
        seen.append({group_of[name] for name in rest.ids})
        return real_fitter(rest, *args, **options)

    def built(recipe, support, tuning, seed, **options):
        assert not len(tuning)
        seen.append({group_of[name] for name in support.ids})
        return real_build(recipe, support, tuning, seed, **options)

    def compared(fitted, support, queries, seed):
        known = set().union(*seen, {group_of[name] for name in support.ids})
        pairs.append((known, {group_of[name] for name in queries.ids}))
        seen.clear()
        return real_compare(fitted, support, queries, seed)

    monkeypatch.setattr(module, "CrossFitter", fitter)
    monkeypatch.setattr(module, "build", built)
    monkeypatch.setattr(module, "compare", compared)
    comparison = nested_comparison(data, request, search or FakeSearch(), lambda *_: None)
    return comparison, pairs


@pytest.mark.parametrize("sizes", [[10, 10, 10], [2, 2, 2], [6, 1, 3]])
def test_no_pipeline_sees_what_it_judges_search_included(monkeypatch, sizes: list[int]) -> None:
    data = clusters(sizes, noise=0.3)
    if min(sizes) > 5:
        data = replace(data, groups=np.arange(len(data)) // 2)
    comparison, pairs = watched(monkeypatch, data, REQUEST)
    assert len(pairs) == fold_count(data)
    for known, asked in pairs:
        assert asked
        assert not known & asked
    assert set().union(*(asked for _, asked in pairs)) == set(data.groups.tolist())
    assert len(comparison.truth) == len(data)


def test_every_fold_searches_for_itself(monkeypatch) -> None:
    calls = []

    class Counting(FakeSearch):
        def maximise(self, *args, trials: int, **options):
            calls.append(trials)
            return super().maximise(*args, trials=trials, **options)

    watched(monkeypatch, clusters([10, 10], noise=0.3), OptimiseRequest(trials=60), Counting())
    assert calls == [15] * 5, "a quarter of the trials each"
    calls.clear()
    watched(monkeypatch, clusters([10, 10], noise=0.3), OptimiseRequest(trials=8), Counting())
    assert calls == [10] * 5, "ten at least"


def test_a_budget_holds_in_every_nested_pipeline() -> None:
    data = clusters([10, 10, 10], noise=0.3)
    comparison = nested_comparison(data, OptimiseRequest(trials=8, budget=1), FakeSearch(), lambda *_: None)
    assert comparison.references[HOLOTYPE] == 3


def test_labels_without_meaning_are_not_flattered_by_the_search() -> None:
    """The best of many recipes looks good where it was chosen; judged by others it is chance."""
    random = np.random.default_rng(0)
    data = clusters([120], width=5, noise=1.0)
    data = replace(data, codes=random.integers(0, 3, 120), classes=("a", "b", "c"))
    comparison = nested_comparison(data, OptimiseRequest(trials=40), FakeSearch(), lambda *_: None)
    assert abs((comparison.scores[HOLOTYPE].argmax(axis=1) == comparison.truth).mean() - 1 / 3) < 0.12


def test_with_the_real_search_the_same_seed_says_the_same() -> None:
    data = clusters([8, 8, 8], noise=0.3)
    first, second = (nested_comparison(data, REQUEST, OptunaSearch(), lambda *_: None) for _ in range(2))
    assert np.array_equal(first.scores[HOLOTYPE], second.scores[HOLOTYPE])
    assert first.references == second.references
