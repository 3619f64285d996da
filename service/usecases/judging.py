"""The gate carried out: a candidate against all references, on pictures that chose nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from service.core.crossfit import CrossFitter
from service.core.fitting import Fitted
from service.core.folds import deal_folds, fold_count
from service.core.gate import Verdict, judge
from service.core.model import LabelledEmbeddings
from service.core.pipeline import HOLOTYPE, Comparison, build, compare, joined, pooled
from service.core.recipe import Recipe
from service.ports import ParameterSearch
from service.usecases.holdings import Holdings
from service.usecases.optimise_request import OptimiseRequest
from service.usecases.recipe_search import search_recipe, search_thresholds
from service.usecases.unmeasured import one_class

# A pipeline of the nested comparison searches less long than the one that is served: there is one a fold.
NESTED_TRIALS_SHARE = 4
MIN_NESTED_TRIALS = 10


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """What the figures are, and on which pictures they were measured.

    Attributes:
        comparison: answers of the selection and the panel; None where there was nothing to measure on.
        verdict: the gate's.
        measured_on: "holdout", "cross-fitting" or "nothing".
    """

    comparison: Comparison | None
    verdict: Verdict
    measured_on: str


def verdict_of(comparison: Comparison, margin: float, seed: int, *, last_resort: bool = False) -> Verdict:
    """Selection against all references behind the same head and pull."""
    selection, everything = (comparison.scores[name].argmax(axis=1) == comparison.truth for name in (HOLOTYPE, "all"))
    return judge(selection, everything, margin, seed, difference_decides=last_resort)


def judge_candidate(
    candidate: Fitted,
    holdings: Holdings,
    request: OptimiseRequest,
    search: ParameterSearch,
    margin: float,
    on_fold: Callable[[int, int], None],
    *,
    searched: bool = True,
    threads: int = 1,
) -> Judgement:
    """On the holdout once; where that cannot tell, by nested cross-fitting over all labelled pictures.

    Where there is one class only nothing is: whatever is asked, the answer is right.
    A candidate that no search chose (`searched` False: one picture a class) is judged on the holdout or not at all: a
    cross-fitting over more pictures would search, and its figures would be those of something else. `threads` are what
    a cross-fitting may have (`CrossFitter`).
    """
    everything = joined(joined(holdings.support, holdings.tuning), holdings.holdout)
    alone = one_class(everything)
    if len(holdings.holdout) and not alone:
        comparison = compare(candidate, holdings.support, holdings.holdout, request.seed)
        verdict = verdict_of(comparison, margin, request.seed)
        # All references asked for is no choice: nothing has to be decided, and the holdout has its figures.
        if verdict.conclusive or not searched or request.strategy == "all":
            return Judgement(comparison, verdict, "holdout")
    if alone or not searched or fold_count(everything) < 2:
        return Judgement(None, judge(np.zeros(0, bool), np.zeros(0, bool), margin, request.seed), "nothing")
    comparison = nested_comparison(everything, request, search, on_fold, threads)
    return Judgement(comparison, verdict_of(comparison, margin, request.seed, last_resort=True), "cross-fitting")


def nested_comparison(
    data: LabelledEmbeddings,
    request: OptimiseRequest,
    search: ParameterSearch,
    on_fold: Callable[[int, int], None],
    threads: int = 1,
) -> Comparison:
    """Every row is answered by a whole pipeline, search included, that never saw it. Needs two folds at least."""
    folds = fold_count(data)
    # Other folds than those of the search inside, which are dealt with the request's own seed.
    fold_of = deal_folds(data, folds, request.seed + 1)
    comparisons = []
    for fold in range(folds):
        on_fold(fold, folds)
        judged = data.take(fold_of == fold)
        if len(judged):
            rest = data.take(fold_of != fold)
            fitted = build(
                _nested_recipe(rest, request, search, threads), rest, rest.take(np.zeros(0, np.int64)), request.seed,
                balanced=request.metric == "macro_f1",
            )  # fmt: skip
            comparisons.append(compare(fitted, rest, judged, request.seed))
    on_fold(folds, folds)
    return pooled(comparisons)


def _nested_recipe(rest: LabelledEmbeddings, request: OptimiseRequest, search: ParameterSearch, threads: int) -> Recipe:
    if fold_count(rest) < 2:
        return Recipe(maximum=request.budget)
    fitter = CrossFitter(rest, request.seed, balanced=request.metric == "macro_f1", threads=threads)
    trials = max(MIN_NESTED_TRIALS, request.trials // NESTED_TRIALS_SHARE)
    recipe = search_recipe(search, fitter, request, trials=trials, active=None)
    if request.search == "sweep":
        return recipe
    swept = build(recipe, rest, rest.take(np.zeros(0, np.int64)), request.seed, balanced=fitter.balanced).recipe
    return search_thresholds(search, fitter, replace(request, trials=trials), swept)
