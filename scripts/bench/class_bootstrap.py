"""Intervals over classes: answers of one class hang together, so a class is drawn with all of them or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from service.core.model import BoolArray, Float64Array, IntArray

RESAMPLES = 2000
CURVES = 300
"""Draws of figures that are reckoned anew for each draw, not from sums."""


class ClassBootstrap:
    """Draws of classes, each with all its answers of all cases: cases of different seeds share classes and pictures.

    Attributes:
        rows: int64 (n,) of each case: the number of each answer's class.
        counts: int64 (1 + RESAMPLES, C): how often a draw takes each class; every row sums to C. The first takes each
            once: it is what was measured.
    """

    def __init__(self, labels: Sequence[Sequence[str]], seed: int) -> None:
        """`labels` are the true classes of each case's answers, by name."""
        unique, rows = np.unique(np.concatenate([np.asarray(case) for case in labels]), return_inverse=True)
        self.rows: list[IntArray] = np.split(rows, np.cumsum([len(case) for case in labels])[:-1])
        self.classes = len(unique)
        chances = np.full(self.classes, 1.0 / self.classes)
        drawn = np.random.default_rng(seed).multinomial(self.classes, chances, size=RESAMPLES)
        self.counts = np.concatenate([np.ones_like(drawn[:1]), drawn])

    def sums(self, values: Float64Array | BoolArray) -> Float64Array:
        """Float64 (1 + RESAMPLES,): sums over each draw's answers of `values`, (n,), of all cases' answers in turn."""
        by_class = np.bincount(np.concatenate(self.rows), values, minlength=self.classes)
        return np.asarray(self.counts @ by_class)

    def means(self, figures: Callable[[int, IntArray], Sequence[float] | None]) -> Float64Array:
        """Float64 (1 + CURVES, figures): the mean over cases of `figures(case, rows)`, first of what was measured.

        `rows` are a case's answers as a draw has them, each as often as its class was taken. A case of which a draw
        leaves nothing to say (None) is left out of it, and so is a draw without any case.
        """
        found = []
        for counts in self.counts[: 1 + CURVES]:
            drawn = [np.repeat(np.arange(len(rows)), counts[rows]) for rows in self.rows]
            said = [one for case, rows in enumerate(drawn) if (one := figures(case, rows)) is not None]
            if said:
                found.append(np.mean(said, axis=0))
        return np.array(found)


def measured(draws: Float64Array) -> tuple[float, float, float]:
    """What was measured (the first), and the 95 % interval of the draws that say something (not NaN; one does)."""
    low, high = np.nanquantile(draws[1:], (0.025, 0.975))
    return float(draws[0]), float(low), float(high)
