"""Embeddings that lie side by side in one, and how far to believe that they vary together.

An encoder may put several embeddings of a picture (layers, poolings) side by side, each of the same length. Within a
class, how coordinates of different parts vary together is a weaker and less certain finding than how those of one part
do, so it is shrunk towards none, by the share that makes the expected squared error least: the summed variance of these
covariances over the sum of their squares (Schaefer and Strimmer 2005, with the parts' block diagonal as the target).
Few pictures shrink it much, many hardly; there is nothing to search. On random parts it is worth next to nothing.
"""

from __future__ import annotations

import numpy as np

from service.core.model import Float32Array, Float64Array

MOST_PARTS = 8
LEAST_WIDTH = 8
FEW = 16
TOLERANCE = 1e-4
"""How far a part's share of the squared length may be from the even one; by chance it is off by hundredths."""


def count_parts(embeddings: Float32Array) -> int:
    """Of how many equal parts of equal length unit rows (n, d) consist: 1 where they are of one piece."""
    dimension = embeddings.shape[1]
    for parts in range(min(MOST_PARTS, dimension // LEAST_WIDTH), 1, -1):
        # A few rows tell most embeddings of one piece: the others are looked at where these do not.
        if dimension % parts == 0 and _consist_of(embeddings[:FEW], parts) and _consist_of(embeddings, parts):
            return parts
    return 1


def _consist_of(embeddings: Float32Array, parts: int) -> bool:
    split = embeddings.reshape(len(embeddings), parts, -1)
    return bool(np.all(np.abs(np.einsum("npw,npw->np", split, split) - 1.0 / parts) < TOLERANCE))


def across_shrinkage(away: Float64Array, parts: int, freedom: int) -> float:
    """How much of the covariances between parts is noise, 0..1.

    Args:
        away: float64 (n, r), rows minus the mean of their class; `parts` equal parts side by side.
        parts: 1 or more; of one there is nothing between.
        freedom: n minus the number of classes; below 1 everything is.
    """
    if parts == 1:
        return 0.0
    if freedom < 1:
        return 1.0
    split = away.reshape(len(away), parts, -1)
    lengths = np.einsum("npw,npw->np", split, split)
    squares, variance = 0.0, 0.0
    for first in range(parts):
        for second in range(first):
            square = float(np.sum((split[:, first].T @ split[:, second] / freedom) ** 2))
            squares += square
            variance += (float(lengths[:, first] @ lengths[:, second]) / freedom - square) / freedom
    return min(max(variance / squares, 0.0), 1.0) if squares > 0.0 else 1.0


def loosened(covariance: Float64Array, parts: int, share: float) -> Float64Array:
    """A covariance (r, r) whose entries between different ones of the equal parts are taken (1 - share) times."""
    if parts == 1 or share == 0.0:
        return covariance
    loose = covariance * (1.0 - share)
    width = len(covariance) // parts
    for start in range(0, len(covariance), width):
        own = slice(start, start + width)
        loose[own, own] = covariance[own, own]
    return loose
