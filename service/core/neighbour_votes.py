"""Weighted k-NN votes, for whoever sets them in place of the mean of a class's m best similarities.

Each of the k nearest references votes for its class with the inverse of its Euclidean distance, sqrt(2 - 2 cos), as in
Dudani (1976) and scikit-learn's `weights="distance"`. Classes have different numbers of references, and a class of many
would win by their number: its votes are divided by how many it could have cast, min(k, its references). What is left
is a class's share of all votes, above 0; a class without a vote is below every class with one, in the order of its best
similarity, so that all classes are ranked. With k = 1 the nearest reference decides.

The array form (`vote_shares`) chooses references, the mapping form (`shared_votes`) answers queries; a test holds them
together.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from service.core.model import Float32Array, IntArray, Neighbour
from service.core.voting import class_scores
from service.errors import InvalidInput

SIMILARITIES = 1_000_000
"""Reckoned at a time (4 MB, which a processor's cache holds), for `LEAST_QUERIES` queries at least."""
LEAST_QUERIES = 64
LEAST_DISTANCE = 1e-3
"""A reference nearer than that votes as if it were so far: the same picture outvotes others, and is no infinity."""


def answers(
    queries: Float32Array,
    references: Float32Array,
    codes: IntArray,
    classes: int,
    per_label: int,
    neighbours: int | None,
) -> Float32Array:
    """Class scores (q, C) of queries (q, k) by references (r, k) under codes (r,), some queries at a time.

    All similarities are never there together: what the memory holds grows with queries and with references, not with
    their product.
    """
    scores = np.empty((len(queries), classes), dtype=np.float32)
    for rows in query_blocks(len(queries), len(references)):
        scores[rows] = rule_scores((references @ queries[rows].T).T, codes, classes, per_label, neighbours)
    return scores


def query_blocks(queries: int, references: int) -> Iterator[slice]:
    """As many queries at a time as have `SIMILARITIES` with so many references."""
    step = max(LEAST_QUERIES, SIMILARITIES // max(references, 1))
    return (slice(start, start + step) for start in range(0, queries, step))


def rule_scores(
    similarities: Float32Array, codes: IntArray, classes: int, per_label: int, neighbours: int | None
) -> Float32Array:
    """Class scores (q, C) by the votes of `neighbours` nearest, or without them by the mean of the `per_label` best."""
    if neighbours is None:
        return class_scores(similarities, codes, classes, per_label)
    return vote_shares(similarities, codes, classes, neighbours)


def vote_shares(similarities: Float32Array, codes: IntArray, classes: int, neighbours: int) -> Float32Array:
    """Score of every class for every query, float32 (q, C); -inf for a class without references.

    Args:
        similarities: float32 (q, r), cosine -1..1 of each query with each reference.
        codes: int64 (r,), class of each reference, 0 .. classes - 1.
        classes: number of classes C.
        neighbours: k >= 1. Of equally near references the first ones vote.
    """
    _check(neighbours)
    best = class_scores(similarities, codes, classes, 1)
    if not codes.size:
        return best
    sizes = np.bincount(codes, minlength=classes)
    nearest = np.argsort(-similarities, axis=1, kind="stable")[:, :neighbours]
    weights = _weight(np.take_along_axis(similarities, nearest, axis=1)) / np.minimum(sizes, neighbours)[codes[nearest]]
    votes = np.zeros(best.shape)
    np.add.at(votes, (np.arange(len(nearest))[:, None], codes[nearest]), weights)
    shares = votes / votes.sum(axis=1, keepdims=True)
    return np.asarray(np.where(votes > 0, shares, (best - 1.0) / 2.0), dtype=np.float32)


def shared_votes(
    best: Mapping[str, float], nearest: Sequence[Neighbour], sizes: Mapping[str, int], neighbours: int
) -> dict[str, float]:
    """The same for one query.

    Args:
        best: best similarity of each class, those of `nearest` among them.
        nearest: the k nearest references of all classes, or all where there are fewer.
        sizes: references of each class; a class that is not among them has as many as vote.
        neighbours: k.
    """
    _check(neighbours)
    voters = Counter(one.label for one in nearest)
    votes: dict[str, float] = dict.fromkeys(voters, 0.0)
    for one in nearest:
        cast = min(max(sizes.get(one.label, 0), voters[one.label]), neighbours)
        votes[one.label] += float(_weight(np.float64(one.similarity))) / cast
    total = math.fsum(votes.values())
    return {
        label: votes[label] / total if label in votes else (similarity - 1.0) / 2.0
        for label, similarity in best.items()
    }


def _weight(similarities: Float32Array | np.float64) -> np.ndarray:
    distances = np.sqrt(np.maximum(2.0 - 2.0 * np.asarray(similarities, dtype=np.float64), 0.0))
    return np.asarray(1.0 / np.maximum(distances, LEAST_DISTANCE))


def _check(neighbours: int) -> None:
    if neighbours < 1:
        raise InvalidInput(f"{neighbours} neighbours shall vote; at least one is needed", neighbours=neighbours)
