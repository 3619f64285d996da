"""Labels in doubt, by judges that saw neither a picture nor anything nearly the same.

A label is disputed where the judge puts another class first. Whether it is *surely* wrong follows confident learning
(Northcutt, Jiang and Chuang 2021) and the noise model of `core.cleaning`, both: the first spares hard but right
pictures of a class, the second those of a catalogue so small that its judges are too sure of themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from service.core.cleaning import judged_by_fold, rights_of
from service.core.folds import deal_folds, fold_count
from service.core.hygiene import thin_classes
from service.core.model import BoolArray, Float64Array, IntArray, LabelledEmbeddings

DEALINGS = 5
"""Times that the folds are dealt; the probabilities are their mean. What one judge learns from eight pictures a class
hangs on which eight: on 80 photos of groceries in 8 classes, a fifth of the labels wrong, five dealings instead of one
raised the share of wrong ones among the sure from 0.60 to 0.67, and with the noise model to 0.89."""
MANY_ROWS = 1000
"""With more, one dealing does, and five would take five times as long: of 2 640 photos in 81 classes 99.1 and 99.5 % of
the sure ones were wrong."""
LIKELIER_THAN_NOT = 0.5


@dataclass(frozen=True, slots=True)
class LabelSuspect:
    """A row whose label the judge disputes.

    Attributes:
        row: which.
        likely: code of the class that the judge puts first.
        given_probability, likely_probability: 0..1, out of fold.
        sure: the likely class is as probable as it usually is for pictures that carry its label, and likelier than not
            the right one under the noise that explains all labels best.
    """

    row: int
    likely: int
    given_probability: float
    likely_probability: float
    sure: bool


def judged_probabilities(data: LabelledEmbeddings, twins: IntArray, seed: int) -> Float64Array:
    """Out-of-fold probabilities of every class for every row, float64 (n, C); zeros where nobody could judge.

    Classes of fewer than five distinct pictures (`hygiene.THIN_PICTURES`) are left out: their rows are not judged and
    teach nothing, their columns are 0. So is a row whose class was not known to its judges, in that class's column.

    Args:
        data: n labelled rows; the folds hang on their order, so that it should hang on the pictures' content alone.
        twins: int64 (n,), equal for near-duplicates whatever their labels (`duplicates.twins`): none judges another.
        seed: of the folds.
    """
    probabilities = np.zeros((len(data), len(data.classes)))
    known = np.flatnonzero(~np.isin(data.codes, [code for code, _ in thin_classes(data)]))
    if not known.size:
        return probabilities
    judged = replace(data.take(known), groups=twins[known])
    dealings = DEALINGS if len(judged) <= MANY_ROWS else 1
    for dealing in range(dealings):
        fold_of = _dealt(judged, seed + dealing)
        if len(np.unique(fold_of)) > 1:
            probabilities[known] += judged_by_fold(judged, fold_of) / dealings
    return np.minimum(probabilities, 1.0)  # single precision sums to a hair more


def _dealt(data: LabelledEmbeddings, seed: int) -> IntArray:
    """Folds, int64 (n,), dealt class by class; a group that lies in several goes with its first row."""
    fold_of = deal_folds(data, fold_count(data), seed)
    _, first, inverse = np.unique(data.groups, return_index=True, return_inverse=True)
    return np.asarray(fold_of[first][inverse.reshape(-1)], dtype=np.int64)


def usual_probabilities(data: LabelledEmbeddings, probabilities: Float64Array) -> Float64Array:
    """How probable each class is for the rows that carry its label, in the mean, float64 (C,); 1 without any row."""
    given = probabilities[np.arange(len(data)), data.codes]
    counts = np.bincount(data.codes, minlength=len(data.classes))
    sums = np.bincount(data.codes, weights=given, minlength=len(data.classes))
    return np.where(counts, sums / np.maximum(counts, 1), 1.0)


def label_suspects(data: LabelledEmbeddings, probabilities: Float64Array) -> list[LabelSuspect]:
    """Rows whose judge puts another class first, the sure ones first, then by the gap of the two probabilities.

    On photos of groceries with 20 % wrong labels, of the sure ones 89 % were wrong (74 % of all wrong ones) in 8
    classes of 10, 73 % (55 %) in 2 classes of 9, 99 % (83 %) in 81 classes of 33 in the mean; without the noise model
    and with one dealing 60 % (94 %), 55 % (88 %) and 96 % (84 %). With right labels 2 of 3 200 were sure
    in 8 classes of 10. Rows whose judge did
    not know their class (probability 0) are passed over.

    Args:
        data: n labelled rows.
        probabilities: float64 (n, C) of `judged_probabilities`.
    """
    rows = np.arange(len(data))
    given = probabilities[rows, data.codes]
    likely = probabilities.argmax(axis=1)
    best = probabilities[rows, likely]
    sure = (best >= usual_probabilities(data, probabilities)[likely]) & _wrong_under_noise(data, probabilities, likely)
    suspects = [
        LabelSuspect(row, int(likely[row]), float(given[row]), float(best[row]), bool(sure[row]))
        for row in np.flatnonzero((likely != data.codes) & (given > 0)).tolist()
    ]
    return sorted(suspects, key=lambda one: (not one.sure, one.given_probability - one.likely_probability, one.row))


def _wrong_under_noise(data: LabelledEmbeddings, probabilities: Float64Array, likely: IntArray) -> BoolArray:
    """Rows whose likely class is rather the right one than all others together, bool (n,)."""
    found = np.zeros(len(data), dtype=np.bool_)
    judged = np.flatnonzero(probabilities[np.arange(len(data)), data.codes] > 0)
    if judged.size:
        rights = rights_of(probabilities[judged].astype(np.float32), data.codes[judged])
        found[judged] = (rights.which == likely[judged]) & (rights.best >= LIKELIER_THAN_NOT)
    return found
