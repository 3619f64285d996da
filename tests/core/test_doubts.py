"""Doubted labels by hand, that planted errors are found, and that what is nearly the same is no evidence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.doubts import LabelSuspect, judged_probabilities, label_suspects, usual_probabilities
from service.core.hygiene import THIN_PICTURES, alike_classes
from service.core.model import Float64Array, LabelledEmbeddings
from tests.core.clusters import clusters, labelled, small_sets, unit_rows


def judged(data: LabelledEmbeddings, seed: int = 0, twins=None) -> Float64Array:
    return judged_probabilities(data, data.groups if twins is None else np.asarray(twins), seed)


OF_CLASS_0 = [0.9] * 8 + [0.0001, 0.42, 0.47, 0.0] + [0.45] * 6
"""Twelve labels of class 0, whose pictures are given 0.67 in the mean, and six of class 1, given 0.55 each."""


def test_label_suspects_by_hand() -> None:
    """Rows 8, 9 and 10 are disputed; 10 with less than the usual 0.55; for 9, 0.42 of all labels had to be wrong."""
    probabilities = np.stack([OF_CLASS_0, 1 - np.array(OF_CLASS_0)], axis=1)
    data = labelled(unit_rows(18, 3, seed=0), np.repeat([0, 1], [12, 6]))
    assert usual_probabilities(data, probabilities) == pytest.approx([(7.2 + 0.8901) / 12, 0.55])
    assert label_suspects(data, probabilities) == [
        LabelSuspect(row=8, likely=1, given_probability=0.0001, likely_probability=0.9999, sure=True),
        LabelSuspect(row=9, likely=1, given_probability=0.42, likely_probability=1 - 0.42, sure=False),
        LabelSuspect(row=10, likely=1, given_probability=0.47, likely_probability=1 - 0.47, sure=False),
    ], "row 11 was judged without its class being known: its given probability is 0"


def test_no_class_without_rows_is_usual() -> None:
    assert usual_probabilities(labelled(unit_rows(2, 3, 0), [0, 2], classes=4), np.full((2, 4), 0.25)).tolist() == [
        0.25,
        1.0,
        0.25,
        1.0,
    ]


def test_classes_of_few_pictures_neither_teach_nor_are_judged() -> None:
    """Four distinct pictures of class 2, one of them twice: who lacks them is told the same of classes 0 and 1."""
    data = clusters([8, 6, 5], width=8, noise=0.5)
    thin = replace(data, groups=np.array([*range(18), 17]))
    found = judged(thin)
    assert not found[data.codes == 2].any()
    assert not found[:, 2].any()
    assert found.sum(axis=1)[data.codes != 2] == pytest.approx(1)
    without = thin.take(data.codes != 2)
    assert np.array_equal(judged(without), found[data.codes != 2])
    assert all(one.likely != 2 and data.codes[one.row] != 2 for one in label_suspects(thin, found))
    assert judged(data)[:, 2].any(), "five distinct pictures are judged"


@given(data=small_sets(max_rows=40), seed=st.integers(0, 20))
@settings(max_examples=60, deadline=None)
def test_thin_classes_are_never_meant_whatever_the_data(data: LabelledEmbeddings, seed: int) -> None:
    thin = [code for code in range(4) if len(np.unique(data.groups[data.codes == code])) < THIN_PICTURES]
    for one in label_suspects(data, judged(data, seed)):
        assert one.likely not in thin
        assert data.codes[one.row] not in thin


def test_near_duplicates_are_not_each_others_evidence() -> None:
    """A wrong copy of each of ten pictures: as twins none is judged by its copy, which alone would decide."""
    data = clusters([10, 10], width=30, noise=0.1)
    copies = data.take(np.arange(10))
    random = np.random.default_rng(0)
    noise = random.standard_normal((10, 30)).astype(np.float32)
    rows = np.concatenate([data.embeddings, copies.embeddings])
    both = labelled(rows, [*data.codes, *([1] * 10)])
    twins = [*range(20), *range(10)]
    changed = rows.copy()
    changed[20] = noise[0] / np.linalg.norm(noise[0])
    apart = judged(replace(both, embeddings=changed), twins=twins)
    assert np.array_equal(apart[0], judged(both, twins=twins)[0]), "what its twin looks like changes nothing for row 0"
    assert not np.array_equal(judged(replace(both, embeddings=changed))[0], judged(both)[0])


@pytest.mark.parametrize("seed", range(3))
def test_planted_errors_are_suspected_and_the_true_label_is_the_likely_one(seed: int) -> None:
    clean = clusters([20] * 6, width=16, noise=0.18, seed=seed)
    random = np.random.default_rng(seed)
    wrong = random.random(len(clean)) < 0.2
    shift = random.integers(1, 6, len(clean))
    data = replace(clean, codes=np.where(wrong, (clean.codes + shift) % 6, clean.codes))
    found = label_suspects(data, judged(data))
    rows = [one.row for one in found]
    assert len(set(rows) & set(np.flatnonzero(wrong).tolist())) >= 0.9 * wrong.sum()
    sure = [one for one in found if one.sure]
    assert np.mean([wrong[one.row] for one in sure]) >= 0.9
    assert np.mean([one.likely == clean.codes[one.row] for one in sure if wrong[one.row]]) >= 0.9


@given(data=small_sets(max_rows=25), seed=st.integers(0, 20))
@settings(max_examples=60, deadline=None)
def test_suspects_are_disputed_rows_in_order_whatever_the_data(data, seed: int) -> None:
    probabilities = judged(data, seed)
    found = label_suspects(data, probabilities)
    assert len({one.row for one in found}) == len(found)
    keys = [(not one.sure, one.given_probability - one.likely_probability) for one in found]
    assert keys == sorted(keys)
    for one in found:
        assert one.likely != data.codes[one.row]
        assert 0 < one.given_probability <= one.likely_probability <= 1


def test_nobody_is_suspected_where_nobody_can_judge() -> None:
    alone = clusters([9])
    assert not judged(alone, twins=[0] * 9).any(), "all are nearly the same"
    for data in (
        clusters([1, 1, 1]),
        clusters([4, 4, 4]),
        labelled(np.tile([0.6, 0.8], (4, 1)), [0, 0, 1, 1], groups=[0, 0, 1, 1]),
    ):
        assert not judged(data).any()
        assert label_suspects(data, judged(data)) == []
        assert alike_classes(data, judged(data)) == []
