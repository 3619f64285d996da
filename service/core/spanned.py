"""Few rows of many dimensions, as rows of few dimensions between which all products are the same.

With the products X X^T = L L^T (Cholesky), the rows of L are the rows of X as seen along axes of the space that they
span. What is fitted to some of the rows and asked about the others answers the same from either, and sooner.
"""

from __future__ import annotations

import numpy as np

from service.core.model import Float32Array
from service.core.parts import count_parts

SHARE = 2
"""Rows are taken for few when there are this many times as many dimensions, or more."""
ADDED = 1e-13
"""Share of the trace that is added to the products: copies of a picture leave them without a root."""


def spanned(embeddings: Float32Array) -> tuple[Float32Array, int]:
    """Rows (n, parts * n) that stand for unit rows (n, d), and of how many parts they are; as given where n is large.

    Products stay the same within each of the parts (`core.parts`).
    """
    parts = count_parts(embeddings)
    if SHARE * parts * len(embeddings) > embeddings.shape[1]:
        return embeddings, parts
    split = np.split(embeddings.astype(np.float64), parts, axis=1)
    roots = [np.linalg.cholesky(part @ part.T + ADDED * len(part) / parts * np.eye(len(part))) for part in split]
    return np.concatenate(roots, axis=1).astype(np.float32), parts
