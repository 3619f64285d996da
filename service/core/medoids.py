"""k-medoids within each class: the references that stand for a class's different looks.

BUILD then alternating assignment (Park and Jun, 2009) on cosine dissimilarity; classes are small, so the class's own
n_c x n_c similarities are formed, of at most MAX_ROWS rows (evenly taken when a class is larger).
"""

from __future__ import annotations

import numpy as np

from service.core.model import Float32Array, IntArray

MAX_ROWS = 2000
MAX_ROUNDS = 20


def _build(similarities: Float32Array, count: int) -> list[int]:
    """Greedy BUILD: each medoid raises the summed best similarity most."""
    best = np.full(len(similarities), -1.0, dtype=np.float32)
    chosen: list[int] = []
    for _ in range(count):
        gains = np.maximum(similarities, best[:, None]).sum(axis=0)
        gains[chosen] = -np.inf
        chosen.append(int(gains.argmax()))
        best = np.maximum(best, similarities[:, chosen[-1]])
    return chosen


def _alternate(similarities: Float32Array, medoids: list[int]) -> list[int]:
    """Assign rows to their nearest medoid, take each cluster's own medoid, until nothing changes."""
    for _ in range(MAX_ROUNDS):
        owner = similarities[:, medoids].argmax(axis=1)
        # Copies of one picture are equally near: each medoid owns itself, so no cluster is empty and none is lost.
        owner[medoids] = np.arange(len(medoids))
        moved = []
        for cluster in range(len(medoids)):
            rows = np.flatnonzero(owner == cluster)
            moved.append(int(rows[similarities[np.ix_(rows, rows)].sum(axis=0).argmax()]))
        if moved == medoids:
            break
        medoids = moved
    return medoids


def class_medoids(projections: Float32Array, count: int) -> IntArray:
    """Rows of the `count` medoids (all rows, where there are no more) of one class's projections (n, k), sorted.

    `count` is at least 1. From MAX_ROWS on medoids no longer say more than any even choice, and that is what is taken.
    """
    n = len(projections)
    if n <= count:
        return np.arange(n)
    if count >= MAX_ROWS:
        return np.linspace(0, n - 1, count).astype(np.int64)
    rows = np.arange(n) if n <= MAX_ROWS else np.linspace(0, n - 1, MAX_ROWS).astype(np.int64)
    sample = projections[rows]
    similarities = sample @ sample.T
    return np.unique(rows[_alternate(similarities, _build(similarities, count))])


def medoids(projections: Float32Array, codes: IntArray, counts: IntArray) -> IntArray:
    """Rows of each class's medoids, sorted: projections (n, k), codes (n,), counts (C,) references wanted a class."""
    chosen = []
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code)
        chosen.append(rows[class_medoids(projections[rows], int(counts[code]))])
    return np.sort(np.concatenate(chosen))
