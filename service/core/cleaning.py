"""Keeps suspected label errors out of head and references.

Every example is judged by a shrinkage LDA and class means that never saw it (folds). "disputed" drops it when they put
another class first, which also costs the hard examples that a class needs most. "modelled" weighs that: if a share e of
the labels is wrong, at random, an example carries its label with probability (1 - e) p + e (1 - p) / (C - 1), p being
the judge's probability of it. e and the judge's temperature are those that make the labels likeliest, and an example
goes where an error explains its label better. What is left teaches the next judge. The noise model is the symmetric one
of Lawrence and Scholkopf (2001); where few labels are wrong it doubts next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from service.core.folds import deal_folds, fold_count
from service.core.model import BoolArray, Float64Array, IntArray, LabelledEmbeddings
from service.core.projection import Scatter, fit_head
from service.core.pull import class_means
from service.core.recipe import Cleaning

JUDGE_SHRINKAGE = 0.2
JUDGE_TEMPERATURE = 0.1
TEMPERATURES = (0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.13, 0.17, 0.25)
WRONG_SHARES = np.array([0.001, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4])
ROUNDS = 3

Judge = Callable[[BoolArray], Float64Array]
"""From a mask (n,) of the rows to learn from to `out_of_fold_probabilities`."""


def out_of_fold_probabilities(data: LabelledEmbeddings, seed: int, teaching: BoolArray | None = None) -> Float64Array:
    """Probability of every class for every row, (n, C), by a judge that was fitted without the row's fold.

    `teaching` is a mask (n,) of the rows that judges may be fitted to; None: all.
    """
    folds = fold_count(data)
    probabilities = np.full((len(data), len(data.classes)), 1.0 / len(data.classes))
    if folds < 2:
        return probabilities
    fold_of = deal_folds(data, folds, seed)
    learnt = np.ones(len(data), dtype=np.bool_) if teaching is None else teaching
    for fold in range(folds):
        judged, known = np.flatnonzero(fold_of == fold), np.flatnonzero((fold_of != fold) & learnt)
        if not (judged.size and known.size):
            continue
        head = fit_head("lda", Scatter.of(data.embeddings[known], data.codes[known]), JUDGE_SHRINKAGE)
        means = class_means(head.project(data.embeddings[known]), data.codes[known], len(data.classes))
        logits = (head.project(data.embeddings[judged]) @ means.T).astype(np.float64) / JUDGE_TEMPERATURE
        logits[:, np.setdiff1d(np.arange(len(means)), data.codes[known])] = -np.inf
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities[judged] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities


def trusted_rows(data: LabelledEmbeddings, cleaning: Cleaning, judge: Judge) -> BoolArray:
    """Mask (n,) of the rows to use. A class never loses its last row: its least disputed one stays.

    `judge` is asked only where anything can be doubted.
    """
    trusted = np.ones(len(data), dtype=np.bool_)
    if cleaning == "none" or len(np.unique(data.codes)) < 2 or fold_count(data) < 2:
        return trusted
    if cleaning == "disputed":
        probabilities = judge(trusted)
        return _no_class_lost(probabilities.argmax(axis=1) == data.codes, probabilities, data.codes)
    for _ in range(ROUNDS):
        probabilities = judge(trusted)
        before, trusted = trusted, _no_class_lost(_rather_right(probabilities, data.codes), probabilities, data.codes)
        if np.array_equal(before, trusted):  # the next judge would be the same
            break
    return trusted


def _no_class_lost(trusted: BoolArray, probabilities: Float64Array, codes: IntArray) -> BoolArray:
    given = probabilities[np.arange(len(codes)), codes]
    for code in np.setdiff1d(codes, codes[trusted]):
        members = np.flatnonzero(codes == code)
        trusted[members[given[members].argmax()]] = True
    return trusted


def _rather_right(probabilities: Float64Array, codes: IntArray) -> BoolArray:
    """Rows (n,) whose label is likelier right than wrong under the likeliest noise; those that no judge knew stay."""
    given = probabilities[np.arange(len(codes)), codes]
    known = given > 0.0
    if not known.any():
        return ~known
    others = max(len(np.unique(codes)) - 1, 1)
    best, right = -np.inf, known
    for temperature in TEMPERATURES:
        sharpened = probabilities ** (JUDGE_TEMPERATURE / temperature)
        sure = sharpened[np.arange(len(codes)), codes] / sharpened.sum(axis=1)
        as_right, as_wrong = np.outer(1.0 - WRONG_SHARES, sure), np.outer(WRONG_SHARES, (1.0 - sure) / others)
        likelihoods = np.log(np.maximum(as_right + as_wrong, 1e-300))[:, known].sum(axis=1)
        share = int(likelihoods.argmax())
        if likelihoods[share] > best:
            best, right = float(likelihoods[share]), as_right[share] >= as_wrong[share]
    return np.asarray(right | ~known)
