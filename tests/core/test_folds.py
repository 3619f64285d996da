from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.folds import MAX_FOLDS, deal_folds, distinct_pictures, fold_count
from tests.core.clusters import LabelledEmbeddings, clusters, labelled, small_sets


def with_groups(codes: list[int], groups: list[int]) -> LabelledEmbeddings:
    return labelled(np.tile([1.0, 0.0], (len(codes), 1)), codes, groups=groups)


def test_distinct_pictures_are_groups() -> None:
    data = with_groups([0, 0, 0, 2, 2, 0], [5, 5, 1, 7, 7, 8])
    assert distinct_pictures(data).tolist() == [3, 1]


@pytest.mark.parametrize(
    ("sizes", "folds"), [([1, 1], 1), ([2, 1], 2), ([3, 3], 3), ([4, 9], MAX_FOLDS), ([0, 2], 2), ([40, 40], MAX_FOLDS)]
)
def test_as_many_folds_as_the_largest_class_has_pictures(sizes: list[int], folds: int) -> None:
    assert fold_count(clusters(sizes)) == folds


def test_copies_are_no_pictures() -> None:
    assert fold_count(with_groups([0] * 9, [4] * 9)) == 1


def test_nothing_has_no_folds() -> None:
    empty = clusters([1]).take(np.zeros(1, dtype=np.bool_))
    assert fold_count(empty) == 0
    assert deal_folds(empty, 3, 0).shape == (0,)


@given(data=small_sets(max_rows=40), folds=st.integers(1, 6), seed=st.integers(0, 2**32 - 1))
def test_groups_stay_whole_and_each_class_is_dealt_evenly(data: LabelledEmbeddings, folds: int, seed: int) -> None:
    dealt = deal_folds(data, folds, seed)
    assert dealt.dtype == np.int64
    assert set(dealt.tolist()) <= set(range(folds))
    for group in np.unique(data.groups):
        assert len(set(dealt[data.groups == group].tolist())) == 1
    for code in np.unique(data.codes):
        groups, first = np.unique(data.groups[data.codes == code], return_index=True)
        sizes = np.bincount(dealt[data.codes == code][first], minlength=folds)
        assert sizes.max() - sizes.min() <= 1, f"{len(groups)} groups of one class lie {sizes} over the folds"


@given(data=small_sets(max_rows=30), seed=st.integers(0, 2**32 - 1))
def test_the_same_seed_deals_the_same(data: LabelledEmbeddings, seed: int) -> None:
    assert np.array_equal(deal_folds(data, 3, seed), deal_folds(data, 3, seed))


def test_seeds_deal_differently_and_evenly_over_classes() -> None:
    """A class of one group starts anywhere: else the first fold would get every small class."""
    data = clusters([1] * 300)
    assert not np.array_equal(deal_folds(data, 5, 0), deal_folds(data, 5, 1))
    assert np.bincount(deal_folds(data, 5, 0), minlength=5).min() > 40
