"""Centrality thresholds and what they keep: the references of a class are those of centrality at most its threshold.

Thresholds are handled as counts: keeping the j least central rows of a class is the threshold at the j-th centrality.
Rows may tie there (copies of one picture); then only as many of the tied ones are kept as the count says, the first
rows first, so that bounds hold. Every row below a threshold is a reference, and none above it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from service.core.model import Float64Array, IntArray

MOST_PERCENT = 30
"""Of a class, where no budget says otherwise: behind a head and pulled, more references measure no better."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """Rows sorted by class, then by centrality, least central first: a threshold keeps a prefix of its class's block.

    Attributes:
        rows: int64 (n,), row indices in that order.
        starts: int64 (C + 1,), block of class c is rows[starts[c] : starts[c + 1]].
    """

    rows: IntArray
    starts: IntArray

    @staticmethod
    def of(centralities: Float64Array, codes: IntArray, classes: int) -> Ranking:
        """Ranking of n rows; ties go by row, so it is the same every time."""
        rows = np.lexsort((np.arange(len(codes)), centralities, codes))
        return Ranking(rows, np.searchsorted(codes[rows], np.arange(classes + 1)))

    @cached_property
    def sizes(self) -> IntArray:
        """Rows of each class, int64 (C,)."""
        return np.diff(self.starts)

    def cut(self, counts: IntArray) -> Ranking:
        """Ranking of the first counts[c] rows of each class alone."""
        return Ranking(self._first(counts), np.concatenate([[0], np.cumsum(np.minimum(counts, self.sizes))]))

    def kept(self, counts: IntArray) -> IntArray:
        """Row indices, sorted, of the first counts[c] rows of each class."""
        return np.sort(self._first(counts))

    def _first(self, counts: IntArray) -> IntArray:
        position = np.arange(len(self.rows)) - np.repeat(self.starts[:-1], self.sizes)
        return np.asarray(self.rows[position < np.repeat(counts, self.sizes)])


def bounded_counts(shares: Float64Array, sizes: IntArray, minimum: int, maximum: int | None) -> IntArray:
    """References a class, int64 (C,), from the share of each class to keep.

    At least `minimum` and at most `maximum` (None: 30 % of the class); the maximum, being a budget, wins where they
    contradict. Never more than there are, and one at least in every class that has a row.
    """
    ceiling = sizes * MOST_PERCENT // 100 if maximum is None else np.full(len(sizes), maximum)
    counts = np.minimum(np.maximum(np.rint(shares * sizes), minimum), ceiling)
    return np.minimum(np.maximum(counts, 1), sizes).astype(np.int64)


def thresholds_of(centralities: Float64Array, codes: IntArray, references: IntArray, classes: int) -> Float64Array:
    """Threshold of each class, float64 (C,): the largest centrality among its references; NaN without references."""
    thresholds = np.full(classes, np.nan)
    np.fmax.at(thresholds, codes[references], centralities[references])
    return thresholds
