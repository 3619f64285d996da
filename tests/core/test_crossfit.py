"""Cross-fitting: nobody answers for itself, and thin data is still judged."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core import crossfit as module
from service.core.crossfit import Answered, CrossFitter
from service.core.folds import fold_count
from service.core.recipe import Recipe
from tests.core.clusters import LabelledEmbeddings, clusters, labelled, nearest, small_sets, unit_rows

SWEEP = Recipe(head="lda", strategy="thresholds", pull=0.3)


class Spy:
    """Notes the ids that every reference set was made and tuned with, and checks the queries put to it."""

    def __init__(self, monkeypatch, data: LabelledEmbeddings) -> None:
        self.data = data
        self.made_from: list[tuple[set[str], set[str]]] = []
        self.answered: list[str] = []
        self.kept_alive: dict[int, tuple[object, set[str]]] = {}
        self.real_support, self.real_fit = module.Support, module.fit
        monkeypatch.setattr(module, "Support", self.support)
        monkeypatch.setattr(module, "fit", self.fit)

    def support(self, data, seed):
        support = self.real_support(data, seed)
        real = support.prepared

        def prepared(cleaning):
            found = real(cleaning)
            self.kept_alive[id(found)] = found, set(data.ids)
            return found

        return SimpleNamespace(prepared=prepared)

    def fit(self, recipe, prepared, tuning, **options):
        support = self.kept_alive[id(prepared)][1]
        tuned_with = set(tuning.ids) if tuning is not None else set()
        self.made_from.append((support, tuned_with))
        return Watched(self.real_fit(recipe, prepared, tuning, **options), self, support | tuned_with)

    def groups_of(self, ids: set[str]) -> set[int]:
        return {int(group) for name, group in zip(self.data.ids, self.data.groups, strict=True) if name in ids}


class Watched:
    def __init__(self, fitted, spy: Spy, known: set[str]) -> None:
        self.fitted, self.spy, self.known = fitted, spy, known
        self.references = fitted.references

    def scores(self, embeddings):
        for row in embeddings:
            place = int(np.flatnonzero((self.spy.data.embeddings == row).all(axis=1))[0])
            asked = self.spy.data.ids[place]
            assert self.spy.data.groups[place] not in self.spy.groups_of(self.known), f"{asked} answers for itself"
            self.spy.answered.append(asked)
        return self.fitted.scores(embeddings)


def grouped(data: LabelledEmbeddings, size: int) -> LabelledEmbeddings:
    """Near-duplicates in groups of `size` within each class."""
    position = np.concatenate([np.arange(np.sum(data.codes == code)) for code in np.unique(data.codes)])
    return replace(data, groups=position // size + 1000 * data.codes)


@pytest.mark.parametrize("cleaning", ["none", "disputed"])
@pytest.mark.parametrize("group_size", [1, 3])
def test_no_row_is_answered_by_a_set_that_knows_it_or_its_near_duplicates(
    monkeypatch, group_size: int, cleaning: str
) -> None:
    data = grouped(clusters([18, 18, 20], width=6, noise=0.4), group_size)
    spy = Spy(monkeypatch, data)
    fitter = CrossFitter(data, seed=1)
    assert fitter.tuned
    result = fitter.run(replace(SWEEP, cleaning=cleaning))
    assert sorted(spy.answered) == sorted(data.ids), "every row is answered, once"
    assert np.isfinite(result.scores).all()
    for support, tuning in spy.made_from:
        assert tuning
        assert not spy.groups_of(support) & spy.groups_of(tuning), "what tunes is no reference"


@given(data=small_sets(max_rows=24), seed=st.integers(0, 1000), cleaning=st.sampled_from(("none", "disputed")))
@settings(max_examples=80)
def test_whatever_the_data_each_row_is_judged_by_others(data: LabelledEmbeddings, seed: int, cleaning: str) -> None:
    data = replace(data, embeddings=unit_rows(len(data), 5, seed))  # all different: the spy knows rows by their values
    if fold_count(data) < 2:
        return
    with pytest.MonkeyPatch.context() as patch:
        spy = Spy(patch, data)
        result = CrossFitter(data, seed).run(replace(SWEEP, cleaning=cleaning))
    judged = np.isfinite(result.scores).any(axis=1)
    assert sorted(spy.answered) == sorted(np.array(data.ids)[judged])
    assert result.references > 0
    for code in np.unique(data.codes):
        rows = data.codes == code
        if len(np.unique(data.groups[rows])) > 1:
            assert np.isfinite(result.scores[rows, code]).all(), "a class of two pictures can answer for each of them"


def test_the_answers_are_those_of_the_folds_own_references() -> None:
    """Behind no head, all references: the nearest row of the other folds."""
    data = clusters([7, 7, 7], width=5, noise=0.5)
    fitter = CrossFitter(data, seed=3)
    scores = fitter.run(Recipe()).scores
    for fold in range(fitter.folds):
        judged = fitter.fold_of == fold
        known = ~judged & (fitter.fold_of != (fold + 1) % fitter.folds)
        expected = nearest(data.embeddings[judged], data.embeddings[known], data.codes[known])
        assert scores[judged].argmax(axis=1).tolist() == expected.tolist()


def test_five_folds_are_the_sixty_twenty_twenty_of_the_splits(monkeypatch) -> None:
    data = clusters([20, 20], noise=0.4)
    spy = Spy(monkeypatch, data)
    result = CrossFitter(data, seed=0).run(SWEEP)
    assert [(len(support), len(tuning)) for support, tuning in spy.made_from] == [(24, 8)] * 5
    assert result.support == 24
    assert 2 <= result.references <= 12


def test_two_pictures_a_class_are_judged_one_by_the_other(monkeypatch) -> None:
    data = clusters([2, 2, 2, 2], noise=0.05)
    spy = Spy(monkeypatch, data)
    fitter = CrossFitter(data, seed=0)
    assert (fitter.folds, fitter.tuned) == (2, False)
    result = fitter.run(Recipe())
    assert len(spy.answered) == 8
    assert (result.scores.argmax(axis=1) == data.codes).all()
    assert all(not tuning for _, tuning in spy.made_from)


def test_three_pictures_a_class_are_left_out_one_at_a_time(monkeypatch) -> None:
    data = clusters([3, 3, 3], noise=0.05)
    spy = Spy(monkeypatch, data)
    fitter = CrossFitter(data, seed=0)
    assert (fitter.folds, fitter.tuned) == (3, False)
    fitter.run(SWEEP)
    assert [len(support) for support, _ in spy.made_from] == [6, 6, 6]


def test_near_duplicates_do_not_make_a_class_thick_enough_to_tune() -> None:
    """Six rows a class, but three pictures."""
    data = grouped(clusters([6, 6, 6], noise=0.2), 2)
    assert not CrossFitter(data, seed=0).tuned
    assert CrossFitter(replace(data, groups=np.arange(18)), seed=0).tuned


def test_a_thin_class_among_thick_ones_can_still_answer() -> None:
    """Its two pictures: one is judged, the other must be a reference, and not tune."""
    for seed in range(10):
        data = clusters([15, 15, 15, 2], noise=0.05)
        fitter = CrossFitter(data, seed)
        assert fitter.tuned
        scores = fitter.run(Recipe(head="none")).scores
        assert np.isfinite(scores[45:, 3]).all()
        assert (scores[45:].argmax(axis=1) == 3).all()


def test_the_only_picture_of_a_class_cannot_be_answered_but_others_can() -> None:
    data = clusters([10, 10, 1], noise=0.05)
    scores = CrossFitter(data, seed=0).run(Recipe()).scores
    assert np.isneginf(scores[20, 2])
    assert (scores[:20].argmax(axis=1) == data.codes[:20]).all()


def test_one_class_is_always_answered_by_that_class() -> None:
    result = CrossFitter(clusters([6]), seed=0).run(SWEEP)
    assert result.scores.shape == (6, 1)
    assert np.isfinite(result.scores).all()


def test_classes_without_rows_score_nothing() -> None:
    data = labelled(unit_rows(12, 4, seed=0), np.repeat([0, 2], 6), classes=4)
    scores = CrossFitter(data, seed=0).run(SWEEP).scores
    assert np.isneginf(scores[:, [1, 3]]).all()


def test_the_same_seed_gives_the_same_answers_and_folds_are_prepared_once(monkeypatch) -> None:
    data = clusters([10, 10, 10], noise=0.4)
    spy = Spy(monkeypatch, data)
    fitter = CrossFitter(data, seed=5)
    first = fitter.run(SWEEP)
    assert len(spy.kept_alive) == 5
    second = fitter.run(SWEEP)
    assert len(spy.kept_alive) == 5, "recipes share what a fold's support gives"
    assert np.array_equal(first.scores, second.scores)
    assert np.array_equal(first.scores, CrossFitter(data, seed=5).run(SWEEP).scores)


def test_a_recipe_that_overfits_its_thresholds_is_seen_through() -> None:
    """Labels without any meaning: accuracy out of fold is chance, whatever the sweep reached on its tuning fold."""
    random = np.random.default_rng(0)
    data = labelled(unit_rows(200, 4, seed=0), random.integers(0, 4, 200))
    scores = CrossFitter(data, seed=0).run(replace(SWEEP, threshold_shrinkage=0.0, size_penalty=0.0)).scores
    assert abs((scores.argmax(axis=1) == data.codes).mean() - 0.25) < 0.1


@pytest.mark.parametrize("cleaning", ["none", "modelled"])
def test_heads_of_all_folds_are_trained_at_once_where_pictures_are_few_with_the_same_answers(
    monkeypatch, cleaning: str
) -> None:
    data = clusters([8, 9, 10, 7], width=16, noise=0.9)
    recipe = Recipe(head="proxy", steps=50, cleaning=cleaning, strategy="medoids", medoids=2, pull=0.5)
    together, taught = CrossFitter(data, 3), []
    real = module.train_together
    monkeypatch.setattr(
        module, "train_together", lambda folds, recipe: (taught.append(len(folds)), real(folds, recipe))
    )
    found = together.run(recipe)
    assert taught == [5]
    monkeypatch.setattr(module, "MOST_TOGETHER", 0)
    assert np.array_equal(found.scores, CrossFitter(data, 3).run(recipe).scores)
    assert taught == [5]


def test_folds_side_by_side_give_the_same_answers(monkeypatch) -> None:
    monkeypatch.setattr(module, "MIN_THREADED", 0)
    data = clusters([12, 12, 12], noise=0.6)
    alone = CrossFitter(data, seed=3)
    for threads in (2, 3, 8):
        beside = CrossFitter(data, seed=3, threads=threads)
        one, other = alone.run(SWEEP), beside.run(SWEEP)
        assert np.array_equal(one.scores, other.scores)
        assert np.array_equal(one.right, other.right)
        assert (one.references, one.support) == (other.references, other.support)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_a_run_that_is_stopped_says_which_rows_were_asked(monkeypatch, threads: int) -> None:
    monkeypatch.setattr(module, "MIN_THREADED", 0)
    fitter = CrossFitter(clusters([12, 12, 12], noise=0.6), seed=3, threads=threads)
    looks: list[int] = []

    def stop(found: Answered) -> bool:
        looks.append(int(found.asked.sum()))
        return len(looks) == 2

    found = fitter.answered(SWEEP, stop)
    assert looks == [int((fitter.fold_of <= fold).sum()) for fold in (0, 1)]
    assert np.array_equal(found.asked, fitter.fold_of <= 1)
    assert not found.right[~found.asked].any()
    assert np.array_equal(found.right[found.asked], fitter.run(SWEEP).right[found.asked])


def test_what_fails_in_a_thread_is_told(monkeypatch) -> None:
    monkeypatch.setattr(module, "MIN_THREADED", 0)
    fitter = CrossFitter(clusters([6, 6]), seed=0, threads=2)

    def failing(*_args, **_options):
        raise ValueError("no head")

    monkeypatch.setattr(module, "fit", failing)
    with pytest.raises(ValueError, match="no head"):
        fitter.run(SWEEP)
