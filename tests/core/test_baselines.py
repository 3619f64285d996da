from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.baselines import MEMBERS, panel_scores, reference_rows
from service.core.centrality import eigenvector_centrality
from service.core.medoids import medoids
from service.core.projection import Scatter, fit_head, identity_head
from service.core.pull import class_means
from service.core.vectors import normalised
from tests.core.clusters import LabelledEmbeddings, clusters, nearest, small_sets

SUPPORT = clusters([10, 7, 12], width=6, noise=0.4)
QUERIES = clusters([6, 6, 6], width=6, noise=0.4, draw=1)
COUNTS = np.array([3, 1, 5])


def sizes(rows: np.ndarray, support: LabelledEmbeddings = SUPPORT) -> list[int]:
    return np.bincount(support.codes[rows], minlength=len(support.classes)).tolist()


def scored(rows: dict[str, np.ndarray], **options) -> dict[str, tuple[np.ndarray, int]]:
    options = {"per_label": 1, "pull": 0.0, "head": identity_head(6), **options}
    return panel_scores(SUPPORT, options.pop("head"), rows, QUERIES.embeddings, **options)


def test_every_member_has_the_selections_size_but_all() -> None:
    rows = reference_rows(SUPPORT, identity_head(6), COUNTS, seed=0)
    assert set(rows) | {"means"} == set(MEMBERS)
    for name, chosen in rows.items():
        assert sizes(chosen) == ([10, 7, 12] if name == "all" else [3, 1, 5]), name
        assert np.array_equal(chosen, np.unique(chosen))


def test_lowest_and_highest_are_the_ends_of_each_classs_ranking() -> None:
    rows = reference_rows(SUPPORT, identity_head(6), COUNTS, seed=0)
    centralities = eigenvector_centrality(SUPPORT.embeddings).values
    for code in range(3):
        own = np.flatnonzero(SUPPORT.codes == code)
        ranked = own[np.argsort(centralities[own])]
        assert set(rows["lowest"]) & set(own) == set(ranked[: COUNTS[code]])
        assert set(rows["highest"]) & set(own) == set(ranked[-COUNTS[code] :])


def test_medoids_are_found_behind_the_head() -> None:
    head = fit_head("within", Scatter.of(SUPPORT.embeddings, SUPPORT.codes), 0.1)
    rows = reference_rows(SUPPORT, head, COUNTS, seed=0)
    assert rows["kmedoids"].tolist() == medoids(head.project(SUPPORT.embeddings), SUPPORT.codes, COUNTS).tolist()


def test_random_hangs_on_the_seed_and_nothing_else_does() -> None:
    first, again, other = (reference_rows(SUPPORT, identity_head(6), COUNTS, seed) for seed in (0, 0, 1))
    for name in first:
        assert np.array_equal(first[name], again[name])
        assert np.array_equal(first[name], other[name]) == (name != "random")


def test_random_draws_every_row_equally_often() -> None:
    drawn = np.concatenate([reference_rows(SUPPORT, identity_head(6), COUNTS, seed)["random"] for seed in range(300)])
    expected = 300 * np.repeat(COUNTS / np.array([10, 7, 12]), [10, 7, 12])
    assert np.abs(np.bincount(drawn, minlength=29) - expected).max() < 5 * np.sqrt(75)


def test_a_class_that_the_selection_lost_has_one_reference_and_none_has_more_than_its_rows() -> None:
    """Cleaning may leave a class whose rows it all dropped with none: the panel still answers for it."""
    rows = reference_rows(SUPPORT, identity_head(6), np.array([0, 99, 2]), seed=0)
    for name in ("random", "lowest", "highest", "kmedoids"):
        assert sizes(rows[name]) == [1, 7, 2]


def test_all_is_the_nearest_neighbour_by_brute_force() -> None:
    rows = reference_rows(SUPPORT, identity_head(6), COUNTS, seed=0)
    scores, count = scored(rows)["all"]
    assert count == 29
    expected = nearest(QUERIES.embeddings, SUPPORT.embeddings, SUPPORT.codes)
    assert scores.argmax(axis=1).tolist() == expected.tolist()


def test_means_are_nearest_class_means_whatever_the_pull_and_m() -> None:
    means = normalised(np.stack([SUPPORT.embeddings[SUPPORT.codes == code].mean(axis=0) for code in range(3)]))
    for options in ({}, {"pull": 0.7, "per_label": 3}):
        scores, count = scored({}, **options)["means"]
        assert count == 3
        assert scores == pytest.approx(QUERIES.embeddings @ means.T, abs=1e-5)


def test_a_full_pull_makes_every_member_the_class_means() -> None:
    rows = reference_rows(SUPPORT, identity_head(6), COUNTS, seed=0)
    members = scored(rows, pull=1.0)
    for name in rows:
        assert members[name][0] == pytest.approx(members["means"][0], abs=1e-5)


@given(data=small_sets(max_rows=20), seed=st.integers(0, 100), share=st.floats(0, 1), per_label=st.integers(1, 3))
@settings(max_examples=60)
def test_every_member_answers_for_every_class_that_has_rows(
    data: LabelledEmbeddings, seed: int, share: float, per_label: int
) -> None:
    head = identity_head(data.embeddings.shape[1])
    available = np.bincount(data.codes, minlength=len(data.classes))
    rows = reference_rows(data, head, np.rint(share * available).astype(np.int64), seed)
    members = panel_scores(data, head, rows, data.embeddings, per_label=per_label, pull=0.3)
    assert set(members) == set(MEMBERS)
    means = class_means(data.embeddings, data.codes, len(data.classes))
    for name, (scores, count) in members.items():
        answering = means.any(axis=1) if name == "means" else available > 0
        assert scores.shape == (len(data), len(data.classes))
        assert np.array_equal(np.isfinite(scores).all(axis=0), answering)
        assert count == (answering.sum() if name == "means" else len(rows[name]))
