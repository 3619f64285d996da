"""What recipes are worth by cross-fitting, and whether the best of a search is better than one that needs none."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from service.core.crossfit import Answered, CrossFitter
from service.core.evaluation import evaluate
from service.core.model import BoolArray, Float64Array
from service.core.race import hopeless
from service.core.recipe import Recipe

SIZE_COST = 0.01
"""Accuracy that keeping every picture costs in the choice: among equals the smaller reference set wins."""
PULL_COST = 0.01
"""Accuracy that leaving references where they are costs: among equals those nearest to their class mean win.

Cross-fitting hardly tells pulls apart, and pictures of other places and days do: there strong ones held up better.
"""


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """A recipe that was judged to the end: its value, what it costs, and which of its answers are right, bool (n,)."""

    value: float
    cost: float
    right: BoolArray


@dataclass(slots=True, eq=False)
class RecipeRace:
    """What trials are worth. One that is behind beyond doubt is not judged to the end (`core.race`), for accuracy.

    Then its value is the leader's, less what it is behind on the pictures that both answered.

    Attributes:
        fitter: judges; needs two folds at least.
        metric: "accuracy" or "macro_f1".
        steady: the recipe that all others have to beat; it is judged first.
        finished: of trials that were finished before, the best: a search that is resumed takes the course of one that
            was not.
    """

    fitter: CrossFitter
    metric: str
    steady: Recipe
    finished: Recipe | None = None
    _steady: _Judged | None = None
    _leader: _Judged | None = None

    def value(self, recipe: Recipe) -> float:
        """Accuracy or macro F1 of its cross-fitted answers, less what its references and a weak pull cost."""
        leader = self._led()
        if self.metric == "macro_f1":
            return self._placed(self._whole(recipe)).value
        found = self.fitter.answered(recipe, lambda sofar: _behind(recipe, sofar, leader))
        if found.asked.all():
            return self._placed(_judged(recipe, found)).value
        ahead = float(found.right[found.asked].mean() - leader.right[found.asked].mean())
        return leader.value + ahead - (_cost(recipe, found) - leader.cost)

    def winner(self, best: Recipe, trials: int) -> Recipe:
        """The best of a search of so many trials, if it is ahead of the steady recipe by more than luck; else that one.

        The best of many looks better than it is. The lead that counts is the one by which one in `trials` recipes as
        good as the steady one would be ahead by chance, in standard errors of the paired difference: the
        one-standard-error rule (Breiman et al. 1984) for more than a handful.
        """
        leader, steady = self._led(), self._steady
        if steady is None or leader is steady:
            return self.steady
        ahead = (leader.right.astype(np.float64) - steady.right) * self._counts()
        error = float(np.std(ahead)) / math.sqrt(len(ahead))
        luck = float(ndtri(1.0 - 1.0 / max(trials, 2)))
        return best if leader.value - steady.value > luck * error else self.steady

    def _counts(self) -> Float64Array:
        """What each answer counts, (n,): the same for accuracy, the same for each class for macro F1."""
        codes = self.fitter.data.codes
        if self.metric != "macro_f1":
            return np.ones(len(codes))
        _, place, sizes = np.unique(codes, return_inverse=True, return_counts=True)
        return np.asarray(len(codes) / (len(sizes) * sizes[place]))

    def _led(self) -> _Judged:
        """The leader; before the first trial those that were there before."""
        if self._leader is None or self._steady is None:
            self._steady = self._placed(self._whole(self.steady))
            if self.finished is not None:
                self._placed(self._whole(self.finished))
        return self._leader or self._steady

    def _placed(self, judged: _Judged) -> _Judged:
        if self._leader is None or judged.value > self._leader.value:
            self._leader = judged
        return judged

    def _whole(self, recipe: Recipe) -> _Judged:
        """With its scores, for the steady recipe wins most races and these give its temperature."""
        whole, data = self.fitter.run(recipe), self.fitter.data
        if self.metric != "macro_f1":
            return _judged(recipe, whole)
        cost = _cost(recipe, whole)
        return _Judged(evaluate(data.codes, whole.scores, data.classes).macro_f1 - cost, cost, whole.right)


def _judged(recipe: Recipe, found: Answered) -> _Judged:
    cost = _cost(recipe, found)
    return _Judged(float(found.right.mean()) - cost, cost, found.right)


def _behind(recipe: Recipe, found: Answered, leader: _Judged) -> bool:
    rows = found.asked
    return hopeless(found.right[rows], leader.right[rows], _cost(recipe, found) - leader.cost)


def _cost(recipe: Recipe, crossfit: Answered) -> float:
    """Of references, and of a weak pull."""
    return SIZE_COST * crossfit.references / max(crossfit.support, 1.0) + PULL_COST * (1.0 - recipe.pull)
