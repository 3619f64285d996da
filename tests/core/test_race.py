from __future__ import annotations

import numpy as np
import pytest

from service.core.race import FEWEST, hopeless, right_answers


def answers(lost: int, won: int, alike: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Of a recipe and its leader: `lost` that only the leader has right, `won` that only the recipe has."""
    right = np.repeat([False, True, True], [lost, won, alike])
    leader = np.repeat([True, False, True], [lost, won, alike])
    return right, leader


@pytest.mark.parametrize(
    ("lost", "won", "expected"),
    [(64, 0, True), (FEWEST - 1, 0, False), (50, 50, False), (66, 34, False), (71, 29, True), (29, 71, False)],
)
def test_behind_by_four_standard_deviations_is_hopeless(lost: int, won: int, expected: bool) -> None:
    assert hopeless(*answers(lost, won), 0.0) is expected


def test_a_handicap_counts_as_pictures() -> None:
    right, leader = answers(66, 34, 900)
    assert hopeless(right, leader, 0.01), "ten pictures of a thousand more: 42 behind, 40 are beyond doubt"
    assert not hopeless(right, leader, -0.01)


def test_luck_seldom_passes_for_hopeless() -> None:
    random = np.random.default_rng(0)
    dropped = [hopeless(random.random(400) < 0.5, random.random(400) < 0.5, 0.0) for _ in range(3000)]
    assert sum(dropped) <= 2


def test_right_answers_need_a_score() -> None:
    scores = np.array([[0.1, 0.2], [0.3, 0.2], [-np.inf, -np.inf]], dtype=np.float32)
    assert right_answers(scores, np.array([1, 1, 0])).tolist() == [True, False, False]
