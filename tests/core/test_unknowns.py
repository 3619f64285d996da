from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core import unknowns as module
from service.core.agreement import compared_rows
from service.core.crossfit import CrossFitter
from service.core.fitting import everything, fit, prepare
from service.core.pairing import compared_pairs, crossfitted_judgement, crossfitted_pairs
from service.core.recipe import Recipe
from service.core.unknowns import UNKNOWN, UNKNOWN_SHARE, left_out_classes, out_of_fold
from service.core.verification import Pairs
from tests.core.clusters import clusters

MEDOIDS = Recipe(strategy="medoids", medoids=2)
THRESHOLDS = Recipe(strategy="thresholds", head="within", pull=0.4)


@given(st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_every_class_is_left_out_once_and_rounds_are_even(classes: int, seed: int) -> None:
    counts = np.bincount(left_out_classes(classes, seed), minlength=5)
    assert counts.sum() == classes
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("recipe", [MEDOIDS, THRESHOLDS])
@pytest.mark.parametrize("all_serve", [False, True])
def test_left_out_classes_have_no_reference_and_are_all_asked(recipe: Recipe, all_serve: bool) -> None:
    data = clusters([10] * 6, noise=0.3)
    answers = out_of_fold(CrossFitter(data, 0), recipe, all_serve=all_serve, leave_out=True)
    out_in = left_out_classes(6, 0)
    for number in range(5):
        scores = answers.scores[answers.part_of == number]
        assert np.isneginf(scores[:, out_in == number]).all()
        assert np.isfinite(scores[:, out_in != number]).all()
    assert (answers.truth == UNKNOWN).sum() == 60, "every picture is unknown once"
    assert answers.known.sum() == 48, "and known once, but for those that are left out when their fold is judged"
    weights = answers.weights
    assert weights[~answers.known].sum() / weights.sum() == pytest.approx(UNKNOWN_SHARE)
    assert not answers.right[~answers.known].any()


def test_what_answers_never_saw_the_picture(monkeypatch) -> None:
    data = clusters([10] * 5, noise=0.3)
    data = replace(data, groups=np.arange(50) // 2)
    fitter = CrossFitter(data, 0)
    seen = []

    def fit(recipe, prepared, tuning, **options):
        ids = prepared.data.ids + (tuning.ids if tuning is not None else ())
        seen.append(np.flatnonzero(np.isin(data.ids, ids)))
        return real(recipe, prepared, tuning, **options)

    real = module.fit
    monkeypatch.setattr(module, "fit", fit)
    out_of_fold(fitter, THRESHOLDS, all_serve=False, leave_out=True)
    assert len(seen) == 5
    out_in = left_out_classes(5, 0)
    for number, rows in enumerate(seen):
        assert not (out_in[data.codes[rows]] == number).any()
        judged = np.flatnonzero((fitter.fold_of == number) & (out_in[data.codes] != number))
        assert not set(data.groups[rows]) & set(data.groups[judged])


def test_without_leaving_out_the_answers_are_those_of_cross_fitting() -> None:
    data = clusters([10] * 4, noise=0.4)
    fitter = CrossFitter(data, 0)
    answers = out_of_fold(fitter, THRESHOLDS, all_serve=False, leave_out=False)
    expected = fitter.run(THRESHOLDS).scores
    order = np.concatenate([np.flatnonzero(fitter.fold_of == fold) for fold in range(5)])
    assert np.allclose(answers.scores, expected[order], atol=1e-6)
    assert answers.truth.tolist() == data.codes[order].tolist()
    assert answers.known.all()
    assert answers.weights.tolist() == [1.0] * 40


def test_answers_do_not_hang_on_how_many_are_asked_at_a_time(monkeypatch) -> None:
    fitter = CrossFitter(clusters([10] * 4, noise=0.4), 0)
    whole = out_of_fold(fitter, MEDOIDS, all_serve=False, leave_out=True)
    monkeypatch.setattr(module, "BLOCK_ROWS", 7)
    parts = out_of_fold(fitter, MEDOIDS, all_serve=False, leave_out=True)
    assert np.allclose(parts.scores, whole.scores, atol=1e-6)
    assert np.allclose(parts.raw, whole.raw, atol=1e-6)


def test_the_baseline_is_the_largest_raw_similarity() -> None:
    data = clusters([10] * 4, noise=0.4)
    fitter = CrossFitter(data, 0)
    answers = out_of_fold(fitter, MEDOIDS, all_serve=False, leave_out=False)
    support, _, judged = fitter.roles(0)
    expected = (data.embeddings[judged] @ data.embeddings[support].T).max(axis=1)
    assert answers.raw[answers.part_of == 0] == pytest.approx(expected)


def test_two_classes_cannot_spare_one() -> None:
    fitter = CrossFitter(clusters([10, 10]), 0)
    assert out_of_fold(fitter, MEDOIDS, all_serve=False, leave_out=True) is None
    assert out_of_fold(fitter, MEDOIDS, all_serve=False, leave_out=False) is not None


def test_a_class_of_one_picture_is_no_known_one() -> None:
    data = clusters([10, 10, 10, 1])
    answers = out_of_fold(CrossFitter(data, 0), MEDOIDS, all_serve=False, leave_out=False)
    assert 3 not in answers.truth


def test_two_folds_judge_every_picture_once() -> None:
    data = clusters([2] * 5)
    answers = out_of_fold(CrossFitter(data, 0), MEDOIDS, all_serve=False, leave_out=True)
    assert answers.known.sum() <= 10
    assert (~answers.known).sum() == 10


@pytest.mark.parametrize("head", ["none", "within", "lda"])
def test_pairs_are_of_pictures_that_the_head_never_saw(head: str) -> None:
    data = clusters([10] * 4, noise=0.3)
    fitter = CrossFitter(data, 0)
    parts = crossfitted_pairs(fitter, Recipe(head=head))
    assert len(parts) == 5
    assert all(part.usable for part in parts)
    support, tuning, judged = fitter.roles(0)
    rows = data.take(np.concatenate([judged, tuning]))
    fitted = fit(Recipe(head=head), prepare(data.take(support), "none", 0), None)
    compared = compared_rows(fitted.head.project(rows.embeddings), fitted.scores(rows.embeddings), 0.05)
    same = np.triu(rows.codes[:, None] == rows.codes[None, :], 1)
    expected = (compared @ compared.T)[same]
    assert sorted(parts[0].similarities[parts[0].same]) == pytest.approx(sorted(expected), abs=1e-5)


@pytest.mark.parametrize("all_serve", [False, True])
def test_pairs_are_compared_by_what_would_serve(all_serve: bool) -> None:
    data = clusters([10] * 4, noise=0.3)
    fitter = CrossFitter(data, 0)
    recipe = Recipe(head="within", strategy="medoids", medoids=1)
    parts = crossfitted_pairs(fitter, recipe, all_serve=all_serve)
    support, tuning, judged = fitter.roles(0)
    known, rows = data.take(support), data.take(np.concatenate([judged, tuning]))
    fitted = fit(recipe, prepare(known, "none", 0), None)
    served = everything(fitted, known) if all_serve else fitted
    assert len(served.references) == (len(support) if all_serve else 4)
    compared = compared_pairs(served, rows, 0)
    assert parts[0].similarities == pytest.approx(compared.similarities, abs=1e-6)


def test_a_part_is_judged_at_the_others_threshold() -> None:
    """The first part's cut is 0.5, the second's 0.7: each judges the other's."""
    first = Pairs(np.array([0.4, 0.6]), np.array([False, True]))
    second = Pairs(np.array([0.55, 0.85]), np.array([False, True]))
    found = crossfitted_judgement([first, second])
    assert found["otsu_tpr"] == 0.5, "0.6 is below 0.7"
    assert found["otsu_tnr"] == 0.5, "0.55 is above 0.5"
    assert found["eer_rate"] == 0.0
    assert crossfitted_judgement([first]) is None
    assert crossfitted_judgement([]) is None
