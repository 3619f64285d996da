from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

from service.core.calibration import HIGHEST, LOWEST, MIN_ANSWERS, fit_temperature
from service.core.voting import CONFIDENCE_CLASSES, confidences


def drawn(temperature: float, classes: int, answers: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and true classes drawn from their softmax at the temperature: the right answer is known."""
    random = np.random.default_rng(seed)
    scores = random.normal(0.4, 0.2, (answers, classes)).astype(np.float32)
    chances = np.exp((scores - scores.max(axis=1, keepdims=True)) / temperature)
    chances /= chances.sum(axis=1, keepdims=True)
    return scores, np.array([random.choice(classes, p=row / row.sum()) for row in chances.astype(np.float64)])


@pytest.mark.parametrize("temperature", [0.03, 0.1, 0.3])
@pytest.mark.parametrize("classes", [2, 5, CONFIDENCE_CLASSES])
def test_a_planted_temperature_is_found(temperature: float, classes: int) -> None:
    scores, truth = drawn(temperature, classes, 6000)
    assert fit_temperature(scores, truth, 0.5) == pytest.approx(temperature, rel=0.12)


def test_confidence_is_then_the_share_of_right_answers() -> None:
    scores, truth = drawn(0.08, 6, 6000)
    sure = confidences(scores, fit_temperature(scores, truth, 0.5))
    right = scores.argmax(axis=1) == truth
    for low, high in ((0.2, 0.5), (0.5, 0.8), (0.8, 1.0)):
        bin_ = (sure >= low) & (sure < high)
        assert right[bin_].mean() == pytest.approx(sure[bin_].mean(), abs=0.04)


def test_answers_that_are_always_right_are_as_sure_as_can_be() -> None:
    scores, _ = drawn(0.1, 4, 50)
    assert fit_temperature(scores, scores.argmax(axis=1), 0.5) == pytest.approx(LOWEST, rel=0.05)


def test_answers_that_are_random_are_as_unsure_as_can_be() -> None:
    scores, _ = drawn(0.1, 4, 400)
    truth = np.random.default_rng(1).integers(0, 4, 400)
    assert fit_temperature(scores, truth, 0.05) > 0.5
    assert fit_temperature(scores, scores.argmin(axis=1), 0.05) == pytest.approx(HIGHEST, rel=0.05)


@pytest.mark.parametrize("answers", [0, 1, MIN_ANSWERS - 1])
def test_too_few_answers_leave_the_default(answers: int) -> None:
    scores, truth = drawn(0.1, 4, answers)
    assert fit_temperature(scores.reshape(answers, 4), truth.astype(np.int64), 0.123) == 0.123


def test_one_class_leaves_the_default() -> None:
    assert fit_temperature(np.ones((50, 1), np.float32), np.zeros(50, np.int64), 0.123) == 0.123


def test_a_class_that_cannot_be_answered_does_not_stop_the_fit() -> None:
    """A catalogue of few classes, one of which had no reference in this fold."""
    scores, truth = drawn(0.1, 4, 3000)
    with_missing = np.column_stack([scores, np.full(3000, -np.inf, np.float32)])
    assert fit_temperature(with_missing, truth, 0.5) == pytest.approx(fit_temperature(scores, truth, 0.5), rel=1e-3)


def test_rows_that_nothing_answered_are_no_answers() -> None:
    scores, truth = drawn(0.1, 4, 100)
    blank = np.full((80, 4), -np.inf, np.float32)
    stacked = fit_temperature(np.concatenate([blank, scores]), np.concatenate([np.zeros(80, np.int64), truth]), 0.5)
    assert stacked == pytest.approx(fit_temperature(scores, truth, 0.5), rel=1e-3)
    assert fit_temperature(blank, np.zeros(80, np.int64), 0.5) == 0.5


def test_a_true_class_that_could_not_be_answered_counts_as_the_last() -> None:
    scores, truth = drawn(0.1, 4, 200)
    worst = scores.argmin(axis=1)
    hopeless = np.arange(200) < 20
    with_missing = np.column_stack([scores, np.full(200, -np.inf, np.float32)])
    found = fit_temperature(with_missing, np.where(hopeless, 4, truth), 0.5)
    assert found == pytest.approx(fit_temperature(scores, np.where(hopeless, worst, truth), 0.5), rel=1e-3)


def test_a_true_class_beyond_those_that_share_the_confidence_counts_as_the_last_of_them() -> None:
    random = np.random.default_rng(0)
    scores = np.sort(random.normal(0.4, 0.2, (300, 40)).astype(np.float32))[:, ::-1]
    truth = random.integers(0, 3, 300)
    tenth, fortieth = truth.copy(), truth.copy()
    tenth[:9], fortieth[:9] = CONFIDENCE_CLASSES - 1, 39
    assert fit_temperature(scores, fortieth, 0.5) == fit_temperature(scores, tenth, 0.5)


@given(seed=st.integers(0, 2**16), classes=st.integers(2, 30))
@settings(max_examples=30)
def test_within_its_bounds_and_no_worse_than_any_other(seed: int, classes: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.uniform(-1, 1, (60, classes)).astype(np.float32)
    truth = random.integers(0, classes, 60)
    found = fit_temperature(scores, truth, 0.5)
    assert LOWEST <= found <= HIGHEST
    places = np.array([(row > row[true]).sum() for row, true in zip(scores, truth, strict=True)])
    best = -np.sort(-scores.astype(np.float64), axis=1)[:, :CONFIDENCE_CLASSES]
    places = np.minimum(places, best.shape[1] - 1)

    def loss(temperature: float) -> float:
        return -float(np.mean(log_softmax(best / temperature, axis=1)[np.arange(60), places]))

    assert loss(found) <= min(loss(t) for t in np.geomspace(LOWEST, HIGHEST, 25)) + 1e-3
