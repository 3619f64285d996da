"""Arrays behind the report's plots: how alike the classes are, before and after choosing."""

from __future__ import annotations

from typing import Any

import numpy as np

from service.core.model import Float32Array, Float64Array, IntArray
from service.core.vectors import similarity

MAX_ROWS = 1500
MAX_CLASSES = 100
BINS = 60


def _sampled(embeddings: Float32Array, codes: IntArray) -> tuple[Float32Array, IntArray]:
    """At most MAX_ROWS rows, evenly taken: a histogram needs no more, and similarities grow with the square."""
    rows = np.unique(np.linspace(0, len(codes) - 1, min(MAX_ROWS, len(codes))).astype(np.int64))
    return embeddings[rows], codes[rows]


def cross_class_similarities(embeddings: Float32Array, codes: IntArray) -> Float32Array:
    """Cosines of all pairs of rows of different classes, -1..1, 1-d."""
    embeddings, codes = _sampled(embeddings, codes)
    pairs = np.triu(codes[:, None] != codes[None, :])
    return np.asarray(similarity(embeddings, embeddings)[pairs])


def cross_class_histogram(before: Float32Array, after: Float32Array) -> dict[str, Any]:
    """Densities of two sets of similarities over the same edges: {edges, before, after}."""
    values = np.concatenate([before, after])
    low, high = (float(values.min()), float(values.max())) if len(values) else (-1.0, 1.0)
    edges = np.linspace(low, max(high, low + 1e-6), BINS + 1)
    return {
        "edges": edges.tolist(),
        "before": _density(before, edges),
        "after": _density(after, edges),
    }


def _density(values: Float32Array, edges: Float64Array) -> list[float]:
    counts = np.histogram(values, edges)[0].astype(np.float64)
    densities: list[float] = (counts / max(counts.sum() * float(edges[1] - edges[0]), 1e-12)).tolist()
    return densities


def class_similarity(embeddings: Float32Array, codes: IntArray, classes: tuple[str, ...]) -> dict[str, Any]:
    """Mean cosine between the rows of every two classes: {labels, matrix}.

    Of more than MAX_CLASSES classes those with most rows are shown. The mean over pairs of unit rows is the product of
    the classes' mean vectors, so nothing quadratic in rows is formed.
    """
    counts = np.bincount(codes, minlength=len(classes))
    shown = np.sort(np.argsort(-counts, kind="stable")[: min(MAX_CLASSES, int(np.sum(counts > 0)))])
    means = np.stack([embeddings[codes == code].mean(axis=0) for code in shown]).astype(np.float64)
    return {"labels": [classes[code] for code in shown], "matrix": np.round(means @ means.T, 4).tolist()}


def class_distance(means: Float32Array, classes: tuple[str, ...]) -> dict[str, Any]:
    """1 - cosine between class means (C, k) in projected space, 0..2: {labels, matrix}.

    Classes without rows are left out, and all beyond the first MAX_CLASSES.
    """
    present = np.flatnonzero(means.any(axis=1))[:MAX_CLASSES]
    rows = means[present].astype(np.float64)
    return {"labels": [classes[code] for code in present], "matrix": np.round(1.0 - rows @ rows.T, 4).tolist()}
