"""Eigenvector centrality of the self-similarity graph, without forming the graph.

The source reads S = A A^T (n, n) as the weighted adjacency matrix of a fully connected graph of the support set and
takes the eigenvector of its largest eigenvalue: an example is central when it resembles many others, of whatever
class; the least central examples say most about their class. S v = A (A^T v) costs n * d operations and no n * n
memory. Where several eigenvectors share the largest eigenvalue (classes without any resemblance, copies of one picture)
the one meant is what power iteration from equal centralities finds: the projection of (1, ..., 1) on their space.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from service.core.model import Float32Array, Float64Array

Graph = Literal["raw", "shifted"]
# For few rows or columns the dense solver is exact and faster.
DENSE_ROWS = 128
# Eigenvalues nearer than this share of the largest count as equal: float32 rows tell them no better apart.
SAME_EIGENVALUE = 1e-6
# Entries of the leading eigenvector below minus this share of the largest are negative, others rounding.
MIXED_SIGNS = 1e-6
MAX_ITERATIONS = 300


@dataclass(frozen=True, slots=True, eq=False)
class Centrality:
    """Eigenvector centralities.

    Attributes:
        values: float64 (n,), >= 0, unit length as a vector, higher is more central.
        graph: "raw" for S as in the source; "shifted" for (1 + S) / 2, used where the leading eigenvector of S has
            mixed signs (negative cosines: Perron's theorem does not hold); it is another graph.
    """

    values: Float64Array
    graph: Graph


@dataclass(frozen=True, eq=False)
class _Factor:
    """B of a graph B B^T: the rows (n, d) for S; for (1 + S) / 2, which has a `plain`, (rows, ones) / sqrt(2)."""

    rows: Float64Array
    plain: _Factor | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows n, and columns w."""
        return len(self.rows), self.rows.shape[1] + (self.plain is not None)

    @property
    def whole(self) -> Float64Array:
        """B itself, (n, w)."""
        if self.plain is None:
            return self.rows
        return np.asarray(np.column_stack([self.rows, np.ones(len(self.rows))]) / np.sqrt(2.0))

    @cached_property
    def gram(self) -> Float64Array:
        """B^T B, (w, w), which has the eigenvalues of B B^T; the rows' part of it is found once for both graphs."""
        if self.plain is None:
            return np.asarray(self.rows.T @ self.rows)
        sums = self.rows.sum(axis=0)
        return np.block([[self.plain.gram, sums[:, None]], [sums, np.array([len(self.rows)])]]) / 2.0

    def times(self, vectors: Float64Array) -> Float64Array:
        """B v, (n,) or (n, m), of v (w,) or (w, m)."""
        if self.plain is None:
            return np.asarray(self.rows @ vectors)
        return np.asarray((self.rows @ vectors[:-1] + vectors[-1]) / np.sqrt(2.0))

    def back(self, vector: Float64Array) -> Float64Array:
        """B^T v, (w,), of v (n,)."""
        sums = self.rows.T @ vector
        return np.asarray(sums) if self.plain is None else np.append(sums, vector.sum()) / np.sqrt(2.0)


def _leading(graph: _Factor) -> Float64Array:
    """Leading eigenvector of the graph, (n,), unit length, its sum not negative."""
    vector = _leading_matrix_free(graph) if min(graph.shape) > DENSE_ROWS else None
    if vector is None:
        vector = _leading_exact(graph)
    return np.asarray(vector * (1.0 if vector.sum() >= 0 else -1.0))


def _leading_matrix_free(graph: _Factor) -> Float64Array | None:
    """By Lanczos iteration, or None where it cannot tell: no convergence, or two equal largest eigenvalues.

    Of B^T B (w, w) where that is the smaller: it has the same eigenvalues, and every step is cheap.
    """
    n, width = graph.shape
    small = n > width

    def product(vector: Float64Array) -> Float64Array:
        return np.asarray(graph.gram @ vector if small else graph.times(graph.back(vector)))

    # A fixed start makes the result reproducible (ARPACK would draw one); not all ones, which S may send to zero.
    start = 1.0 + 0.1 * np.random.default_rng(0).standard_normal((n,))
    if small:
        start = graph.back(start)
    operator = LinearOperator((len(start), len(start)), matvec=product, matmat=product, dtype=np.float64)
    try:
        values, vectors = eigsh(operator, 2, which="LA", v0=start, tol=1e-9, maxiter=MAX_ITERATIONS)
    except ArpackError:
        return None
    second, first = np.sort(values)
    if first - second <= SAME_EIGENVALUE * first:
        return None
    vector = vectors[:, values.argmax()]
    return np.asarray(graph.times(vector) / np.sqrt(first) if small else vector)


def _leading_exact(graph: _Factor) -> Float64Array:
    """By the dense solver, on the smaller of B B^T and B^T B, which have the same non-zero eigenvalues."""
    n, width = graph.shape
    wide = n <= width
    values, vectors = np.linalg.eigh(graph.whole @ graph.whole.T if wide else graph.gram)
    leading = vectors[:, values >= values[-1] * (1.0 - SAME_EIGENVALUE)]
    basis = leading if wide else graph.times(leading / np.sqrt(values[-1]))
    shared = basis @ basis.sum(axis=0)
    length = np.linalg.norm(shared)
    # (1, ..., 1) may be at right angles to all of them: then every one of them has mixed signs.
    return np.asarray(shared / length if length > 1e-6 else basis[:, -1])


def eigenvector_centrality(embeddings: Float32Array) -> Centrality:
    """Centrality of each row within the self-similarity graph of all rows.

    Args:
        embeddings: float32 (n, d), unit rows, n >= 1.
    """
    graph = _Factor(np.asarray(embeddings, dtype=np.float64))
    leading = _leading(graph)
    if leading.min() >= -MIXED_SIGNS * leading.max():
        return Centrality(np.clip(leading, 0.0, None), "raw")
    return Centrality(np.clip(_leading(_Factor(graph.rows, graph)), 0.0, None), "shifted")
