"""How well a number between 0 and 1 says what happens: calibration error, and known told from unknown.

Expected calibration error over bins of equal mass (Nguyen and O'Connor 2015): bins of equal width leave most of them
empty where answers are mostly sure. AUROC and the false-positive rate at 95 % true positives are those of the
out-of-distribution literature (Hendrycks and Gimpel 2017), the known being the positives.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score, roc_curve

from service.core.model import BoolArray, Float64Array

BINS = 15
TRUE_POSITIVES = 0.95
ROC_POINTS = 101


def reliability(confidence: Float64Array, right: BoolArray) -> dict[str, Any]:
    """{ece, bins: [{confidence, accuracy, answers}]} over at most BINS bins of as many answers each.

    `confidence` is float64 (n,), 0..1, n >= 1; `right` bool (n,). The error is the mean over answers of how far a bin's
    accuracy lies from its mean confidence, 0..1.
    """
    order = np.argsort(confidence, kind="stable")
    bins = [
        {
            "confidence": float(confidence[rows].mean()),
            "accuracy": float(right[rows].mean()),
            "answers": len(rows),
        }
        for rows in np.array_split(order, min(BINS, len(order)))
    ]
    off = sum(one["answers"] * abs(one["confidence"] - one["accuracy"]) for one in bins)
    return {"ece": float(off / len(order)), "bins": bins}


def losses(confidence: Float64Array, right: BoolArray) -> Float64Array:
    """Negative logarithm of what was claimed for what happened, (n,); a proper score, the smaller the better."""
    claimed = np.where(right, confidence, 1.0 - confidence)
    return np.asarray(-np.log(np.maximum(claimed, 1e-9)))


def log_loss(confidence: Float64Array, right: BoolArray) -> float:
    """Mean of `losses`."""
    return float(losses(confidence, right).mean())


def separation(trust: Float64Array, known: BoolArray) -> dict[str, float]:
    """{auroc, fpr95} of known (positive) against unknown; needs one of each. `trust` is (n,), higher is more known."""
    false_rates, true_rates, _ = roc_curve(known, trust)
    return {
        "auroc": float(roc_auc_score(known, trust)),
        "fpr95": float(false_rates[np.argmax(true_rates >= TRUE_POSITIVES)]),
    }


def roc_points(trust: Float64Array, positive: BoolArray) -> list[list[float]]:
    """[false-positive rate, true-positive rate] along the curve, ROC_POINTS at most; needs one of each."""
    false_rates, true_rates, _ = roc_curve(positive, trust)
    rows = np.unique(np.linspace(0, len(false_rates) - 1, min(ROC_POINTS, len(false_rates))).astype(np.int64))
    return [[round(float(false_rates[i]), 5), round(float(true_rates[i]), 5)] for i in rows]
