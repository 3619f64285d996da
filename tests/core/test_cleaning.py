"""Cleaning finds planted label errors, spares clean data and leaves no class empty."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core import cleaning as module
from service.core import spanned
from service.core.cleaning import out_of_fold_probabilities
from service.core.folds import deal_folds, fold_count
from tests.core.clusters import LabelledEmbeddings, clusters, labelled, small_sets, unit_rows

HOW = ("disputed", "modelled")


def trusted_rows(data: LabelledEmbeddings, how: str, seed: int) -> np.ndarray:
    return module.cleaned(data, how, lambda rows: out_of_fold_probabilities(data, seed, rows)).trusted


def mislabelled(data: LabelledEmbeddings, share: float, seed: int) -> tuple[LabelledEmbeddings, np.ndarray]:
    """The data with a share of its labels moved to another class, and which rows those are."""
    random = np.random.default_rng(seed)
    wrong = random.random(len(data)) < share
    shift = random.integers(1, len(data.classes), len(data))
    return replace(data, codes=np.where(wrong, (data.codes + shift) % len(data.classes), data.codes)), wrong


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("sizes", [[25] * 6, [10] * 10, [12, 30, 8, 20]])
@pytest.mark.parametrize("seed", range(3))
def test_planted_errors_are_found_and_right_labels_kept(how: str, sizes: list[int], seed: int) -> None:
    data, wrong = mislabelled(clusters(sizes, width=16, noise=0.18, seed=seed), 0.2, seed)
    trusted = trusted_rows(data, how, seed=0)
    assert (~trusted[wrong]).mean() >= 0.7
    assert trusted[~wrong].mean() >= 0.85


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("seed", range(3))
def test_clean_data_is_spared(how: str, seed: int) -> None:
    trusted = trusted_rows(clusters([15] * 6, width=16, noise=0.18, seed=seed), how, seed=0)
    assert trusted.mean() >= 0.97


def test_both_rules_by_hand() -> None:
    """Of sixteen labels one is wrong beyond doubt (row 8), and one is hard to know (row 9): only a dispute drops it."""
    of_class_0 = [0.99] * 8 + [0.0001, 0.45] + [0.01] * 6
    sure = np.stack([of_class_0, 1 - np.array(of_class_0)], axis=1)
    data = labelled(unit_rows(16, 3, seed=0), np.repeat([0, 1], [10, 6]))
    assert np.flatnonzero(~module.cleaned(data, "disputed", lambda _: sure).trusted).tolist() == [8, 9]
    assert np.flatnonzero(~module.cleaned(data, "modelled", lambda _: sure).trusted).tolist() == [8]


def test_a_label_that_is_surely_wrong_teaches_its_right_class_and_serves_for_none() -> None:
    """Row 3 is of class 1 beyond doubt; row 29 rather of class 0 or 2 than of its own, so that it teaches nothing."""
    codes = np.repeat([0, 1, 2], 20)
    sure = np.full((60, 3), 0.0001)
    sure[np.arange(60), codes] = 0.9998
    sure[3], sure[29] = (0.0001, 0.9998, 0.0001), (0.49995, 0.0001, 0.49995)
    data = labelled(unit_rows(60, 3, seed=0), codes)
    found = module.cleaned(data, "modelled", lambda _: sure)
    assert np.flatnonzero(~found.trusted).tolist() == [3, 29]
    assert found.taught[[3, 29]].tolist() == [1, module.NOTHING]
    assert np.array_equal(np.delete(found.taught, [3, 29]), np.delete(codes, [3, 29]))
    disputed = module.cleaned(data, "disputed", lambda _: sure)
    assert (disputed.taught[~disputed.trusted] == module.NOTHING).all(), "who only disputes corrects nothing"


@pytest.mark.parametrize("seed", range(3))
def test_what_is_taught_is_right(seed: int) -> None:
    clean = clusters([25] * 6, width=16, noise=0.18, seed=seed)
    data, wrong = mislabelled(clean, 0.2, seed)
    found = module.cleaned(data, "modelled", lambda rows: out_of_fold_probabilities(data, seed, rows))
    corrected = ~found.trusted & (found.taught != module.NOTHING)
    assert corrected.sum() >= 0.5 * wrong.sum()
    assert (found.taught[corrected] == clean.codes[corrected]).mean() >= 0.95


def test_later_judges_learn_from_what_is_trusted() -> None:
    asked = []
    data, _ = mislabelled(clusters([15] * 6, width=16, noise=0.18), 0.2, 0)

    def judge(rows: np.ndarray) -> np.ndarray:
        asked.append(rows.copy())
        return out_of_fold_probabilities(data, 0, rows)

    module.cleaned(data, "modelled", judge)
    assert [rows.all() for rows in asked] == [True, False, False]


def test_where_nothing_is_doubted_one_judge_is_enough() -> None:
    asked = []
    sure = np.tile(np.array([[0.9, 0.1], [0.1, 0.9]]), (6, 1))
    found = module.cleaned(
        labelled(unit_rows(12, 3, seed=0), [0, 1] * 6), "modelled", lambda rows: asked.append(rows) or sure
    )
    assert (found.trusted.all(), found.taught.tolist(), len(asked)) == (True, [0, 1] * 6, 1)


def test_modelled_spares_hard_examples() -> None:
    """Clusters that overlap: a fifth of the right labels is disputed, and hardly one is an error's doing."""
    data = clusters([15] * 5, width=12, noise=0.4)
    disputed, modelled = (trusted_rows(data, how, seed=0) for how in HOW)
    assert disputed.mean() < 0.9
    assert modelled.mean() > disputed.mean() + 0.05


def test_none_trusts_everything() -> None:
    data, _ = mislabelled(clusters([9, 9]), 0.5, 0)
    assert trusted_rows(data, "none", seed=0).all()


@pytest.mark.parametrize("how", HOW)
def test_where_nothing_can_be_judged_everything_is_trusted(how: str) -> None:
    one_class, one_shot = clusters([8]), clusters([1, 1, 1])
    copies = labelled(np.tile([0.6, 0.8], (6, 1)), [0, 0, 0, 1, 1, 1], groups=[0, 0, 0, 1, 1, 1])
    for data in (one_class, one_shot, copies):
        assert trusted_rows(data, how, seed=0).all()


@pytest.mark.parametrize("how", HOW)
def test_the_only_picture_of_a_class_stays(how: str) -> None:
    """Without it no judge can know its class: it is always disputed, and always kept."""
    trusted = trusted_rows(clusters([12, 12, 1], noise=0.1), how, seed=0)
    assert trusted[24]


def test_a_class_that_is_all_wrong_keeps_its_least_disputed_row() -> None:
    """The two pictures of class 2 lie among class 0, so each is disputed by a judge that knows the other."""
    data = clusters([12, 12, 2], noise=0.1)
    rows = data.embeddings.copy()
    rows[24:] = clusters([2, 0, 0], noise=0.1, draw=1).embeddings
    data = replace(data, embeddings=rows, groups=np.append(np.arange(24), [24, 24]))
    probabilities = out_of_fold_probabilities(data, seed=0)
    assert (probabilities[24:].argmax(axis=1) == 0).all()
    trusted = trusted_rows(data, "disputed", seed=0)
    assert np.flatnonzero(trusted[24:]).tolist() == [probabilities[24:, 2].argmax()]


@given(data=small_sets(max_rows=25), how=st.sampled_from(HOW), seed=st.integers(0, 100))
@settings(max_examples=60)
def test_a_class_never_loses_its_last_row_whatever_the_data(data: LabelledEmbeddings, how: str, seed: int) -> None:
    trusted = trusted_rows(data, how, seed)
    assert trusted.shape == (len(data),)
    assert trusted.dtype == np.bool_
    assert set(data.codes[trusted].tolist()) == set(data.codes.tolist())
    assert np.array_equal(trusted, trusted_rows(data, how, seed)), "the same seed says the same"


@given(data=small_sets(max_rows=25), seed=st.integers(0, 100))
@settings(max_examples=60)
def test_probabilities_are_probabilities(data: LabelledEmbeddings, seed: int) -> None:
    probabilities = out_of_fold_probabilities(data, seed)
    assert np.isfinite(probabilities).all()
    assert probabilities.min() >= 0
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(len(data)))


@pytest.mark.parametrize("sizes", [[6, 7, 5], [5, 6]], ids=["lda", "two classes"])
def test_few_rows_are_judged_as_in_all_their_dimensions(monkeypatch, sizes: list[int]) -> None:
    data = clusters(sizes, width=60, noise=0.1)
    copied = data.take(np.append(np.arange(len(data)), [0, 0]))
    few = out_of_fold_probabilities(copied, seed=1)
    monkeypatch.setattr(spanned, "SHARE", 1000)
    assert few == pytest.approx(out_of_fold_probabilities(copied, seed=1), abs=1e-4)


def test_no_row_is_judged_by_itself_or_its_near_duplicates(monkeypatch) -> None:
    data = clusters([8, 8, 8])
    data = replace(data, groups=np.arange(24) // 2)
    fitted_on: list[np.ndarray] = []
    real = module.Scatter.of

    def spy(embeddings, codes, *whole):
        fitted_on.append(embeddings)
        return real(embeddings, codes, *whole)

    monkeypatch.setattr(module.Scatter, "of", staticmethod(spy))
    out_of_fold_probabilities(data, seed=4)
    folds = fold_count(data)
    fold_of = deal_folds(data, folds, 4)
    assert len(fitted_on) == folds
    for fold, known in enumerate(fitted_on):
        rows = [int(np.flatnonzero((data.embeddings == row).all(axis=1))[0]) for row in known]
        assert not set(data.groups[rows].tolist()) & set(data.groups[fold_of == fold].tolist())
        assert set(rows) == set(np.flatnonzero(fold_of != fold).tolist())
