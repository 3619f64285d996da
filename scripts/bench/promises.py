"""Stated errors: what came of them among accepted answers, with intervals over classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from scripts.bench.class_bootstrap import ClassBootstrap, measured
from service.core.model import BoolArray, Float64Array
from service.core.rejection import Policy
from service.core.unknowns import UNKNOWN_SHARE
from service.errors import InvalidInput

STATED = (0.01, 0.02, 0.05, 0.1, 0.2)
"""Errors that a user may state."""


class Trusted(Protocol):
    """Answers of one case, (n,) each: their trust, whether right, whether of a known class; and what decides."""

    trust: Float64Array
    right: BoolArray
    known: BoolArray
    policy: Policy


def promised_figures(data: str, found: Sequence[Trusted], bootstrap: ClassBootstrap) -> dict[str, float]:
    """Of each error that all cases can promise, and under the benchmark's own names of the smallest."""
    figures: dict[str, float] = {}
    for stated in STATED:
        came = realised(stated, found, bootstrap)
        if came is None:
            continue
        prefixes = [f"{data}.calibration.stated{round(100 * stated)}"]
        if f"{data}.calibration.stated_error" not in figures:
            prefixes.append(f"{data}.calibration")
        figures |= {f"{prefix}.{name}": value for prefix in prefixes for name, value in came.items()}
    return figures


def realised(stated: float, found: Sequence[Trusted], bootstrap: ClassBootstrap) -> dict[str, float] | None:
    """What came of a stated error over all cases' answers; None where one cannot promise it, or nobody accepts any.

    The promise is for a fifth of unknown pictures: they are weighed so, in every draw of the interval anew.
    """
    try:
        needed = [one.policy.threshold(stated) for one in found]
    except InvalidInput:
        return None
    known = np.concatenate([one.known for one in found])
    wrong = ~np.concatenate([one.right for one in found])
    taken = np.concatenate([one.trust >= least for one, least in zip(found, needed, strict=True)])
    unknown = bootstrap.sums(~known)
    ratio = UNKNOWN_SHARE / (1.0 - UNKNOWN_SHARE) * bootstrap.sums(known) / np.where(unknown, unknown, np.inf)

    def weight(rows: BoolArray) -> Float64Array:
        return bootstrap.sums(rows & known) + ratio * bootstrap.sums(rows & ~known)

    accepted = weight(taken)
    if not accepted[0]:
        return None
    errors = weight(taken & wrong) / np.where(accepted, accepted, np.nan)
    error, low, high = measured(errors)
    return {
        "stated_error": stated,
        "realised_error": error,
        "realised_error_low": low,
        "realised_error_high": high,
        "coverage": float(accepted[0] / weight(np.ones_like(taken))[0]),
        "accepted": float(taken.sum()),
    }
