"""Closed-form heads: maps from embeddings to a space where classes lie apart.

Every head is affine and then normalises: `project(x) = normalise((x - mean) @ matrix)`. Fitting needs the scatter of
the support set once (`Scatter`); after that any shrinkage costs one small product. Where pictures are few, all is
reckoned in the space that they span: outside of it they have no variance, and every direction there counts the same.

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
from service.core.parts import across_shrinkage, count_parts, loosened
from service.core.vectors import class_sums, row_lengths
from service.errors import InvalidInput

HeadKind = Literal["none", "pca", "lda", "within"]
HEAD_KINDS: tuple[HeadKind, ...] = ("none", "pca", "lda", "within")
PCA_WIDTH = 256
BLOCK_ROWS = 1024
"""Rows projected at a time: thousands of them would leave the processor's caches."""
SHORTEST = 1e-12
"""A shorter row has no direction."""
SPANNED_SHARE = 2
"""Rows are reckoned in the space that they span when there are this many times as many dimensions, or more."""
# Directions whose variance is below this share of the largest carry rounding noise only; whitening would blow it up.
MIN_VARIANCE_SHARE = 1e-7


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """An affine map followed by normalisation.

    Attributes:
        kind: how it was fitted; "none" leaves embeddings as they are. Raises InvalidInput where it does not.
        mean: float32 (d,).
        matrix: float32 (d, k), 1 <= k <= d.
    """

    kind: str
    mean: Float32Array
    matrix: Float32Array

    def __post_init__(self) -> None:
        if self.kind == "none" and not _is_identity(self.mean, self.matrix):
            raise InvalidInput("a head of kind 'none' leaves embeddings as they are; this one has a mean or a matrix")

    def project(self, embeddings: Float32Array) -> Float32Array:
        """Embeddings (n, d) to unit rows (n, k), float32.

        A row at the mean has no direction: it becomes the first axis.
        """
        projections = np.empty((len(embeddings), self.matrix.shape[1]), dtype=np.float32)
        for start in range(0, len(embeddings), BLOCK_ROWS):
            block = embeddings[start : start + BLOCK_ROWS] - self.mean
            if self.kind != "none":
                block = block @ self.matrix
            lengths = row_lengths(block)
            lost = lengths[:, 0] < SHORTEST
            block[lost], lengths[lost] = np.eye(1, block.shape[1]), 1.0
            np.divide(block, lengths, out=projections[start : start + BLOCK_ROWS])
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


def _is_identity(mean: Float32Array, matrix: Float32Array) -> bool:
    """Without a second matrix to compare with: some are large."""
    square = matrix.shape == (len(mean), len(mean)) and np.count_nonzero(matrix) == len(mean)
    return bool(square and (matrix.diagonal() == 1.0).all() and not mean.any())


def identity_head(dimension: int) -> Head:
    """The head that leaves embeddings as they are."""
    return Head("none", np.zeros(dimension, np.float32), np.eye(dimension, dtype=np.float32))


@dataclass(frozen=True, eq=False)
class Scatter:
    """Second moments of a labelled set, from which every closed-form head follows.

    Attributes:
        mean: (d,) mean of all rows.
        basis: where rows are few: of each part, (d / parts, r / parts) orthonormal columns that span its centred rows.
            They stand for (d, r), with zeros between parts. None: all d axes, r = d.
        class_means: (c, r) means of the classes that have rows, minus `mean`, in the basis.
        counts: (c,) rows of those classes.
        within: (r, r) pooled within-class covariance, in the basis.
        parts: embeddings that lie side by side in a row (`core.parts`); in the basis they are as many equal parts.
        across: 0..1, how much of what `within` says across parts is noise.
        dimension: of the embeddings; shrinkage spreads variance evenly over so many directions.
    """

    mean: Float64Array
    basis: tuple[Float64Array, ...] | None
    class_means: Float64Array
    counts: IntArray
    within: Float64Array
    parts: int
    across: float
    dimension: int

    @staticmethod
    def of(
        embeddings: Float32Array, codes: IntArray, parts: int | None = None, dimension: int | None = None
    ) -> Scatter:
        """Scatter of embeddings (n, d) under codes (n,); n >= 1.

        Rows that stand for wider ones (`core.spanned`) come with what these are: their parts and their dimension.
        """
        parts = parts or count_parts(embeddings)
        rows = embeddings.astype(np.float64)
        mean = rows.mean(axis=0)
        rows -= mean
        basis = None
        if SPANNED_SHARE * parts * len(rows) <= len(mean):
            spanned = [np.linalg.qr(part.T) for part in np.split(rows, parts, axis=1)]
            basis = tuple(axes for axes, _ in spanned)
            rows = np.concatenate([coordinates.T for _, coordinates in spanned], axis=1)
        present, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
        means = class_sums(rows, inverse, len(present)) / counts[:, None]
        away = rows  # from here on: minus the mean of their class
        for start in range(0, len(rows), BLOCK_ROWS):
            away[start : start + BLOCK_ROWS] -= means[inverse[start : start + BLOCK_ROWS]]
        across = across_shrinkage(away, parts, len(rows) - len(present))
        return Scatter(mean, basis, means, counts, away.T @ away / len(rows), parts, across, dimension or len(mean))

    @cached_property
    def total(self) -> Float64Array:
        """(r, r) total covariance: what lies within classes and what lies between them."""
        weighted = self.class_means * (self.counts / self.counts.sum())[:, None]
        return np.asarray(self.within + self.class_means.T @ weighted)

    @cached_property
    def believed(self) -> Float64Array:
        """(r, r) the within-class covariance, as far as it is to be believed across parts."""
        return loosened(self.within, self.parts, self.across)

    @cached_property
    def within_axes(self) -> tuple[Float64Array, Float64Array]:
        """Eigenvalues (r,), ascending, and eigenvectors (r, r) of `believed`: found once, whatever the shrinkage."""
        values, axes = np.linalg.eigh(self.believed)
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

    def in_full(self, matrix: Float64Array) -> Float64Array:
        """Directions (r, k) in the basis, as they are outside of it, (d, k)."""
        if self.basis is None:
            return matrix
        parts = np.split(matrix, self.parts)
        return np.concatenate([axes @ rows for axes, rows in zip(self.basis, parts, strict=True)])


def _inverse_roots(values: Float64Array, shrinkage: float, dimension: int) -> Float64Array:
    """1 / sqrt of eigenvalues shrunk towards the mean of all `dimension`; zero where only rounding noise is left.

    Those that are not given are 0.
    """
    shrunk = (1.0 - shrinkage) * np.clip(values, 0.0, None) + shrinkage * values.sum() / dimension
    usable = shrunk > MIN_VARIANCE_SHARE * shrunk.max()
    return np.where(usable, 1.0 / np.sqrt(np.where(usable, shrunk, 1.0)), 0.0)


def _pca(scatter: Scatter, shrinkage: float) -> Float64Array:
    values, axes = scatter.total_axes
    width = min(PCA_WIDTH, int(np.sum(values > MIN_VARIANCE_SHARE * values[-1])))
    scales = _inverse_roots(values, shrinkage, scatter.dimension)[::-1][:width]
    return scatter.in_full(axes[:, ::-1][:, :width] * scales)


def _within(scatter: Scatter, shrinkage: float) -> Float32Array | Float64Array:
    values, axes = scatter.within_axes
    dimension = scatter.dimension
    if scatter.basis is None:
        return np.asarray((axes * _inverse_roots(values, shrinkage, dimension)) @ axes.T)
    *roots, outside = _inverse_roots(np.append(values, 0.0), shrinkage, dimension)
    return _mapped(scatter.basis, (axes * (np.array(roots) - outside)) @ axes.T, outside)


def _mapped(basis: tuple[Float64Array, ...], core: Float64Array, outside: float) -> Float32Array:
    """A symmetric map (r, r) in a basis, as it is in full, (d, d): `outside` is what it does to all other directions.

    Part by part, and each pair of parts once: of three parts that is a third of the work of one product.
    """
    width, inner = basis[0].shape
    full = np.empty((len(basis) * width, len(basis) * width), dtype=np.float32)
    for first, axes in enumerate(basis):
        rows = slice(first * width, (first + 1) * width)
        half = axes @ core[first * inner : (first + 1) * inner]
        for second, others in enumerate(basis[first:], first):
            columns = slice(second * width, (second + 1) * width)
            block = half[:, second * inner : (second + 1) * inner] @ others.T
            if second == first:
                np.einsum("ii->i", block)[:] += outside
            else:
                full[columns, rows] = block.T
            full[rows, columns] = block
    return full


def _lda(scatter: Scatter, shrinkage: float) -> Float64Array:
    """Any square root of the shrunk covariance whitens: the directions that then separate the classes are the same.

    The triangular one is found twenty times as fast as eigenvectors, where shrinkage leaves no rounding noise. Class
    means, and so these directions, lie in the space that the rows span.
    """
    means = np.sqrt(scatter.counts / scatter.counts.sum())[:, None] * scatter.class_means
    variance, dimension = np.trace(scatter.within), scatter.dimension
    floor = shrinkage * variance / dimension
    if floor > MIN_VARIANCE_SHARE * variance:
        shrunk = (1.0 - shrinkage) * scatter.believed
        np.einsum("ii->i", shrunk)[:] += floor
        root = np.linalg.cholesky(shrunk)
        axes = _separating(solve_triangular(root, means.T, lower=True, check_finite=False).T)
        return scatter.in_full(solve_triangular(root, axes.T, lower=True, trans="T", check_finite=False))
    values, axes = scatter.within_axes
    whitening = (axes * _inverse_roots(values, shrinkage, dimension)) @ axes.T
    return scatter.in_full(whitening @ _separating(means @ whitening).T)


def _separating(means: Float64Array) -> Float64Array:
    """Directions (w, d) that weighted, whitened class means (c, d) spread in; one at least.

    By the eigenvectors of the smaller product, found two to three times as fast as singular vectors.
    """
    few = len(means) <= means.shape[1]
    squares, columns = np.linalg.eigh(means @ means.T if few else means.T @ means)
    values = np.sqrt(np.clip(squares[::-1], 0.0, None))
    width = max(1, int(np.sum(values > 1e-6 * values[0])))
    axes = columns[:, ::-1][:, :width].T
    return np.asarray(axes @ means / np.maximum(values[:width, None], SHORTEST) if few else axes)


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
    return Head(kind, scatter.mean.astype(np.float32), matrix.astype(np.float32, copy=False))
