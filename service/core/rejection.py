"""Rejecting answers: which trust is needed so that at most a stated share of the accepted answers is wrong.

The curve is the risk-coverage curve of out-of-fold answers (Geifman and El-Yaniv 2017), with one wrong answer more than
there were: of the k most trusted of n answers, e of them wrong, the risk is taken as (e + 1) / (k + 1), as in conformal
selection (Jin and Candes 2023). In the mean over catalogues the error that is realised then stays below the stated one,
where nothing accepted counts as nothing wrong; the plain e / k would break that with few answers, because the luckiest
cut is picked. The loosest cut that holds is preferred, so the curve never falls as coverage grows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.core.model import BoolArray, Float64Array, Prediction
from service.core.trust import TrustModel
from service.errors import InvalidInput

MAX_POINTS = 100
"""Points kept of a curve; a stated error between two of them is served by the stricter one."""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A stated error, 0..1, the least trust that is accepted for it, 0..1, and the share of pictures that has it."""

    error: float
    threshold: float
    coverage: float


def risk_curve(trust: Float64Array, right: BoolArray, weights: Float64Array) -> tuple[CurvePoint, ...]:
    """Errors that can be promised, smallest first, each with the largest coverage at which it holds.

    Args:
        trust: float64 (n,), of answers to pictures that chose nothing; higher is better.
        right: bool (n,).
        weights: float64 (n,), above 0: what each answer counts. The extra wrong answer counts as the heaviest.

    Error, coverage and acceptance grow along the curve; equal trust is accepted or rejected together.
    """
    if not len(trust):
        return ()
    order = np.argsort(-trust, kind="stable")
    ranked, counted = trust[order], weights[order]
    accepted = np.cumsum(counted)
    wrong = np.cumsum(counted * ~right[order])
    extra = float(weights.max())
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    risks = ((wrong + extra) / (accepted + extra))[ends]
    # Looser thresholds of the same or a smaller risk make a stricter one pointless.
    lowest = np.minimum.accumulate(risks[::-1])[::-1]
    kept = np.flatnonzero(np.append(lowest[1:] > lowest[:-1], True))
    if len(kept) > MAX_POINTS:
        kept = kept[np.unique(np.linspace(0, len(kept) - 1, MAX_POINTS).astype(np.int64))]
    return tuple(
        CurvePoint(float(lowest[i]), float(ranked[ends[i]]), float(accepted[ends[i]] / accepted[-1])) for i in kept
    )


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why an answer was not given: its reason, what its trust was and what was needed, 0..1 both."""

    reason: str
    trust: float
    needed: float

    def as_dict(self) -> dict[str, Any]:
        """JSON of an answer's `rejected`."""
        return {"reason": self.reason, "trust": self.trust, "needed": self.needed}


@dataclass(frozen=True, slots=True)
class Policy:
    """What is known of a selection's answers: how to score them, and when to keep silent.

    Attributes:
        trust: probability that an answer is right where a fifth of the pictures is of unknown classes.
        confidence: the same where every picture is of a known class; None: the temperature's softmax is kept.
        typical: medians of the readings of right answers, which a rejected answer is compared with.
        curve: from `risk_curve`.
    """

    trust: TrustModel
    confidence: TrustModel | None
    typical: tuple[float, float, float]
    curve: tuple[CurvePoint, ...]

    def threshold(self, max_error: float) -> float:
        """Least trust of an answer that is accepted. Raises InvalidInput where so small an error cannot be promised."""
        check_error(max_error)
        within = [point for point in self.curve if point.error <= max_error]
        if not within:
            least = f"{100 * self.curve[0].error:.2g} %" if self.curve else "none"
            raise InvalidInput(
                f"an error of {100 * max_error:.3g} % among accepted answers cannot be promised: the smallest error "
                f"that the measured answers vouch for is {least}; state a larger one, or add pictures "
                "and optimise again",
                max_error=max_error,
                smallest=self.curve[0].error if self.curve else None,
            )
        # Where the loosest point holds, every answer is wanted: also those less trusted than any that was measured.
        return 0.0 if within[-1] is self.curve[-1] else within[-1].threshold

    def judged(self, prediction: Prediction, table: Float64Array, max_error: float) -> Rejected | None:
        """None for an answer that is accepted; `table` holds its readings, (3,)."""
        needed = self.threshold(max_error)
        trust = float(self.trust.probabilities(table[None, :])[0])
        return None if trust >= needed else Rejected(self._reason(prediction, table), trust, needed)

    def _reason(self, prediction: Prediction, table: Float64Array) -> str:
        """What costs more trust against a typical right answer: distance, or a rival."""
        lost = np.array(self.trust.weights) * (np.array(self.typical) - table)
        if len(prediction.top) < 2 or lost[0] >= lost[1] + lost[2]:
            return "too far"
        return f"torn between {prediction.top[0].label} and {prediction.top[1].label}"

    def as_dict(self) -> dict[str, Any]:
        """JSON-serialisable form, kept with the selection's figures."""
        return {
            "trust": self.trust.as_dict(),
            "confidence": None if self.confidence is None else self.confidence.as_dict(),
            "typical": list(self.typical),
            "curve": [[point.error, point.threshold, point.coverage] for point in self.curve],
        }

    @staticmethod
    def from_dict(value: Mapping[str, Any]) -> Policy:
        """Reads `as_dict` back."""
        best, margin, surprise = (float(one) for one in value["typical"])
        return Policy(
            trust=TrustModel.from_dict(value["trust"]),
            confidence=None if value["confidence"] is None else TrustModel.from_dict(value["confidence"]),
            typical=(best, margin, surprise),
            curve=tuple(CurvePoint(*map(float, point)) for point in value["curve"]),
        )


def check_error(max_error: float) -> None:
    """Raises InvalidInput for an error that nobody can mean."""
    if not 0.0 < max_error < 1.0:
        raise InvalidInput(
            f"the error to accept is {max_error}; a share above 0 and below 1 is needed, 0.01 for one in a hundred",
            max_error=max_error,
        )
