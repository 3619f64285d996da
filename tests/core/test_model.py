from __future__ import annotations

import numpy as np
import pytest

from tests.core.clusters import labelled


def example_set():
    return labelled(np.eye(4), [0, 2, 2, 0], classes=4, groups=[7, 8, 8, 9])


@pytest.mark.parametrize("rows", [np.array([2, 0]), np.array([], dtype=np.int64), np.array([1, 1])])
def test_rows_are_taken_by_index_in_the_order_given(rows: np.ndarray) -> None:
    data = example_set()
    taken = data.take(rows)
    assert taken.ids == tuple(data.ids[row] for row in rows)
    assert np.array_equal(taken.embeddings, data.embeddings[rows])
    assert np.array_equal(taken.codes, data.codes[rows])
    assert np.array_equal(taken.groups, data.groups[rows])
    assert taken.classes == data.classes, "a class may have no row; codes must go on meaning the same"
    assert len(taken) == len(rows)


def test_rows_are_taken_by_mask() -> None:
    taken = example_set().take(np.array([True, False, False, True]))
    assert taken.ids == ("e0", "e3")
    assert taken.groups.tolist() == [7, 9]


def test_an_empty_set_keeps_its_width() -> None:
    empty = example_set().take(np.zeros(4, dtype=np.bool_))
    assert empty.embeddings.shape == (0, 4)
    assert len(empty) == 0
