"""Trust in answers, judged on pictures that chose nothing: unknown classes, same or not, confidence, stated errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from service.core.crossfit import CrossFitter
from service.core.fitting import Fitted
from service.core.model import BoolArray, Float64Array, LabelledEmbeddings
from service.core.pairing import compared_pairs
from service.core.recipe import Recipe
from service.core.rejection import Policy
from service.core.reliability import reliability, separation
from service.core.trust import readings, with_nearness
from service.core.verification import Pairs, equal_error, rates
from service.errors import InvalidInput
from service.usecases.trusting import measure_trust

STATED = (0.01, 0.02, 0.05, 0.1, 0.2)
"""Errors that a user may state; the smallest that every case can promise is judged."""
RESAMPLES = 300
BINS = 40


@dataclass(frozen=True, eq=False)
class TrustFound:
    """Of one case, on its judged pictures.

    Attributes:
        confidence: float64 (n,), as served; `right`: bool (n,).
        pairs: pairs of judged pictures, behind the head; `otsu`: the threshold that known pictures set.
    """

    confidence: Float64Array
    right: BoolArray
    pairs: Pairs
    otsu: float


@dataclass(frozen=True, eq=False)
class UnknownFound:
    """Of one case with classes left out, on its judged pictures, (n,) each.

    Attributes:
        trust: as served; `raw`: the largest raw similarity with a support picture.
        known: of a class that was there; `right`: known, and named.
        policy: what decides which answers are accepted.
        pairs: of pictures of classes that nothing was made from; `otsu`: the threshold that known pictures set.
    """

    trust: Float64Array
    raw: Float64Array
    known: BoolArray
    right: BoolArray
    policy: Policy
    pairs: Pairs
    otsu: float


def trust_in(fitter: CrossFitter, fitted: Fitted, recipe: Recipe, judged: LabelledEmbeddings) -> TrustFound | None:
    """None where the known pictures are too few to say anything."""
    figures = _measured(fitter, fitted, recipe)
    if figures is None:
        return None
    policy, otsu = figures
    scores = fitted.scores(judged.embeddings)
    table = readings(scores, fitted.recipe.temperature)
    confidence = np.exp(-table[:, 2]) if policy.confidence is None else policy.confidence.probabilities(table)
    pairs = compared_pairs(fitted, judged, fitter.seed)
    return TrustFound(confidence, scores.argmax(axis=1) == judged.codes, pairs, otsu)


def unknown_in(
    fitter: CrossFitter, fitted: Fitted, recipe: Recipe, judged: LabelledEmbeddings, known: BoolArray
) -> UnknownFound | None:
    """`known` (n,) says which of the judged pictures are of classes that have references."""
    figures = _measured(fitter, fitted, recipe)
    if figures is None:
        return None
    policy, otsu = figures
    scores = fitted.scores(judged.embeddings)
    strangers = judged.take(~known)
    nearness = (judged.embeddings @ fitted.data.embeddings.T).max(axis=1)
    table = with_nearness(readings(scores, fitted.recipe.temperature), nearness)
    return UnknownFound(
        trust=policy.trust.probabilities(table),
        raw=(judged.embeddings @ fitter.data.embeddings.T).max(axis=1).astype(np.float64),
        known=known,
        right=known & (scores.argmax(axis=1) == judged.codes),
        policy=policy,
        pairs=compared_pairs(fitted, strangers, fitter.seed),
        otsu=otsu,
    )


def _measured(fitter: CrossFitter, fitted: Fitted, recipe: Recipe) -> tuple[Policy, float] | None:
    """What the product stores with a selection, by cross-fitting alone: no holdout is shown to it."""
    nobody = fitter.data.take(np.zeros(0, dtype=np.int64))
    figures = measure_trust(fitter, fitted, recipe, nobody, all_serve=False).figures
    if "policy" not in figures or "pictures" not in figures.get("verification", {}):
        return None
    return Policy.from_dict(figures["policy"]), float(figures["verification"]["pictures"]["otsu"]["threshold"])


def trust_figures(data: str, found: Sequence[TrustFound]) -> dict[str, float]:
    """Verification and calibration error over all cases."""
    verified = verification_figures(f"{data}.verify", [(one.pairs, one.otsu) for one in found])
    confidence = np.concatenate([one.confidence for one in found])
    right = np.concatenate([one.right for one in found])
    return verified | {
        f"{data}.calibration.ece": reliability(confidence, right)["ece"],
        f"{data}.calibration.answers": float(len(right)),
    }


def verification_figures(prefix: str, found: Sequence[tuple[Pairs, float]]) -> dict[str, float]:
    """Rates at each case's Otsu threshold and its EER in the mean; the pairs' histogram."""
    usable = [(pairs, otsu) for pairs, otsu in found if len(pairs) and pairs.usable]
    if not usable:
        return {}
    at_otsu = [rates(pairs, otsu) for pairs, otsu in usable]
    edges = np.linspace(-1.0, 1.0, BINS + 1)
    figures = {
        f"{prefix}.tpr": float(np.mean([one["tpr"] for one in at_otsu])),
        f"{prefix}.tnr": float(np.mean([one["tnr"] for one in at_otsu])),
        f"{prefix}.eer": float(np.mean([equal_error(pairs)[1] for pairs, _ in usable])),
        f"{prefix}.otsu": float(np.mean([otsu for _, otsu in usable])),
        f"{prefix}.same": float(sum(int(pairs.same.sum()) for pairs, _ in usable)),
        f"{prefix}.different": float(sum(int((~pairs.same).sum()) for pairs, _ in usable)),
    }
    for kind, wanted in (("same", True), ("different", False)):
        values = np.concatenate([pairs.similarities[pairs.same == wanted] for pairs, _ in usable])
        shares = np.histogram(values, edges)[0] / len(values)
        figures |= {f"{prefix}.histogram.{kind}.{number:02d}": float(share) for number, share in enumerate(shares)}
    return figures


def unknown_figures(data: str, found: Sequence[UnknownFound], seed: int) -> dict[str, float]:
    """Known against unknown by the served trust and by the raw similarity; the error among accepted answers."""
    members = {"holotype": [one.trust for one in found], "raw": [one.raw for one in found]}
    known = [one.known for one in found]
    drawn = _resampled(members, known, seed)
    figures: dict[str, float] = {}
    for name, values in members.items():
        for figure in ("auroc", "fpr95"):
            low, high = np.quantile(drawn[name][figure], (0.025, 0.975))
            mean = float(np.mean([separation(v, k)[figure] for v, k in zip(values, known, strict=True)]))
            prefix = f"{data}.unknown.{name}.{figure}"
            figures |= {prefix: mean, f"{prefix}_low": float(low), f"{prefix}_high": float(high)}
    for figure in ("auroc", "fpr95"):
        ahead = drawn["holotype"][figure] - drawn["raw"][figure]
        low, high = np.quantile(ahead, (0.025, 0.975))
        figures |= {
            f"{data}.unknown.ahead.{figure}_low": float(low),
            f"{data}.unknown.ahead.{figure}_high": float(high),
        }
    strangers = verification_figures(f"{data}.verify_strangers", [(one.pairs, one.otsu) for one in found])
    return figures | _accepted(data, found) | strangers


def _resampled(
    members: Mapping[str, Sequence[Float64Array]], known: Sequence[BoolArray], seed: int
) -> dict[str, dict[str, Float64Array]]:
    """Bootstrap of the mean over cases: each case's pictures are resampled, for both members the same ones."""
    random = np.random.default_rng(seed)
    drawn = {name: {"auroc": np.zeros(RESAMPLES), "fpr95": np.zeros(RESAMPLES)} for name in members}
    for number in range(RESAMPLES):
        for case, there in enumerate(known):
            kinds = (np.flatnonzero(there), np.flatnonzero(~there))
            rows = np.concatenate([random.choice(kind, len(kind)) for kind in kinds])
            for name, values in members.items():
                for figure, value in separation(values[case][rows], there[rows]).items():
                    drawn[name][figure][number] += value / len(known)
    return drawn


def _accepted(data: str, found: Sequence[UnknownFound]) -> dict[str, float]:
    """The smallest error that all cases can promise, and what came of it over all their answers.

    The promise is for a fifth of unknown pictures: they are weighed so. The interval is of a binomial share.
    """
    for stated in STATED:
        try:
            needed = [one.policy.threshold(stated) for one in found]
        except InvalidInput:
            continue
        accepted = np.concatenate([one.trust >= least for one, least in zip(found, needed, strict=True)])
        right = np.concatenate([one.right for one in found])
        known = np.concatenate([one.known for one in found])
        weights = np.where(known, 1.0, 0.25 * known.sum() / max((~known).sum(), 1))
        taken = float(weights[accepted].sum())
        if not taken:
            continue
        realised = float(weights[accepted & ~right].sum() / taken)
        draws = np.random.default_rng(0).binomial(int(accepted.sum()), realised, 2000) / accepted.sum()
        low, high = np.quantile(draws, (0.025, 0.975))
        prefix = f"{data}.calibration"
        return {
            f"{prefix}.stated_error": stated,
            f"{prefix}.realised_error": realised,
            f"{prefix}.realised_error_low": float(low),
            f"{prefix}.realised_error_high": float(high),
            f"{prefix}.coverage": taken / float(weights.sum()),
            f"{prefix}.accepted": float(accepted.sum()),
        }
    return {}
