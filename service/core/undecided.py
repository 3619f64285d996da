"""Queries that some thresholds answer rightly and others wrongly: where classes lie well apart, few.

Whatever references a class keeps, one at least, its score lies between the lowest and the highest similarity of all its
references. A query whose own class is never below that range of any other, or always below one of them, is answered
alike by all thresholds, and says nothing about which to choose.
"""

from __future__ import annotations

import numpy as np

from service.core.model import Float32Array, IntArray
from service.core.neighbour_votes import query_blocks
from service.core.surely_right import surely_right
from service.core.thresholds import Ranking

MANY = 0.5
"""Where more of the queries looked at first are undecided, the others are not looked at: it would not pay."""


def undecided_queries(references: Float32Array, queries: Float32Array, ranking: Ranking, truth: IntArray) -> IntArray:
    """Rows of `queries`, sorted: those that are undecided, and maybe others.

    Args:
        references: float32 (n, k), unit rows, in the ranking's order.
        queries: float32 (q, k), unit rows.
        ranking: of the references; a class that has rows keeps one at least.
        truth: int64 (q,), true codes.
    """
    largest = np.argsort(-ranking.sizes, kind="stable")
    place = np.empty_like(largest)
    place[largest] = np.arange(len(largest))
    codes = np.repeat(np.arange(len(ranking.sizes)), ranking.sizes)
    open_rows = np.flatnonzero(~surely_right(references, codes, len(ranking.sizes), queries, truth))
    found = []
    for some in query_blocks(len(open_rows), len(references)):
        rows = open_rows[some]
        low, high = _ranges(references @ queries[rows].T, ranking.starts[largest], ranking.sizes[largest])
        own = place[truth[rows]], np.arange(len(rows))
        own_low, own_high = low[own], high[own]
        low[own] = high[own] = -np.inf
        decided = (own_low > high.max(axis=0)) | (own_high < low.max(axis=0))
        found.append(rows[~decided])
        if not some.start and len(found[0]) > MANY * len(decided):
            return open_rows
    return np.concatenate(found) if found else np.arange(0)


def _ranges(similarities: Float32Array, starts: IntArray, sizes: IntArray) -> tuple[Float32Array, Float32Array]:
    """Lowest and highest similarity of each class with each query, (C, q) each; -inf for a class without rows.

    Class i has the rows from starts[i] of similarities (n, q), the largest class first: the first row of every class,
    then the second of all that have one, and so on, is thirty times as fast as `np.maximum.reduceat`.
    """
    shape = (len(sizes), similarities.shape[1])
    low, high = np.full(shape, -np.inf, dtype=np.float32), np.full(shape, -np.inf, dtype=np.float32)
    for place in range(int(sizes.max(initial=0))):
        having = int(np.searchsorted(-sizes, -place))
        rows = similarities[starts[:having] + place]
        if not place:
            low[:having] = high[:having] = rows
            continue
        np.minimum(low[:having], rows, out=low[:having])
        np.maximum(high[:having], rows, out=high[:having])
    return low, high
