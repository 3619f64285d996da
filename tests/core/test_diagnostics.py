from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core import diagnostics
from service.core.diagnostics import (
    BINS,
    class_distance,
    class_similarity,
    cross_class_histogram,
    cross_class_similarities,
)
from service.core.pull import class_means
from tests.core.clusters import LabelledEmbeddings, clusters, small_sets, unit_rows


@given(data=small_sets())
def test_similarities_of_all_pairs_of_different_classes(data: LabelledEmbeddings) -> None:
    rows = range(len(data))
    expected = [
        float(data.embeddings[i] @ data.embeddings[j])
        for i in rows
        for j in rows
        if i < j and data.codes[i] != data.codes[j]
    ]
    found = cross_class_similarities(data.embeddings, data.codes)
    assert np.sort(found) == pytest.approx(np.sort(expected), abs=1e-5)


def test_of_many_rows_an_even_sample_is_compared(monkeypatch) -> None:
    monkeypatch.setattr(diagnostics, "MAX_ROWS", 20)
    embeddings, codes = unit_rows(500, 4, seed=0), np.repeat([0, 1], 250)
    assert len(cross_class_similarities(embeddings, codes)) == 10 * 10


def test_one_class_has_no_pairs() -> None:
    data = clusters([5])
    assert cross_class_similarities(data.embeddings, data.codes).shape == (0,)


def test_histograms_are_densities_over_the_same_edges() -> None:
    random = np.random.default_rng(0)
    before, after = random.uniform(0.2, 0.9, 500).astype(np.float32), random.uniform(-0.1, 0.6, 80).astype(np.float32)
    histogram = cross_class_histogram(before, after)
    edges = np.array(histogram["edges"])
    assert len(edges) == BINS + 1
    assert edges[0] == pytest.approx(after.min())
    assert edges[-1] == pytest.approx(before.max())
    for values in (histogram["before"], histogram["after"]):
        assert len(values) == BINS
        assert np.sum(values) * (edges[1] - edges[0]) == pytest.approx(1.0), "no similarity falls beside the edges"
    json.dumps(histogram)


@pytest.mark.parametrize(
    ("before", "after"), [([], []), ([0.5], []), ([0.5, 0.5], [0.5]), ([1.0, 1.0], [1.0]), ([], [-1.0, 1.0])]
)
def test_histograms_of_next_to_nothing(before: list[float], after: list[float]) -> None:
    arrays = [np.array(values, dtype=np.float32) for values in (before, after)]
    histogram = cross_class_histogram(*arrays)
    edges = np.array(histogram["edges"])
    assert np.all(np.diff(edges) > 0)
    for values, density in zip(arrays, (histogram["before"], histogram["after"]), strict=True):
        assert np.isfinite(density).all()
        assert np.sum(density) * (edges[1] - edges[0]) == pytest.approx(float(len(values) > 0), rel=1e-6)


def test_class_similarity_is_the_mean_over_all_pairs_of_rows() -> None:
    data = clusters([3, 0, 4, 2])
    found = class_similarity(data.embeddings, data.codes, data.classes)
    assert found["labels"] == ["c00", "c02", "c03"]
    for row, first in enumerate((0, 2, 3)):
        for column, second in enumerate((0, 2, 3)):
            pairs = data.embeddings[data.codes == first] @ data.embeddings[data.codes == second].T
            assert found["matrix"][row][column] == pytest.approx(float(pairs.mean()), abs=1e-4)
    json.dumps(found)


def test_of_many_classes_the_largest_are_shown(monkeypatch) -> None:
    monkeypatch.setattr(diagnostics, "MAX_CLASSES", 3)
    data = clusters([1, 5, 2, 9, 4])
    assert class_similarity(data.embeddings, data.codes, data.classes)["labels"] == ["c01", "c03", "c04"]


def test_class_distance_by_hand() -> None:
    means = np.array([[1, 0], [0, 0], [0, 1], [-1, 0]], dtype=np.float32)
    found = class_distance(means, ("a", "b", "c", "d"))
    assert found == {"labels": ["a", "c", "d"], "matrix": [[0, 1, 2], [1, 0, 1], [2, 1, 0]]}


@given(data=small_sets(), seed=st.integers(0, 10))
def test_distances_are_symmetric_and_within_bounds(data: LabelledEmbeddings, seed: int) -> None:
    means = class_means(data.embeddings, data.codes, len(data.classes))
    matrix = np.array(class_distance(means, data.classes)["matrix"])
    assert np.array_equal(matrix, matrix.T)
    assert matrix.min(initial=0) >= -1e-4
    assert matrix.max(initial=0) <= 2 + 1e-4
