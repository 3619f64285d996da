from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core import medoids as module
from service.core.medoids import medoids
from service.core.vectors import normalised
from tests.core.clusters import LabelledEmbeddings, clusters, labelled, small_sets, unit_rows


def class_medoids(projections: np.ndarray, count: int) -> np.ndarray:
    return medoids(projections, np.zeros(len(projections), dtype=np.int64), np.array([count]))


def covered(projections: np.ndarray, chosen: np.ndarray) -> float:
    """What medoids maximise: summed similarity of every row to its nearest medoid."""
    return float((projections @ projections[chosen].T).max(axis=1).sum())


def test_one_medoid_is_the_row_most_like_all_others() -> None:
    angles = np.deg2rad([0, 10, 20, 30, 60])
    projections = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert class_medoids(projections, 1).tolist() == [2]


def test_two_looks_get_a_medoid_each() -> None:
    angles = np.deg2rad([0, 5, 10, 90, 95, 100])
    projections = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert class_medoids(projections, 2).tolist() == [1, 4]


def test_as_many_as_asked_are_all_rows() -> None:
    projections = unit_rows(4, 3, seed=0)
    assert class_medoids(projections, 4).tolist() == [0, 1, 2, 3]
    assert class_medoids(projections, 9).tolist() == [0, 1, 2, 3]


@given(data=small_sets(max_rows=20), count=st.integers(1, 20))
def test_the_number_asked_for_is_the_number_given_copies_or_not(data: LabelledEmbeddings, count: int) -> None:
    chosen = class_medoids(data.embeddings, count)
    assert len(chosen) == min(count, len(data))
    assert np.array_equal(chosen, np.unique(chosen)), "sorted, none twice"


def test_a_cluster_of_copies_keeps_its_medoids_apart() -> None:
    """All rows of two looks, six copies each: four medoids are two and two, not one that counts twice."""
    projections = np.repeat(np.eye(2, dtype=np.float32), 6, axis=0)
    assert len(class_medoids(projections, 4)) == 4


@given(seed=st.integers(0, 2**16), rows=st.integers(3, 8), count=st.integers(1, 3))
@settings(max_examples=60)
def test_never_far_below_the_best_choice(seed: int, rows: int, count: int) -> None:
    projections = normalised(np.random.default_rng(seed).random((rows, 3)))
    best = max(covered(projections, np.array(chosen)) for chosen in combinations(range(rows), min(count, rows)))
    assert covered(projections, class_medoids(projections, count)) > 0.9 * best


@pytest.mark.parametrize("count", [1, 3, 7])
def test_better_than_most_random_choices(count: int) -> None:
    random = np.random.default_rng(0)
    projections = clusters([20, 20, 20], width=6).embeddings
    ours = covered(projections, class_medoids(projections, count))
    luck = [covered(projections, random.choice(60, count, replace=False)) for _ in range(200)]
    assert ours > np.quantile(luck, 0.95)


def test_of_a_large_class_an_even_sample_is_looked_at(monkeypatch) -> None:
    monkeypatch.setattr(module, "MAX_ROWS", 30)
    projections = unit_rows(200, 5, seed=0)
    assert len(class_medoids(projections, 7)) == 7
    many = class_medoids(projections, 90)
    assert len(np.unique(many)) == 90, "more medoids than rows are looked at"
    assert many.max() < 200


def test_every_class_gets_its_own_number() -> None:
    data = clusters([6, 0, 3, 5])
    chosen = medoids(data.embeddings, data.codes, np.array([2, 4, 9, 1]))
    assert np.array_equal(chosen, np.sort(chosen))
    assert np.bincount(data.codes[chosen], minlength=4).tolist() == [2, 0, 3, 1]
    first_class = np.flatnonzero(data.codes == 0)
    assert chosen[:2].tolist() == first_class[class_medoids(data.embeddings[first_class], 2)].tolist()


def test_rows_of_classes_may_be_mixed() -> None:
    data = clusters([5, 5], noise=0.5)
    order = np.arange(10).reshape(2, 5).T.ravel()  # by turns; within a class as before, for ties go by row
    mixed = labelled(data.embeddings[order], data.codes[order])
    expected = {int(row) for row in medoids(data.embeddings, data.codes, np.array([2, 2]))}
    assert {int(order[row]) for row in medoids(mixed.embeddings, mixed.codes, np.array([2, 2]))} == expected
