"""The best classes from lists of nearest points: always exact, in few rounds, whatever the classes look like."""

from __future__ import annotations

from collections.abc import Sequence
from unittest import mock

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.adapters import vector_ranking
from service.adapters.vector_ranking import LISTED, Question, nearest_per_label
from service.core.model import Neighbour
from service.core.voting import vote
from service.errors import InvalidInput
from tests.contracts.vector_stores import assert_best_per_label, class_means

CLASSES = st.lists(st.lists(st.integers(-20, 20), min_size=1, max_size=12), max_size=14)


class Engine:
    """Points with given similarities to each query; answers questions as a vector store would, and counts."""

    def __init__(self, *queries: Sequence[Neighbour]) -> None:
        # Of equal points those of the label that sorts last come first: an engine promises no order among them.
        self.queries = [sorted(points, key=lambda n: (n.similarity, n.label), reverse=True) for points in queries]
        self.asked: list[list[Question]] = []

    def __call__(self, questions: Sequence[Question]) -> list[list[Neighbour]]:
        self.asked.append(list(questions))
        return [
            [
                point
                for point in self.queries[question.row]
                if question.only in (None, point.label) and point.label not in question.without
            ][: question.limit]
            for question in questions
        ]

    @property
    def listed(self) -> int:
        """Points that were sent over."""
        return sum(len(answer) for batch in list(self.asked) for answer in self(batch))


def points_of(classes: Sequence[Sequence[float]]) -> list[Neighbour]:
    return [
        Neighbour(f"{label}-{i}", f"class {label:03d}", similarity)
        for label, values in enumerate(classes)
        for i, similarity in enumerate(values)
    ]


@settings(max_examples=300, deadline=None)
@given(classes=CLASSES, per_label=st.integers(1, 4), labels=st.integers(1, 14), listed=st.sampled_from([1, LISTED]))
@example(classes=[[20] * 12, [-20]], per_label=3, labels=2, listed=1)
@example(classes=[[5], [5], [5, 5]], per_label=2, labels=1, listed=1)
@example(classes=[[10, 10], [10.8, 9.6], [9.8]], per_label=2, labels=1, listed=1)
@example(classes=[[10, 10], [10, 10]], per_label=2, labels=1, listed=1)
@example(classes=[[10], [10]], per_label=1, labels=1, listed=1)
def test_the_best_classes_are_exact_and_so_is_the_vote(classes, per_label, labels, listed):
    """With a short first list, so that few points already take every kind of question."""
    # Parts of 32, whose sums are exact: equal scores are equal numbers, as they are for float32 similarities.
    points = points_of([[value / 32 for value in values] for values in classes])
    engine = Engine(points)
    with mock.patch.object(vector_ranking, "LISTED", listed):
        (answer,) = nearest_per_label(engine, 1, per_label, labels)
    if not points:
        assert answer == []
        return
    names = [point.label for point in points]
    similarities = np.array([point.similarity for point in points])
    assert_best_per_label(answer, names, similarities, per_label, labels)
    assert len({point.label for point in answer}) == min(labels, len(classes))
    expected = class_means(names, similarities, per_label)
    prediction = vote(answer, per_label, 0.05, labels)
    ranked = sorted(expected.items(), key=lambda item: (-item[1], item[0]))[:labels]
    assert [scored.label for scored in prediction.top] == [label for label, _ in ranked]
    assert [scored.score for scored in prediction.top] == pytest.approx([score for _, score in ranked])


def test_queries_are_answered_each_by_itself_and_asked_together():
    near, far = points_of([[0.9, 0.1], [0.5]]), points_of([[0.2], [0.8, 0.7], [0.3]])
    engine = Engine(near, far)
    answers = nearest_per_label(engine, 2, 1, 1)
    assert [[n.example_id for n in answer] for answer in answers] == [["0-0"], ["1-0"]]
    assert [question.row for question in engine.asked[0]] == [0, 1]


def test_a_usual_query_takes_one_round():
    rng = np.random.default_rng(0)
    engine = Engine(points_of(rng.uniform(-1, 1, (300, 4)).tolist()))
    nearest_per_label(engine, 1, 1, 10)
    assert engine.asked == [[Question(0, 1 * 10 * LISTED)]]


@pytest.mark.parametrize("per_label", [1, 2, 3])
def test_a_large_class_or_a_lack_of_classes_does_not_make_it_list_everything(per_label):
    """Two classes where ten are wanted; the far one comes after ten thousand points of the near one."""
    engine = Engine(points_of([np.linspace(0.5, 0.9, 10_000).tolist(), np.linspace(-0.2, 0.1, 10_000).tolist()]))
    (answer,) = nearest_per_label(engine, 1, per_label, 10)
    assert len(answer) == 2 * per_label
    assert engine.listed < 3_000


def test_classes_with_fewer_points_than_are_averaged_are_settled_one_by_one():
    rng = np.random.default_rng(1)
    engine = Engine(points_of(rng.uniform(-1, 1, (1000, 2)).tolist()))
    (answer,) = nearest_per_label(engine, 1, 3, 10)
    assert len({n.label for n in answer}) == 10
    assert engine.listed < 1_000


def test_a_class_that_is_deleted_meanwhile_is_left_out():
    class Deleting(Engine):
        def __call__(self, questions):
            answers = super().__call__(questions)
            self.queries = [[point for point in points if point.label != "class 000"] for points in self.queries]
            return answers

    engine = Deleting(points_of([[0.9], [0.8, 0.7, 0.6], *[[0.1, 0.1]] * 9]))
    (answer,) = nearest_per_label(engine, 1, 2, 1)
    assert {n.label for n in answer} == {"class 001"}


def test_numbers_below_one_are_refused():
    with pytest.raises(InvalidInput, match="per_label"):
        nearest_per_label(Engine([]), 1, 0, 1)
    with pytest.raises(InvalidInput, match="labels"):
        nearest_per_label(Engine([]), 1, 1, 0)
