"""Eigenvector centrality of the self-similarity graph, without forming the graph.

The source reads S = A A^T (n, n) as the weighted adjacency matrix of a fully connected graph of the support set and
takes the eigenvector of its largest eigenvalue: an example is central when it resembles many others, of whatever
class; the least central examples say most about their class. S v = A (A^T v) costs n * d operations and no n * n
memory. Where several eigenvectors share the largest eigenvalue (classes without any resemblance, copies of one picture)
the one meant is what power iteration from equal centralities finds: the projection of (1, ..., 1) on their space.
"""

from __future__ import annotations

from dataclasses import dataclass
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


def _leading(rows: Float64Array) -> Float64Array:
    """Leading eigenvector of S = rows rows^T, (n,), unit length, its sum not negative."""
    vector = _leading_matrix_free(rows) if min(rows.shape) > DENSE_ROWS else None
    if vector is None:
        vector = _leading_exact(rows)
    return np.asarray(vector * (1.0 if vector.sum() >= 0 else -1.0))


def _leading_matrix_free(rows: Float64Array) -> Float64Array | None:
    """By Lanczos iteration, or None where it cannot tell: no convergence, or two equal largest eigenvalues.

    Of rows^T rows (d, d) where that is the smaller: it has the same eigenvalues, and every step is cheap.
    """
    n, width = rows.shape
    gram = rows.T @ rows if n > width else None

    def product(vector: Float64Array) -> Float64Array:
        return np.asarray(rows @ (rows.T @ vector) if gram is None else gram @ vector)

    # A fixed start makes the result reproducible (ARPACK would draw one); not all ones, which S may send to zero.
    start = 1.0 + 0.1 * np.random.default_rng(0).standard_normal((n,))
    if gram is not None:
        start = rows.T @ start
    operator = LinearOperator((len(start), len(start)), matvec=product, matmat=product, dtype=np.float64)
    try:
        values, vectors = eigsh(operator, 2, which="LA", v0=start, tol=1e-9, maxiter=MAX_ITERATIONS)
    except ArpackError:
        return None
    second, first = np.sort(values)
    if first - second <= SAME_EIGENVALUE * first:
        return None
    vector = vectors[:, values.argmax()]
    return np.asarray(vector if gram is None else rows @ vector / np.sqrt(first))


def _leading_exact(rows: Float64Array) -> Float64Array:
    """By the dense solver, on the smaller of rows rows^T and rows^T rows, which have the same non-zero eigenvalues."""
    n, width = rows.shape
    values, vectors = np.linalg.eigh(rows @ rows.T if n <= width else rows.T @ rows)
    leading = vectors[:, values >= values[-1] * (1.0 - SAME_EIGENVALUE)]
    basis = leading if n <= width else rows @ (leading / np.sqrt(values[-1]))
    shared = basis @ basis.sum(axis=0)
    length = np.linalg.norm(shared)
    # (1, ..., 1) may be at right angles to all of them: then every one of them has mixed signs.
    return np.asarray(shared / length if length > 1e-6 else basis[:, -1])


def eigenvector_centrality(embeddings: Float32Array) -> Centrality:
    """Centrality of each row within the self-similarity graph of all rows.

    Args:
        embeddings: float32 (n, d), unit rows, n >= 1.
    """
    rows = np.asarray(embeddings, dtype=np.float64)
    leading = _leading(rows)
    if leading.min() >= -MIXED_SIGNS * leading.max():
        return Centrality(np.clip(leading, 0.0, None), "raw")
    # (1 + S) / 2 = B B^T, where B has one more column, of ones.
    leading = _leading(np.hstack([rows, np.ones((len(rows), 1))]) / np.sqrt(2.0))
    return Centrality(np.clip(leading, 0.0, None), "shifted")
