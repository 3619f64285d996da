from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.reliability import BINS, log_loss, reliability, roc_points, separation


def test_calibration_error_by_hand() -> None:
    """30 answers in 15 bins of two: bin i claims 0.5 twice, and is right once, but for the last, which is never."""
    right = np.tile([True, False], 15)
    assert reliability(np.full(30, 0.5), right)["ece"] == 0.0
    right[-2] = False
    found = reliability(np.full(30, 0.5), right)
    assert found["ece"] == pytest.approx(0.5 * 2 / 30)
    assert found["bins"][-1] == {"confidence": 0.5, "accuracy": 0.0, "answers": 2}


def test_bins_hold_as_many_answers_each_and_fewer_answers_make_fewer_bins() -> None:
    found = reliability(np.linspace(0, 1, 100), np.ones(100, dtype=bool))
    assert len(found["bins"]) == BINS
    assert {one["answers"] for one in found["bins"]} <= {6, 7}
    assert found["ece"] == pytest.approx(0.5)
    assert len(reliability(np.array([0.2, 0.9]), np.array([False, True]))["bins"]) == 2


@given(st.integers(0, 2**32 - 1))
def test_honest_claims_have_a_small_error(seed: int) -> None:
    random = np.random.default_rng(seed)
    confidence = random.random(6000)
    assert reliability(confidence, random.random(6000) < confidence)["ece"] < 0.04


def test_log_loss_by_hand() -> None:
    assert log_loss(np.array([0.5, 0.25]), np.array([True, False])) == pytest.approx(-np.log([0.5, 0.75]).mean())


def test_known_and_unknown_told_apart_by_hand() -> None:
    """Pairs won: 3 + 3 + 2 of 9, so AUROC 8/9; all three known are above 0.3, and so is one of three unknown."""
    trust = np.array([0.9, 0.8, 0.4, 0.5, 0.3, 0.1])
    known = np.array([True, True, True, False, False, False])
    assert separation(trust, known) == {"auroc": pytest.approx(8 / 9), "fpr95": pytest.approx(1 / 3)}
    assert separation(known.astype(float), known) == {"auroc": 1.0, "fpr95": 0.0}


def test_the_curve_goes_from_corner_to_corner_and_stays_small() -> None:
    random = np.random.default_rng(0)
    trust, known = random.random(5000), random.random(5000) < 0.5
    points = np.array(roc_points(trust, known))
    assert points[0].tolist() == [0.0, 0.0]
    assert points[-1].tolist() == [1.0, 1.0]
    assert (np.diff(points, axis=0) >= 0).all()
    assert len(points) <= 101
