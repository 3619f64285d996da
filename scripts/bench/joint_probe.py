"""Linear probes of very many classes, learnt for all of them at once.

With a thousand classes scikit-learn's logistic regression takes minutes a fit, and its SVM learns a thousand machines
one after the other. The same losses, summed over all classes, take two matrix products a step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy.optimize import minimize

from service.core.model import Float32Array, Float64Array, IntArray

MOST_STEPS = 30
CORRECTIONS = 5
"""Of L-BFGS: past steps that are kept, each as large as the weights."""


@dataclass(slots=True, eq=False)
class JointProbe:
    """Multinomial logistic regression, or one-against-the-rest SVMs with squared hinge loss, by L-BFGS.

    `penalty` is the inverse strength of the L2 regularisation, as scikit-learn's C; the intercept is regularised, too.
    """

    loss: Literal["logistic", "squared_hinge"]
    penalty: float
    most_steps: int = MOST_STEPS
    classes_: IntArray = field(init=False)
    weights: Float32Array = field(init=False)

    def fit(self, rows: Float32Array, codes: IntArray) -> JointProbe:
        """Learn from rows (n, d) of two classes at least."""
        self.classes_, targets = np.unique(codes, return_inverse=True)
        widened = _widened(rows)
        shape = (widened.shape[1], len(self.classes_))

        def objective(flat: Float64Array) -> tuple[float, Float64Array]:
            scores = widened @ flat.reshape(shape).astype(np.float32)
            value = _logistic(scores, targets) if self.loss == "logistic" else _squared_hinge(scores, targets)
            slope = (widened.T @ scores).ravel().astype(np.float64)
            return self.penalty * value + 0.5 * float(flat @ flat), self.penalty * slope + flat

        options = {"maxiter": self.most_steps, "maxcor": CORRECTIONS}
        found = minimize(objective, np.zeros(shape[0] * shape[1]), jac=True, method="L-BFGS-B", options=options)
        self.weights = found.x.reshape(shape).astype(np.float32)
        return self

    def decision_function(self, rows: Float32Array) -> Float32Array:
        """Scores (q, classes) of rows (q, d)."""
        return np.asarray(_widened(rows) @ self.weights)


def _widened(rows: Float32Array) -> Float32Array:
    """Rows with a constant, for the intercept."""
    return np.concatenate([rows, np.ones((len(rows), 1), np.float32)], axis=1)


def _logistic(scores: Float32Array, targets: IntArray) -> float:
    """Summed cross-entropy; its gradient takes the place of the scores (n, C)."""
    rows = np.arange(len(targets))
    scores -= scores.max(axis=1, keepdims=True)
    own = scores[rows, targets].copy()
    np.exp(scores, out=scores)
    sums = scores.sum(axis=1)
    scores /= sums[:, None]
    scores[rows, targets] -= 1.0
    return float((np.log(sums) - own).sum(dtype=np.float64))


def _squared_hinge(scores: Float32Array, targets: IntArray) -> float:
    """Summed max(0, 1 - margin)^2 of every row and class; its gradient takes the place of the scores (n, C)."""
    rows = np.arange(len(targets))
    scores[rows, targets] *= -1.0  # now minus the margin everywhere
    scores += 1.0
    np.maximum(scores, 0.0, out=scores)
    value = float(np.einsum("ij,ij->", scores, scores, dtype=np.float64))
    scores *= 2.0
    scores[rows, targets] *= -1.0
    return value
