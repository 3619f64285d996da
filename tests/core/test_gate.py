from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.gate import MAX_INTERVAL_WIDTH, judge


def answers(right: int, of: int) -> np.ndarray:
    return np.arange(of) < right


def paired(both: int, selection_only: int, all_only: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """Right-or-wrong answers of the selection and of all references, with these numbers of pairs."""
    counts = [both, selection_only, all_only, neither]
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


def test_clearly_better_passes_and_clearly_worse_does_not() -> None:
    better = judge(*paired(1600, 200, 100, 100), margin=0.01, seed=0)
    assert better.passes
    assert better.conclusive
    assert better.difference == pytest.approx(0.05)
    worse = judge(*paired(1600, 100, 200, 100), margin=0.01, seed=0)
    assert not worse.passes
    assert worse.conclusive
    assert worse.difference == pytest.approx(-0.05)
    assert worse.images == 2000


def test_the_interval_holds_the_difference_and_mirrors_it() -> None:
    verdict = judge(*paired(700, 60, 40, 200), margin=0.01, seed=0)
    low, high = verdict.interval
    assert low < verdict.difference < high
    selection, everything = paired(700, 60, 40, 200)
    assert judge(everything, selection, margin=0.01, seed=0).interval == pytest.approx((-high, -low), abs=0.003)


def test_the_margin_decides_between_two_readings() -> None:
    """Two points worse, give or take half a point."""
    selection, everything = paired(9000, 100, 300, 600)
    assert judge(selection, everything, margin=0.03, seed=0).passes
    assert not judge(selection, everything, margin=0.01, seed=0).passes


def test_a_wide_interval_tells_nothing() -> None:
    verdict = judge(*paired(80, 8, 8, 4), margin=0.01, seed=0)
    assert verdict.interval[1] - verdict.interval[0] > MAX_INTERVAL_WIDTH
    assert not verdict.conclusive
    assert not verdict.passes


def test_a_wide_interval_below_the_margin_is_enough_to_refuse() -> None:
    """24 points worse, give or take three: that the interval is wide does not make it unclear."""
    verdict = judge(*paired(300, 40, 160, 0), margin=0.01, seed=0)
    low, high = verdict.interval
    assert high - low > MAX_INTERVAL_WIDTH
    assert high < -0.01
    assert verdict.conclusive
    assert not verdict.passes


def test_a_narrow_interval_on_both_sides_of_the_margin_tells_nothing_either() -> None:
    verdict = judge(*paired(1500, 25, 40, 40), margin=0.01, seed=0)
    low, high = verdict.interval
    assert low < -0.01 < high
    assert 0.01 < high - low < MAX_INTERVAL_WIDTH
    assert not verdict.conclusive


def test_an_interval_narrower_than_the_margin_needs_no_more_pictures() -> None:
    verdict = judge(*paired(4800, 40, 90, 70), margin=0.01, seed=0)
    low, high = verdict.interval
    assert low < -0.01 < high
    assert high - low < 0.01
    assert verdict.conclusive
    assert not verdict.passes


@pytest.mark.parametrize("images", [1, 3, 20, 60])
def test_a_handful_of_pictures_on_which_both_agree_is_not_enough(images: int) -> None:
    verdict = judge(answers(images, images), answers(images, images), margin=0.01, seed=0)
    assert verdict.difference == 0.0
    assert not verdict.conclusive
    assert not verdict.passes


def test_many_pictures_on_which_both_agree_are_enough() -> None:
    verdict = judge(answers(350, 400), answers(350, 400), margin=0.01, seed=0)
    assert verdict.conclusive
    assert verdict.passes


def test_the_last_resort_decides_by_the_difference() -> None:
    selection, everything = paired(80, 8, 8, 4)
    assert judge(selection, everything, margin=0.01, seed=0, difference_decides=True).passes
    selection, everything = paired(80, 7, 9, 4)
    assert not judge(selection, everything, margin=0.01, seed=0, difference_decides=True).passes
    assert not judge(selection, everything, margin=0.01, seed=0, difference_decides=True).conclusive


def test_no_picture_is_never_enough() -> None:
    none = np.zeros(0, dtype=np.bool_)
    for last_resort in (True, False):
        verdict = judge(none, none, margin=0.01, seed=0, difference_decides=last_resort)
        assert (verdict.images, verdict.conclusive, verdict.passes) == (0, False, False)
        assert verdict.interval == (-1.0, 1.0)


@given(
    pairs=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=120),
    margin=st.floats(0, 0.5),
    seed=st.integers(0, 1000),
)
def test_a_verdict_agrees_with_itself(pairs: list[tuple[bool, bool]], margin: float, seed: int) -> None:
    selection, everything = np.array(pairs).T
    verdict = judge(selection, everything, margin, seed)
    low, high = verdict.interval
    assert -1 <= low <= high <= 1
    assert verdict.difference == pytest.approx(selection.mean() - everything.mean())
    assert verdict.passes == (low > -margin)
    assert not (verdict.conclusive and verdict.passes) or high - low <= MAX_INTERVAL_WIDTH
    assert not verdict.conclusive or verdict.passes or high <= -margin
    assert verdict == judge(selection, everything, margin, seed), "the same seed says the same"
    wider = judge(selection, everything, margin + 0.1, seed)
    assert wider.passes or not verdict.passes, "a larger margin never refuses what a smaller one lets through"
