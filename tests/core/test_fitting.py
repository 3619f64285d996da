"""A recipe carried out: what is kept, what answers, and what the recipe says afterwards."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.centrality import eigenvector_centrality
from service.core.cleaning import cleaned, out_of_fold_probabilities
from service.core.fitting import START_SHRINKAGE, Fitted, Support, everything, fit, prepare
from service.core.medoids import medoids
from service.core.projection import HEAD_KINDS
from service.core.pull import class_means, pulled
from service.core.recipe import Recipe
from service.core.thresholds import Ranking, bounded_counts
from service.core.voting import class_scores
from tests.core.clusters import LabelledEmbeddings, clusters, nearest, small_sets

SUPPORT = clusters([12, 9, 15, 6], width=8, noise=0.35)
TUNING = clusters([5, 5, 5, 5], width=8, noise=0.35, draw=1, prefix="t")
SWEEP = Recipe(head="lda", shrinkage=0.1, strategy="thresholds", pull=0.3, threshold_shrinkage=0.0)


def made(recipe: Recipe, support=SUPPORT, tuning: LabelledEmbeddings | None = TUNING, **options: Any) -> Fitted:
    return fit(recipe, prepare(support, recipe.cleaning, 0), tuning, **options)


def counted(fitted: Fitted) -> np.ndarray:
    return np.bincount(fitted.data.codes[fitted.references], minlength=len(fitted.data.classes))


def accuracy(fitted: Fitted, queries: LabelledEmbeddings) -> float:
    return float(np.mean(fitted.scores(queries.embeddings).argmax(axis=1) == queries.codes))


def test_all_references_behind_no_head_are_nearest_neighbours() -> None:
    fitted = made(Recipe(), tuning=None)
    assert fitted.references.tolist() == list(range(42))
    answers = fitted.scores(TUNING.embeddings).argmax(axis=1)
    assert answers.tolist() == nearest(TUNING.embeddings, SUPPORT.embeddings, SUPPORT.codes).tolist()


def test_scores_are_plain_voting_over_the_pulled_references() -> None:
    recipe = Recipe(head="within", shrinkage=0.2, strategy="medoids", medoids=3, maximum=3, per_label=2, pull=0.4)
    fitted = made(recipe)
    projections = fitted.head.project(SUPPORT.embeddings)
    means = class_means(projections, SUPPORT.codes, 4)
    expected_rows = medoids(projections, SUPPORT.codes, np.array([3, 3, 3, 3]))
    assert fitted.references.tolist() == expected_rows.tolist()
    ready = pulled(projections, SUPPORT.codes, means, 0.4)[expected_rows]
    assert fitted.projections == pytest.approx(ready)
    assert fitted.means == pytest.approx(means)
    similarities = fitted.head.project(TUNING.embeddings) @ ready.T
    expected = class_scores(similarities, SUPPORT.codes[expected_rows], 4, 2)
    assert fitted.scores(TUNING.embeddings) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("strategy", "budget"), [("all", 2), ("medoids", 2), ("thresholds", 2), ("thresholds", 1)])
def test_a_budget_is_kept_whatever_the_rest_of_the_recipe(strategy: str, budget: int) -> None:
    recipe = replace(SWEEP, strategy=strategy, maximum=budget, minimum=3, medoids=9, quantile=0.9)
    for tuning in (None, TUNING):
        counts = counted(made(recipe, tuning=tuning))
        assert counts.max() <= budget
        assert counts.min() >= 1


def test_no_budget_means_30_per_cent_of_the_class_for_what_chooses() -> None:
    for strategy in ("medoids", "thresholds"):
        recipe = replace(SWEEP, strategy=strategy, medoids=50, quantile=1.0, threshold_shrinkage=1.0)
        assert counted(made(recipe)).tolist() == [3, 2, 4, 1]
    assert counted(made(replace(SWEEP, strategy="all"))).tolist() == [12, 9, 15, 6]


def test_without_tuning_pictures_the_quantile_decides() -> None:
    for tuning in (None, TUNING.take(np.zeros(0, dtype=np.int64))):
        fitted = made(replace(SWEEP, quantile=0.3), tuning=tuning)
        assert counted(fitted).tolist() == bounded_counts(np.full(4, 0.3), np.array([12, 9, 15, 6]), 1, None).tolist()


@pytest.mark.parametrize("space", ["raw", "projected"])
def test_thresholds_keep_the_least_central_rows_of_the_recipes_space(space: str) -> None:
    fitted = made(replace(SWEEP, space=space))
    embeddings = SUPPORT.embeddings if space == "raw" else fitted.head.project(SUPPORT.embeddings)
    assert fitted.centralities == pytest.approx(eigenvector_centrality(embeddings).values)
    kept = np.isin(np.arange(42), fitted.references)
    for code in range(4):
        own = SUPPORT.codes == code
        assert kept[own].sum() == counted(fitted)[code]
        assert fitted.centralities[own & kept].max() == fitted.thresholds[code]
        assert fitted.centralities[own & ~kept].min() > fitted.thresholds[code]


def test_the_sweep_beats_what_it_starts_from_on_the_tuning_pictures() -> None:
    noisy = clusters([20] * 5, width=6, noise=0.6)
    tuning = clusters([12] * 5, width=6, noise=0.6, draw=1)
    recipe = replace(SWEEP, size_penalty=0.0, pull=0.0)
    swept, shared = made(recipe, noisy, tuning), made(replace(recipe, threshold_shrinkage=1.0), noisy, tuning)
    assert accuracy(swept, tuning) > accuracy(shared, tuning)


def test_threshold_shrinkage_moves_every_class_towards_the_shared_share() -> None:
    free, half, tied = (
        counted(made(replace(SWEEP, quantile=0.5, threshold_shrinkage=amount))) for amount in (0.0, 0.5, 1.0)
    )
    assert tied.tolist() == [3, 2, 4, 1]
    assert free.tolist() != tied.tolist()
    assert (np.minimum(free, tied) <= half).all()
    assert (half <= np.maximum(free, tied)).all()


def test_balanced_tuning_weighs_the_small_class_like_the_large_one() -> None:
    """Thirty queries of class 0 and four of class 1: each aim is reached better by references chosen for it."""
    recipe = Recipe(strategy="thresholds", threshold_shrinkage=0.0, size_penalty=0.0)
    plain, fair = np.zeros((2, 12)), np.zeros((2, 12))
    for seed in range(12):
        support = clusters([10, 10], width=4, noise=0.7, seed=seed)
        tuning = clusters([30, 4], width=4, noise=0.7, seed=seed, draw=1)
        for balanced in (0, 1):
            fitted = made(recipe, support, tuning, balanced=bool(balanced))
            right = fitted.scores(tuning.embeddings).argmax(axis=1) == tuning.codes
            plain[balanced, seed] = right.mean()
            fair[balanced, seed] = (right[:30].mean() + right[30:].mean()) / 2
    assert plain[0].mean() > plain[1].mean()
    assert fair[1].mean() > fair[0].mean()


def test_the_recipe_that_comes_back_makes_the_same_references_without_tuning() -> None:
    first = made(SWEEP)
    assert first.recipe.class_shares is not None
    assert set(first.recipe.class_shares) == set(SUPPORT.classes)
    again = made(first.recipe, tuning=None)
    assert again.references.tolist() == first.references.tolist()
    assert again.projections == pytest.approx(first.projections)
    assert again.recipe == first.recipe


def test_a_class_that_came_later_gets_the_quantile() -> None:
    shares = {"c00": 0.25, "c01": 1 / 3}
    fitted = made(replace(SWEEP, class_shares=shares, quantile=0.4, maximum=6))
    assert counted(fitted).tolist() == [3, 3, 6, 2]


def test_what_cleaning_dropped_is_no_reference_and_shapes_nothing() -> None:
    wrong = replace(SUPPORT, codes=np.where(np.arange(42) % 7 == 0, (SUPPORT.codes + 1) % 4, SUPPORT.codes))
    prepared = prepare(wrong, "disputed", 0)
    trusted = cleaned(wrong, "disputed", lambda rows: out_of_fold_probabilities(wrong, 0, rows)).trusted
    assert prepared.data.ids == wrong.take(trusted).ids
    assert len(prepared.data) < 42
    assert prepared.raw_centralities == pytest.approx(eigenvector_centrality(wrong.embeddings).values[trusted])
    fitted = fit(Recipe(cleaning="disputed"), prepared, None)
    assert {fitted.data.ids[row] for row in fitted.references} == set(prepared.data.ids)


def test_cleanings_that_doubt_nothing_share_what_recipes_need() -> None:
    apart = Support(clusters([6, 6, 6], width=8, noise=0.05), seed=0)
    shared = apart.prepared("none")
    assert apart.prepared("modelled") is shared
    assert apart.prepared("disputed") is shared
    wrong = Support(replace(SUPPORT, codes=np.where(np.arange(42) % 7 == 0, 0, SUPPORT.codes)), seed=0)
    assert wrong.prepared("disputed") is not wrong.prepared("none")


def test_what_training_starts_from_is_the_head_of_that_shrinkage_too() -> None:
    prepared = prepare(SUPPORT, "none", 0)
    assert prepared.head(Recipe(head="lda", shrinkage=START_SHRINKAGE)) is prepared.start
    other = prepared.head(Recipe(head="lda", shrinkage=0.3))
    assert not np.array_equal(other.matrix, prepared.start.matrix)


def test_everything_is_all_of_the_support_behind_the_same_head() -> None:
    fitted = made(replace(SWEEP, cleaning="disputed", strategy="medoids"))
    whole = everything(fitted, SUPPORT)
    assert whole.head is fitted.head
    assert len(whole.references) == 42
    assert whole.data.ids == SUPPORT.ids
    assert (whole.recipe.strategy, whole.recipe.pull, whole.recipe.class_shares) == ("all", SWEEP.pull, None)
    projections = fitted.head.project(SUPPORT.embeddings)
    means = class_means(projections, SUPPORT.codes, 4)
    assert whole.projections == pytest.approx(pulled(projections, SUPPORT.codes, means, SWEEP.pull))
    assert np.isfinite(whole.thresholds).all()


RECIPES = st.builds(
    Recipe,
    head=st.sampled_from(HEAD_KINDS),
    shrinkage=st.floats(0.01, 0.9),
    cleaning=st.sampled_from(("none", "disputed", "modelled")),
    strategy=st.sampled_from(("thresholds", "medoids", "all")),
    space=st.sampled_from(("raw", "projected")),
    quantile=st.floats(0.05, 0.5),
    threshold_shrinkage=st.floats(0, 1),
    size_penalty=st.floats(0, 1),
    minimum=st.integers(1, 3),
    maximum=st.one_of(st.none(), st.integers(1, 4)),
    medoids=st.integers(1, 12),
    per_label=st.integers(1, 3),
    pull=st.floats(0, 1),
)


@given(data=small_sets(max_rows=20), recipe=RECIPES, tuned=st.booleans())
@settings(max_examples=120)
def test_any_recipe_on_any_data_gives_references_that_answer(
    data: LabelledEmbeddings, recipe: Recipe, tuned: bool
) -> None:
    fitted = made(recipe, data, data if tuned else None)
    present = np.unique(data.codes)
    assert set(fitted.data.codes[fitted.references].tolist()) == set(present.tolist()), "every class keeps one"
    assert np.array_equal(fitted.references, np.unique(fitted.references))
    assert np.linalg.norm(fitted.projections, axis=1) == pytest.approx(np.ones(len(fitted.references)), abs=1e-5)
    scores = fitted.scores(data.embeddings)
    assert np.isfinite(scores[:, present]).all()
    assert np.isneginf(np.delete(scores, present, axis=1)).all()
    assert np.array_equal(np.isfinite(fitted.thresholds), np.isin(np.arange(len(data.classes)), present))
    if recipe.maximum is not None:
        assert counted(fitted).max() <= recipe.maximum
    if recipe.strategy == "thresholds":
        ranking = Ranking.of(fitted.centralities, fitted.data.codes, len(data.classes))
        assert fitted.references.tolist() == ranking.kept(counted(fitted)).tolist()
