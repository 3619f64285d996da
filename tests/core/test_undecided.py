"""Queries whose answer hangs on the thresholds, against plain voting under many of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core import neighbour_votes, undecided
from service.core.objective import PrefixTable
from service.core.thresholds import Ranking
from service.core.undecided import undecided_queries
from tests.core.test_objective import CASES, SWEEPS, Case


def rows_and_axes(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """References and queries whose products are the case's similarities."""
    rows = np.ascontiguousarray(case.similarities.T[case.ranking.rows])
    return rows, np.eye(len(case.truth), dtype=np.float32)


@given(case=CASES, per_label=st.integers(1, 3), step=st.integers(1, 20))
@settings(max_examples=150)
def test_all_other_queries_are_answered_alike_by_all_thresholds(case: Case, per_label: int, step: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbour_votes, "SIMILARITIES", 0)
        patch.setattr(neighbour_votes, "LEAST_QUERIES", step)
        found = undecided_queries(*rows_and_axes(case), case.ranking, case.truth)
    others = np.setdiff1d(np.arange(len(case.truth)), found)
    right = [case.voted(case.counts(), per_label)[others].argmax(axis=1) == case.truth[others] for _ in range(20)]
    assert all(np.array_equal(right[0], other) for other in right)


@given(sweep=SWEEPS)
@settings(max_examples=150)
def test_they_are_enough_for_the_sweep(sweep) -> None:
    case, per_label, balanced, penalty = sweep
    start = case.counts()
    table = PrefixTable.undecided(*rows_and_axes(case), case.ranking, case.truth, per_label, balanced=balanced)
    swept = table.sweep(start, case.lowest, case.ranking.sizes, penalty)
    whole = case.table(per_label, balanced=balanced)
    assert swept.tolist() == whole.sweep(start, case.lowest, case.ranking.sizes, penalty).tolist()


def test_by_hand() -> None:
    """Class 0 has similarities 0.5 and 0.9, class 1 has 0.6: only the query that 0.6 stands between is undecided."""
    case = Case(0, 2, 3, 4)
    case.similarities = np.array([[0.5, 0.9, 0.6], [0.5, 0.9, 0.4], [0.5, 0.9, 1.0], [0.5, 0.9, 0.5]], np.float32)
    case.codes, case.truth = np.array([0, 0, 1]), np.array([0, 0, 0, 1])
    case.ranking = case.ranking.of(np.arange(3.0), case.codes, 2)
    rows, queries = rows_and_axes(case)
    assert undecided_queries(rows, queries[1:3], case.ranking, case.truth[1:3]).tolist() == []
    few = undecided_queries(rows, queries[[1, 0, 2]], case.ranking, case.truth[[1, 0, 2]])
    assert few.tolist() == [1]
    assert undecided_queries(rows, queries[:0], case.ranking, case.truth[:0]).tolist() == []


def test_where_all_are_decided_the_fewest_references_do() -> None:
    rows = np.eye(2, dtype=np.float32)[[0, 0, 1, 1]]
    ranking = Ranking.of(np.arange(4.0), np.array([0, 0, 1, 1]), 2)
    table = PrefixTable.undecided(rows, np.eye(2, dtype=np.float32), ranking, np.array([0, 1]), 1)
    assert len(table.truth) == 0
    assert table.sweep(ranking.sizes, np.array([1, 1]), ranking.sizes, 0.0).tolist() == [1, 1]


def test_where_many_are_undecided_all_are_taken(monkeypatch) -> None:
    """The others of the first look included: nothing more is looked at."""
    case = Case(1, 2, 8, 64)
    rows, queries = rows_and_axes(case)
    assert len(undecided_queries(rows, queries, case.ranking, case.truth)) == 64
    monkeypatch.setattr(undecided, "MANY", 1.0)
    assert len(undecided_queries(rows, queries, case.ranking, case.truth)) < 64
