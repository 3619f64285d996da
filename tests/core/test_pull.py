from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.pull import class_means, pulled
from service.core.vectors import normalised
from service.errors import InvalidInput


def test_class_means_by_hand() -> None:
    projections = np.array([[1, 0], [0, 1], [0, -1]], dtype=np.float32)
    means = class_means(projections, np.array([0, 0, 2]), 3)
    half = np.sqrt(0.5)
    assert means == pytest.approx(np.array([[half, half], [0, 0], [0, -1]]))
    assert means.dtype == np.float32


def test_means_that_cancel_out_are_no_means() -> None:
    projections = np.array([[1, 0], [-1, 0]], dtype=np.float32)
    assert class_means(projections, np.array([0, 0]), 1).tolist() == [[0, 0]]


def test_pulled_by_hand() -> None:
    projections = np.array([[1, 0], [1, 0]], dtype=np.float32)
    means = np.array([[0, 1], [1, 0]], dtype=np.float32)
    half = np.sqrt(0.5)
    assert pulled(projections, np.array([0, 1]), means, 0.5) == pytest.approx(np.array([[half, half], [1, 0]]))
    assert pulled(projections, np.array([0, 1]), means, 1.0) == pytest.approx(np.array([[0, 1], [1, 0]]))


@given(seed=st.integers(0, 2**16), pull=st.floats(0, 1))
def test_pulled_rows_are_unit_and_no_farther_from_their_mean(seed: int, pull: float) -> None:
    rng = np.random.default_rng(seed)
    projections = normalised(rng.standard_normal((12, 4)))
    codes = rng.integers(0, 3, 12)
    means = class_means(projections, codes, 3)
    before = projections.copy()
    result = pulled(projections, codes, means, pull)
    assert np.array_equal(projections, before)
    assert np.linalg.norm(result, axis=1) == pytest.approx(np.ones(12), abs=1e-5)
    gained = (result * means[codes]).sum(axis=1) - (projections * means[codes]).sum(axis=1)
    assert gained.min() > -1e-5


def test_nothing_moves_without_pull_or_without_a_mean() -> None:
    projections = normalised(np.random.default_rng(0).standard_normal((5, 3)))
    codes = np.zeros(5, dtype=np.int64)
    assert pulled(projections, codes, class_means(projections, codes, 1), 0.0) == pytest.approx(projections)
    assert pulled(projections, codes, np.zeros((1, 3), dtype=np.float32), 0.7) == pytest.approx(projections)


def test_a_pull_that_would_cancel_a_reference_leaves_it() -> None:
    reference = np.array([[1, 0]], dtype=np.float32)
    assert pulled(reference, np.array([0]), -reference, 0.5).tolist() == [[1, 0]]


def test_pull_out_of_range() -> None:
    with pytest.raises(InvalidInput, match=r"the pull is 1\.5"):
        pulled(np.ones((1, 1), dtype=np.float32), np.array([0]), np.ones((1, 1), dtype=np.float32), 1.5)
