"""Splits: from the content alone, stratified, groups whole, and what has a split keeps it."""

import hashlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.splits import MIN_DISTINCT, SPLIT_NAMES, assign_splits


def hashes_of(count, salt=0):
    return [hashlib.sha256(f"{salt}:{number}".encode()).hexdigest() for number in range(count)]


@st.composite
def catalogues(draw, with_existing=True):
    rows = draw(st.integers(0, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    codes = rng.integers(0, draw(st.integers(1, 3)), rows).astype(np.int64)
    groups = np.arange(rows, dtype=np.int64)
    for row in range(1, rows):  # some follow an earlier row of their class
        same = np.flatnonzero(codes[:row] == codes[row])
        if same.size and rng.random() < 0.3:
            groups[row] = groups[rng.choice(same)]
    existing = [None] * rows
    if with_existing and draw(st.booleans()):
        existing = [rng.choice(SPLIT_NAMES) if rng.random() < 0.3 else None for _ in range(rows)]
    return hashes_of(rows, salt=draw(st.integers(0, 99))), codes, groups, existing


@settings(deadline=None)
@given(catalogues(), st.integers(0, 2**32 - 1))
def test_the_order_of_the_rows_changes_nothing(catalogue, seed):
    hashes, codes, groups, existing = catalogue
    assigned = assign_splits(hashes, codes, groups, existing)
    order = np.random.default_rng(seed).permutation(len(codes))
    again = assign_splits([hashes[i] for i in order], codes[order], groups[order], [existing[i] for i in order])
    assert [assigned[i] for i in order] == again


@settings(deadline=None)
@given(catalogues())
def test_what_has_a_split_keeps_it_and_everything_gets_one(catalogue):
    hashes, codes, groups, existing = catalogue
    assigned = assign_splits(hashes, codes, groups, existing)
    assert set(assigned) <= set(SPLIT_NAMES)
    assert all(was in (None, now) for was, now in zip(existing, assigned, strict=True))


@settings(deadline=None)
@given(catalogues())
def test_groups_stay_whole(catalogue):
    hashes, codes, groups, existing = catalogue
    assigned = np.array(assign_splits(hashes, codes, groups, existing))
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        given = {existing[row] for row in rows} - {None}
        if len(given) <= 1:  # somebody who gave the rows of one group different splits has them so
            assert len(set(assigned[rows])) == 1
        else:
            assert {assigned[row] for row in rows if existing[row] is None} <= given


@settings(deadline=None)
@given(catalogues(with_existing=False))
def test_every_class_is_stratified(catalogue):
    hashes, codes, groups, existing = catalogue
    assigned = np.array(assign_splits(hashes, codes, groups, existing))
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code)
        sizes = np.unique(groups[rows], return_counts=True)[1]
        counts = Counter(assigned[rows])
        if len(sizes) < MIN_DISTINCT:
            assert set(counts) == {"support"}
            continue
        assert set(counts) == set(SPLIT_NAMES)
        for name, share in zip(SPLIT_NAMES, (0.6, 0.2, 0.2), strict=True):
            assert abs(counts[name] - share * len(rows)) <= sizes.max() + 1


@settings(deadline=None)
@given(catalogues(), st.integers(1, 20))
def test_adding_pictures_moves_none_that_are_there(catalogue, more):
    hashes, codes, groups, existing = catalogue
    before = assign_splits(hashes, codes, groups, existing)
    rows = len(codes)
    after = assign_splits(
        hashes + hashes_of(more, salt=1000),
        np.concatenate([codes, np.zeros(more, dtype=np.int64)]),
        np.concatenate([groups, np.arange(rows, rows + more)]),
        before + [None] * more,
    )
    assert after[:rows] == before


def test_adding_one_by_one_still_fills_every_split():
    assigned: list[str | None] = []
    for count in range(1, 41):
        rows = np.arange(count)
        assigned = assign_splits(hashes_of(count), np.zeros(count, dtype=np.int64), rows, [*assigned, None])
    assert Counter(assigned) == {"support": 24, "tuning": 8, "holdout": 8}


@pytest.mark.parametrize(
    ("count", "expected"),
    [(1, (1, 0, 0)), (4, (4, 0, 0)), (5, (3, 1, 1)), (10, (6, 2, 2)), (100, (60, 20, 20))],
)
def test_counts_of_one_class(count, expected):
    assigned = assign_splits(hashes_of(count), np.zeros(count, dtype=np.int64), np.arange(count), [None] * count)
    assert tuple(assigned.count(name) for name in SPLIT_NAMES) == expected


def test_five_pictures_that_are_four_distinct_ones_are_all_support():
    assigned = assign_splits(hashes_of(5), np.zeros(5, dtype=np.int64), np.array([0, 1, 2, 3, 3]), [None] * 5)
    assert assigned == ["support"] * 5


@pytest.mark.parametrize("salt", range(10))
def test_a_large_group_goes_where_there_is_room(salt):
    groups = np.array([0] * 10 + [1, 2, 3, 4])
    assigned = assign_splits(hashes_of(14, salt), np.zeros(14, dtype=np.int64), groups, [None] * 14)
    assert assigned[:10] == ["support"] * 10
    assert Counter(assigned[10:]) == {"tuning": 2, "holdout": 2}


def test_an_empty_split_is_filled_before_the_groups_run_out():
    existing = ["tuning"] * 3 + [None] * 2
    assigned = assign_splits(hashes_of(5), np.zeros(5, dtype=np.int64), np.arange(5), existing)
    assert Counter(assigned) == {"tuning": 3, "support": 1, "holdout": 1}


def test_a_near_duplicate_follows_the_one_that_is_there():
    existing = ["holdout"] + [None] * 9
    groups = np.array([0, 0, *range(1, 9)])
    assigned = assign_splits(hashes_of(10), np.zeros(10, dtype=np.int64), groups, existing)
    assert assigned[:2] == ["holdout", "holdout"]


def test_another_seed_another_choice():
    arguments = (hashes_of(50), np.zeros(50, dtype=np.int64), np.arange(50), [None] * 50)
    assert assign_splits(*arguments, seed=0) != assign_splits(*arguments, seed=1)
    assert assign_splits(*arguments, seed=1) == assign_splits(*arguments, seed=1)


def test_arguments_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="2 hashes, 1 groups, 1 splits, 1 codes"):
        assign_splits(hashes_of(2), np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64), [None])
