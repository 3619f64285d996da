"""How well scores tell the classes of pictures whose label is known: figures, intervals and tests of difference.

F1 and its averages follow scikit-learn's definitions (a class never predicted has precision 0), except that classes
without a test picture do not enter the macro average: nothing was measured about them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from service.core.model import BoolArray, Float32Array, Float64Array, IntArray
from service.errors import InvalidInput

RESAMPLES = 10_000
TOP = 5
REJECTED = -1
"""Predicted code of a picture that no class was given to."""


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Figures over n pictures of C classes. All rates are 0..1.

    Attributes:
        classes: the C labels.
        predicted: int64 (n,), predicted codes, REJECTED where no class was given.
        correct: bool (n,).
        accuracy, macro_f1, weighted_f1: as named.
        top5: share of pictures whose class is among the five best.
        per_class: label to precision, recall, f1, images; classes with test pictures only.
        confusion: int64 (C, C), row the true class, column the predicted one; rejected pictures are in no column.
    """

    classes: tuple[str, ...]
    predicted: IntArray
    correct: BoolArray
    accuracy: float
    macro_f1: float
    weighted_f1: float
    top5: float
    per_class: Mapping[str, Mapping[str, float | int]]
    confusion: IntArray

    def as_dict(self) -> dict[str, Any]:
        """The figures, JSON-serialisable; without the confusion matrix, which is large."""
        return {
            "images": len(self.correct),
            "accuracy": self.accuracy,
            "macro_f1": self.macro_f1,
            "weighted_f1": self.weighted_f1,
            "top5": self.top5,
            "per_class": {label: dict(figures) for label, figures in self.per_class.items()},
        }

    def confusion_dict(self) -> dict[str, Any]:
        """{labels, matrix}, JSON-serialisable."""
        return {"labels": list(self.classes), "matrix": self.confusion.tolist()}


def evaluate(true_codes: IntArray, scores: Float32Array, classes: tuple[str, ...]) -> Evaluation:
    """Figures of class scores.

    Args:
        true_codes: int64 (n,), n >= 1, 0 .. C - 1.
        scores: float32 (n, C); -inf for classes that cannot be answered; a row of -inf only is a rejected picture.
        classes: the C labels.

    Raises:
        InvalidInput: when there is no picture, or shapes disagree.
    """
    shape = (len(true_codes), len(classes))
    if scores.shape != shape or not len(true_codes):
        raise InvalidInput(f"scores have shape {scores.shape}, expected {shape} with at least one picture")
    predicted = np.where(np.isfinite(scores).any(axis=1), scores.argmax(axis=1), REJECTED).astype(np.int64)
    confusion = np.zeros((len(classes), len(classes)), dtype=np.int64)
    given = predicted != REJECTED
    np.add.at(confusion, (true_codes[given], predicted[given]), 1)
    images = np.bincount(true_codes, minlength=len(classes))
    precision, recall, f1 = _class_figures(confusion, images)
    tested = np.flatnonzero(images)
    correct = predicted == true_codes
    return Evaluation(
        classes=classes,
        predicted=predicted,
        correct=correct,
        accuracy=float(correct.mean()),
        macro_f1=float(f1[tested].mean()),
        weighted_f1=float(np.average(f1, weights=images)),
        top5=float((_ranks(true_codes, scores) < TOP).mean()),
        per_class={
            classes[c]: {
                "precision": float(precision[c]),
                "recall": float(recall[c]),
                "f1": float(f1[c]),
                "images": int(images[c]),
            }
            for c in tested
        },
        confusion=confusion,
    )


def bootstrap_interval(correct: BoolArray, seed: int, level: float = 0.95) -> tuple[float, float]:
    """Percentile bootstrap interval of the accuracy of `correct`, bool (n,).

    Resampling n right-or-wrong values is a binomial draw, so that is what is drawn. Where every picture is right, or
    every one wrong, resampling would claim certainty: the exact binomial bound (Clopper and Pearson 1934) stands in.
    """
    n, right = _counted(correct)
    tail = (1.0 - level) / 2.0
    if right in (0, n):
        reach = float(tail ** (1.0 / n))
        return (reach, 1.0) if right == n else (0.0, 1.0 - reach)
    draws = np.random.default_rng(seed).binomial(n, right / n, RESAMPLES) / n
    return _percentiles(draws, tail)


def paired_interval(correct_a: BoolArray, correct_b: BoolArray, seed: int, level: float = 0.95) -> tuple[float, float]:
    """Percentile bootstrap interval of accuracy a minus accuracy b over the same pictures, -1..1.

    Pictures are resampled as pairs. Where all pairs agree, resampling would claim certainty even of a handful of
    pictures: the adjusted interval of Bonett and Price (2012) stands in, which still depends on how many they are.
    """
    n, only_a, only_b = _disagreements(correct_a, correct_b)
    if only_a + only_b == 0:
        reach = float(NormalDist().inv_cdf(0.5 + level / 2.0) * np.sqrt(2.0 / (n + 2)) / np.sqrt(n + 2))
        return (-min(reach, 1.0), min(reach, 1.0))
    shares = [only_a / n, only_b / n, (n - only_a - only_b) / n]
    draws = np.random.default_rng(seed).multinomial(n, shares, RESAMPLES)
    return _percentiles((draws[:, 0] - draws[:, 1]) / n, (1.0 - level) / 2.0)


def mcnemar_p(correct_a: BoolArray, correct_b: BoolArray) -> float:
    """Exact two-sided McNemar test: chance of so uneven a disagreement, a and b being equally good; 1 without any."""
    _, only_a, only_b = _disagreements(correct_a, correct_b)
    if only_a + only_b == 0:
        return 1.0
    from scipy import stats  # half a second of imports, which answering does without

    return float(stats.binomtest(min(only_a, only_b), only_a + only_b, 0.5).pvalue)


def _class_figures(confusion: IntArray, images: IntArray) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Precision, recall and F1 of each class, float64 (C,); 0 where there is nothing to divide by."""
    hits = np.diagonal(confusion).astype(np.float64)
    predicted = confusion.sum(axis=0)
    precision = hits / np.maximum(predicted, 1)
    recall = hits / np.maximum(images, 1)
    f1 = 2.0 * hits / np.maximum(predicted + images, 1)
    return precision, recall, f1


def _ranks(true_codes: IntArray, scores: Float32Array) -> IntArray:
    """How many classes come before the true one, int64 (n,); C where the true class cannot be answered."""
    own = scores[np.arange(len(true_codes)), true_codes][:, None]
    before = scores > own
    tied = (scores == own) & (np.arange(scores.shape[1]) < true_codes[:, None])
    ranks = (before | tied).sum(axis=1)
    answerable = np.isfinite(own[:, 0])
    return np.asarray(np.where(answerable, ranks, max(TOP, scores.shape[1])), dtype=np.int64)


def _counted(correct: BoolArray) -> tuple[int, int]:
    if not len(correct):
        raise InvalidInput("an interval needs at least one judged picture, got 0")
    return len(correct), int(np.count_nonzero(correct))


def _disagreements(correct_a: BoolArray, correct_b: BoolArray) -> tuple[int, int, int]:
    if correct_a.shape != correct_b.shape:
        raise InvalidInput(f"{correct_a.shape} and {correct_b.shape} judgements cannot be paired")
    n, _ = _counted(correct_a)
    return n, int(np.count_nonzero(correct_a & ~correct_b)), int(np.count_nonzero(correct_b & ~correct_a))


def _percentiles(draws: Float64Array, tail: float) -> tuple[float, float]:
    low, high = np.quantile(draws, [tail, 1.0 - tail])
    return float(low), float(high)
