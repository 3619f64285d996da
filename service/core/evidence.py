"""What trust is learnt from: readings of answers whose rightness is known, and of pictures of unknown classes.

Learnt is a logistic model of all readings. With few classes it tells unknown pictures worse than their raw similarity
does: the few that can be left out are not like others, and the scores of a catalogue without them are not like its own.
There two simpler models lead, one of the raw similarity, known against unknown, and one of the readings, right against
wrong among the known; their logits are added, and the whole model's is taken in by as much as there are classes
(`whole_share`). AUROC of right against wrong and unknown, on pictures and classes that fitted nothing (ten pictures a
class, 12 to 24 draws of classes; the whole model, the raw similarity, what is used):

    classes     digits                  groceries
    3           0.725, 0.812, 0.810     0.834, 0.912, 0.911
    4           0.822, 0.809, 0.849     0.777, 0.909, 0.852
    5           0.869, 0.801, 0.878     0.878, 0.900, 0.893
    6           0.899, 0.840, 0.907     0.844, 0.914, 0.907
    7 and 8     0.924, 0.788, 0.930     0.909, 0.873, 0.905

From ten on the whole model is the best of the three.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from service.core.crossfit import CrossFitter
from service.core.model import BoolArray, Float64Array, IntArray
from service.core.reliability import losses
from service.core.trust import (
    MIN_OF_EACH,
    READINGS,
    TrustModel,
    crossfitted,
    crossfitted_probabilities,
    fit_nearness,
    fit_trust,
    readings,
    summed,
    with_nearness,
)
from service.core.unknowns import UNKNOWN_SHARE, Answers, strangers

FEW, ENOUGH = 2, 10
"""Classes with which the whole model counts nothing, and those from which on it is all that counts."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Answers to pictures that the references were not made from, (n,) each.

    Attributes:
        table: float64 (n, 4), readings and nearness.
        right: bool, known and named.
        known: bool, of a class that was there.
        named: int64, the answer's class.
        weights: float64, above 0, what each counts.
        part_of: int64, parts that are judged without one another.
    """

    table: Float64Array
    right: BoolArray
    known: BoolArray
    named: IntArray
    weights: Float64Array
    part_of: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Learnt:
    """Trust as it is served, `model`, and of each answer by what was learnt without its part, `trust`, float64 (n,)."""

    model: TrustModel
    trust: Float64Array


def evidence_of(answers: Answers, temperature: float) -> Evidence:
    """Answers as they are."""
    table = with_nearness(readings(answers.scores, temperature), answers.raw)
    named = answers.scores.argmax(axis=1)
    return Evidence(table, answers.right, answers.known, named, answers.weights, answers.part_of)


def with_strangers(whole: Answers, fitter: CrossFitter, temperature: float) -> Evidence | None:
    """Answers of all classes, and every picture once more as an unknown one; None where nobody could be asked.

    For two classes, of which none can be left out: a class alone has no rival, so its scores mean something else. Of
    unknown pictures the nearness is measured, and their other readings are taken to be a known one's typical ones.
    """
    known, unknown = evidence_of(whole, temperature), strangers(fitter)
    if unknown is None:
        return None
    count = len(unknown.nearness)
    typical = np.tile(np.median(known.table[:, :READINGS], axis=0), (count, 1))
    weight = UNKNOWN_SHARE / (1.0 - UNKNOWN_SHARE) * len(known.right) / count
    nobody = np.zeros(count, dtype=bool)
    return Evidence(
        np.concatenate([known.table, with_nearness(typical, unknown.nearness)]),
        np.concatenate([known.right, nobody]),
        np.concatenate([known.known, nobody]),
        np.concatenate([known.named, unknown.named]),
        np.concatenate([known.weights, np.full(count, weight)]),
        np.concatenate([known.part_of, unknown.part_of]),
    )


def whole_share(classes: int) -> float:
    """How much the whole model's logit counts, 0..1."""
    return min(max((classes - FEW) / (ENOUGH - FEW), 0.0), 1.0)


def learnt(evidence: Evidence, classes: int) -> Learnt | None:
    """Trust in the answers of a catalogue of so many classes; None where too few answers were right, or wrong."""
    right, known = evidence.right, evidence.known
    everybody = np.ones(len(right), dtype=bool)
    taught = [everybody, *(evidence.part_of != part for part in np.unique(evidence.part_of))]
    if not all(int(right[rows].sum()) >= MIN_OF_EACH for rows in taught):
        return None
    share = whole_share(classes) if all(_enough(known[rows]) for rows in taught) else 1.0
    # Decided once: a curve holds for the model that is served only if its parts were judged by models of the same kind.
    names = all(_enough(right[rows & known]) for rows in taught)
    columns = _columns(evidence) if share else READINGS

    def fit(rows: BoolArray) -> TrustModel | None:
        return _fitted(evidence, rows, share, columns, names=names)

    trust, model = crossfitted(evidence.table, evidence.part_of, fit), fit(everybody)
    return None if trust is None or model is None else Learnt(model, trust)


def _enough(outcome: BoolArray) -> bool:
    return min(int(outcome.sum()), int((~outcome).sum())) >= MIN_OF_EACH


def _fitted(evidence: Evidence, rows: BoolArray, share: float, columns: int, *, names: bool) -> TrustModel | None:
    """The models of the rows, by their shares; None where one of them cannot be fitted.

    `names` says whether the readings of known pictures tell right from wrong: too few may have been named wrongly.
    """
    table, right, weights = evidence.table[rows], evidence.right[rows], evidence.weights[rows]
    known = evidence.known[rows]
    models: list[tuple[float, TrustModel | None]] = []
    if share:
        models.append((share, fit_trust(table[:, :columns], right, weights)))
    if share == 1.0:
        return models[0][1]
    models.append((1.0 - share, fit_nearness(table[:, READINGS], known, weights)))
    if names:
        models.append((1.0 - share, fit_trust(table[known, :READINGS], right[known])))
    fitted = [(part, model) for part, model in models if model is not None]
    return summed(fitted) if len(fitted) == len(models) else None


def _columns(evidence: Evidence) -> int:
    """Readings that tell more by out-of-fold likelihood: with the nearness, 4, or without it, 3.

    Nearness tells known from unknown: where no class could be left out, nothing says what it is worth.
    """
    if evidence.known.all():
        return READINGS
    right, weights, parts = evidence.right, evidence.weights, evidence.part_of
    plain, nearer = (
        crossfitted_probabilities(evidence.table[:, :columns], right, parts, weights)
        for columns in (READINGS, READINGS + 1)
    )
    if plain is None or nearer is None:
        return READINGS
    gain = np.average(losses(plain, right) - losses(nearer, right), weights=weights)
    return READINGS + 1 if gain > 0 else READINGS
