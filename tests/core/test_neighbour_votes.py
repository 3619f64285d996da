"""Weighted k-NN votes: by hand, against scikit-learn, in both forms, and balanced between classes."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier

from service.core.model import Neighbour
from service.core.neighbour_votes import LEAST_DISTANCE, rule_scores, shared_votes, vote_shares
from service.core.voting import class_scores
from service.errors import InvalidInput
from tests.core.clusters import clusters


def at_distance(*distances: float) -> np.ndarray:
    """Similarities, one row, of unit vectors so far away."""
    return np.array([[1 - distance**2 / 2 for distance in distances]], dtype=np.float32)


def test_by_hand() -> None:
    # Classes 0, 1 and 2 have three, one and one references; the three nearest are 0, 1 and 0.
    similarities = at_distance(0.25, 0.5, 1.0, 0.5, 1.2)
    codes = np.array([0, 0, 0, 1, 2])
    votes = np.array([(1 / 0.25 + 1 / 0.5) / 3, 1 / 0.5])
    found = vote_shares(similarities, codes, 4, 3)[0]
    assert found[:2] == pytest.approx(votes / votes.sum(), abs=1e-5)
    assert found[2] == pytest.approx((similarities[0, 4] - 1) / 2, abs=1e-6), "no vote: below all that have one"
    assert found[3] == -np.inf, "no reference"


def test_the_same_picture_outvotes_others_and_is_no_infinity() -> None:
    found = vote_shares(np.array([[1.0, 0.99, 0.99]], dtype=np.float32), np.array([0, 1, 1]), 2, 3)[0]
    assert np.isfinite(found).all()
    assert found[0] > 0.9
    assert 1 / LEAST_DISTANCE > 100


def test_classes_of_one_size_are_voted_on_as_scikit_learn_does() -> None:
    data, asked = clusters([8] * 4, noise=0.5), clusters([10] * 4, noise=0.5, draw=3)
    ours = vote_shares(asked.embeddings @ data.embeddings.T, data.codes, 4, 7)
    theirs = KNeighborsClassifier(7, weights="distance").fit(data.embeddings, data.codes)
    expected = theirs.predict_proba(asked.embeddings)
    np.testing.assert_allclose(np.where(ours > 0, ours, 0), expected, atol=1e-4)


def test_a_class_does_not_win_by_the_number_of_its_references() -> None:
    few, many = (0.300, 0.301), tuple(0.3005 + 0.001 * number for number in range(20))
    codes = np.array([0] * 2 + [1] * 20)
    found = vote_shares(at_distance(*few, *many), codes, 2, 7)[0]
    cast = np.array([sum(1 / d for d in few) / 2, sum(1 / d for d in many[:5]) / 7])
    assert found == pytest.approx(cast / cast.sum(), abs=1e-3)
    assert found[0] > found[1], "five votes of a class that could have cast seven, against two of two"


def test_one_neighbour_is_the_nearest() -> None:
    data, asked = clusters([5] * 3, noise=0.6), clusters([20] * 3, noise=0.6, draw=1)
    similarities = asked.embeddings @ data.embeddings.T
    by_vote = vote_shares(similarities, data.codes, 3, 1).argmax(axis=1)
    np.testing.assert_array_equal(by_vote, class_scores(similarities, data.codes, 3, 1).argmax(axis=1))


@given(st.integers(0, 10_000), st.integers(1, 12))
def test_both_forms_say_the_same(seed: int, neighbours: int) -> None:
    random = np.random.default_rng(seed)
    codes = random.integers(0, 5, 15)
    similarities = random.uniform(-1, 1, (1, 15)).astype(np.float32)
    expected = vote_shares(similarities, codes, 5, neighbours)[0]
    found = [
        Neighbour(f"e{i:02}", str(code), float(s))
        for i, (code, s) in enumerate(zip(codes, similarities[0], strict=True))
    ]
    nearest = sorted(found, key=lambda one: -one.similarity)[:neighbours]
    best = {label: max(one.similarity for one in found if one.label == label) for label in {o.label for o in found}}
    shares = shared_votes(best, nearest, Counter(one.label for one in found), neighbours)
    for label, share in shares.items():
        assert share == pytest.approx(float(expected[int(label)]), abs=1e-5)


def test_the_rule_is_the_one_that_is_set() -> None:
    similarities = at_distance(0.25, 0.5, 1.0)
    codes = np.array([0, 1, 1])
    assert rule_scores(similarities, codes, 2, 2, None) == pytest.approx(class_scores(similarities, codes, 2, 2))
    assert rule_scores(similarities, codes, 2, 2, 2) == pytest.approx(vote_shares(similarities, codes, 2, 2))
    with pytest.raises(InvalidInput, match="0 neighbours shall vote"):
        vote_shares(similarities, codes, 2, 0)
    with pytest.raises(InvalidInput, match="0 neighbours shall vote"):
        shared_votes({}, [], {}, 0)
