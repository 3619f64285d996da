"""Rejecting answers: which trust is needed so that at most a stated share of the accepted answers is wrong.

The curve is the risk-coverage curve of out-of-fold answers (Geifman and El-Yaniv 2017), with one wrong answer more than
there were: of the k most trusted of n answers, e of them wrong, the risk is taken as (e + 1) / (k + 1), as in conformal
selection (Jin and Candes 2023). In the mean over catalogues the error that is realised then stays below the stated one,
where nothing accepted counts as nothing wrong; the plain e / k would break that with few answers, because the luckiest
cut is picked. The loosest cut that holds is preferred, so the curve never falls as coverage grows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from service.core.model import BoolArray, Float64Array, IntArray, Prediction
from service.core.trust import READINGS, TrustModel
from service.errors import InvalidInput

MAX_POINTS = 100
"""Points kept of a curve; a stated error between two of them is served by the stricter one."""
CLASS_POINTS = 30
NOBODY = 1.0
"""The trust that is needed where no answer is trusted enough."""
LEAST_SPREAD = 1e-3
"""Of readings that hardly differ among right answers."""
SHARED_ANSWERS = 20.0
"""How many answers of its own the risk of all answers stands for in a class's curve."""


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
    ranked = _Ranked.of(trust, right, weights)
    return _thinned(ranked.risks, ranked.cuts, ranked.accepted, MAX_POINTS)


def class_curves(
    trust: Float64Array, right: BoolArray, weights: Float64Array, answers: IntArray, classes: Sequence[str]
) -> dict[str, tuple[CurvePoint, ...]]:
    """The same for each class that was answered, of the answers that name it, with at most CLASS_POINTS points.

    A class has few answers, so its risk is shrunk towards that of all at the same threshold, which counts as
    SHARED_ANSWERS answers of its own: a class that is often wrong needs more trust, one that never is needs less, and
    one of which little is known what all need.

    Args:
        trust: as for `risk_curve`.
        right: as there.
        weights: as there.
        answers: int64 (n,), the class that each answer names, an index into `classes`.
        classes: labels.
    """
    curves: dict[str, tuple[CurvePoint, ...]] = {}
    if not len(trust):
        return curves
    ranked = _Ranked.of(trust, right, weights)
    for code in np.unique(answers):
        own = (answers == code)[ranked.order] * weights[ranked.order]
        accepted = np.cumsum(own)[ranked.ends]
        wrong = np.cumsum(own * ~right[ranked.order])[ranked.ends]
        risks = (wrong + SHARED_ANSWERS * ranked.risks) / (accepted + SHARED_ANSWERS)
        curves[classes[code]] = _thinned(risks, ranked.cuts, accepted, CLASS_POINTS)
    return curves


@dataclass(frozen=True, slots=True, eq=False)
class _Ranked:
    """Answers from the most to the least trusted.

    Attributes:
        order: int64 (n,).
        ends: int64 (m,), the last place in `order` of each distinct trust.
        cuts: float64 (m,), that trust.
        accepted: float64 (m,), weight of what is accepted there.
        risks: float64 (m,), with the extra wrong answer.
    """

    order: IntArray
    ends: IntArray
    cuts: Float64Array
    accepted: Float64Array
    risks: Float64Array

    @staticmethod
    def of(trust: Float64Array, right: BoolArray, weights: Float64Array) -> _Ranked:
        order = np.argsort(-trust, kind="stable")
        ranked, counted = trust[order], weights[order]
        ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
        accepted = np.cumsum(counted)[ends]
        wrong = np.cumsum(counted * ~right[order])[ends]
        extra = float(weights.max())
        return _Ranked(order, ends, ranked[ends], accepted, (wrong + extra) / (accepted + extra))


def _thinned(risks: Float64Array, cuts: Float64Array, accepted: Float64Array, most: int) -> tuple[CurvePoint, ...]:
    # Looser thresholds of the same or a smaller risk make a stricter one pointless.
    lowest = np.minimum.accumulate(risks[::-1])[::-1]
    kept = np.flatnonzero(np.append(lowest[1:] > lowest[:-1], True))
    if len(kept) > most:
        kept = kept[np.unique(np.linspace(0, len(kept) - 1, most).astype(np.int64))]
    return tuple(CurvePoint(float(lowest[i]), float(cuts[i]), float(accepted[i] / accepted[-1])) for i in kept)


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
        trust: probability that an answer is right where a fifth of the pictures is of unknown classes; with fewer than
            ten classes it orders answers, and is none (`core.evidence`).
        confidence: the same where every picture is of a known class; None: the temperature's softmax is kept.
        typical: medians of the readings of right answers, which a rejected answer is compared with.
        curve: from `risk_curve`.
        class_curves: from `class_curves`, where each class has a threshold of its own; empty where all share one. A
            class that is not among them shares.
        class_shares: of all answers, how many name each class of `class_curves`, 0..1.
        spread: how far below `typical` the lowest tenth of right answers ends; empty where an older version measured.
    """

    trust: TrustModel
    confidence: TrustModel | None
    typical: tuple[float, ...]
    curve: tuple[CurvePoint, ...]
    class_curves: Mapping[str, tuple[CurvePoint, ...]] = field(default_factory=dict)
    class_shares: Mapping[str, float] = field(default_factory=dict)
    spread: tuple[float, ...] = ()

    def threshold(self, max_error: float, label: str | None = None) -> float:
        """Least trust, 0..1, of an answer that is accepted, of one that names `label` where one is given.

        NOBODY where no answer of a class can be. Raises InvalidInput where so small an error cannot be promised at all.
        """
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
        own = self.class_curves.get(label or "")
        if own is None:
            return _loosest(self.curve, within)
        within = [point for point in own if point.error <= max_error]
        return _loosest(own, within) if within else NOBODY

    def coverage(self, max_error: float) -> float:
        """Share of all answers, 0..1, that was accepted where this was measured. Raises InvalidInput as `threshold`."""
        self.threshold(max_error)
        if not self.class_curves:
            return max(point.coverage for point in self.curve if point.error <= max_error)
        return sum(
            self.class_shares[label] * max((one.coverage for one in curve if one.error <= max_error), default=0.0)
            for label, curve in self.class_curves.items()
        )

    def judged(self, prediction: Prediction, table: Float64Array, max_error: float) -> Rejected | None:
        """None for an answer that is accepted; `table` holds its readings, (3 or 4,)."""
        needed = self.threshold(max_error, prediction.label)
        trust = float(self.trust.probabilities(table[None, :])[0])
        return None if trust >= needed and needed < NOBODY else Rejected(self._reason(prediction, table), trust, needed)

    def _reason(self, prediction: Prediction, table: Float64Array) -> str:
        """What lies farther below a typical right answer, in spreads: nearness (two readings: their mean), or margin.

        Where neither lies lower than in nine right answers of ten, the answer is no odd one: more is needed, of its
        class or of all.

        The weights of trust do not tell: its readings hang together, so that one may stand for the others. On groceries
        (five per cent stated, three seeds) they call 80 % of rejected unknown pictures torn, and 84 % of those whose
        second label is right; this rule 23 and 51 %; on digits (ten per cent) 4 and 20 %, this rule 40 and 76 % (before
        there was a third reason).
        """
        below = np.array(self.typical) - table[: len(self.typical)]
        if self.spread:
            below = below / np.maximum(self.spread, LEAST_SPREAD)
        far = (below[0] + below[READINGS:].sum()) / (1 + len(below[READINGS:]))
        if max(far, below[1]) < (1.0 if self.spread else 0.0):
            own = prediction.top and prediction.top[0].label in self.class_curves
            return f"below what {prediction.top[0].label if own else 'every answer'} needs"
        if len(prediction.top) < 2 or far >= below[1]:
            return "too far"
        return f"torn between {prediction.top[0].label} and {prediction.top[1].label}"

    def as_dict(self) -> dict[str, Any]:
        """JSON-serialisable form, kept with the selection's figures."""
        return {
            "trust": self.trust.as_dict(),
            "confidence": None if self.confidence is None else self.confidence.as_dict(),
            "typical": list(self.typical),
            "curve": _listed(self.curve),
            "class_curves": {label: _listed(curve) for label, curve in self.class_curves.items()},
            "class_shares": dict(self.class_shares),
            "spread": list(self.spread),
        }

    @staticmethod
    def from_dict(value: Mapping[str, Any]) -> Policy:
        """Reads `as_dict` back. Raises ValueError where it cannot be."""
        trust, typical = TrustModel.from_dict(value["trust"]), tuple(float(one) for one in value["typical"])
        if len(typical) != len(trust.weights):
            raise ValueError(f"{len(typical)} typical readings for {len(trust.weights)} weights")
        spread = tuple(float(one) for one in value.get("spread", ()))
        if len(spread) not in (0, len(typical)):
            raise ValueError(f"{len(spread)} spreads for {len(typical)} readings")
        return Policy(
            trust=trust,
            confidence=None if value["confidence"] is None else TrustModel.from_dict(value["confidence"]),
            typical=typical,
            curve=_read(value["curve"]),
            class_curves={str(label): _read(curve) for label, curve in value.get("class_curves", {}).items()},
            class_shares={str(label): float(share) for label, share in value.get("class_shares", {}).items()},
            spread=spread,
        )


def _loosest(curve: Sequence[CurvePoint], within: Sequence[CurvePoint]) -> float:
    # Where the loosest point holds, every answer is wanted: also those less trusted than any that was measured.
    return 0.0 if within[-1] is curve[-1] else within[-1].threshold


def _listed(curve: Sequence[CurvePoint]) -> list[list[float]]:
    return [[point.error, point.threshold, point.coverage] for point in curve]


def _read(points: Sequence[Sequence[float]]) -> tuple[CurvePoint, ...]:
    return tuple(CurvePoint(*map(float, point)) for point in points)


def check_error(max_error: float) -> None:
    """Raises InvalidInput for an error that nobody can mean."""
    if not 0.0 < max_error < 1.0:
        raise InvalidInput(
            f"the error to accept is {max_error}; a share above 0 and below 1 is needed, 0.01 for one in a hundred",
            max_error=max_error,
        )
