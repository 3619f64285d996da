from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.model import Neighbour
from service.core.trust import TrustModel, crossfitted_probabilities, fit_trust, readings, readings_of, with_nearness
from service.core.voting import class_scores, vote
from service.errors import InvalidInput


def test_readings_by_hand() -> None:
    scores = np.array([[0.5, 0.3, -np.inf], [0.2, -np.inf, -np.inf]], dtype=np.float32)
    table = readings(scores, temperature=0.1)
    assert table[0] == pytest.approx([0.5, 0.2, math.log(1 + math.exp(-2))], abs=1e-6)
    assert table[1] == pytest.approx([0.2, 1.2, 0.0], abs=1e-6), "without a rival the margin is the score + 1"


def test_a_row_without_a_score_cannot_be_read() -> None:
    with pytest.raises(InvalidInput, match="1 of 2 rows"):
        readings(np.array([[0.5], [-np.inf]], dtype=np.float32), 0.1)


@given(st.integers(0, 2**32 - 1), st.integers(1, 14), st.integers(1, 3))
def test_served_answers_read_as_those_that_were_measured(seed: int, classes: int, per_label: int) -> None:
    random = np.random.default_rng(seed)
    codes = np.concatenate([np.arange(classes), random.integers(0, classes, classes)])
    similarities = random.uniform(-1, 1, len(codes)).astype(np.float32)
    measured = readings(class_scores(similarities[None, :], codes, classes, per_label), 0.05)
    order = np.argsort(-similarities)
    neighbours = [Neighbour(str(i), f"c{codes[i]:02}", float(similarities[i])) for i in order]
    served = readings_of([vote(neighbours, per_label, 0.05, top=1)])
    assert served == pytest.approx(measured, abs=1e-4)


def test_probabilities_by_hand() -> None:
    model = TrustModel((2.0, 1.0, -1.0), 0.5)
    table = np.array([[0.5, 0.5, 2.0], [0.0, 0.0, 0.5], [1e6, 0.0, 0.0]])
    assert model.logits(table)[:2] == pytest.approx([0.0, 0.0])
    assert model.probabilities(table) == pytest.approx([0.5, 0.5, 1.0])
    assert TrustModel.from_dict(model.as_dict()) == model


def test_a_fourth_reading_counts_where_it_has_a_weight() -> None:
    table = with_nearness(np.array([[0.5, 0.5, 2.0]]), np.array([0.25], dtype=np.float32))
    assert table.tolist() == [[0.5, 0.5, 2.0, 0.25]]
    three, four = TrustModel((2.0, 1.0, -1.0), 0.5), TrustModel((2.0, 1.0, -1.0, 4.0), 0.5)
    assert (three.reads_nearness, four.reads_nearness) == (False, True)
    assert three.logits(table) == pytest.approx(0.0)
    assert four.logits(table) == pytest.approx(1.0)
    assert TrustModel.from_dict(four.as_dict()) == four
    with pytest.raises(ValueError, match="2 weights"):
        TrustModel.from_dict({"weights": [1, 2], "bias": 0})


def drawn(count: int, seed: int = 0):
    """Readings of which the first says all: right with probability 1 / (1 + exp(-(6 x - 2)))."""
    random = np.random.default_rng(seed)
    table = random.uniform(0, 1, (count, 3))
    right = random.random(count) < 1 / (1 + np.exp(-(6 * table[:, 0] - 2)))
    return table, right


def test_a_logistic_truth_is_found_again() -> None:
    table, right = drawn(20_000)
    model = fit_trust(table, right)
    assert model.weights == pytest.approx((6.0, 0.0, 0.0), abs=0.25)
    assert model.bias == pytest.approx(-2.0, abs=0.25)


def test_a_weight_of_two_is_the_row_twice() -> None:
    table, right = drawn(200)
    twice = fit_trust(np.concatenate([table, table[:50]]), np.concatenate([right, right[:50]]))
    weighted = fit_trust(table, right, np.where(np.arange(200) < 50, 2.0, 1.0))
    values = np.linspace(0, 1, 30).reshape(10, 3)
    assert weighted.probabilities(values) == pytest.approx(twice.probabilities(values), abs=0.01)


def test_too_few_of_either_kind_fit_nothing() -> None:
    table, _ = drawn(20)
    assert fit_trust(table, np.arange(20) < 4) is None
    assert fit_trust(table, np.arange(20) >= 4) is None
    assert fit_trust(table, np.arange(20) < 5) is not None


def test_a_reading_that_never_moves_does_no_harm() -> None:
    table, right = drawn(200)
    table[:, 1] = 0.3
    assert np.isfinite(fit_trust(table, right).probabilities(table)).all()


def test_a_part_is_judged_by_the_others() -> None:
    table, right = drawn(300)
    part_of = np.arange(300) % 3
    found = crossfitted_probabilities(table, right, part_of)
    for part in range(3):
        inside = part_of == part
        expected = fit_trust(table[~inside], right[~inside]).probabilities(table[inside])
        assert found[inside] == pytest.approx(expected)
    assert crossfitted_probabilities(table, right, np.zeros(300, dtype=np.int64)) is None
    assert crossfitted_probabilities(table[:8], np.arange(8) < 4, part_of[:8]) is None
