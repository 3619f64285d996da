"""Closed-form heads: maps from embeddings to a space where classes lie apart.

Every head is affine and then normalises: `project(x) = normalise((x - mean) @ matrix)`. Fitting needs the scatter of
the support set once (`Scatter`); after that any shrinkage costs one small product.

Sources: shrinkage LDA as in Friedman (1989). scikit-learn's eigen solver shrinks the within-class covariance in the
same way, but takes "shrunk total minus shrunk within" for the between-class one, and so adds a multiple of the identity
to it; without shrinkage the directions are the same. It does not centre, which loses 1.4 points on our embeddings.
Within-class whitening as in Hariharan et al. (2012).
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from scipy.linalg import solve_triangular

from service.core.model import Float32Array, Float64Array, IntArray
from service.core.vectors import class_sums, normalised
from service.errors import InvalidInput

HeadKind = Literal["none", "pca", "lda", "within"]
HEAD_KINDS: tuple[HeadKind, ...] = ("none", "pca", "lda", "within")
PCA_WIDTH = 256
BLOCK_ROWS = 1024
"""Rows projected at a time: double precision of thousands of rows would leave the processor's caches."""
# Directions whose variance is below this share of the largest carry rounding noise only; whitening would blow it up.
MIN_VARIANCE_SHARE = 1e-7


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """An affine map followed by normalisation.

    Attributes:
        kind: how it was fitted.
        mean: float32 (d,).
        matrix: float32 (d, k), 1 <= k <= d.
    """

    kind: str
    mean: Float32Array
    matrix: Float32Array

    def project(self, embeddings: Float32Array) -> Float32Array:
        """Embeddings (n, d) to unit rows (n, k), float32.

        A row at the mean has no direction: it becomes the first axis.
        """
        matrix = self.matrix.astype(np.float64)
        projections = np.empty((len(embeddings), matrix.shape[1]), dtype=np.float32)
        for start in range(0, len(embeddings), BLOCK_ROWS):
            block = (embeddings[start : start + BLOCK_ROWS].astype(np.float64) - self.mean) @ matrix
            lost = np.linalg.norm(block, axis=1) < 1e-12
            block[lost] = np.eye(1, block.shape[1])
            projections[start : start + BLOCK_ROWS] = normalised(block)
        return projections

    def to_bytes(self) -> bytes:
        """NumPy's npz format; no pickle."""
        buffer = io.BytesIO()
        np.savez(buffer, kind=np.array(self.kind), mean=self.mean, matrix=self.matrix)
        return buffer.getvalue()

    @staticmethod
    def from_bytes(data: bytes) -> Head:
        """Reads `to_bytes` back. Raises InvalidInput for anything else."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                kind, mean, matrix = str(arrays["kind"]), arrays["mean"], arrays["matrix"]
        except (ValueError, KeyError, OSError, EOFError, TypeError, RuntimeError, zipfile.BadZipFile) as error:
            raise InvalidInput(f"these {len(data)} bytes are not a stored head: {error}") from error
        if mean.ndim != 1 or matrix.ndim != 2 or len(mean) != len(matrix):
            raise InvalidInput(f"a head of mean {mean.shape} and matrix {matrix.shape}; (d,) and (d, k) go together")
        return Head(kind, mean, matrix)


def identity_head(dimension: int) -> Head:
    """The head that leaves embeddings as they are."""
    return Head("none", np.zeros(dimension, np.float32), np.eye(dimension, dtype=np.float32))


@dataclass(frozen=True, eq=False)
class Scatter:
    """Second moments of a labelled set, from which every closed-form head follows.

    Attributes:
        mean: (d,) mean of all rows.
        class_means: (c, d) means of the classes that have rows, minus `mean`.
        counts: (c,) rows of those classes.
        within: (d, d) pooled within-class covariance.
    """

    mean: Float64Array
    class_means: Float64Array
    counts: IntArray
    within: Float64Array

    @staticmethod
    def of(embeddings: Float32Array, codes: IntArray) -> Scatter:
        """Scatter of embeddings (n, d) under codes (n,); n >= 1."""
        rows = embeddings.astype(np.float64)
        mean = rows.mean(axis=0)
        present, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
        means = class_sums(rows, inverse, len(present)) / counts[:, None]
        rows -= means[inverse]
        return Scatter(mean, means - mean, counts, rows.T @ rows / len(rows))

    @cached_property
    def total(self) -> Float64Array:
        """(d, d) total covariance: what lies within classes and what lies between them."""
        weighted = self.class_means * (self.counts / self.counts.sum())[:, None]
        return np.asarray(self.within + self.class_means.T @ weighted)

    @cached_property
    def within_axes(self) -> tuple[Float64Array, Float64Array]:
        """Eigenvalues (d,), ascending, and eigenvectors (d, d) of `within`: found once, whatever the shrinkage."""
        values, axes = np.linalg.eigh(self.within)
        return values, axes

    @cached_property
    def total_axes(self) -> tuple[Float64Array, Float64Array]:
        """The same of `total`."""
        values, axes = np.linalg.eigh(self.total)
        return values, axes

    @property
    def variance(self) -> float:
        """Total variance: 0 when all rows are one point."""
        return float(np.trace(self.within) + (self.counts / self.counts.sum()) @ (self.class_means**2).sum(axis=1))

    @property
    def has_within(self) -> bool:
        """False when every class is a single point: then nothing is known of the spread within classes."""
        return bool(np.trace(self.within) > MIN_VARIANCE_SHARE * max(self.variance, 1e-12))


def _inverse_roots(values: Float64Array, shrinkage: float) -> Float64Array:
    """1 / sqrt of eigenvalues shrunk towards their mean; zero where only rounding noise is left."""
    shrunk = (1.0 - shrinkage) * np.clip(values, 0.0, None) + shrinkage * values.mean()
    usable = shrunk > MIN_VARIANCE_SHARE * shrunk.max()
    return np.where(usable, 1.0 / np.sqrt(np.where(usable, shrunk, 1.0)), 0.0)


def _pca(scatter: Scatter, shrinkage: float) -> Float64Array:
    values, axes = scatter.total_axes
    width = min(PCA_WIDTH, int(np.sum(values > MIN_VARIANCE_SHARE * values[-1])))
    scales = _inverse_roots(values, shrinkage)[::-1][:width]
    return np.asarray(axes[:, ::-1][:, :width] * scales)


def _within(scatter: Scatter, shrinkage: float) -> Float64Array:
    values, axes = scatter.within_axes
    return np.asarray((axes * _inverse_roots(values, shrinkage)) @ axes.T)


def _lda(scatter: Scatter, shrinkage: float) -> Float64Array:
    """Any square root of the shrunk covariance whitens: the directions that then separate the classes are the same.

    The triangular one is found twenty times as fast as eigenvectors, where shrinkage leaves no rounding noise.
    """
    means = np.sqrt(scatter.counts / scatter.counts.sum())[:, None] * scatter.class_means
    floor = shrinkage * np.trace(scatter.within) / len(scatter.mean)
    if floor > MIN_VARIANCE_SHARE * np.trace(scatter.within):
        root = np.linalg.cholesky((1.0 - shrinkage) * scatter.within + floor * np.eye(len(scatter.mean)))
        axes = _separating(solve_triangular(root, means.T, lower=True).T)
        return np.asarray(solve_triangular(root, axes.T, lower=True, trans="T"))
    whitening = _within(scatter, shrinkage)
    return np.asarray(whitening @ _separating(means @ whitening).T)


def _separating(means: Float64Array) -> Float64Array:
    """Directions (w, d) that weighted, whitened class means (c, d) spread in; one at least."""
    if len(means) > means.shape[1]:  # then the eigenvectors of the smaller product are found three times as fast
        squares, columns = np.linalg.eigh(means.T @ means)
        values, axes = np.sqrt(np.clip(squares[::-1], 0.0, None)), columns.T[::-1]
    else:
        _, values, axes = np.linalg.svd(means, full_matrices=False)
    return np.asarray(axes[: max(1, int(np.sum(values > 1e-6 * values[0])))])


def fit_head(kind: HeadKind, scatter: Scatter, shrinkage: float) -> Head:
    """Fit a closed-form head.

    Args:
        kind: "none"; "pca": whitening of the total covariance, at most 256 wide; "within": whitening of the
            within-class covariance at full width; "lda": the same, reduced to the at most C - 1 directions that
            separate the classes.
        scatter: of the support set.
        shrinkage: 0..1, how far covariance eigenvalues move to their mean.

    Fewer than three classes, or class means on one line, leave LDA a line, on which all cosines are 1 or -1: "within"
    is fitted instead. Classes of single pictures only say nothing of the spread within classes: "none" is. `Head.kind`
    says what it became.
    """
    dimension = len(scatter.mean)
    if kind == "none" or scatter.variance <= 1e-12:
        return identity_head(dimension)
    if kind in ("lda", "within") and not scatter.has_within:
        return identity_head(dimension)
    matrix = {"pca": _pca, "within": _within, "lda": _lda}[kind](scatter, shrinkage)
    if kind == "lda" and matrix.shape[1] == 1:
        kind, matrix = "within", _within(scatter, shrinkage)
    return Head(kind, scatter.mean.astype(np.float32), matrix.astype(np.float32))
