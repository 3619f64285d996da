"""Centrality against networkx, against the dense solver, and where eigenvectors are not unique."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core import centrality
from service.core.centrality import DENSE_ROWS, eigenvector_centrality
from service.core.vectors import normalised
from tests.core.clusters import LabelledEmbeddings, small_sets, unit_rows


def by_networkx(weights: np.ndarray) -> np.ndarray:
    """networkx's power iteration over a weighted graph, loops included (S has ones on its diagonal)."""
    found = nx.eigenvector_centrality(nx.from_numpy_array(weights), max_iter=20_000, tol=1e-12, weight="weight")
    return np.array([found[node] for node in range(len(weights))])


def non_negative_rows(rows: int, width: int, seed: int) -> np.ndarray:
    return normalised(np.random.default_rng(seed).random((rows, width)) + 0.01)


@pytest.mark.parametrize("rows", [2, 3, 7, 20, DENSE_ROWS, DENSE_ROWS + 1, 60])
def test_equals_networkx_where_no_similarity_is_negative(rows: int) -> None:
    embeddings = non_negative_rows(rows, 5, seed=rows)
    found = eigenvector_centrality(embeddings)
    similarities = embeddings.astype(np.float64) @ embeddings.T.astype(np.float64)
    assert found.graph == "raw"
    assert found.values == pytest.approx(by_networkx(similarities), abs=1e-7)


@pytest.mark.parametrize("rows", [5, 20, 60])
def test_equals_networkx_on_the_shifted_graph_where_signs_are_mixed(rows: int) -> None:
    embeddings = unit_rows(rows, 6, seed=rows)
    found = eigenvector_centrality(embeddings)
    similarities = embeddings.astype(np.float64) @ embeddings.T.astype(np.float64)
    assert found.graph == "shifted"
    assert np.linalg.eigh(similarities)[1][:, -1].min() < 0 < np.linalg.eigh(similarities)[1][:, -1].max()
    assert found.values == pytest.approx(by_networkx((1.0 + similarities) / 2.0), abs=1e-6)


def test_a_few_negative_similarities_do_not_shift_the_graph() -> None:
    """The source's S is kept wherever its leading eigenvector has one sign."""
    embeddings = normalised(np.array([[1.0, 0.0], [0.9, 0.2], [0.9, -0.2], [0.35, 0.94], [0.35, -0.94]]))
    similarities = embeddings.astype(np.float64) @ embeddings.T.astype(np.float64)
    assert similarities.min() < 0
    leading = np.linalg.eigh(similarities)[1][:, -1]
    assert (leading * np.sign(leading.sum())).min() > 0
    found = eigenvector_centrality(embeddings)
    assert found.graph == "raw"
    assert found.values == pytest.approx(leading * np.sign(leading.sum()), abs=1e-7)


def test_by_hand() -> None:
    """S = [[1, c], [c, 1]] has the leading eigenvector (1, 1); a third row like both is the most central."""
    two = normalised(np.array([[1.0, 0.0], [0.6, 0.8]]))
    assert eigenvector_centrality(two).values == pytest.approx(np.full(2, np.sqrt(0.5)))
    middle = normalised(np.array([[1.0, 0.0], [0.6, 0.8], [1.6, 0.8]]))
    values = eigenvector_centrality(middle).values
    assert values[0] == pytest.approx(values[1])
    assert values[2] > values[0]


def test_one_row_is_as_central_as_can_be() -> None:
    found = eigenvector_centrality(np.array([[0.0, -1.0]], dtype=np.float32))
    assert found.values.tolist() == [1.0]
    assert found.graph == "raw"


@pytest.mark.parametrize("rows", [2, DENSE_ROWS, DENSE_ROWS + 1, 100])
@pytest.mark.parametrize("shape", ["all equal", "no two alike", "two blocks", "opposites", "copies and opposites"])
def test_rows_that_play_the_same_part_are_equally_central(rows: int, shape: str) -> None:
    """Here several eigenvectors share the largest eigenvalue, or (1, ..., 1) is at right angles to the leading one."""
    half = np.arange(rows) % 2
    embeddings = {
        "all equal": np.tile([0.6, 0.8], (rows, 1)),
        "no two alike": np.eye(rows),
        "two blocks": np.eye(2)[half],
        "opposites": np.concatenate([np.eye(rows), -np.eye(rows)]),
        "copies and opposites": np.where(half == 1, 1.0, -1.0)[:, None] * [[0.6, 0.8]],
    }[shape].astype(np.float32)
    if rows % 2 and shape in ("two blocks", "copies and opposites"):
        embeddings = embeddings[:-1]
    found = eigenvector_centrality(embeddings)
    assert found.values == pytest.approx(np.full(len(embeddings), len(embeddings) ** -0.5), abs=1e-6)
    assert found.graph == ("shifted" if "opposites" in shape else "raw")


def test_the_larger_of_two_blocks_takes_all() -> None:
    values = eigenvector_centrality(np.eye(2, dtype=np.float32)[[0, 1, 0, 1, 0]]).values
    assert values == pytest.approx(np.array([1, 0, 1, 0, 1]) / np.sqrt(3))


@pytest.mark.parametrize("rows", [DENSE_ROWS + 1, 90])
@pytest.mark.parametrize("width", [3, 40, 200])
@pytest.mark.parametrize("lean", [0.0, 1.0])
def test_matrix_free_equals_dense(monkeypatch, rows: int, width: int, lean: float) -> None:
    random = np.random.default_rng([rows, width])
    embeddings = normalised(random.standard_normal((rows, width)) + lean)
    free = eigenvector_centrality(embeddings)
    monkeypatch.setattr(centrality, "DENSE_ROWS", 10**6)
    dense = eigenvector_centrality(embeddings)
    assert free.graph == dense.graph
    assert free.values == pytest.approx(dense.values, abs=1e-6)


def test_an_iteration_that_does_not_converge_falls_back_to_the_dense_solver(monkeypatch) -> None:
    embeddings = unit_rows(80, 30, seed=1)
    expected = eigenvector_centrality(embeddings).values
    monkeypatch.setattr(centrality, "MAX_ITERATIONS", 1)
    assert eigenvector_centrality(embeddings).values == pytest.approx(expected, abs=1e-6)


@given(data=small_sets(), seed=st.integers(0, 2**16))
def test_a_unit_vector_that_follows_the_rows_when_they_are_reordered(data: LabelledEmbeddings, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(data))
    found, reordered = eigenvector_centrality(data.embeddings), eigenvector_centrality(data.embeddings[order])
    assert found.values.min() >= 0
    assert np.linalg.norm(found.values) == pytest.approx(1.0, abs=1e-5)
    assert reordered.graph == found.graph
    assert reordered.values == pytest.approx(found.values[order], abs=1e-4)


def test_reordering_many_rows() -> None:
    embeddings = unit_rows(120, 12, seed=3)
    order = np.random.default_rng(0).permutation(120)
    expected = eigenvector_centrality(embeddings).values[order]
    assert eigenvector_centrality(embeddings[order]).values == pytest.approx(expected, abs=1e-7)


def test_the_same_rows_give_the_same_values_and_copies_the_same_value() -> None:
    embeddings = unit_rows(70, 9, seed=5)
    embeddings[40:50] = embeddings[7]
    first = eigenvector_centrality(embeddings).values
    assert np.array_equal(first, eigenvector_centrality(embeddings).values)
    assert first[40:50] == pytest.approx(np.full(10, first[7]), abs=1e-9)


def test_the_eigenvector_equation_holds_on_a_thousand_rows() -> None:
    embeddings = normalised(np.random.default_rng(0).standard_normal((1000, 20)) + 1.5)
    rows = embeddings.astype(np.float64)
    found = eigenvector_centrality(embeddings)
    values = found.values
    assert found.graph == "raw"
    product = rows @ (rows.T @ values)
    assert product == pytest.approx(np.linalg.norm(product) * values, abs=1e-4)
    assert np.linalg.norm(product) == pytest.approx(np.linalg.eigvalsh(rows.T @ rows)[-1])
