"""Thresholds: what counts keep is what centralities below the threshold keep, ties included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.thresholds import Ranking, bounded_counts, thresholds_of


@st.composite
def ranked_sets(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    """Centralities with many ties, codes, number of classes (some without rows)."""
    rows = draw(st.integers(1, 25))
    classes = draw(st.integers(1, 5))
    centralities = np.array(draw(st.lists(st.integers(0, 4), min_size=rows, max_size=rows))) / 4
    codes = np.array(draw(st.lists(st.integers(0, classes - 1), min_size=rows, max_size=rows)))
    return centralities, codes, classes


def test_ranking_by_hand() -> None:
    ranking = Ranking.of(np.array([0.3, 0.9, 0.1, 0.2, 0.2]), np.array([2, 0, 2, 0, 2]), 4)
    assert ranking.rows.tolist() == [3, 1, 2, 4, 0]
    assert ranking.starts.tolist() == [0, 2, 2, 5, 5]
    assert ranking.sizes.tolist() == [2, 0, 3, 0]
    assert ranking.kept(np.array([1, 0, 2, 0])).tolist() == [2, 3, 4]
    assert ranking.kept(np.array([0, 0, 0, 0])).tolist() == []
    assert ranking.kept(np.array([9, 9, 9, 9])).tolist() == [0, 1, 2, 3, 4]


@given(ranked=ranked_sets(), data=st.data())
def test_kept_rows_are_those_of_centrality_at_most_the_threshold(ranked, data: st.DataObject) -> None:
    """Rows below a class's threshold are references, rows above are not; of those at it as many as the count says."""
    centralities, codes, classes = ranked
    ranking = Ranking.of(centralities, codes, classes)
    counts = np.array([data.draw(st.integers(min(1, int(size)), int(size))) for size in ranking.sizes])
    kept = ranking.kept(counts)
    thresholds = thresholds_of(centralities, codes, kept, classes)
    assert np.array_equal(np.bincount(codes[kept], minlength=classes), counts)
    limit = thresholds[codes]
    references = np.isin(np.arange(len(codes)), kept)
    assert references[centralities < limit].all()
    assert not references[centralities > limit].any()
    if len(np.unique(centralities)) == len(centralities):
        assert np.array_equal(references, centralities <= limit)
    for code in range(classes):  # of tied rows the first ones
        tied = np.flatnonzero((codes == code) & (centralities == thresholds[code]))
        assert np.array_equal(references[tied], np.sort(references[tied])[::-1])


def test_without_ties_counts_and_thresholds_say_the_same() -> None:
    random = np.random.default_rng(0)
    centralities, codes = random.random(40), random.integers(0, 3, 40)
    ranking = Ranking.of(centralities, codes, 3)
    kept = ranking.kept(np.array([3, 5, 7]))
    thresholds = thresholds_of(centralities, codes, kept, 3)
    assert kept.tolist() == np.flatnonzero(centralities <= thresholds[codes]).tolist()


def test_a_tie_at_the_threshold_does_not_break_the_bound() -> None:
    """Five copies of one picture are equally central: two are wanted, the first two are kept."""
    ranking = Ranking.of(np.full(5, 0.2), np.zeros(5, dtype=np.int64), 1)
    assert ranking.kept(np.array([2])).tolist() == [0, 1]


def test_thresholds_by_hand() -> None:
    centralities, codes = np.array([0.5, 0.1, 0.9, 0.4]), np.array([0, 0, 2, 2])
    thresholds = thresholds_of(centralities, codes, np.array([0, 1, 3]), 3)
    assert thresholds[[0, 2]].tolist() == [0.5, 0.4]
    assert np.isnan(thresholds[1]), "a class without references has no threshold"


SIZES = st.lists(st.integers(0, 30), min_size=1, max_size=6).map(np.array)


@given(
    sizes=SIZES,
    share=st.floats(0, 1),
    minimum=st.integers(1, 5),
    maximum=st.one_of(st.none(), st.integers(1, 12)),
)
def test_bounds_hold_for_every_class(sizes: np.ndarray, share: float, minimum: int, maximum: int | None) -> None:
    counts = bounded_counts(np.full(len(sizes), share), sizes, minimum, maximum)
    assert counts.dtype == np.int64
    assert (counts <= sizes).all()
    assert (counts[sizes > 0] >= 1).all(), "every class that has a row keeps one"
    ceiling = np.maximum(sizes * 30 // 100, 1) if maximum is None else np.full(len(sizes), maximum)
    assert (counts <= ceiling).all(), "a budget is never exceeded, whatever the minimum"
    assert (counts >= np.minimum(np.minimum(minimum, ceiling), sizes)).all()


@given(sizes=SIZES, shares=st.tuples(st.floats(0, 1), st.floats(0, 1)), minimum=st.integers(1, 3))
def test_a_larger_share_never_keeps_less(sizes: np.ndarray, shares: tuple[float, float], minimum: int) -> None:
    fewer, more = (bounded_counts(np.full(len(sizes), share), sizes, minimum, None) for share in sorted(shares))
    assert (fewer <= more).all()


@pytest.mark.parametrize("sizes", [[1, 2, 3, 10, 33, 0], [7, 1000]])
def test_counts_survive_the_way_through_shares(sizes: list[int]) -> None:
    """A recipe keeps shares; at the same sizes they must mean the same counts."""
    rows = np.array(sizes)
    for wanted in range(1, 40):
        counts = np.minimum(wanted, np.minimum(np.maximum(rows * 30 // 100, 1), rows))
        assert bounded_counts(counts / np.maximum(rows, 1), rows, 1, None).tolist() == counts.tolist()


def test_a_budget_of_one_beats_a_minimum_of_three() -> None:
    assert bounded_counts(np.array([0.9, 0.0]), np.array([20, 20]), 3, 1).tolist() == [1, 1]
    assert bounded_counts(np.array([0.9, 0.0]), np.array([20, 20]), 3, None).tolist() == [6, 3]


def test_a_ranking_that_is_cut_keeps_the_least_central_rows_of_each_class() -> None:
    ranking = Ranking.of(np.array([0.5, 0.1, 0.3, 0.2, 0.4]), np.array([0, 0, 0, 2, 2]), 3)
    cut = ranking.cut(np.array([2, 3, 1]))
    assert cut.rows.tolist() == [1, 2, 3]
    assert cut.starts.tolist() == [0, 2, 2, 3]
