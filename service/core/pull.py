"""The pull of references towards the mean of their class, in projected space.

SimpleShot (Wang et al. 2019) classifies by class means; few references, each pulled part of the way to the mean of its
class, keep the mean's calm and their own variety. It costs nothing at query time: a selection writes its projections.
"""

from __future__ import annotations

import numpy as np

from service.core.model import Float32Array, Float64Array, IntArray
from service.core.vectors import class_sums, row_lengths
from service.errors import InvalidInput

BLOCK_ROWS = 1024
"""Rows pulled at a time: double precision of thousands of rows would leave the processor's caches."""


def class_means(projections: Float32Array, codes: IntArray, classes: int) -> Float32Array:
    """Unit mean of each class's projections, float32 (classes, k).

    `projections` is float32 (n, k) with unit rows, `codes` int64 (n,). A class without rows, or whose rows cancel out,
    gets a row of zeros: nothing is pulled towards it.
    """
    sums = class_sums(projections, codes, classes)
    lengths = row_lengths(sums)
    return np.asarray(np.divide(sums, lengths, out=np.zeros_like(sums), where=lengths > 1e-9), dtype=np.float32)


def pulled(projections: Float32Array, codes: IntArray, means: Float32Array, pull: float) -> Float32Array:
    """Each row r becomes normalise((1 - pull) r + pull mean of its class), float32 (n, k), unit rows.

    Args:
        projections: float32 (n, k), unit rows.
        codes: int64 (n,), row of `means` of each projection.
        means: float32 (C, k) from `class_means`, over the whole support of a class, not only its references.
        pull: b, 0 (as they are) .. 1 (the class mean itself).

    A row whose class has no mean, or that its pull would cancel out (opposite directions, pull 0.5), stays as it is.
    """
    if not 0.0 <= pull <= 1.0:
        raise InvalidInput(f"the pull is {pull}; it lies between 0 and 1", pull=pull)
    ready = np.empty_like(projections, dtype=np.float32)
    for start in range(0, len(codes), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        ready[rows] = _pulled(projections[rows].astype(np.float64), means[codes[rows]].astype(np.float64), pull)
    return ready


def _pulled(own: Float64Array, towards: Float64Array, pull: float) -> Float64Array:
    mixed = (1.0 - pull) * own + pull * towards
    lengths = row_lengths(mixed)
    keep = (lengths <= 1e-9) | ~towards.any(axis=1, keepdims=True)
    if keep.any():
        mixed = np.where(keep, own, mixed)
        lengths = row_lengths(mixed)
    return mixed / lengths
