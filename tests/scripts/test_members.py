"""The panel's own ways to choose, on pictures so few that one can work them out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from scripts.bench.members import (
    MEMBERS,
    Space,
    chosen_rows,
    condensed_rows,
    edited_rows,
    facility_rows,
    hart_rows,
    learnt_answers,
    panel,
)
from service.core.projection import identity_head
from tests.core.clusters import clusters, labelled


def on_a_circle(*degrees):
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_facility_location_takes_the_middle_first_and_then_what_it_does_not_cover():
    rows = on_a_circle(0, 10, 20, 90)
    codes = np.zeros(4, dtype=np.int64)
    assert facility_rows(rows, codes, np.array([1])).tolist() == [2], "the largest sum of similarities"
    sums = (rows @ rows.T).sum(axis=0)
    assert sums.argmax() == 2
    assert facility_rows(rows, codes, np.array([2])).tolist() == [2, 3]
    assert facility_rows(rows, codes, np.array([4])).tolist() == [0, 1, 2, 3]


def test_facility_location_keeps_what_is_wanted_of_each_class():
    data = clusters([9, 7, 5])
    chosen = facility_rows(data.embeddings, data.codes, np.array([3, 1, 2]))
    assert np.bincount(data.codes[chosen]).tolist() == [3, 1, 2]
    assert len(set(chosen.tolist())) == 6


@pytest.mark.parametrize("seed", range(4))
def test_harts_store_names_every_picture_right(seed):
    data = clusters([20, 20, 20], noise=0.6, seed=seed)
    chosen = hart_rows(data.embeddings, data.codes, seed)
    assert len(chosen) < len(data)
    nearest = data.codes[chosen][(data.embeddings @ data.embeddings[chosen].T).argmax(axis=1)]
    assert np.array_equal(nearest, data.codes)


def test_harts_store_is_one_picture_a_class_where_classes_lie_apart():
    data = clusters([10, 10], noise=0.01)
    assert len(hart_rows(data.embeddings, data.codes, 0)) == 2


def test_edited_neighbours_drop_what_its_neighbours_contradict():
    rows = on_a_circle(0, 1, 2, 3, 80, 81, 82, 83, 1.5)
    codes = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1])
    assert edited_rows(rows, codes).tolist() == list(range(8))
    assert edited_rows(rows[:3], codes[:3]).tolist() == [0, 1, 2], "too few to have three neighbours"


def test_condensed_neighbours_are_rows_of_the_data():
    data = clusters([12, 10, 8], noise=0.4)
    chosen = condensed_rows(data.embeddings, data.codes, 0)
    assert set(data.codes[chosen].tolist()) == {0, 1, 2}
    assert np.array_equal(np.unique(chosen), chosen)


def answers(support, queries, **space):
    head = identity_head(support.embeddings.shape[1])
    none = support.take(np.zeros(0, dtype=np.int64))
    counts = np.full(len(support.classes), 2)
    rows = chosen_rows(support, head, counts, 0)
    learnt = learnt_answers(support, none, queries, head, 0)
    return panel(support, queries, Space(head, 1, space.get("pull", 0.0)), rows, learnt)


def test_every_member_answers_what_is_plain():
    support, asked = clusters([8, 8, 8], noise=0.05), clusters([4, 4, 4], noise=0.05, draw=1)
    found = answers(support, asked.embeddings)
    assert tuple(found) == MEMBERS
    for name, answer in found.items():
        assert answer.scores.argmax(axis=1).tolist() == asked.codes.tolist(), name
        assert answer.seconds >= 0.0
    assert {found[name].references for name in ("random", "lowest", "highest", "kmedoids", "facility")} == {6}
    assert (found["all"].references, found["means"].references, found["svm"].references) == (24, 3, 0)


def test_two_classes_are_learnt_like_more():
    support, asked = clusters([8, 8], noise=0.05), clusters([4, 4], noise=0.05, draw=1)
    for answer in answers(support, asked.embeddings).values():
        assert answer.scores.shape == (8, 2)
        assert answer.scores.argmax(axis=1).tolist() == asked.codes.tolist()


def test_a_full_pull_makes_all_references_the_class_means():
    support, asked = clusters([8, 8, 8], noise=0.5), clusters([30, 30, 30], noise=0.5, draw=1)
    found = answers(support, asked.embeddings, pull=1.0)
    for name in ("all", "random", "kmedoids"):
        assert np.allclose(found[name].scores, found["means"].scores, atol=1e-6)


def test_seven_neighbours_count_by_their_nearness_and_the_rest_is_ranked():
    support = labelled(on_a_circle(0, 20, 21, 120, 180), [0, 1, 1, 2, 3])
    (scores,) = answers(support, on_a_circle(2))["knn7"].scores
    assert scores.argmax() == 0, "one neighbour at 2 degrees outweighs two at 18 and 19"
    assert scores.argsort()[::-1].tolist() == [0, 1, 2, 3]


def test_a_class_without_a_picture_is_never_answered():
    support = labelled(on_a_circle(0, 1, 90, 91), [0, 0, 2, 2], classes=3)
    head = identity_head(2)
    rows = chosen_rows(support, head, np.array([1, 0, 1]), 0)
    none = support.take(np.zeros(0, dtype=np.int64))
    found = panel(
        support, on_a_circle(50), Space(head, 1, 0.0), rows, learnt_answers(support, none, on_a_circle(50), head, 0)
    )
    assert all(answer.scores[0].argmax() != 1 for answer in found.values())


def test_where_one_class_is_left_there_is_nothing_to_learn_or_to_condense():
    support = labelled(on_a_circle(0, 1, 2, 3), [0, 0, 0, 0], classes=2)
    found = answers(support, on_a_circle(50))
    assert set(MEMBERS) - set(found) == {"cnn", "logistic", "svm"}
    assert all(answer.scores[0].argmax() == 0 for answer in found.values())
