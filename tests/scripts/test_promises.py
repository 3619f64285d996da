"""Intervals over classes, and what came of stated errors, on answers made up by hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from scripts.bench.class_bootstrap import ClassBootstrap, measured
from scripts.bench.promises import promised_figures, realised
from service.core.rejection import CurvePoint, Policy
from service.core.trust import TrustModel

CURVE = (CurvePoint(0.04, 0.5, 0.9), CurvePoint(0.5, 0.0, 1.0))
POLICY = Policy(TrustModel((1.0, 0.0, 0.0), 0.0), None, (1.0, 1.0, 0.0), CURVE)


@dataclass
class Answers:
    trust: np.ndarray
    right: np.ndarray
    known: np.ndarray
    policy: Policy = POLICY


def case(wrong, known=None):
    """A hundred answers of ten classes, those of `wrong` rows wrong; all of known classes and accepted."""
    known = np.ones(100, dtype=bool) if known is None else known
    return Answers(np.ones(100), ~np.isin(np.arange(100), wrong) & known, known)


LABELS = [f"c{row // 10}" for row in range(100)]


def width(found):
    return found["realised_error_high"] - found["realised_error_low"]


def test_errors_of_one_class_say_less_than_errors_of_many():
    bootstrap = ClassBootstrap([LABELS], 0)
    heap = realised(0.05, [case(np.arange(10))], bootstrap)
    spread = realised(0.05, [case(np.arange(0, 100, 10))], bootstrap)
    assert heap["realised_error"] == spread["realised_error"] == pytest.approx(0.1)
    assert width(spread) == pytest.approx(0.0), "each draw takes ten classes with one error each"
    assert heap["realised_error_low"] == 0.0, "the class may not be drawn"
    assert 0.25 < heap["realised_error_high"] < 0.45, "or be drawn three or four times"


def test_the_same_answers_again_tell_nothing_new():
    once = realised(0.05, [case(np.arange(10))], ClassBootstrap([LABELS], 0))
    again = realised(0.05, [case(np.arange(10))] * 5, ClassBootstrap([LABELS] * 5, 0))
    assert {**again, "accepted": 100.0} == pytest.approx(once)


def test_unknown_pictures_count_as_a_fifth_however_many_there_are():
    known = np.arange(100) < 50
    bootstrap = ClassBootstrap([LABELS], 0)
    found = realised(0.05, [case([0], known)], bootstrap)
    # 50 known, one of them wrong; 50 unknown that weigh 12.5, all accepted and all wrong.
    assert found["realised_error"] == pytest.approx(13.5 / 62.5)
    assert found["coverage"] == 1.0
    half = Answers(np.where(known | (np.arange(100) < 60), 1.0, 0.1), case([0], known).right, known)
    found = realised(0.05, [half], bootstrap)
    assert found["realised_error"] == pytest.approx(3.5 / 52.5)
    assert found["coverage"] == pytest.approx(52.5 / 62.5)
    assert found["accepted"] == 60.0


def test_errors_that_cannot_be_promised_have_no_figures():
    figures = promised_figures("made", [case([1])], ClassBootstrap([LABELS], 0))
    assert sorted({name.split(".")[2] for name in figures if "stated" in name.split(".")[2]}) == [
        "stated10", "stated20", "stated5", "stated_error",
    ]  # fmt: skip
    assert figures["made.calibration.stated_error"] == 0.05, "the smallest"
    assert figures["made.calibration.stated10.stated_error"] == 0.1
    nobody = Answers(np.zeros(100), case([]).right, case([]).known)
    assert realised(0.05, [nobody], ClassBootstrap([LABELS], 0)) is None


def test_draws_take_whole_classes_of_all_cases():
    labels = [["a", "a", "b"], ["b", "c", "c", "c"]]
    bootstrap = ClassBootstrap(labels, 1)
    assert bootstrap.counts[0].tolist() == [1, 1, 1]
    assert (bootstrap.counts.sum(axis=1) == 3).all()
    answers = bootstrap.sums(np.ones(7))
    assert answers.tolist() == (bootstrap.counts @ np.array([2.0, 2.0, 3.0])).tolist()

    def answers_of(case, rows):
        return [float(len(rows)), float(sum(labels[case][row] == "b" for row in rows))] if len(rows) else None

    drawn = bootstrap.means(answers_of)
    assert drawn[0].tolist() == [3.5, 1.0]
    for counts, (_, of_b) in zip(bootstrap.counts, drawn, strict=False):
        cases = sum(bool(counts[list(codes)].any()) for codes in ((0, 1), (1, 2)))
        assert of_b == 2 * counts[1] / cases


def test_draws_that_say_nothing_are_left_out_of_an_interval():
    assert measured(np.array([0.3, np.nan, 0.2, 0.2])) == pytest.approx((0.3, 0.2, 0.2))
