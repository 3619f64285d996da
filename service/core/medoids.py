"""k-medoids within each class: the references that stand for a class's different looks.

BUILD then alternating assignment (Park and Jun, 2009) on cosine dissimilarity; classes are small, so the class's own
n_c x n_c similarities are formed, of at most MAX_ROWS rows (evenly taken when a class is larger). Classes of one size
are worked on together, as arrays (g, n, n): a thousand classes of ten pictures take some hundred products, not
thousands of turns of a loop.
"""

from __future__ import annotations

import numpy as np

from service.core.model import Float32Array, IntArray

MAX_ROWS = 2000
MAX_ROUNDS = 20
BLOCK = 4_000_000
"""Similarities worked on together (16 MB): as many classes of one size as fit, one at least."""


def _build(similarities: Float32Array, count: int) -> IntArray:
    """Greedy BUILD, (g, count): each medoid raises the summed best similarity of its class (g, n, n) most."""
    groups, n = similarities.shape[:2]
    own = np.arange(groups)
    best = np.full((groups, n), -1.0, dtype=np.float32)
    chosen = np.empty((groups, count), dtype=np.int64)
    for number in range(count):
        gains = np.maximum(similarities, best[:, :, None]).sum(axis=1)
        gains[own[:, None], chosen[:, :number]] = -np.inf
        chosen[:, number] = gains.argmax(axis=1)
        best = np.maximum(best, similarities[own, :, chosen[:, number]])
    return chosen


def _alternate(similarities: Float32Array, medoids: IntArray) -> IntArray:
    """Assign rows to their nearest medoid, take each cluster's own medoid, until nothing changes."""
    groups, count = medoids.shape
    own = np.arange(groups)[:, None]
    for _ in range(MAX_ROUNDS):
        owner = similarities[own, medoids].argmax(axis=1)  # they are symmetric
        # Copies of one picture are equally near: each medoid owns itself, so no cluster is empty and none is lost.
        owner[own, medoids] = np.arange(count)
        together = owner[:, :, None] == owner[:, None, :]
        centrality = np.where(together, similarities, np.float32(0.0)).sum(axis=1)
        moved = np.stack(
            [np.where(owner == cluster, centrality, -np.inf).argmax(axis=1) for cluster in range(count)], axis=1
        )
        if np.array_equal(moved, medoids):
            break
        medoids = moved
    return medoids


def _of_one_size(projections: Float32Array, rows: IntArray, count: int) -> IntArray:
    """Rows of the medoids of classes of one size: `rows` is (g, n), the result (m,); some may repeat.

    From MAX_ROWS on medoids no longer say more than any even choice, and that is what is taken.
    """
    n = rows.shape[1]
    if n <= count:
        return rows.ravel()
    if count >= MAX_ROWS:
        return rows[:, np.linspace(0, n - 1, count).astype(np.int64)].ravel()
    if n > MAX_ROWS:
        rows = rows[:, np.linspace(0, n - 1, MAX_ROWS).astype(np.int64)]
    step = max(1, BLOCK // rows.shape[1] ** 2)
    found = []
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        sample = projections[block]
        similarities = sample @ sample.transpose(0, 2, 1)
        chosen = _alternate(similarities, _build(similarities, count))
        found.append(np.take_along_axis(block, chosen, axis=1).ravel())
    return np.concatenate(found)


def medoids(projections: Float32Array, codes: IntArray, counts: IntArray) -> IntArray:
    """Rows of each class's medoids, sorted: projections (n, k), codes (n,), counts (C,) references wanted a class.

    A class of no more rows than are wanted keeps them all; one at least is wanted of each.
    """
    order = np.argsort(codes, kind="stable")
    present, starts, sizes = np.unique(codes[order], return_index=True, return_counts=True)
    wanted = np.minimum(counts[present], sizes)
    found = []
    for size, count in sorted(set(zip(sizes.tolist(), wanted.tolist(), strict=True))):
        alike = starts[(sizes == size) & (wanted == count)]
        rows = order[alike[:, None] + np.arange(size)]
        found.append(_of_one_size(projections, rows, count))
    return np.unique(np.concatenate(found))
