"""Figures of a setting out of its cases: means over them, intervals over pictures, tests against all references."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scripts.bench.answering import SPACES, Judged, Outcome
from scripts.bench.cases import Setting
from service.core.evaluation import mcnemar_p
from service.core.model import Float64Array, IntArray
from service.core.pipeline import HOLOTYPE

RESAMPLES = 2000


class PictureBootstrap:
    """95 % intervals of means over cases: pictures are resampled, each with all its answers.

    Cases of different seeds share judged pictures, so their answers are not independent. One draw serves all figures.
    """

    def __init__(self, pictures: Sequence[IntArray]) -> None:
        unique, self._rows = np.unique(np.concatenate(pictures), return_inverse=True)
        self._count = len(unique)
        asked = np.bincount(self._rows, minlength=self._count).astype(np.float64)
        chances = np.full(self._count, 1.0 / self._count)
        self._draws = np.random.default_rng(0).multinomial(self._count, chances, size=RESAMPLES).astype(np.float32)
        self._asked = self._draws @ asked

    def interval(self, values: Sequence[Float64Array]) -> tuple[float, float]:
        """Of the mean of `values`, one array a case, a value for each of its judged pictures."""
        sums = np.bincount(self._rows, weights=np.concatenate(values), minlength=self._count)
        low, high = np.quantile(self._draws @ sums / self._asked, (0.025, 0.975))
        return float(low), float(high)


def setting_figures(setting: Setting, outcomes: Sequence[Outcome]) -> dict[str, float]:
    """All figures of a setting under the benchmark's names."""
    bootstrap = PictureBootstrap([case.pictures for case in setting.cases])
    figures: dict[str, float] = {}
    for space in SPACES:
        shared = set.intersection(*(set(outcome.members[space]) for outcome in outcomes))
        for member in [name for name in outcomes[0].members[space] if name in shared]:
            prefix = f"{setting.name}.{space}.{member}"
            own = [outcome.members[space][member] for outcome in outcomes]
            figures |= _means(prefix, own)
            figures[f"{prefix}.support"] = float(np.mean([outcome.support for outcome in outcomes]))
            low, high = bootstrap.interval([one.correct.astype(np.float64) for one in own])
            figures |= {f"{prefix}.accuracy_low": low, f"{prefix}.accuracy_high": high}
            figures |= _compared(prefix, bootstrap, own, [outcome.members[space] for outcome in outcomes], member)
    return figures


def _means(prefix: str, own: Sequence[Judged]) -> dict[str, float]:
    names = ("accuracy", "macro_f1", "weighted_f1", "top5", "references", "seconds")
    return {f"{prefix}.{name}": float(np.mean([getattr(one, name) for one in own])) for name in names}


def _compared(
    prefix: str, bootstrap: PictureBootstrap, own: Sequence[Judged], spaces: Sequence[dict[str, Judged]], member: str
) -> dict[str, float]:
    """How far Holotype is ahead of the member, paired by picture; McNemar's test of both, and of the member and all."""
    figures: dict[str, float] = {}
    if member != HOLOTYPE:
        figures[f"{prefix}.ahead_mcnemar_p"] = _mcnemar_p(own, spaces, HOLOTYPE)
        ahead = [
            space[HOLOTYPE].correct.astype(np.float64) - one.correct for space, one in zip(spaces, own, strict=True)
        ]
        low, high = bootstrap.interval(ahead)
        mean = float(np.mean([values.mean() for values in ahead]))
        figures |= {f"{prefix}.ahead": mean, f"{prefix}.ahead_low": low, f"{prefix}.ahead_high": high}
    if member != "all":
        figures[f"{prefix}.mcnemar_p"] = _mcnemar_p(own, spaces, "all")
    return figures


def _mcnemar_p(own: Sequence[Judged], spaces: Sequence[dict[str, Judged]], other: str) -> float:
    """The exact test of the pictures that one of the two answers rightly and the other wrongly, over all cases."""
    tests = [mcnemar_p(one.correct, space[other].correct) for space, one in zip(spaces, own, strict=True)]
    return combined_p(tests)


def combined_p(tests: Sequence[float]) -> float:
    """One p-value of several that are not independent: twice their median (Rueger 1978); one alone is itself."""
    return float(tests[0]) if len(tests) == 1 else min(1.0, 2.0 * float(np.median(tests)))
