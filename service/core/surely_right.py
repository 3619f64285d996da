"""Queries that are answered rightly whatever a closer look would say: told by class centres, at a fraction of the work.

References that were pulled lie close around their class's centre. No reference of a class is more similar to a query
than the centre is, and as much as the farthest of them is away from it (Cauchy and Schwarz: |q . (r - m)| <= |r - m|).
A query whose own references are all more similar than that, for every other class, is answered rightly by all rules
that average similarities; only the others need all products. It pays where classes are many and their references few.
"""

from __future__ import annotations

import numpy as np

from service.core.model import BoolArray, Float32Array, IntArray
from service.core.neighbour_votes import query_blocks
from service.core.pull import class_means
from service.core.vectors import row_lengths

FEWEST_CLASSES = 100
EACH = (2.0, 16)
"""References a class: in the mean at least, and of the largest at most."""
SLACK = 1e-5
"""More than rounding makes similarities differ."""
WORTH = 0.4
"""Where fewer of the queries looked at first are surely right, the others are not looked at."""


def surely_right(
    references: Float32Array, codes: IntArray, classes: int, queries: Float32Array, truth: IntArray
) -> BoolArray:
    """Bool (q,): True where the own class of a query scores above all others for sure; False says nothing.

    Args:
        references: float32 (r, k), unit rows.
        codes: int64 (r,), their classes, 0 .. classes - 1.
        classes: number of classes.
        queries: float32 (q, k), unit rows.
        truth: int64 (q,), true codes.
    """
    sure = np.zeros(len(queries), dtype=np.bool_)
    sizes = np.bincount(codes, minlength=classes)
    if classes < FEWEST_CLASSES or len(codes) < EACH[0] * classes or sizes.max(initial=0) > EACH[1]:
        return sure
    centres = class_means(references, codes, classes)
    reach = np.full(classes, -np.inf, dtype=np.float32)
    np.maximum.at(reach, codes, row_lengths(references - centres[codes])[:, 0])
    ordered = references[np.argsort(codes, kind="stable")]
    starts = np.cumsum(sizes) - sizes
    for some in query_blocks(len(queries), classes):
        own = truth[some]
        highest = centres @ queries[some].T
        highest += reach[:, None]
        highest[own, np.arange(len(own))] = -np.inf
        least = _least(ordered, starts[own], sizes[own], queries[some])
        sure[some] = least > highest.max(axis=0) + SLACK
        if not some.start and sure[some].mean() < WORTH:
            break
    return sure


def _least(references: Float32Array, starts: IntArray, sizes: IntArray, queries: Float32Array) -> Float32Array:
    """The lowest similarity of each query (q, k) with its `sizes` references from `starts` on; -inf without any."""
    least = np.where(sizes > 0, np.inf, -np.inf).astype(np.float32)
    for place in range(int(sizes.max(initial=0))):
        having = np.flatnonzero(sizes > place)
        found = np.einsum("ij,ij->i", references[starts[having] + place], queries[having])
        least[having] = np.minimum(least[having], found)
    return least
