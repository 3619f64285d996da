"""Cross-fitting: every row is answered by a reference set that was made, and tuned, without it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np

from service.core.fitting import Prepared, Support, fit, train_together
from service.core.folds import deal_folds, distinct_pictures, fold_count
from service.core.model import BoolArray, Float32Array, IntArray, LabelledEmbeddings
from service.core.race import right_answers
from service.core.recipe import Cleaning, Recipe

_FoldAnswers = tuple[IntArray, BoolArray, Float32Array | None, tuple[int, int]]
"""Rows judged, which are right, scores where asked for, and how many references and support rows the fold had."""
MIN_THREADED = 5_000
"""Rows from which on folds run side by side: with fewer, threads would wait for the interpreter's lock mostly."""
MOST_TOGETHER = 640
"""Rows up to which heads of all folds are trained together, whether or not a fold's answers will stop the run."""
# Below this many distinct pictures in the middling class no fold is set aside for thresholds.
MIN_TUNED_CLASS = 5


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Answered:
    """Which out-of-fold answers are right.

    Attributes:
        references: mean number of references over the folds.
        support: mean number of support rows over the folds.
        asked: bool (n,), rows of the folds that were run: all of them, but where a run was stopped.
        right: bool (n,), whether the best class of a row is its own; False for rows that no fold judged.
    """

    references: float
    support: float
    asked: BoolArray
    right: BoolArray


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CrossFit(Answered):
    """Out-of-fold answers: scores float32 (n, C), -inf rows for rows that no fold judged."""

    scores: Float32Array


@dataclass(slots=True, eq=False)
class CrossFitter:
    """Folds of one data set, and what recipes share in each of them.

    Fold f judges, fold f + 1 tunes the thresholds, the others are support: with five folds the 60/20/20 of the splits.
    A class whose pictures outside fold f are all in fold f + 1 lends them to the support, else nothing could answer for
    it. Data too thin to set a fold aside tunes nothing: then shares are the recipe's quantile.

    As many folds as there are `threads` run side by side, where they are large; it changes no answer.
    """

    data: LabelledEmbeddings
    seed: int
    balanced: bool = False
    threads: int = 1
    folds: int = field(init=False)
    tuned: bool = field(init=False)
    fold_of: IntArray = field(init=False)
    _roles: dict[int, tuple[IntArray, IntArray, IntArray]] = field(init=False, default_factory=dict)
    _supports: dict[int, Support] = field(init=False, default_factory=dict)
    _last: tuple[Recipe, CrossFit] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.folds = fold_count(self.data)
        self.fold_of = deal_folds(self.data, max(self.folds, 1), self.seed)
        self.tuned = self.folds >= 3 and float(np.median(distinct_pictures(self.data))) >= MIN_TUNED_CLASS

    def roles(self, fold: int) -> tuple[IntArray, IntArray, IntArray]:
        """Rows of support, tuning and judged pictures in a fold, found once."""
        if fold not in self._roles:
            judged = self.fold_of == fold
            tuning = (self.fold_of == (fold + 1) % self.folds) if self.tuned else np.zeros_like(judged)
            tuning &= np.isin(self.data.codes, self.data.codes[~judged & ~tuning])
            self._roles[fold] = np.flatnonzero(~judged & ~tuning), np.flatnonzero(tuning), np.flatnonzero(judged)
        return self._roles[fold]

    def prepared(self, fold: int, cleaning: Cleaning) -> Prepared:
        """What recipes share over the support of a fold that has some, found once."""
        if fold not in self._supports:
            self._supports[fold] = Support(self.data.take(self.roles(fold)[0]), self.seed)
        return self._supports[fold].prepared(cleaning)

    def run(self, recipe: Recipe) -> CrossFit:
        """Answers of the recipe for every row. Needs at least two folds. The last recipe's are kept."""
        asked = replace(recipe, temperature=1.0)  # which scores do not depend on
        if self._last is None or self._last[0] != asked:
            self._last = None  # not held beside the new scores
            scores = np.full((len(self.data), len(self.data.classes)), -np.inf, dtype=np.float32)
            found = self._run(asked, lambda _: False, scores)
            self._last = (
                asked,
                CrossFit(
                    references=found.references,
                    support=found.support,
                    asked=found.asked,
                    right=found.right,
                    scores=scores,
                ),
            )
        return self._last[1]

    def answered(self, recipe: Recipe, stop: Callable[[Answered], bool]) -> Answered:
        """Which of its answers are right: most can be told without their scores.

        `stop` is asked after every fold but the last whether what was found is enough.
        """
        return self._run(recipe, stop, None)

    def _run(self, recipe: Recipe, stop: Callable[[Answered], bool], scores: Float32Array | None) -> Answered:
        """Writes the scores into the array given."""
        right = np.zeros(len(self.data), dtype=np.bool_)
        references, supports = [], []
        judged = [fold for fold in range(self.folds) if all(rows.size for rows in self.roles(fold)[::2])]
        if len(self.data) <= MOST_TOGETHER:
            train_together([self.prepared(fold, recipe.cleaning) for fold in judged], recipe)
        whole = scores is not None
        for fold, (rows, own, answers, counts) in zip(judged, self._answers(recipe, judged, whole), strict=False):
            right[rows] = own
            if scores is not None and answers is not None:
                scores[rows] = answers
            references.append(counts[0])
            supports.append(counts[1])
            found = Answered(
                references=float(np.mean(references)),
                support=float(np.mean(supports)),
                asked=self.fold_of <= fold,
                right=right,
            )
            if fold + 1 < self.folds and stop(found):
                return found
        return replace(found, asked=np.ones(len(right), dtype=np.bool_))

    def _answers(self, recipe: Recipe, folds: list[int], whole: bool) -> Iterator[_FoldAnswers]:
        """Of one fold after the other; the next ones are worked on meanwhile, where there are threads for it."""
        if min(self.threads, len(folds)) == 1 or len(self.data) < MIN_THREADED:
            yield from (self._answer(recipe, fold, whole) for fold in folds)
            return
        pool = ThreadPoolExecutor(self.threads)
        try:
            ahead = deque(pool.submit(self._answer, recipe, fold, whole) for fold in folds[: self.threads])
            for fold in [*folds[self.threads :], *[None] * self.threads]:
                if ahead:
                    yield ahead.popleft().result()
                if fold is not None:
                    ahead.append(pool.submit(self._answer, recipe, fold, whole))
        finally:
            pool.shutdown(cancel_futures=True)

    def _answer(self, recipe: Recipe, fold: int, whole: bool) -> _FoldAnswers:
        support, tuning, judged = self.roles(fold)
        prepared = self.prepared(fold, recipe.cleaning)
        asked = self.data.take(tuning) if self.tuned and recipe.strategy == "thresholds" else None
        fitted = fit(recipe, prepared, asked, balanced=self.balanced)
        counts = len(fitted.references), len(support)
        embeddings, truth = self.data.embeddings[judged], self.data.codes[judged]
        if not whole:
            return judged, fitted.right(embeddings, truth), None, counts
        scores = fitted.scores(embeddings)
        return judged, right_answers(scores, truth), scores, counts
