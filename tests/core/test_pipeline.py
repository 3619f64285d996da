"""From a recipe to figures, and the panel beside them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from service.core.baselines import MEMBERS
from service.core.evaluation import evaluate
from service.core.fitting import fit, prepare
from service.core.folds import deal_folds, fold_count
from service.core.pipeline import HOLOTYPE, RAW, build, compare, joined, pooled
from service.core.recipe import Recipe
from tests.core.clusters import LabelledEmbeddings, clusters, labelled, nearest

SUPPORT = clusters([12, 10, 14, 8], width=8, noise=0.35)
TUNING = clusters([4, 4, 4, 4], width=8, noise=0.35, draw=1, prefix="t")
QUERIES = clusters([6, 6, 6, 6], width=8, noise=0.35, draw=2, prefix="q")
NOBODY = TUNING.take(np.zeros(0, dtype=np.int64))
SWEEP = Recipe(head="lda", shrinkage=0.1, strategy="thresholds", pull=0.4)


def test_joined_rows_keep_their_labels_and_ids() -> None:
    both = joined(SUPPORT, TUNING)
    assert len(both) == 60
    assert both.ids == SUPPORT.ids + TUNING.ids
    assert both.take(np.arange(44)).codes.tolist() == SUPPORT.codes.tolist()
    assert np.array_equal(both.embeddings[44:], TUNING.embeddings)
    assert joined(SUPPORT, NOBODY).ids == SUPPORT.ids


def test_build_with_tuning_is_fit() -> None:
    built = build(SWEEP, SUPPORT, TUNING, seed=0)
    assert built.references.tolist() == fit(SWEEP, prepare(SUPPORT, "none", 0), TUNING).references.tolist()


def test_without_tuning_a_fifth_of_the_support_lends_itself() -> None:
    built = build(SWEEP, SUPPORT, NOBODY, seed=3)
    lent = deal_folds(SUPPORT, fold_count(SUPPORT), 3) == 0
    shares = fit(SWEEP, prepare(SUPPORT.take(~lent), "none", 3), SUPPORT.take(lent)).recipe.class_shares
    expected = fit(replace(SWEEP, class_shares=shares), prepare(SUPPORT, "none", 3), None)
    assert built.references.tolist() == expected.references.tolist()
    assert len(built.data) == len(SUPPORT), "what was lent is a candidate again"
    untuned = fit(SWEEP, prepare(SUPPORT, "none", 3), None)
    assert built.references.tolist() != untuned.references.tolist()


@pytest.mark.parametrize("sizes", [[1, 1, 1], [2, 2], [1], [5, 1, 1]])
def test_support_too_thin_to_lend_still_gives_references(sizes: list[int]) -> None:
    support = clusters(sizes)
    built = build(SWEEP, support, support.take(np.zeros(0, dtype=np.int64)), seed=0)
    assert set(built.data.codes[built.references].tolist()) == set(range(len(sizes)))


def test_a_built_recipe_builds_the_same_again() -> None:
    """What is refitted is what was judged: the shares travel with the recipe."""
    for tuning in (TUNING, NOBODY):
        first = build(SWEEP, SUPPORT, tuning, seed=1)
        again = build(first.recipe, SUPPORT, NOBODY, seed=1)
        assert again.references.tolist() == first.references.tolist()


def test_medoids_and_all_do_not_ask_for_tuning() -> None:
    for strategy in ("medoids", "all"):
        recipe = replace(SWEEP, strategy=strategy)
        with_tuning, without = (build(recipe, SUPPORT, tuning, seed=0) for tuning in (TUNING, NOBODY))
        assert with_tuning.references.tolist() == without.references.tolist()


# ------------------------------------------------------------------------------------------------------ compare


def test_the_whole_panel_answers_the_same_queries() -> None:
    fitted = build(SWEEP, SUPPORT, TUNING, seed=0)
    comparison = compare(fitted, SUPPORT, QUERIES, seed=0)
    assert set(comparison.scores) == set(comparison.scores_no_pull) == {*MEMBERS, HOLOTYPE, RAW}
    assert comparison.truth.tolist() == QUERIES.codes.tolist()
    assert all(scores.shape == (24, 4) for scores in comparison.scores.values())
    size = len(fitted.references)
    assert size < len(SUPPORT)
    expected = dict.fromkeys(("random", "lowest", "highest", "kmedoids", HOLOTYPE), size)
    assert comparison.references == {**expected, "all": 44, RAW: 44, "means": 4}
    assert comparison.support == 44


def test_raw_is_the_nearest_embedding_behind_no_head() -> None:
    comparison = compare(build(SWEEP, SUPPORT, TUNING, seed=0), SUPPORT, QUERIES, seed=0)
    expected = nearest(QUERIES.embeddings, SUPPORT.embeddings, SUPPORT.codes)
    for scores in (comparison.scores, comparison.scores_no_pull):
        assert scores[RAW].argmax(axis=1).tolist() == expected.tolist()


def test_the_selection_answers_as_it_serves() -> None:
    fitted = build(SWEEP, SUPPORT, TUNING, seed=0)
    comparison = compare(fitted, SUPPORT, QUERIES, seed=0)
    assert np.array_equal(comparison.scores[HOLOTYPE], fitted.scores(QUERIES.embeddings))


def test_without_pull_the_selection_is_its_plain_projections() -> None:
    fitted = build(SWEEP, SUPPORT, TUNING, seed=0)
    plain = build(replace(fitted.recipe, pull=0.0), SUPPORT, TUNING, seed=0)
    comparison = compare(fitted, SUPPORT, QUERIES, seed=0)
    assert plain.references.tolist() == fitted.references.tolist(), "a recipe with shares does not search again"
    assert comparison.scores_no_pull[HOLOTYPE] == pytest.approx(plain.scores(QUERIES.embeddings), abs=1e-6)
    assert not np.allclose(comparison.scores_no_pull[HOLOTYPE], comparison.scores[HOLOTYPE])


@pytest.mark.parametrize("head", ["none", "lda"])
def test_a_selection_of_all_is_the_panels_all(head: str) -> None:
    fitted = build(Recipe(head=head, pull=0.3, per_label=2), SUPPORT, NOBODY, seed=0)
    comparison = compare(fitted, SUPPORT, QUERIES, seed=0)
    for scores in (comparison.scores, comparison.scores_no_pull):
        assert scores[HOLOTYPE] == pytest.approx(scores["all"], abs=1e-5)


def test_the_panel_sees_the_label_errors_that_the_selection_left_out() -> None:
    wrong = replace(SUPPORT, codes=np.where(np.arange(44) % 5 == 0, (SUPPORT.codes + 1) % 4, SUPPORT.codes))
    fitted = build(Recipe(head="lda", cleaning="disputed", pull=0.5), wrong, NOBODY, seed=0)
    comparison = compare(fitted, wrong, QUERIES, seed=0)
    assert comparison.references["all"] == 44
    assert comparison.references[HOLOTYPE] == len(fitted.data) < 44


def test_evaluations_are_those_of_the_scores() -> None:
    comparison = compare(build(SWEEP, SUPPORT, TUNING, seed=0), SUPPORT, QUERIES, seed=0)
    for pull, scores in ((True, comparison.scores), (False, comparison.scores_no_pull)):
        for name, evaluation in comparison.evaluations(SUPPORT.classes, pull=pull).items():
            assert evaluation.accuracy == evaluate(QUERIES.codes, scores[name], SUPPORT.classes).accuracy


# ------------------------------------------------------------------------------------------------------- pooled


def test_pooled_folds_are_answers_side_by_side() -> None:
    parts = [
        compare(build(SWEEP, SUPPORT, TUNING, seed=0), SUPPORT, QUERIES.take(rows), seed=0)
        for rows in (np.arange(10), np.arange(10, 24))
    ]
    whole = compare(build(SWEEP, SUPPORT, TUNING, seed=0), SUPPORT, QUERIES, seed=0)
    together = pooled(parts)
    assert together.truth.tolist() == whole.truth.tolist()
    assert together.references == whole.references
    assert together.support == 44
    for name in whole.scores:
        assert together.scores[name] == pytest.approx(whole.scores[name], abs=1e-5)
        assert together.scores_no_pull[name] == pytest.approx(whole.scores_no_pull[name], abs=1e-5)


def test_pooled_sizes_are_means() -> None:
    small, large = clusters([4, 4]), clusters([8, 8])
    asked = clusters([3, 3], draw=1)
    nobody = asked.take(np.zeros(0, dtype=np.int64))
    together = pooled([compare(build(Recipe(), data, nobody, 0), data, asked, 0) for data in (small, large)])
    assert together.references["all"] == 12
    assert together.support == 12


# --------------------------------------------------------------------------------------------- planted truths


def loud(sizes: list[int], draw: int, seed: int = 0) -> LabelledEmbeddings:
    """Classes a little apart, in a space where loud noise common to all classes decides the raw cosine."""
    data = clusters(sizes, width=10, noise=0.25, seed=seed, draw=draw)
    noise = np.random.default_rng([seed, draw, 9]).standard_normal((len(data), 8)) * 0.8
    rows = np.hstack([data.embeddings, noise])
    return labelled(rows / np.linalg.norm(rows, axis=1, keepdims=True), data.codes)


def test_behind_a_head_and_a_pull_few_references_beat_all_raw_ones() -> None:
    support, tuning, queries = loud([25] * 5, 0), loud([8] * 5, 1), loud([40] * 5, 2)
    fitted = build(SWEEP, support, tuning, seed=0)
    figures = compare(fitted, support, queries, seed=0).evaluations(support.classes)
    assert len(fitted.references) <= len(support) / 2
    assert figures[HOLOTYPE].accuracy > figures[RAW].accuracy + 0.05
    assert figures[HOLOTYPE].accuracy >= figures["all"].accuracy - 0.03


def test_with_a_fifth_of_the_labels_wrong_cleaning_beats_all_references() -> None:
    random = np.random.default_rng(0)
    support, queries = loud([30] * 5, 0), loud([40] * 5, 2)
    wrong = random.random(150) < 0.2
    shifted = (support.codes + random.integers(1, 5, 150)) % 5
    support = replace(support, codes=np.where(wrong, shifted, support.codes))
    recipe = Recipe(head="lda", shrinkage=0.1, cleaning="disputed", strategy="medoids", medoids=3, pull=0.8)
    figures = compare(build(recipe, support, support.take(np.zeros(0, np.int64)), 0), support, queries, 0).evaluations(
        support.classes
    )
    assert figures[HOLOTYPE].accuracy > figures[RAW].accuracy + 0.1
    plain = compare(
        build(replace(recipe, pull=0.0), support, support.take(np.zeros(0, np.int64)), 0), support, queries, 0
    ).evaluations(support.classes)
    assert figures[HOLOTYPE].accuracy > plain["all"].accuracy + 0.1
