"""Keeps suspected label errors out of head and references.

Every example is judged by a shrinkage LDA and class means that never saw it (folds). "disputed" drops it when they put
another class first. "confident" drops it only when that other class is also as probable as it is for the examples that
carry its label: the rule of confident learning (Northcutt, Jiang and Chuang 2021), which spares hard but right ones.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from service.core.folds import deal_folds, fold_count
from service.core.model import BoolArray, Float64Array, LabelledEmbeddings
from service.core.projection import Scatter, fit_head
from service.core.pull import class_means
from service.core.recipe import Cleaning

JUDGE_SHRINKAGE = 0.2
JUDGE_TEMPERATURE = 0.1


def out_of_fold_probabilities(data: LabelledEmbeddings, seed: int) -> Float64Array:
    """Probability of every class for every row, (n, C), by a judge that was fitted without the row's fold."""
    folds = fold_count(data)
    probabilities = np.full((len(data), len(data.classes)), 1.0 / len(data.classes))
    if folds < 2:
        return probabilities
    fold_of = deal_folds(data, folds, seed)
    for fold in range(folds):
        judged, known = np.flatnonzero(fold_of == fold), np.flatnonzero(fold_of != fold)
        if not (judged.size and known.size):
            continue
        head = fit_head("lda", Scatter.of(data.embeddings[known], data.codes[known]), JUDGE_SHRINKAGE)
        means = class_means(head.project(data.embeddings[known]), data.codes[known], len(data.classes))
        logits = (head.project(data.embeddings[judged]) @ means.T).astype(np.float64) / JUDGE_TEMPERATURE
        logits[:, np.setdiff1d(np.arange(len(means)), data.codes[known])] = -np.inf
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities[judged] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities


def trusted_rows(data: LabelledEmbeddings, cleaning: Cleaning, probabilities: Callable[[], Float64Array]) -> BoolArray:
    """Mask (n,) of the rows to use. A class never loses its last row: its least disputed one stays.

    `probabilities` gives `out_of_fold_probabilities`; it is asked only where anything can be doubted.
    """
    trusted = np.ones(len(data), dtype=np.bool_)
    if cleaning == "none" or len(np.unique(data.codes)) < 2 or fold_count(data) < 2:
        return trusted
    judged = probabilities()
    rows = np.arange(len(data))
    given = judged[rows, data.codes]
    likely = judged.argmax(axis=1)
    trusted = np.asarray(likely == data.codes)
    if cleaning == "confident":
        counts = np.maximum(np.bincount(data.codes, minlength=len(data.classes)), 1)
        usual = np.bincount(data.codes, weights=given, minlength=len(data.classes)) / counts
        trusted |= judged[rows, likely] < usual[likely]
    for code in np.setdiff1d(data.codes, data.codes[trusted]):
        members = np.flatnonzero(data.codes == code)
        trusted[members[given[members].argmax()]] = True
    return trusted
