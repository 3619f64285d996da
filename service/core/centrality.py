"""Eigenvector centrality of the self-similarity graph, without forming the graph.

The source reads S = A A^T (n, n) as the weighted adjacency matrix of a fully connected graph of the support set and
takes the eigenvector of its largest eigenvalue: an example is central when it resembles many others, of whatever
class; the least central examples say most about their class. S v = A (A^T v) costs n * d operations and no n * n memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.sparse.linalg import LinearOperator, eigsh

from service.core.model import Float32Array, Float64Array

Graph = Literal["raw", "shifted"]
# eigsh needs more rows than eigenvectors, and for a handful of rows the dense solver is exact and faster.
DENSE_ROWS = 32


@dataclass(frozen=True, slots=True, eq=False)
class Centrality:
    """Eigenvector centralities.

    Attributes:
        values: float64 (n,), >= 0, unit length as a vector, higher is more central.
        graph: "raw" for S as in the source; "shifted" for (1 + S) / 2, used where the leading eigenvector of S has mixed
            signs (negative cosines: Perron's theorem does not hold); it is another graph.
    """

    values: Float64Array
    graph: Graph


def _leading(operator: LinearOperator, n: int) -> Float64Array:
    if n <= DENSE_ROWS:
        dense = operator @ np.eye(n)
        vector = np.linalg.eigh((dense + dense.T) / 2)[1][:, -1]
    else:
        # A fixed start makes the result reproducible: ARPACK would draw a random one.
        vector = eigsh(operator, k=1, which="LA", v0=np.full(n, n**-0.5), tol=1e-9)[1][:, 0]
    return np.asarray(vector * (1.0 if vector.sum() >= 0 else -1.0))


def eigenvector_centrality(embeddings: Float32Array) -> Centrality:
    """Centrality of each row within the self-similarity graph of all rows.

    Args:
        embeddings: float32 (n, d), unit rows, n >= 1.
    """
    rows = np.asarray(embeddings, dtype=np.float64)
    n = len(rows)

    def raw(vector: Float64Array) -> Float64Array:
        return np.asarray(rows @ (rows.T @ vector))

    def shifted(vector: Float64Array) -> Float64Array:
        return np.asarray((vector.sum(axis=0) + raw(vector)) / 2.0)

    leading = _leading(LinearOperator((n, n), matvec=raw, matmat=raw, dtype=np.float64), n)
    if leading.min() >= -1e-9:
        return Centrality(np.clip(leading, 0.0, None), "raw")
    leading = _leading(LinearOperator((n, n), matvec=shifted, matmat=shifted, dtype=np.float64), n)
    return Centrality(np.clip(leading, 0.0, None), "shifted")
