"""What to label next: by hand, and what holds for every folder."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.labelling import DOUBT_FLOOR, POOL_FACTOR, for_difference, label_next
from service.errors import InvalidInput
from tests.core.clusters import unit_rows


def ring(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_the_least_certain_comes_first_then_doubt_times_distance() -> None:
    """Doubts are 1, 1 - 0.9 * 0.1 / 0.4, 1 - 0.9 * 0.2 / 0.4 and 0.1; row 1 lies beside row 0, row 2 opposite."""
    margins = np.array([0.1, 0.2, 0.3, 0.5])
    picks, nearness = label_next(margins, ring(0, 1, 180, 90), 4)
    assert picks.tolist() == [0, 2, 3, 1]
    assert np.isnan(nearness[0])
    assert nearness[1:] == pytest.approx([-1.0, 0.0, np.cos(np.radians(1))], abs=1e-6)


def test_what_is_taken_for_its_difference_by_hand() -> None:
    """Row 2 before row 1, and row 3 before it: row 1, in more doubt, was left. Then row 1 is all that is left."""
    margins = np.array([0.1, 0.2, 0.3, 0.5])
    assert for_difference(margins, np.array([0, 2, 3, 1])).tolist() == [False, True, True, False]
    assert for_difference(margins, np.array([0, 1, 2])).tolist() == [False] * 3
    assert for_difference(np.full(3, 0.4), np.array([2, 0, 1])).tolist() == [False] * 3, "all alike in doubt"


def test_the_sure_ones_are_not_in_the_pool() -> None:
    """The farthest picture of all is also the surest: it is not asked for."""
    margins = np.array([*np.linspace(0.1, 0.2, POOL_FACTOR * 2), 1.9])
    picks, _ = label_next(margins, ring(*range(POOL_FACTOR * 2), 180), 2)
    assert picks.tolist()[0] == 0
    assert POOL_FACTOR * 2 not in picks


def test_copies_come_last() -> None:
    picks, nearness = label_next(np.array([0.1, 0.1, 0.1, 0.1]), ring(10, 10, 50, 10), 4)
    assert picks.tolist() == [0, 2, 1, 3]
    assert nearness[2:] == pytest.approx([1.0, 1.0])


def test_an_empty_folder_and_a_count_below_one() -> None:
    picks, nearness = label_next(np.zeros(0), np.zeros((0, 2), np.float32), 3)
    assert picks.size == nearness.size == 0
    with pytest.raises(InvalidInput, match="count is 0"):
        label_next(np.zeros(1), ring(0), 0)


@given(rows=st.integers(1, 40), count=st.integers(1, 12), seed=st.integers(0, 1000), equal=st.booleans())
@settings(max_examples=80, deadline=None)
def test_every_pick_is_the_best_that_was_left(rows: int, count: int, seed: int, equal: bool) -> None:
    random = np.random.default_rng(seed)
    margins = np.full(rows, 0.3) if equal else random.random(rows)
    embeddings = unit_rows(rows, 3, seed)
    picks, nearness = label_next(margins, embeddings, count)
    assert len(picks) == len(set(picks.tolist())) == min(rows, count)
    pool = np.argsort(margins, kind="stable")[: count * POOL_FACTOR]
    assert set(picks.tolist()) <= set(pool.tolist())
    assert margins[picks[0]] == margins.min()
    span = margins[pool].max() - margins[pool].min()
    doubt = 1 - (1 - DOUBT_FLOOR) * (margins - margins.min()) / span if span else np.ones(rows)
    similarities = embeddings @ embeddings.T
    for place in range(1, len(picks)):
        nearest = similarities[:, picks[:place]].max(axis=1)
        gains = doubt * np.maximum(1 - nearest, 0)
        left = [row for row in pool.tolist() if row not in picks[:place]]
        assert gains[picks[place]] >= gains[left].max() - 1e-6
        assert nearness[place] == pytest.approx(nearest[picks[place]], abs=1e-6)
