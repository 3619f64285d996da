"""One rule of voting, in its array formand its list form, both against a brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.model import Neighbour
from service.core.voting import CONFIDENCE_CLASSES, class_scores, confidences, vote
from service.errors import InvalidInput, NothingToServe

# Quarters are exact in binary and often equal, so that ties are really tried.
SIMILARITY = st.integers(-4, 4).map(lambda quarter: quarter / 4)
LABELS = "abcdef"


@st.composite
def neighbour_lists(draw: st.DrawFn) -> list[Neighbour]:
    pairs = draw(st.lists(st.tuples(st.sampled_from(LABELS), SIMILARITY), min_size=1, max_size=25))
    found = [Neighbour(f"e{i:02}", label, value) for i, (label, value) in enumerate(pairs)]
    return sorted(found, key=lambda n: (-n.similarity, n.example_id))


def brute_force(neighbours: list[Neighbour], per_label: int) -> list[tuple[str, float]]:
    scores = {}
    for label in {n.label for n in neighbours}:
        best = sorted((n.similarity for n in neighbours if n.label == label), reverse=True)[:per_label]
        scores[label] = sum(best) / len(best)
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))


def test_class_scores_by_hand() -> None:
    similarities = np.array([[0.9, 0.2, 0.4, 0.8], [0.0, -0.5, -1.0, 0.5]], dtype=np.float32)
    codes = np.array([2, 0, 0, 2])
    infinity = np.inf
    assert class_scores(similarities, codes, 3, 1) == pytest.approx(
        np.array([[0.4, -infinity, 0.9], [-0.5, -infinity, 0.5]])
    )
    assert class_scores(similarities, codes, 3, 2) == pytest.approx(
        np.array([[0.3, -infinity, 0.85], [-0.75, -infinity, 0.25]])
    )
    assert class_scores(similarities, codes, 3, 3) == pytest.approx(
        np.array([[0.3, -infinity, 0.85], [-0.75, -infinity, 0.25]])
    ), "a class with fewer than m references is scored by those it has"


def test_class_scores_without_references() -> None:
    scores = class_scores(np.zeros((2, 0), dtype=np.float32), np.zeros(0, dtype=np.int64), 3, 2)
    assert scores.shape == (2, 3)
    assert np.all(np.isneginf(scores))


def test_class_scores_leave_their_arguments_alone() -> None:
    similarities = np.array([[0.3, 0.1, 0.2, 0.9]], dtype=np.float32)
    before = similarities.copy()
    class_scores(similarities, np.array([1, 0, 1, 0]), 2, 1)
    class_scores(similarities, np.array([0, 0, 0, 0]), 1, 2)
    assert np.array_equal(similarities, before)


@given(neighbours=neighbour_lists(), per_label=st.integers(1, 3))
def test_array_form_and_list_form_agree(neighbours: list[Neighbour], per_label: int) -> None:
    similarities = np.array([[n.similarity for n in neighbours]], dtype=np.float32)
    codes = np.array([LABELS.index(n.label) for n in neighbours])
    scores = class_scores(similarities, codes, len(LABELS), per_label)
    prediction = vote(neighbours, per_label, 0.1, top=len(LABELS))
    assert prediction.label == LABELS[int(scores[0].argmax())]
    assert {s.label: s.score for s in prediction.top} == pytest.approx(
        {LABELS[c]: scores[0, c] for c in np.flatnonzero(np.isfinite(scores[0]))}, abs=1e-6
    )
    assert confidences(scores, 0.1)[0] == pytest.approx(prediction.confidence)


@given(neighbours=neighbour_lists(), per_label=st.integers(1, 3), top=st.integers(1, 6))
def test_vote_is_the_brute_force(neighbours: list[Neighbour], per_label: int, top: int) -> None:
    prediction = vote(neighbours, per_label, 0.1, top)
    expected = brute_force(neighbours, per_label)
    assert [(s.label, s.score) for s in prediction.top] == [pytest.approx(pair) for pair in expected[:top]]
    second = expected[1][1] if len(expected) > 1 else -1.0
    assert prediction.margin == pytest.approx(expected[0][1] - second)
    assert 0 < prediction.confidence <= 1
    named = {s.label for s in prediction.top}
    assert {n.label for n in prediction.neighbours} == named
    for label in named:
        own = [n.similarity for n in prediction.neighbours if n.label == label]
        assert own == [n.similarity for n in neighbours if n.label == label][:per_label]


def test_confidence_by_hand() -> None:
    neighbours = [Neighbour("1", "a", 0.5), Neighbour("2", "b", 0.3)]
    prediction = vote(neighbours, per_label=1, temperature=0.1, top=1)
    assert prediction.confidence == pytest.approx(1 / (1 + math.exp(-2)))
    assert prediction.margin == pytest.approx(0.2)
    assert [s.label for s in prediction.top] == ["a"]


def test_one_class_is_certain_and_its_margin_counts_from_minus_one() -> None:
    prediction = vote([Neighbour("1", "a", 0.25)], per_label=3, temperature=0.1, top=5)
    assert (prediction.confidence, prediction.margin) == (1.0, 1.25)


def test_confidence_does_not_depend_on_how_many_classes_are_named() -> None:
    neighbours = [Neighbour(str(i), f"class {i:02}", 0.9 - 0.01 * i) for i in range(CONFIDENCE_CLASSES + 5)]
    answers = [vote(neighbours, 1, 0.05, top).confidence for top in (1, 5, 15)]
    assert answers[0] == answers[1] == answers[2]


def test_rows_without_any_reference_have_no_confidence() -> None:
    scores = np.array([[-np.inf, -np.inf], [0.5, -np.inf]], dtype=np.float32)
    assert confidences(scores, 0.1).tolist() == [0.0, 1.0]


def test_a_tie_goes_to_the_label_that_sorts_first() -> None:
    assert vote([Neighbour("1", "b", 0.5), Neighbour("2", "a", 0.5)], 1, 0.1, 1).label == "a"


def test_the_evidence_is_as_many_of_each_named_class_as_shall_be_shown_nearest_first() -> None:
    neighbours = [Neighbour(str(i), label, 0.9 - 0.1 * i) for i, label in enumerate("abacab")]
    told = vote(neighbours, 1, 0.1, 2, shown=2).neighbours
    assert [n.example_id for n in told] == ["0", "1", "2", "5"]
    assert [n.example_id for n in vote(neighbours, 1, 0.1, 2).neighbours] == ["0", "1"]


def test_refusals_carry_the_numbers() -> None:
    some = [Neighbour("1", "a", 0.5)]
    with pytest.raises(InvalidInput, match="per_label is 0"):
        vote(some, 0, 0.1, 1)
    with pytest.raises(InvalidInput, match="temperature is 0"):
        vote(some, 1, 0.0, 1)
    with pytest.raises(InvalidInput, match="top is 0"):
        vote(some, 1, 0.1, 0)
    with pytest.raises(NothingToServe):
        vote([], 1, 0.1, 1)
    with pytest.raises(InvalidInput, match=r"\(1, 2\)"):
        class_scores(np.zeros((1, 2), dtype=np.float32), np.zeros(3, dtype=np.int64), 1, 1)
