"""What a new class takes from the present ones: by hand, and against the plainest reckoning."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.folds import deal_folds, fold_count
from service.core.newcomer import newcomer_scores, rows_taken
from service.core.projection import identity_head
from service.core.recipe import Recipe
from tests.core.clusters import clusters, labelled, small_sets, unit_rows
from tests.core.test_labelling import ring


def test_a_new_class_takes_what_lies_nearer_to_it() -> None:
    """Class 0 at 0, 2, 4 and 40 degrees, class 1 at 90, 92 and 94; the new class at 44 takes the one at 40."""
    data = labelled(ring(0, 2, 4, 40, 90, 92, 94), [0, 0, 0, 0, 1, 1, 1])
    found = rows_taken(data, ring(44), Recipe(), seed=0)
    assert found.judged.all()
    assert np.flatnonzero(found.taken).tolist() == [3]
    assert found.right.all()


def test_a_picture_does_not_answer_for_itself_nor_its_near_duplicates() -> None:
    """The pair at 40 degrees would keep itself, were it not one group; the other row of class 0 lies at 0 degrees."""
    rows, codes = ring(0, 1, 40, 40.1), [0, 0, 0, 0]
    grouped = rows_taken(labelled(rows, codes, groups=[0, 1, 2, 2]), ring(45), Recipe(), seed=0)
    apart = rows_taken(labelled(rows, codes), ring(45), Recipe(), seed=0)
    assert grouped.taken.tolist() == [False, False, True, True]
    folds = deal_folds(labelled(rows, codes), 4, 0)
    assert len(set(folds.tolist())) == 4
    assert not apart.taken.any()


def test_an_answer_as_good_stays_with_the_present_class() -> None:
    data = labelled(ring(0, 0, 90, 90), [0, 0, 1, 1])
    assert not rows_taken(data, ring(0), Recipe(), seed=0).taken.any()


def test_what_nobody_can_judge_is_not_counted() -> None:
    one_shot = rows_taken(clusters([1, 1, 1]), unit_rows(2, 8, 1), Recipe(), seed=0)
    assert not np.any([one_shot.judged, one_shot.taken, one_shot.right])
    data = labelled(ring(0, 1, 2, 90), [0, 0, 0, 1])
    found = rows_taken(data, ring(90), Recipe(), seed=0)
    assert found.judged.tolist() == [True, True, True, False]
    assert not found.taken.any(), "the only picture of class 1 has nobody to speak for it"


def test_newcomers_are_pulled_towards_their_mean_and_averaged() -> None:
    newcomers = ring(0, 60)
    score = newcomer_scores(identity_head(2), ring(0), newcomers, Recipe(pull=1.0))
    assert score == pytest.approx([np.cos(np.radians(30))], abs=1e-6)
    score = newcomer_scores(identity_head(2), ring(0), newcomers, Recipe(per_label=2))
    assert score == pytest.approx([(1 + 0.5) / 2], abs=1e-6)
    assert newcomer_scores(identity_head(2), ring(0), newcomers, Recipe()) == pytest.approx([1.0])


@given(data=small_sets(max_rows=20, max_width=4), seed=st.integers(0, 50), number=st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_it_is_the_nearest_neighbour_rule_fold_by_fold(data, seed: int, number: int) -> None:
    newcomers = unit_rows(number, data.embeddings.shape[1], seed)
    found = rows_taken(data, newcomers, Recipe(), seed)
    folds = fold_count(data)
    if folds < 2:
        assert not found.judged.any()
        return
    fold_of = deal_folds(data, folds, seed)
    for row in range(len(data)):
        rest = fold_of != fold_of[row]
        assert found.judged[row] == (data.codes[row] in data.codes[rest])
        if found.judged[row]:
            best = (data.embeddings[rest].astype(float) @ data.embeddings[row].astype(float)).max()
            new = (newcomers.astype(float) @ data.embeddings[row].astype(float)).max()
            assert found.taken[row] == (new > best) or new == pytest.approx(best, abs=1e-5)
    assert not (found.taken & ~found.judged).any()
    assert not (found.right & ~found.judged).any()


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(head="lda", pull=0.4),
        Recipe(strategy="medoids"),
        Recipe(head="within", cleaning="modelled", strategy="thresholds", per_label=2),
    ],
)
def test_every_kind_of_recipe_can_be_asked(recipe: Recipe) -> None:
    data = clusters([12, 12, 12], noise=0.2)
    inside = rows_taken(data, clusters([4, 0, 0], noise=0.2, draw=1).embeddings, recipe, seed=0)
    outside = rows_taken(data, -data.embeddings[:3], recipe, seed=0)
    assert inside.taken[:12].any()
    assert inside.taken[:12].sum() > outside.taken[:12].sum()
    assert inside.right.mean() >= 0.9
