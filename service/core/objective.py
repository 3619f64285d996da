"""Fast evaluation of centrality thresholds, and the exact coordinate sweep over them.

With every class's support sorted by centrality, the class score after keeping its first j references is a running
maximum (m = 1) or a running mean of the best m. That table, (references, queries), is made once; any thresholds are
then a gather and an argmax, and the best threshold of one class given the others is found exactly in one pass. The
sweep keeps the two best classes of every query, so that a pass looks only at queries that its class can win or lose,
and needs only the queries that are not answered alike whatever the thresholds are (`PrefixTable.undecided`).
A table that would be too large for the memory is not kept: what a pass looks at is reckoned again, a part at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from service.core.model import BoolArray, Float32Array, Float64Array, IntArray
from service.core.thresholds import Ranking
from service.core.undecided import undecided_queries

MAX_SWEEPS = 10
KEPT = 64_000_000
"""Scores of a table that is kept (256 MB)."""
BLOCK = 4_000_000
"""Scores looked at together (16 MB)."""

Queries = slice | IntArray


def _accumulate_best_mean(block: Float32Array, per_label: int) -> None:
    """Row j becomes the mean of the `per_label` best of rows 0..j (of all, where there are fewer). block is (n, q)."""
    if per_label == 1:
        # Row by row: thirteen times as fast as `np.maximum.accumulate` along the first axis.
        for before, row in pairwise(block):
            np.maximum(before, row, out=row)
        return
    best: list[Float64Array] = []
    for row in block:
        carried = row.astype(np.float64)
        for rank, kept in enumerate(best):
            best[rank], carried = np.maximum(kept, carried), np.minimum(kept, carried)
        if len(best) < per_label:
            best.append(carried)
        row[:] = np.sum(best, axis=0) / len(best)


@dataclass(slots=True, eq=False)
class _Leaders:
    """The best and the second best class of every query, kept up to date while scores change one class at a time.

    Attributes:
        scores: float32 (q, C).
        first, second: float32 (q,), the two best scores of each query; -inf where there is none.
        first_code, second_code: int64 (q,), their classes; the lower code goes first among equals, as in argmax.
    """

    scores: Float32Array
    first: Float32Array = field(init=False)
    second: Float32Array = field(init=False)
    first_code: IntArray = field(init=False)
    second_code: IntArray = field(init=False)

    def __post_init__(self) -> None:
        queries = len(self.scores)
        self.first, self.second = np.empty((2, queries), dtype=np.float32)
        self.first_code, self.second_code = np.empty((2, queries), dtype=np.int64)
        self._rank(np.arange(queries))

    def _rank(self, queries: IntArray) -> None:
        """Find the two best of the given queries anew."""
        scores, own = self.scores[queries], np.arange(len(queries))
        code = scores.argmax(axis=1)
        self.first_code[queries], self.first[queries] = code, scores[own, code]
        scores[own, code] = -np.inf
        code = scores.argmax(axis=1)
        self.second_code[queries], self.second[queries] = code, scores[own, code]

    def rivals(self, code: int) -> tuple[Float32Array, IntArray]:
        """Score and code of the best class other than `code`, for every query."""
        leads = self.first_code == code
        return np.where(leads, self.second, self.first), np.where(leads, self.second_code, self.first_code)

    def change(self, code: int, scores: Float32Array) -> None:
        """Give class `code` new scores, (q,)."""
        self.scores[:, code] = scores
        lost = (self.first_code == code) | (self.second_code == code)
        above = ~lost & _precedes(scores, code, self.first, self.first_code)
        self.second[above], self.second_code[above] = self.first[above], self.first_code[above]
        self.first[above], self.first_code[above] = scores[above], code
        between = ~lost & ~above & _precedes(scores, code, self.second, self.second_code)
        self.second[between], self.second_code[between] = scores[between], code
        self._rank(np.flatnonzero(lost))


def _precedes(scores: Float32Array, code: int, others: Float32Array, other_codes: IntArray) -> BoolArray:
    """Does class `code` come before the other class by score, and by code among equals? (..., q) to bool (..., q)."""
    return np.asarray((scores > others) | ((scores == others) & (code < other_codes)))


@dataclass(frozen=True, slots=True, eq=False)
class PrefixTable:
    """Class scores of queries for every possible threshold.

    Attributes:
        ranking: the order of the rows.
        truth: int64 (q,), true codes.
        weights: float64 (q,), what a correct answer counts; over all queries that were given they sum to 1.
        scores: float32 (n, q): row starts[c] + j - 1 is class c's score with its first j references; None: not kept.
        similarities: of the rows of a class, by its code, with some of the queries; what scores that are not kept are
            reckoned from.
        per_label: m, how many of a class's best similarities are averaged.
        given: queries that were given, of which the table may have some.
    """

    ranking: Ranking
    truth: IntArray
    weights: Float64Array
    scores: Float32Array | None
    similarities: Callable[[int, Queries], Float32Array]
    per_label: int
    given: int

    @staticmethod
    def undecided(
        references: Float32Array,
        queries: Float32Array,
        ranking: Ranking,
        truth: IntArray,
        per_label: int,
        *,
        balanced: bool = False,
    ) -> PrefixTable:
        """For the sweep: the table `between`, of the queries that some thresholds answer rightly and others wrongly.

        Weights are those that these queries have among all. Every class that has rows keeps one at least.
        """
        rows = undecided_queries(references, queries, ranking, truth)
        table = PrefixTable.between(references, queries[rows], ranking, truth[rows], per_label)
        weights = _weights(truth, len(ranking.sizes), balanced=balanced)[rows]
        return replace(table, weights=weights, given=len(truth))

    @staticmethod
    def between(
        references: Float32Array,
        queries: Float32Array,
        ranking: Ranking,
        truth: IntArray,
        per_label: int,
        *,
        balanced: bool = False,
    ) -> PrefixTable:
        """Table of unit rows (n, k), in the ranking's order, and queries (q, k); what it holds is at most `KEPT`.

        `balanced` counts every class the same, as macro F1 does; otherwise every query counts the same.
        """
        if len(references) * len(queries) <= KEPT:
            return PrefixTable.of(references @ queries.T, ranking, truth, per_label, balanced=balanced)

        def similarities(code: int, asked: Queries) -> Float32Array:
            return np.asarray(references[ranking.starts[code] : ranking.starts[code + 1]] @ queries[asked].T)

        weights = _weights(truth, len(ranking.sizes), balanced=balanced)
        return PrefixTable(ranking, truth, weights, None, similarities, per_label, len(truth))

    @staticmethod
    def of(
        similarities: Float32Array, ranking: Ranking, truth: IntArray, per_label: int, *, balanced: bool = False
    ) -> PrefixTable:
        """Table from similarities (n, q) of all rows, in the ranking's order, with queries; it takes their place.

        `balanced` as in `between`.
        """
        scores = similarities
        for first, last in zip(ranking.starts[:-1], ranking.starts[1:], strict=True):
            _accumulate_best_mean(scores[first:last], per_label)
        weights = _weights(truth, len(ranking.sizes), balanced=balanced)
        return PrefixTable(ranking, truth, weights, scores, lambda _code, _asked: scores[:0], per_label, len(truth))

    def class_scores(self, counts: IntArray) -> Float32Array:
        """Scores (q, C) when class c keeps its first counts[c] references; -inf for classes that keep none."""
        kept = np.full((len(self.truth), len(counts)), -np.inf, dtype=np.float32)
        present = counts > 0
        if self.scores is not None:
            kept[:, present] = self.scores[self.ranking.starts[:-1][present] + counts[present] - 1].T
        else:
            for code in np.flatnonzero(present).tolist():
                kept[:, code] = self._row(code, int(counts[code]))
        return kept

    def accuracy(self, counts: IntArray) -> float:
        """Weighted share of queries answered correctly under these counts, 0..1; without references none is."""
        scores = self.class_scores(counts)
        right = (scores.argmax(axis=1) == self.truth) & np.isfinite(scores).any(axis=1)
        return float(self.weights @ right)

    def _block(self, code: int, queries: Queries) -> Float32Array:
        """Scores (n_c, q) of class `code` with 1, 2, ... n_c references, for some of the queries."""
        if self.scores is not None:
            return self.scores[self.ranking.starts[code] : self.ranking.starts[code + 1]][:, queries]
        block = self.similarities(code, queries)
        _accumulate_best_mean(block, self.per_label)
        return block

    def _parts(self, code: int, queries: int) -> Iterator[slice]:
        """As many of a class's queries at a time as make a block; one part where there is no query."""
        step = max(1, BLOCK // max(int(self.ranking.sizes[code]), 1))
        return (slice(start, start + step) for start in range(0, max(queries, 1), step))

    def _row(self, code: int, count: int) -> Float32Array:
        """Scores (q,) of class `code` with its first `count` references."""
        parts = self._parts(code, len(self.truth))
        return np.concatenate([self._block(code, part)[count - 1] for part in parts])

    def _peak(self, code: int) -> Float32Array:
        """The highest score (q,) that class `code` can have."""
        return np.concatenate([self._block(code, part).max(axis=0) for part in self._parts(code, len(self.truth))])

    def _told_apart(self, peaks: Mapping[int, Float32Array]) -> tuple[list[int], list[int]]:
        """Classes that have queries or may outdo the true class of one; and others, of which the fewest references do.

        By the highest score (q,) that each of the classes can have.
        """
        least = np.full(len(self.truth), -np.inf, dtype=np.float32)
        for code in np.unique(self.truth[self.ranking.sizes[self.truth] > 0]).tolist():
            own = np.flatnonzero(self.truth == code)
            for part in self._parts(code, len(own)):
                least[own[part]] = self._block(code, own[part]).min(axis=0)
        matter = {code: bool(((self.truth == code) | (peak >= least)).any()) for code, peak in peaks.items()}
        return [code for code in peaks if matter[code]], [code for code in peaks if not matter[code]]

    def _gains(self, code: int, leaders: _Leaders, peak: Float32Array) -> Float64Array:
        """What each number of references of class `code` adds to weighted accuracy, up to a constant, (n_c,).

        Only two kinds of query can change: those of this class, and those that another class answers rightly while this
        one can reach its score; `peak` (q,) is the highest score of this class.
        """
        rival, rival_code = leaders.rivals(code)
        own = self.truth == code
        queries = np.flatnonzero(own | ((rival_code == self.truth) & (peak >= rival)))
        gains = np.zeros(int(self.ranking.sizes[code]))
        for part in self._parts(code, len(queries)):
            some = queries[part]
            wins = _precedes(self._block(code, some), code, rival[some], rival_code[some])
            gains += wins @ np.where(own[some], self.weights[some], -self.weights[some])
        return gains

    def sweep(self, start: IntArray, lowest: IntArray, highest: IntArray, size_penalty: float) -> IntArray:
        """Exact coordinate ascent: the best count of one class after another, until a round changes nothing.

        Each step maximises weighted accuracy minus the penalty over one count exactly; among equals the smallest.

        Args:
            start: int64 (C,), counts to begin with, within the bounds.
            lowest: int64 (C,), smallest counts: at least 1, but 0 for classes without rows.
            highest: int64 (C,), largest counts, at most the class's rows.
            size_penalty: queries that a reference must win to be worth keeping.
        """
        peaks = {code: self._peak(code) for code in np.flatnonzero(highest > lowest).tolist()}
        counts = start.copy()
        open_codes, idle = self._told_apart(peaks)
        counts[idle] = lowest[idle]
        leaders = _Leaders(self.class_scores(counts))
        penalty = size_penalty / max(self.given, 1)
        for _ in range(MAX_SWEEPS):
            before = counts.copy()
            for code in open_codes:
                options = np.arange(lowest[code], highest[code] + 1)
                values = self._gains(code, leaders, peaks[code])[options - 1] - penalty * options
                best = int(options[np.flatnonzero(values >= values.max() - 1e-12)[0]])
                if best != counts[code]:
                    counts[code] = best
                    leaders.change(code, self._row(code, best))
            if np.array_equal(before, counts):
                break
        return counts


def _weights(truth: IntArray, classes: int, *, balanced: bool) -> Float64Array:
    weights = 1.0 / np.bincount(truth, minlength=classes)[truth] if balanced else np.ones(len(truth))
    return np.asarray(weights / max(weights.sum(), 1e-300))
