"""Fast evaluation of centrality thresholds, and the exact coordinate sweep over them.

With every class's support sorted by centrality, the class score after keeping its first j references is a running
maximum (m = 1) or a running mean of the best m. That table, (queries, references), is made once; any thresholds are
then a gather and an argmax, and the best threshold of one class given the others is found exactly in one pass.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from service.core.model import Float32Array, Float64Array, IntArray
from service.core.thresholds import Ranking

MAX_SWEEPS = 10


def _running_best_mean(block: Float32Array, per_label: int) -> Float32Array:
    """Column j: mean of the `per_label` best of columns 0..j (of all, where there are fewer). block is (q, n)."""
    if per_label == 1:
        return np.maximum.accumulate(block, axis=1)
    best = np.full((len(block), per_label), -np.inf, dtype=np.float32)
    running = np.empty_like(block)
    for column in range(block.shape[1]):
        worst = best.argmin(axis=1)
        rows = np.arange(len(block))
        best[rows, worst] = np.maximum(best[rows, worst], block[:, column])
        running[:, column] = np.sort(best, axis=1)[:, -min(per_label, column + 1) :].mean(axis=1)
    return running


@dataclass(frozen=True, slots=True, eq=False)
class PrefixTable:
    """Class scores of queries for every possible threshold.

    Attributes:
        scores: float32 (q, n): column starts[c] + j - 1 is class c's score with its first j references.
        ranking: the order of the columns.
        truth: int64 (q,), true codes.
        weights: float64 (q,), what a correct answer counts; sums to 1.
    """

    scores: Float32Array
    ranking: Ranking
    truth: IntArray
    weights: Float64Array

    @staticmethod
    def of(
        similarities: Float32Array, ranking: Ranking, truth: IntArray, per_label: int, *, balanced: bool = False
    ) -> PrefixTable:
        """Table from similarities (q, n) of queries to all candidate rows.

        `balanced` counts every class the same, as macro F1 does; otherwise every query counts the same.
        """
        ordered = np.ascontiguousarray(similarities[:, ranking.rows])
        for first, last in zip(ranking.starts[:-1], ranking.starts[1:], strict=True):
            if last > first:
                ordered[:, first:last] = _running_best_mean(ordered[:, first:last], per_label)
        weights = np.ones(len(truth))
        if balanced:
            weights = 1.0 / np.bincount(truth, minlength=len(ranking.sizes))[truth]
        return PrefixTable(ordered, ranking, truth, weights / max(weights.sum(), 1e-300))

    def class_scores(self, counts: IntArray) -> Float32Array:
        """Scores (q, C) when class c keeps its first counts[c] references; -inf for classes that keep none."""
        kept = np.full((len(self.truth), len(counts)), -np.inf, dtype=np.float32)
        present = counts > 0
        kept[:, present] = self.scores[:, self.ranking.starts[:-1][present] + counts[present] - 1]
        return kept

    def accuracy(self, counts: IntArray) -> float:
        """Weighted share of queries answered correctly under these counts, 0..1."""
        return float(self.weights @ (self.class_scores(counts).argmax(axis=1) == self.truth))

    def _values(self, code: int, scores: Float32Array) -> Float64Array:
        """Weighted accuracy for each number of references of class `code`, the other classes' scores given."""
        block = self.scores[:, self.ranking.starts[code] : self.ranking.starts[code + 1]]
        others = scores.copy()
        others[:, code] = -np.inf
        first_rival = others.argmax(axis=1)
        rival = others[np.arange(len(others)), first_rival]
        # argmax takes the lower code on a tie, and so must this.
        wins = (block > rival[:, None]) | ((block == rival[:, None]) & (code < first_rival)[:, None])
        own = self.truth == code
        gained = (self.weights * own) @ wins
        kept = (self.weights * (~own & (first_rival == self.truth))) @ ~wins
        return np.asarray(gained + kept)

    def sweep(self, start: IntArray, lowest: IntArray, highest: IntArray, size_penalty: float) -> IntArray:
        """Exact coordinate ascent: the best count of one class after another, until a round changes nothing.

        Args:
            start, lowest, highest: int64 (C,), counts to begin with and their bounds; classes of no rows have 0.
            size_penalty: queries that a reference must win to be worth keeping.

        Each step maximises weighted accuracy minus the penalty over one count exactly; among equals the smallest.
        """
        counts = start.copy()
        scores = self.class_scores(counts)
        penalty = size_penalty / max(len(self.truth), 1)
        for _ in range(MAX_SWEEPS):
            before = counts.copy()
            for code in np.flatnonzero(highest > lowest):
                self._improve(int(code), counts, scores, (int(lowest[code]), int(highest[code])), penalty)
            if np.array_equal(before, counts):
                break
        return counts

    def _improve(
        self, code: int, counts: IntArray, scores: Float32Array, bounds: tuple[int, int], penalty: float
    ) -> None:
        """Set counts[code] and scores[:, code] to the best, in place."""
        options = np.arange(bounds[0], bounds[1] + 1)
        values = self._values(code, scores)[options - 1] - penalty * options
        best = int(options[np.flatnonzero(values >= values.max() - 1e-12)[0]])
        counts[code] = best
        scores[:, code] = self.scores[:, self.ranking.starts[code] + best - 1]
