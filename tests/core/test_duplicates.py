"""Near-duplicate groups: complete linkage, whatever the order, one label at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core import duplicates
from service.core.duplicates import joined_groups, near_duplicate_groups
from service.core.vectors import normalised


@st.composite
def crowds(draw):
    """Rows around few centres, so that pairs on both sides of both thresholds are common."""
    rows = draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    centres = rng.normal(size=(3, 4))
    embeddings = normalised(centres[rng.integers(0, 3, rows)] + rng.normal(scale=0.3, size=(rows, 4)))
    base = int(rng.integers(0, 2**63))
    hashes = [f"{base ^ int(rng.integers(0, 2**12)):016x}" for _ in range(rows)]
    codes = rng.integers(0, 2, rows).astype(np.int64)
    keys = [f"{value:08x}" for value in rng.permutation(rows)]
    return hashes, embeddings, codes, keys


def bits_between(one, other):
    return (int(one, 16) ^ int(other, 16)).bit_count()


def same_partition(one, other):
    return np.array_equal(one[:, None] == one[None], other[:, None] == other[None])


@settings(deadline=None)
@given(crowds())
def test_every_pair_of_a_group_passes_both_tests_and_has_one_label(crowd):
    hashes, embeddings, codes, keys = crowd
    groups = near_duplicate_groups(hashes, embeddings, codes, keys=keys)
    for i in range(len(codes)):
        for j in range(i):
            if groups[i] == groups[j]:
                assert codes[i] == codes[j]
                assert bits_between(hashes[i], hashes[j]) <= duplicates.MAX_BITS
                cosine = float(embeddings[i].astype(float) @ embeddings[j].astype(float))
                assert cosine >= duplicates.MIN_SIMILARITY - 1e-9


@settings(deadline=None)
@given(crowds())
def test_no_two_groups_of_a_class_could_be_one(crowd):
    hashes, embeddings, codes, keys = crowd
    groups = near_duplicate_groups(hashes, embeddings, codes, keys=keys)
    cosines = embeddings.astype(float) @ embeddings.astype(float).T
    first_of = {group: min(np.flatnonzero(groups == group), key=lambda row: keys[row]) for group in groups}
    for group, first in first_of.items():
        for other in set(groups[codes == codes[first]]) - {group}:
            members = np.flatnonzero(groups == other)
            earlier = [row for row in members if keys[row] < keys[first]]
            alike = [
                bits_between(hashes[first], hashes[row]) <= duplicates.MAX_BITS
                and cosines[first, row] >= duplicates.MIN_SIMILARITY + 1e-9
                for row in earlier
            ]
            assert not earlier or not all(alike), "a row founded a group although it could have joined an earlier one"


@settings(deadline=None)
@given(crowds(), st.integers(0, 2**32 - 1))
def test_the_order_of_the_rows_changes_nothing(crowd, seed):
    hashes, embeddings, codes, keys = crowd
    shuffled = np.random.default_rng(seed).permutation(len(codes))
    groups = near_duplicate_groups(hashes, embeddings, codes, keys=keys)
    again = near_duplicate_groups(
        [hashes[i] for i in shuffled], embeddings[shuffled], codes[shuffled], keys=[keys[i] for i in shuffled]
    )
    assert same_partition(groups[shuffled], again)


@settings(deadline=None, max_examples=25)
@given(crowds())
def test_chunks_change_nothing(crowd):
    hashes, embeddings, codes, keys = crowd
    whole = near_duplicate_groups(hashes, embeddings, codes, keys=keys)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "CHUNK_ROWS", 3)
        assert np.array_equal(whole, near_duplicate_groups(hashes, embeddings, codes, keys=keys))


def test_a_chain_is_cut():
    """Each resembles the next, the ends do not resemble each other: never one group."""
    angles = np.arccos(0.96) * np.arange(5)
    embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    groups = near_duplicate_groups(["0" * 16] * 5, embeddings, np.zeros(5, dtype=np.int64))
    assert groups.tolist() == [0, 0, 1, 1, 2]


@pytest.mark.parametrize(
    ("hashes", "cosine", "codes", "together"),
    [
        (("00ff00ff00ff00ff", "00ff00ff00ff00ff"), 1.0, (0, 0), True),
        (("0000000000000000", "00000000000000ff"), 1.0, (0, 0), True),
        (("0000000000000000", "00000000000001ff"), 1.0, (0, 0), False),
        (("0000000000000000", "0000000000000000"), 0.9501, (0, 0), True),
        (("0000000000000000", "0000000000000000"), 0.9499, (0, 0), False),
        (("0000000000000000", "0000000000000000"), 1.0, (0, 1), False),
    ],
)
def test_both_limits_and_the_label(hashes, cosine, codes, together):
    embeddings = np.array([[1, 0], [cosine, np.sqrt(1 - cosine**2)]], dtype=np.float32)
    groups = near_duplicate_groups(hashes, embeddings, np.array(codes))
    assert bool(groups[0] == groups[1]) == together


def test_numbers_follow_the_rows():
    embeddings = np.eye(3, dtype=np.float32)[[2, 0, 2, 1]]
    groups = near_duplicate_groups(["0" * 16] * 4, embeddings, np.zeros(4, dtype=np.int64), keys=["d", "a", "b", "c"])
    assert groups.tolist() == [0, 1, 0, 2]
    assert groups.dtype == np.int64


def test_nothing_is_no_group():
    assert near_duplicate_groups([], np.zeros((0, 4), dtype=np.float32), np.zeros(0, dtype=np.int64)).shape == (0,)


def test_arguments_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="1 hashes, 2 embeddings and 2 codes"):
        near_duplicate_groups(["0" * 16], np.eye(2, dtype=np.float32), np.zeros(2, dtype=np.int64))
    with pytest.raises(ValueError, match="has 2 hex digits; 16 are needed"):
        near_duplicate_groups(["00"], np.eye(1, dtype=np.float32), np.zeros(1, dtype=np.int64))


@settings(deadline=None)
@given(crowds(), st.integers(1, 9))
def test_pairs_are_all_that_pass_both_tests_on_different_sides(crowd, chunk):
    hashes, embeddings, sides, _ = crowd
    before, duplicates.CHUNK_ROWS = duplicates.CHUNK_ROWS, chunk
    try:
        found = duplicates.near_duplicate_pairs(hashes, embeddings, sides)
    finally:
        duplicates.CHUNK_ROWS = before
    expected = []
    for later in range(len(sides)):
        for earlier in range(later):
            cosine = float((embeddings[earlier].astype(float) * embeddings[later].astype(float)).sum())
            near = bits_between(hashes[earlier], hashes[later]) <= duplicates.MAX_BITS
            if near and cosine >= duplicates.MIN_SIMILARITY and sides[earlier] != sides[later]:
                expected.append((earlier, later, cosine))
    assert [pair[:2] for pair in found] == [pair[:2] for pair in expected]
    assert [pair[2] for pair in found] == pytest.approx([pair[2] for pair in expected])


def test_pairs_need_arguments_of_one_length():
    with pytest.raises(ValueError, match="do not match"):
        duplicates.near_duplicate_pairs(["0" * 16], np.ones((2, 1), np.float32), np.zeros(2, np.int64))


def test_crops_of_one_picture_under_one_label_are_joined_with_what_resembles_them():
    groups = np.array([0, 1, 1, 2, 3, 4], dtype=np.int64)
    codes = np.array([0, 0, 0, 0, 1, 0], dtype=np.int64)
    hashes = ["a", "b", "a", "c", "a", "b"]
    # rows 0 and 2 show picture a, 1 resembles 2, 5 shows the same as 1; row 4 has another label
    assert joined_groups(groups, codes, hashes).tolist() == [0, 0, 0, 1, 2, 0]
    assert joined_groups(groups, codes, list("abcdef")).tolist() == groups.tolist()
    empty = np.zeros(0, dtype=np.int64)
    assert joined_groups(empty, empty, []).tolist() == []
