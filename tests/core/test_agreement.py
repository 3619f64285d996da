"""What makes two pictures alike: by hand, in both forms, and against pictures that only their classes tell apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.agreement import (
    AGREEING,
    class_similarities,
    compared,
    compared_rows,
    compared_with_class,
)
from service.core.model import ScoredLabel
from service.core.vectors import normalised


def test_by_hand() -> None:
    projections = np.array([[1.0, 0.0], [0.6, 0.8]], dtype=np.float32)
    # Temperature 1 and scores that differ by ln 3: probabilities 3/4 and 1/4, and the other way round.
    scores = np.log(np.array([[3.0, 1.0], [1.0, 3.0]])).astype(np.float32)
    one, other = compared_rows(projections, scores, 1.0).astype(np.float64)
    alike = 2 * np.sqrt(3 / 4 * 1 / 4)
    assert one @ other == pytest.approx((0.6 + alike) / 2, abs=1e-6)
    assert np.linalg.norm([one, other], axis=1) == pytest.approx([1.0, 1.0], abs=1e-6)
    first = (ScoredLabel("a", float(scores[0, 0])), ScoredLabel("b", float(scores[0, 1])))
    second = (ScoredLabel("b", float(scores[1, 1])), ScoredLabel("a", float(scores[1, 0])))
    assert compared(0.6, first, second, 1.0) == pytest.approx((0.6 + alike) / 2, abs=1e-6)


def test_a_picture_and_itself_are_as_alike_as_can_be() -> None:
    scores = (ScoredLabel("a", 0.5), ScoredLabel("b", 0.4))
    assert compared(1.0 + 1e-7, scores, scores, 0.05) == pytest.approx(1.0)


def test_nothing_in_common_leaves_half_the_cosine() -> None:
    assert compared(0.4, (ScoredLabel("a", 0.9),), (ScoredLabel("b", 0.9),), 0.1) == pytest.approx(0.2)
    scores = np.array([[0.9, -np.inf], [-np.inf, 0.9]], dtype=np.float32)
    one, other = compared_rows(normalised(np.array([[1, 0], [0.4, 0.9]], dtype=np.float32)), scores, 0.1)
    assert one @ other == pytest.approx(0.4 / np.linalg.norm([0.4, 0.9]) / 2, abs=1e-6)


@given(st.integers(0, 10_000), st.integers(2, 3 * AGREEING))
def test_rows_and_the_best_classes_of_answers_say_the_same(seed: int, classes: int) -> None:
    random = np.random.default_rng(seed)
    projections = normalised(random.standard_normal((2, 4)).astype(np.float32))
    scores = random.uniform(-1, 1, (2, classes)).astype(np.float32)
    one, other = compared_rows(projections, scores, 0.07).astype(np.float64)
    tops = [
        sorted((ScoredLabel(f"{code:03}", float(s)) for code, s in enumerate(row)), key=lambda scored: -scored.score)
        for row in scores
    ]
    found = compared(float(projections[0] @ projections[1]), *tops, 0.07)
    assert found == pytest.approx(float(one @ other), abs=1e-5)
    assert -0.5 - 1e-6 <= found <= 1.0 + 1e-6


def test_a_class_by_hand() -> None:
    scores = np.log(np.array([[3.0, 1.0]])).astype(np.float32)
    found = class_similarities(np.concatenate([scores, [[-np.inf]]], axis=1).astype(np.float32), 1.0)[0]
    assert found[:2] == pytest.approx([(np.log(3) + np.sqrt(3 / 4)) / 2, (0 + np.sqrt(1 / 4)) / 2], abs=1e-6)
    assert found[2] == -np.inf


@given(st.integers(0, 10_000), st.integers(1, 3 * AGREEING))
def test_both_forms_of_a_class_say_the_same(seed: int, classes: int) -> None:
    scores = np.random.default_rng(seed).uniform(-1, 1, (1, classes)).astype(np.float32)
    expected = class_similarities(scores, 0.07)[0]
    answer = sorted((ScoredLabel(f"{c:03}", float(s)) for c, s in enumerate(scores[0])), key=lambda one: -one.score)
    for code in range(classes):
        found = compared_with_class(float(scores[0, code]), answer[:AGREEING], 0.07)
        assert found == pytest.approx(float(expected[code]), abs=1e-5)
