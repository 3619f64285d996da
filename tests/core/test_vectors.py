from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from service.core.vectors import SHORTEST, checked_embeddings, class_sums, normalised, similarity
from service.errors import InvalidInput

FINITE = st.floats(-1e6, 1e6, allow_subnormal=False)


def test_checked_embeddings_come_back_as_float32() -> None:
    checked = checked_embeddings([[0.6, 0.8], [1.0, 0.0]], 2)
    assert checked.dtype == np.float32
    assert checked == pytest.approx(np.array([[0.6, 0.8], [1.0, 0.0]]))


def test_a_length_within_a_thousandth_passes_and_beyond_does_not() -> None:
    checked_embeddings([[1.0009, 0.0], [0.9991, 0.0]])
    for length in (1.0011, 0.9989, 2.0, 0.0):
        with pytest.raises(InvalidInput, match="unit length"):
            checked_embeddings([[1.0, 0.0], [length, 0.0]])


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf, 1e30])
def test_the_first_bad_row_is_named(broken: float) -> None:
    rows = np.tile(np.array([0.6, 0.8]), (5, 1))
    rows[3, 0] = broken
    rows[4] = 7.0
    with pytest.raises(InvalidInput, match="row 3 "):
        checked_embeddings(rows)
    with pytest.raises(InvalidInput, match="row 0 "):
        checked_embeddings(rows[3:4])


def test_shape_and_width_are_checked() -> None:
    with pytest.raises(InvalidInput, match=r"shape \(2,\)"):
        checked_embeddings([1.0, 0.0])
    with pytest.raises(InvalidInput, match="2 wide; 3 are needed"):
        checked_embeddings([[1.0, 0.0]], 3)


def test_no_rows_are_no_error() -> None:
    assert checked_embeddings(np.zeros((0, 4)), 4).shape == (0, 4)
    assert normalised(np.zeros((0, 4))).shape == (0, 4)


def test_normalised_by_hand_leaves_its_argument_alone() -> None:
    rows = np.array([[3.0, 4.0], [0.0, -2.0]])
    before = rows.copy()
    assert normalised(rows) == pytest.approx(np.array([[0.6, 0.8], [0.0, -1.0]]))
    assert np.array_equal(rows, before)


@pytest.mark.parametrize("row", [[0.0, 0.0], [1e-160, 0.0], [np.nan, 1.0], [np.inf, 1.0]])
def test_rows_without_a_direction_are_refused(row: list[float]) -> None:
    with pytest.raises(InvalidInput, match="row 1 has length"):
        normalised([[1.0, 1.0], row, [0.0, 0.0]])


@given(arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=FINITE))
def test_normalised_rows_pass_the_check_or_are_refused(rows: np.ndarray) -> None:
    if np.any(np.linalg.norm(rows, axis=1) < SHORTEST):
        with pytest.raises(InvalidInput):
            normalised(rows)
    else:
        checked_embeddings(normalised(rows), rows.shape[1])


def test_similarity_is_the_cosine() -> None:
    queries = np.array([[1, 0], [0.6, 0.8]], dtype=np.float32)
    references = np.array([[0, 1], [1, 0], [-1, 0]], dtype=np.float32)
    result = similarity(queries, references)
    assert result.dtype == np.float32
    assert result == pytest.approx(np.array([[0, 1, -1], [0.8, 0.6, -0.6]]))


def test_class_sums_add_rows_class_by_class() -> None:
    rows = np.arange(8, dtype=np.float64).reshape(4, 2)
    sums = class_sums(rows, np.array([2, 0, 2, 0]), 4)
    assert sums.tolist() == [[8.0, 10.0], [0.0, 0.0], [4.0, 6.0], [0.0, 0.0]]
