"""Trust in answers, judged on pictures that chose nothing: unknown classes, same or not, confidence, stated errors.

Intervals are over classes: which classes are unknown decides more than how many pictures of them were asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scripts.bench.class_bootstrap import ClassBootstrap, measured
from scripts.bench.promises import promised_figures
from service.core.crossfit import CrossFitter
from service.core.fitting import Fitted
from service.core.model import BoolArray, Float64Array, IntArray, LabelledEmbeddings
from service.core.pairing import compared_pairs
from service.core.recipe import Recipe
from service.core.rejection import Policy
from service.core.reliability import reliability, separation
from service.core.trust import readings, with_nearness
from service.core.verification import Pairs, equal_error, rates
from service.usecases.trusting import measure_trust

BINS = 40


@dataclass(frozen=True, eq=False)
class TrustFound:
    """Of one case, on its judged pictures.

    Attributes:
        confidence: float64 (n,), as served; `right`: bool (n,).
        pairs: pairs of judged pictures, behind the head.
        otsu: the threshold that known pictures set; None where too few did.
    """

    confidence: Float64Array
    right: BoolArray
    pairs: Pairs
    otsu: float | None


@dataclass(frozen=True, eq=False)
class UnknownFound:
    """Of one case with classes left out, on its judged pictures, (n,) each.

    Attributes:
        trust: as served; `raw`: the largest raw similarity with a support picture.
        known: of a class that was there; `right`: known, and named.
        labels: true classes, by name.
        policy: what decides which answers are accepted.
        pairs: of pictures of classes that nothing was made from.
        otsu: as above.
    """

    trust: Float64Array
    raw: Float64Array
    known: BoolArray
    right: BoolArray
    labels: tuple[str, ...]
    policy: Policy
    pairs: Pairs
    otsu: float | None


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
        labels=tuple(judged.classes[code] for code in judged.codes),
        policy=policy,
        pairs=compared_pairs(fitted, strangers, fitter.seed),
        otsu=otsu,
    )


def _measured(fitter: CrossFitter, fitted: Fitted, recipe: Recipe) -> tuple[Policy, float | None] | None:
    """What the product stores with a selection, by cross-fitting alone: no holdout is shown to it."""
    nobody = fitter.data.take(np.zeros(0, dtype=np.int64))
    figures = measure_trust(fitter, fitted, recipe, nobody, all_serve=False).figures
    if "policy" not in figures:
        return None
    compared = figures.get("verification", {}).get("pictures")
    return Policy.from_dict(figures["policy"]), None if compared is None else float(compared["otsu"]["threshold"])


def trust_figures(data: str, found: Sequence[TrustFound]) -> dict[str, float]:
    """Verification and calibration error over all cases."""
    verified = verification_figures(f"{data}.verify", [(one.pairs, one.otsu) for one in found])
    confidence = np.concatenate([one.confidence for one in found])
    right = np.concatenate([one.right for one in found])
    return verified | {
        f"{data}.calibration.ece": reliability(confidence, right)["ece"],
        f"{data}.calibration.answers": float(len(right)),
    }


def verification_figures(prefix: str, found: Sequence[tuple[Pairs, float | None]]) -> dict[str, float]:
    """Rates at each case's Otsu threshold and its EER in the mean; the pairs' histogram. Nothing without pairs."""
    usable = [(pairs, otsu) for pairs, otsu in found if otsu is not None and len(pairs) and pairs.usable]
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
    bootstrap = ClassBootstrap([one.labels for one in found], seed)

    def separated(case: int, rows: IntArray) -> list[float] | None:
        """AUROC and FPR95 by trust, and by raw similarity, of the same pictures."""
        known = found[case].known[rows]
        if known.all() or not known.any():
            return None
        by_trust, by_raw = (separation(values[rows], known) for values in (found[case].trust, found[case].raw))
        return [by_trust["auroc"], by_trust["fpr95"], by_raw["auroc"], by_raw["fpr95"]]

    drawn = bootstrap.means(separated)
    columns = {"holotype": drawn[:, :2], "raw": drawn[:, 2:], "ahead": drawn[:, :2] - drawn[:, 2:]}
    figures: dict[str, float] = {}
    for member, column in columns.items():
        for place, figure in enumerate(("auroc", "fpr95")):
            mean, low, high = measured(column[:, place])
            prefix = f"{data}.unknown.{member}.{figure}"
            figures |= {prefix: mean, f"{prefix}_low": low, f"{prefix}_high": high}
    strangers = verification_figures(f"{data}.verify_strangers", [(one.pairs, one.otsu) for one in found])
    return figures | promised_figures(data, found, bootstrap) | strangers
