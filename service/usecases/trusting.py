"""What an optimisation finds out about trust: the rejection policy, the calibration, the thresholds of verification."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from service.core.agreement import WITH_ANSWERS, class_similarities
from service.core.crossfit import CrossFitter
from service.core.evidence import Evidence, evidence_of, learnt, with_strangers
from service.core.fitting import Fitted
from service.core.model import BoolArray, Float32Array, Float64Array, LabelledEmbeddings
from service.core.pairing import compared_pairs, crossfitted_judgement, crossfitted_pairs
from service.core.recipe import Recipe
from service.core.rejection import Policy, class_curves, risk_curve
from service.core.reliability import log_loss, reliability, roc_points, separation
from service.core.trust import READINGS, TrustModel, crossfitted_probabilities, fit_trust, readings
from service.core.unknowns import Answers, out_of_fold
from service.core.verification import (
    RULES,
    Pairs,
    joined,
    judged_pairs,
    label_pairs,
    pair_histogram,
    thresholds_on,
)
from service.usecases.unmeasured import NO_PAIRS, NONE_ASKED, PAIRS, RISK, TRUST, UNKNOWN, why_no_risk

CURVE_POINTS = 100
LOWEST = 0.1
"""Share of right answers whose readings are below a spread under the typical one."""


@dataclass(frozen=True, slots=True)
class Trusted:
    """Figures, small, and parts of the report; JSON values. `unmeasured` says why there is none, by part."""

    figures: dict[str, Any] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)
    unmeasured: dict[str, str] = field(default_factory=dict)


def measure_trust(
    fitter: CrossFitter | None,
    candidate: Fitted,
    recipe: Recipe,
    holdout: LabelledEmbeddings,
    *,
    all_serve: bool,
    by_class: bool = False,
) -> Trusted:
    """Rejection, calibration and verification of what is going to serve.

    Args:
        fitter: support and tuning with their folds; None where nothing could be searched, of which nothing can be said.
        candidate: what answers the holdout: the choice, or all references where the gate refused it.
        recipe: of the choice, thresholds open.
        holdout: judges the thresholds of verification; may be empty.
        all_serve: the gate refused the choice.
        by_class: each class has a threshold of its own that rejects its answers; else all share one.
    """
    if fitter is None:
        return Trusted()
    whole = out_of_fold(fitter, recipe, all_serve=all_serve, leave_out=False)
    if whole is None:
        return Trusted(unmeasured=dict.fromkeys(TRUST, NONE_ASKED))
    confidence = _calibrated(whole, recipe.temperature)
    evidence = _evidence(fitter, recipe, whole, all_serve=all_serve)
    classes = fitter.data.classes if by_class else ()
    rejection = _rejection(evidence, len(np.unique(fitter.data.codes)), confidence.model, classes)
    verification = _verification(fitter, candidate, recipe, holdout, whole, all_serve=all_serve)
    strangers = {UNKNOWN: NONE_ASKED} if evidence.known.all() else {}
    return Trusted(
        {**confidence.figures, **rejection.figures, **verification.figures},
        {**confidence.report, **rejection.report, **verification.report},
        {**rejection.unmeasured, **strangers, **verification.unmeasured},
    )


@dataclass(frozen=True, slots=True)
class _Calibration:
    model: TrustModel | None
    figures: dict[str, Any]
    report: dict[str, Any]


def _calibrated(whole: Answers, temperature: float) -> _Calibration:
    """The logistic confidence where it is the better claim by out-of-fold likelihood, else the softmax."""
    table = readings(whole.scores, temperature)
    softmax = np.exp(-table[:, 2])
    softmax_found = reliability(softmax, whole.right)
    logistic = crossfitted_probabilities(table, whole.right, whole.part_of)
    better = logistic is not None and log_loss(logistic, whole.right) < log_loss(softmax, whole.right)
    found = reliability(logistic, whole.right) if better and logistic is not None else softmax_found
    return _Calibration(
        fit_trust(table, whole.right) if better else None,
        {
            "confidence": "logistic" if better else "temperature",
            "ece": found["ece"],
            "ece_temperature": softmax_found["ece"],
        },
        {"reliability": {"served": found["bins"], "temperature": softmax_found["bins"]}},
    )


def _evidence(fitter: CrossFitter, recipe: Recipe, whole: Answers, *, all_serve: bool) -> Evidence:
    """With unknown pictures among it, where there can be any."""
    outsiders = out_of_fold(fitter, recipe, all_serve=all_serve, leave_out=True)
    if outsiders is not None and not outsiders.known.all():
        return evidence_of(outsiders, recipe.temperature)
    return with_strangers(whole, fitter, recipe.temperature) or evidence_of(whole, recipe.temperature)


def _rejection(evidence: Evidence, present: int, confidence: TrustModel | None, classes: tuple[str, ...]) -> Trusted:
    """`classes` where each has a threshold of its own; none where they share one. `present` have pictures."""
    found, right = learnt(evidence, present), evidence.right
    if found is None:
        return Trusted(unmeasured=dict.fromkeys((RISK, UNKNOWN), why_no_risk(right)))
    table, trust = evidence.table[:, : len(found.model.weights)], found.trust
    typical = np.median(table[right], axis=0)
    spread = typical - np.quantile(table[right], LOWEST, axis=0)
    curve = risk_curve(trust, right, evidence.weights)
    policy = Policy(found.model, confidence, tuple(typical.tolist()), curve, spread=tuple(spread.tolist()))
    if classes:
        shares = np.bincount(evidence.named, evidence.weights, minlength=len(classes)) / evidence.weights.sum()
        policy = replace(
            policy,
            class_curves=class_curves(trust, right, evidence.weights, evidence.named, classes),
            class_shares={classes[code]: float(shares[code]) for code in np.unique(evidence.named)},
        )
    report: dict[str, Any] = {"risk_coverage": _risk_coverage(evidence, trust)}
    figures: dict[str, Any] = {"policy": policy.as_dict()}
    known, raw = evidence.known, evidence.table[:, READINGS]
    if not known.all():
        by_raw = separation(raw, known)
        figures |= {
            **separation(trust, known),
            "raw_auroc": by_raw["auroc"],
            "raw_fpr95": by_raw["fpr95"],
            "unknown_pictures": int((~known).sum()),
        }
        report["unknown_roc"] = {"trust": roc_points(trust, known), "raw": roc_points(raw, known)}
    return Trusted(figures, report)


def _risk_coverage(evidence: Evidence, trust: Float64Array) -> dict[str, list[list[float]]]:
    """[coverage, error] as measured, no correction: of the mixture with unknown pictures, and of the known alone."""
    everyone = np.ones(len(trust), dtype=bool)
    return {
        "mixed": _curve(evidence, trust, everyone),
        "known": _curve(evidence, trust, evidence.known),
    }


def _curve(evidence: Evidence, trust: Float64Array, rows: BoolArray) -> list[list[float]]:
    order = np.flatnonzero(rows)[np.argsort(-trust[rows], kind="stable")]
    weights = evidence.weights[order]
    accepted = np.cumsum(weights)
    errors = np.cumsum(weights * ~evidence.right[order]) / accepted
    shown = np.unique(np.linspace(0, len(order) - 1, min(CURVE_POINTS, len(order))).astype(np.int64))
    return [[round(float(accepted[i] / accepted[-1]), 5), round(float(errors[i]), 5)] for i in shown]


def _verification(
    fitter: CrossFitter,
    candidate: Fitted,
    recipe: Recipe,
    holdout: LabelledEmbeddings,
    whole: Answers,
    *,
    all_serve: bool,
) -> Trusted:
    pictures = crossfitted_pairs(fitter, recipe, all_serve=all_serve)
    if recipe.neighbours is not None:  # a picture is compared with a class by similarity, whoever votes
        alone = replace(recipe, neighbours=None)
        whole = out_of_fold(fitter, alone, all_serve=all_serve, leave_out=False) or whole
    labels = [
        label_pairs(_likeness(recipe, whole.scores[rows]), whole.truth[rows], fitter.seed)
        for rows in (whole.part_of == part for part in np.unique(whole.part_of))
    ]
    unseen = _holdout_pairs(candidate, holdout, fitter.seed) if len(holdout) else (None, None)
    by_label = _stored([pairs for pairs in labels if len(pairs)], unseen[1])
    found = {
        "pictures": _marked(_stored(pictures, unseen[0])),
        "labels": _marked(by_label) if recipe.neighbours is None else by_label,
    }
    figures = {name: one for name, one in found.items() if one is not None}
    if "pictures" not in figures:
        return Trusted({"verification": figures} if figures else {}, unmeasured={PAIRS: NO_PAIRS})
    thresholds = {rule: figures["pictures"][rule]["threshold"] for rule in RULES}
    shown = unseen[0] if figures["pictures"]["measured_on"] == "holdout" else None
    histogram = pair_histogram(joined(pictures) if shown is None else shown, thresholds)
    return Trusted({"verification": figures}, {"pairs": histogram})


def _marked(stored: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if stored is None else {**stored, "compared": WITH_ANSWERS}


def _holdout_pairs(candidate: Fitted, holdout: LabelledEmbeddings, seed: int) -> tuple[Pairs, Pairs]:
    nearest = replace(candidate, recipe=replace(candidate.recipe, neighbours=None))
    return (
        compared_pairs(candidate, holdout, seed),
        label_pairs(_likeness(candidate.recipe, nearest.scores(holdout.embeddings)), holdout.codes, seed),
    )


def _likeness(recipe: Recipe, scores: Float32Array) -> Float32Array:
    """How alike pictures and classes are; the score alone where classes are voted on, its temperature is of votes."""
    return scores if recipe.neighbours is not None else class_similarities(scores, recipe.temperature)


def _stored(parts: list[Pairs], unseen: Pairs | None) -> dict[str, Any] | None:
    """Thresholds of all parts, judged on the holdout or, where it has no pairs of either kind, by cross-fitting."""
    if not parts or not joined(parts).usable:
        return None
    pairs = joined(parts)
    if unseen is not None and unseen.usable:
        return judged_pairs(pairs, unseen, "holdout")
    crossed = crossfitted_judgement(parts)
    if crossed is None:
        return None
    thresholds = thresholds_on(pairs)
    return {
        **{
            rule: {"threshold": thresholds[rule], "tpr": crossed[f"{rule}_tpr"], "tnr": crossed[f"{rule}_tnr"]}
            for rule in RULES
        },
        "eer_rate": crossed["eer_rate"],
        "same": int(pairs.same.sum()),
        "different": int((~pairs.same).sum()),
        "measured_on": "cross-fitting",
    }
