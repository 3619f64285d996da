"""How far an answer can be trusted: a logistic model over three readings of its class scores.

The readings are the best score (how near), the margin to the second (how clear) and the surprise, minus the logarithm
of the softmax confidence (how crowded). Each was tried alone on groceries (81 classes, LDA head, mean of three seeds, a
fifth of the classes unknown, on pictures and classes that fitted nothing): AUROC of known against unknown 0.868 for the
best score, 0.816 the margin, 0.828 the confidence, 0.859 the energy (logsumexp), 0.887 best and margin together, 0.888
all three; area under the risk-coverage curve 0.063, 0.071, 0.069, 0.067, 0.053, 0.053. On digits (10 classes, means of
two heads) all three and the best score alone draw: 0.922 and 0.920, area 0.044 and 0.045. The largest raw similarity
reaches 0.784 and 0.656. As a fourth reading (five seeds, ten a class, a head with a strong pull, which draws all
pictures near the means) it raises the AUROC on digits from 0.827 to 0.876 and lowers the area under the risk-coverage
curve from 0.096 to 0.086; on groceries nothing changes (0.864; 0.863 if it were read): it is read where it measures
better. Fitting "right" draws with fitting "known". Calibrated anew for known classes the first three readings are the
confidence, where they measure better than the temperature.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.core.model import BoolArray, Float32Array, Float64Array, IntArray, Prediction
from service.core.voting import confidences
from service.errors import InvalidInput

READINGS = 3
"""Best score, margin, surprise; a fourth, the nearness, is read by models that have a weight for it."""
MIN_OF_EACH = 5
"""Right answers, and wrong ones, below which nothing is fitted."""
LEAST_CONFIDENCE = 1e-12
INVERSE_PENALTY = 10.0
"""Of the logistic regression over standardised readings: weak, there are four parameters only."""


def readings(scores: Float32Array, temperature: float) -> Float64Array:
    """Best score, margin and surprise of every row, float64 (n, 3).

    `scores` is float32 (n, C) as `class_scores` returns it, with a finite score a row; where only one is finite the
    margin is that score + 1, as in `vote`.
    """
    best = scores.max(axis=1).astype(np.float64)
    if not np.isfinite(best).all():
        raise InvalidInput(f"{int((~np.isfinite(best)).sum())} of {len(scores)} rows have no score to be read")
    second = np.full(len(scores), -1.0)
    if scores.shape[1] > 1:
        runner_up = np.partition(scores, -2, axis=1)[:, -2].astype(np.float64)
        second = np.where(np.isfinite(runner_up), runner_up, -1.0)
    return np.stack([best, best - second, _surprise(confidences(scores, temperature))], axis=1)


def readings_of(predictions: Sequence[Prediction]) -> Float64Array:
    """The same of answers as `vote` gives them, before any calibration of their confidence, float64 (n, 3)."""
    rows = [(one.top[0].score, one.margin, one.confidence) for one in predictions]
    table = np.array(rows, dtype=np.float64).reshape(-1, READINGS)
    table[:, 2] = _surprise(table[:, 2])
    return table


def _surprise(confidence: Float64Array) -> Float64Array:
    return np.asarray(-np.log(np.maximum(confidence, LEAST_CONFIDENCE)))


def with_nearness(table: Float64Array, nearness: Float32Array) -> Float64Array:
    """Readings (n, 3) and the largest raw similarity of each picture with a support picture (n,): (n, 4)."""
    return np.column_stack([table, nearness.astype(np.float64)])


@dataclass(frozen=True, slots=True)
class TrustModel:
    """Probability = 1 / (1 + exp(-(weights . readings + bias))).

    Attributes:
        weights: of the best score, the margin, the surprise and maybe the nearness, as they are (not standardised).
        bias: of the sum.
    """

    weights: tuple[float, ...]
    bias: float

    @property
    def reads_nearness(self) -> bool:
        """Does it need the fourth reading?"""
        return len(self.weights) > READINGS

    def logits(self, table: Float64Array) -> Float64Array:
        """Weighted sums of readings (n, 3 or 4), float64 (n,); a fourth that it has no weight for is passed over."""
        return np.asarray(table[:, : len(self.weights)] @ np.array(self.weights) + self.bias)

    def probabilities(self, table: Float64Array) -> Float64Array:
        """Of readings (n, 3 or 4): float64 (n,), 0..1."""
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(self.logits(table), -60.0, 60.0))))

    def as_dict(self) -> dict[str, Any]:
        """JSON-serialisable form."""
        return {"weights": list(self.weights), "bias": self.bias}

    @staticmethod
    def from_dict(value: Mapping[str, Any]) -> TrustModel:
        """Reads `as_dict` back."""
        weights = tuple(float(weight) for weight in value["weights"])
        if len(weights) not in (READINGS, READINGS + 1):
            raise ValueError(f"{len(weights)} weights for {READINGS} readings, or one more")
        return TrustModel(weights, float(value["bias"]))


def fit_trust(table: Float64Array, right: BoolArray, weights: Float64Array | None = None) -> TrustModel | None:
    """Logistic regression of "the answer is right" on readings (n, 3 or 4); None with too few right or wrong answers.

    Args:
        table: float64 (n, 3 or 4), of answers to pictures that the references were not made from.
        right: bool (n,); an unknown picture's answer is wrong.
        weights: float64 (n,), above 0, what each answer counts; None: the same.
    """
    if min(int(right.sum()), int((~right).sum())) < MIN_OF_EACH:
        return None
    from sklearn.linear_model import LogisticRegression  # a second of imports, which answering does without

    centre, scale = table.mean(axis=0), table.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    regression = LogisticRegression(C=INVERSE_PENALTY, max_iter=1000)
    regression.fit((table - centre) / scale, right, sample_weight=weights)
    slopes = regression.coef_[0] / scale
    bias = float(regression.intercept_[0] - slopes @ centre)
    return TrustModel(tuple(slopes.tolist()), bias)


def fit_nearness(nearness: Float64Array, known: BoolArray, weights: Float64Array) -> TrustModel | None:
    """The same of "the picture is of a known class" on the nearness alone, (n,) each."""
    fitted = fit_trust(np.column_stack([np.zeros((len(nearness), READINGS)), nearness]), known, weights)
    return None if fitted is None else TrustModel((*[0.0] * READINGS, fitted.weights[READINGS]), fitted.bias)


def summed(shares: Sequence[tuple[float, TrustModel]]) -> TrustModel:
    """The model whose logit is the sum of the models', each times its share; it has a weight for every reading."""
    weights = np.zeros(READINGS + 1)
    for share, model in shares:
        weights[: len(model.weights)] += share * np.array(model.weights)
    return TrustModel(tuple(weights.tolist()), float(sum(share * model.bias for share, model in shares)))


def crossfitted_probabilities(
    table: Float64Array, right: BoolArray, part_of: IntArray, weights: Float64Array | None = None
) -> Float64Array | None:
    """Probabilities (n,) of each row by a model that was fitted without the row's part; None where one cannot be.

    `part_of` is (n,): which part of the answers a row belongs to; there are two parts at least.
    """

    def without(rows: BoolArray) -> TrustModel | None:
        return fit_trust(table[rows], right[rows], None if weights is None else weights[rows])

    return crossfitted(table, part_of, without)


def crossfitted(
    table: Float64Array, part_of: IntArray, fit: Callable[[BoolArray], TrustModel | None]
) -> Float64Array | None:
    """The same by whatever `fit` makes of a mask of rows."""
    found = np.zeros(len(table))
    parts = np.unique(part_of)
    if len(parts) < 2:
        return None
    for part in parts:
        inside = part_of == part
        model = fit(~inside)
        if model is None:
            return None
        found[inside] = model.probabilities(table[inside])
    return found
