"""Parts side by side: found by their lengths; what is believed across them, by hand and against a spelt-out sum."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.parts import LEAST_WIDTH, across_shrinkage, count_parts, loosened
from tests.core.clusters import unit_rows


def side_by_side(parts: int, width: int, rows: int, seed: int) -> np.ndarray:
    """Unit rows of so many parts, each of the same length."""
    pieces = [unit_rows(rows, width, seed=seed + part) for part in range(parts)]
    return np.asarray(np.concatenate(pieces, axis=1) / np.sqrt(parts), dtype=np.float32)


@given(parts=st.sampled_from([1, 2, 3, 5, 7]), rows=st.integers(3, 40), seed=st.integers(0, 100))
def test_parts_are_counted(parts: int, rows: int, seed: int) -> None:
    assert count_parts(side_by_side(parts, 30, rows, seed)) == parts


def test_rows_of_one_piece_have_one_part() -> None:
    assert count_parts(unit_rows(20, 96, seed=0)) == 1
    one_longer = side_by_side(3, 16, 10, seed=0)
    one_longer[4, :16] *= 1.01
    assert count_parts(one_longer) == 1


def test_what_is_narrower_than_an_embedding_is_no_part() -> None:
    signs = np.sign(unit_rows(6, 2 * LEAST_WIDTH, seed=1)).astype(np.float32) / np.sqrt(2.0 * LEAST_WIDTH)
    assert count_parts(np.asarray(signs, np.float32)) == 2  # every coordinate is as long as every other
    assert count_parts(np.asarray(signs[:, :LEAST_WIDTH] * np.sqrt(2.0), np.float32)) == 1


def test_across_shrinkage_by_hand() -> None:
    """Products across are 1, 1, 1, -1: their mean over two degrees of freedom is 1, its variance (4 / 2 - 1) / 2."""
    away = np.array([[1, 1], [-1, -1], [1, 1], [-1, 1]], dtype=np.float64)
    assert across_shrinkage(away, 2, 2) == pytest.approx(0.5)
    assert across_shrinkage(away, 1, 2) == 0.0
    assert across_shrinkage(away, 2, 0) == 1.0


def test_across_shrinkage_is_variance_over_squares() -> None:
    """Spelt out product by product."""
    away = np.random.default_rng(3).normal(size=(30, 6)) + np.random.default_rng(4).normal(size=(30, 1))
    freedom, squares, variances = 24, 0.0, 0.0
    for first in range(6):
        for second in range(first):
            if first // 2 != second // 2:
                products = away[:, first] * away[:, second]
                covariance = products.sum() / freedom
                squares += covariance**2
                variances += ((products**2).sum() / freedom - covariance**2) / freedom
    assert across_shrinkage(away, 3, freedom) == pytest.approx(variances / squares)


def test_more_rows_are_believed_more_and_parts_that_never_vary_together_not_at_all() -> None:
    random = np.random.default_rng(0)
    tied = random.normal(size=(4000, 1)) + random.normal(size=(4000, 8))
    shares = [across_shrinkage(tied[:count], 2, count) for count in (10, 100, 1000, 4000)]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] < 0.01
    assert across_shrinkage(random.normal(size=(500, 8)), 2, 500) > 0.8
    assert across_shrinkage(np.zeros((5, 8)), 2, 5) == 1.0


def test_loosened_by_hand() -> None:
    covariance = np.array([[4.0, 2.0, 1.0, 1.0], [2.0, 4.0, 1.0, 1.0], [1.0, 1.0, 4.0, 2.0], [1.0, 1.0, 2.0, 4.0]])
    assert loosened(covariance, 1, 0.5) is covariance
    half = loosened(covariance, 2, 0.5)
    assert half.tolist() == [[4, 2, 0.5, 0.5], [2, 4, 0.5, 0.5], [0.5, 0.5, 4, 2], [0.5, 0.5, 2, 4]]


@given(share=st.floats(0, 1), parts=st.sampled_from([2, 3, 4]), seed=st.integers(0, 50))
def test_a_loosened_covariance_is_still_one(share: float, parts: int, seed: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(9, 12))
    found = loosened(rows.T @ rows, parts, share)
    assert np.trace(found) == pytest.approx(np.trace(rows.T @ rows))
    assert np.linalg.eigvalsh(found)[0] > -1e-9
