"""Folds for cross-fitting: stratified by class, near-duplicates together, seeded."""

from __future__ import annotations

import numpy as np

from service.core.model import IntArray, LabelledEmbeddings

MAX_FOLDS = 5


def distinct_pictures(data: LabelledEmbeddings) -> IntArray:
    """Groups of near-duplicates in each class that has rows, int64 (classes with rows,)."""
    pairs = np.unique(np.stack([data.codes, data.groups]), axis=1)
    return np.unique(pairs[0], return_counts=True)[1].astype(np.int64)


def fold_count(data: LabelledEmbeddings) -> int:
    """As many folds as the largest class has distinct pictures, at most five (two classes of three: leave one out)."""
    return min(MAX_FOLDS, int(distinct_pictures(data).max(initial=0)))


def deal_folds(data: LabelledEmbeddings, folds: int, seed: int) -> IntArray:
    """A fold 0..folds-1 for every row, int64 (n,).

    Each class's groups are shuffled and dealt round robin from a random start, so folds are balanced within each class
    to one group and over classes in the mean.
    """
    random = np.random.default_rng(seed)
    assigned = np.zeros(len(data), dtype=np.int64)
    for code in np.unique(data.codes):
        rows = np.flatnonzero(data.codes == code)
        groups, inverse = np.unique(data.groups[rows], return_inverse=True)
        order = random.permutation(len(groups))
        assigned[rows] = (order[inverse] + random.integers(folds)) % folds
    return assigned
