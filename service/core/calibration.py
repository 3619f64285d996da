"""Temperature of the softmax that turns class scores into a confidence (Guo et al. 2017)."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar

from service.core.model import Float32Array, IntArray
from service.core.voting import CONFIDENCE_CLASSES

LOWEST, HIGHEST = 0.005, 1.0
MIN_ANSWERS = 20


def fit_temperature(scores: Float32Array, truth: IntArray, default: float) -> float:
    """The temperature under which held-out answers were as sure as they were right.

    Args:
        scores: float32 (n, C), class scores of pictures that the references were not made from; -inf for classes
            that could not be answered.
        truth: int64 (n,).
        default: what is returned for fewer than MIN_ANSWERS usable answers.

    Minimises the negative log-likelihood over the classes that share the confidence; a true class outside them counts
    as the last of them, so that one hopeless picture does not flatten all others. An answer is usable when two classes
    at least have a score.
    """
    width = min(CONFIDENCE_CLASSES, scores.shape[1])
    best = np.argsort(-scores, axis=1, kind="stable")[:, :width]
    kept = np.take_along_axis(scores, best, axis=1).astype(np.float64)
    answered = np.isfinite(kept).sum(axis=1)
    usable = answered >= 2
    if usable.sum() < MIN_ANSWERS:
        return default
    kept, hits, last = kept[usable], (best == truth[:, None])[usable], answered[usable] - 1
    position = np.where(hits.any(axis=1), np.minimum(hits.argmax(axis=1), last), last)
    gaps = kept - kept[:, :1]
    own = gaps[np.arange(len(gaps)), position]

    def loss(log_temperature: float) -> float:
        temperature = np.exp(log_temperature)
        return float(np.mean(np.log(np.exp(gaps / temperature).sum(axis=1)) - own / temperature))

    found = minimize_scalar(loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded")
    return float(np.exp(found.x))
