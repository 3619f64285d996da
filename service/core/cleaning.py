"""Keeps suspected label errors out of head and references.

Every example is judged by a shrinkage LDA and class means that never saw it (folds). "disputed" drops it when they put
another class first, which also costs the hard examples that a class needs most. "modelled" weighs that: if a share e of
the labels is wrong, at random, an example carries its label with probability (1 - e) p + e (1 - p) / (C - 1), p being
the judge's probability of it. e and the judge's temperature are those that make the labels likeliest, and an example
goes where an error explains its label better. What is left teaches the next judge. The noise model is the symmetric one
of Lawrence and Scholkopf (2001); where few labels are wrong it doubts next to nothing. An example that is all but
surely of one other class is no reference, but teaches head and class means as one of that class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from service.core.folds import deal_folds, fold_count
from service.core.model import BoolArray, Float32Array, Float64Array, IntArray, LabelledEmbeddings
from service.core.projection import Scatter, fit_head
from service.core.pull import class_means
from service.core.recipe import Cleaning
from service.core.spanned import spanned

JUDGE_SHRINKAGE = 0.2
JUDGE_TEMPERATURE = 0.1
TEMPERATURES = (0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.13, 0.17, 0.25)
WRONG_SHARES = np.array([0.001, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4])
ROUNDS = 3
SURE = 0.8
"""Probability of another class from which on an example teaches it. 0.5 corrects more labels, more of them wrongly."""
NOTHING = -1
BLOCK_ROWS = 1024
"""Rows judged at a time: their probabilities of a thousand classes stay in the processor's caches."""

Judge = Callable[[BoolArray], Float32Array]
"""From a mask (n,) of the rows to learn from to `out_of_fold_probabilities`."""


def out_of_fold_probabilities(data: LabelledEmbeddings, seed: int, teaching: BoolArray | None = None) -> Float32Array:
    """Probability of every class for every row, float32 (n, C), by a judge that was fitted without the row's fold.

    `teaching` is a mask (n,) of the rows that judges may be fitted to; None: all.
    """
    folds = fold_count(data)
    if folds < 2:
        return np.full((len(data), len(data.classes)), 1.0 / len(data.classes), dtype=np.float32)
    return judged_by_fold(data, deal_folds(data, folds, seed), teaching)


def judged_by_fold(data: LabelledEmbeddings, fold_of: IntArray, teaching: BoolArray | None = None) -> Float32Array:
    """The same for folds that are given, int64 (n,); alike for all classes where a fold has nothing beside it."""
    probabilities = np.full((len(data), len(data.classes)), 1.0 / len(data.classes), dtype=np.float32)
    learnt = np.ones(len(data), dtype=np.bool_) if teaching is None else teaching
    embeddings, parts = spanned(data.embeddings)  # once for the judges of all folds
    for fold in np.unique(fold_of):
        judged, known = np.flatnonzero(fold_of == fold), np.flatnonzero((fold_of != fold) & learnt)
        if not (judged.size and known.size):
            continue
        scatter = Scatter.of(embeddings[known], data.codes[known], parts, data.embeddings.shape[1])
        head = fit_head("lda", scatter, JUDGE_SHRINKAGE)
        means = class_means(head.project(embeddings[known]), data.codes[known], len(data.classes))
        unknown = np.setdiff1d(np.arange(len(means)), data.codes[known])
        for start in range(0, len(judged), BLOCK_ROWS):
            rows = judged[start : start + BLOCK_ROWS]
            logits = head.project(embeddings[rows]) @ means.T
            logits /= np.float32(JUDGE_TEMPERATURE)
            logits[:, unknown] = -np.inf
            logits -= logits.max(axis=1, keepdims=True)
            exponentials = np.exp(logits, out=logits)
            exponentials /= exponentials.sum(axis=1, keepdims=True)
            probabilities[rows] = exponentials
    return probabilities


@dataclass(frozen=True, slots=True, eq=False)
class Cleaned:
    """What became of n rows.

    Attributes:
        trusted: bool (n,), those that may be references.
        taught: int64 (n,), the class that a row teaches to head and class means; NOTHING where it is not known.
    """

    trusted: BoolArray
    taught: IntArray


def cleaned(data: LabelledEmbeddings, cleaning: Cleaning, judge: Judge) -> Cleaned:
    """Which rows to use, and as what. A class never loses its last row: its least disputed one stays.

    `judge` is asked only where anything can be doubted.
    """
    trusted = np.ones(len(data), dtype=np.bool_)
    if cleaning == "none" or len(np.unique(data.codes)) < 2 or fold_count(data) < 2:
        return Cleaned(trusted, data.codes)
    if cleaning == "disputed":
        probabilities = judge(trusted)
        trusted = _no_class_lost(probabilities.argmax(axis=1) == data.codes, probabilities, data.codes)
        return Cleaned(trusted, np.where(trusted, data.codes, NOTHING))
    for _ in range(ROUNDS):
        probabilities = judge(trusted)
        rights = rights_of(probabilities, data.codes)
        before, trusted = trusted, _no_class_lost(rights.own >= 0.5, probabilities, data.codes)
        if np.array_equal(before, trusted):  # the next judge would be the same
            break
    corrected = np.where(rights.best >= SURE, rights.which, NOTHING)
    return Cleaned(trusted, np.where(trusted, data.codes, corrected))


def _no_class_lost(trusted: BoolArray, probabilities: Float32Array, codes: IntArray) -> BoolArray:
    given = probabilities[np.arange(len(codes)), codes]
    for code in np.setdiff1d(codes, codes[trusted]):
        members = np.flatnonzero(codes == code)
        trusted[members[given[members].argmax()]] = True
    return trusted


@dataclass(frozen=True, slots=True, eq=False)
class Rights:
    """Of the class that is right under the likeliest noise, for n rows.

    Attributes:
        own: float64 (n,), probability that it is the row's own.
        best, which: float64 and int64 (n,), probability and code of the likeliest.
    """

    own: Float64Array
    best: Float64Array
    which: IntArray


def rights_of(probabilities: Float32Array, codes: IntArray) -> Rights:
    """Which class is right; rows whose class no judge knew are right as they are. Some rows at a time."""
    n = len(codes)
    known = probabilities[np.arange(n), codes] > 0.0
    others = max(len(np.unique(codes)) - 1, 1)
    blocks = [slice(start, min(start + BLOCK_ROWS, n)) for start in range(0, n, BLOCK_ROWS)]
    sure = np.empty((len(TEMPERATURES), n))
    for rows in blocks:
        logs = _logs(probabilities[rows])
        for place, temperature in enumerate(TEMPERATURES):
            chances, sums = _sharpened(logs, temperature)
            sure[place, rows] = chances[np.arange(len(logs)), codes[rows]] / sums
    temperature, share = _likeliest(sure[:, known], others)
    found = Rights(np.empty(n), np.empty(n), np.empty(n, dtype=np.int64))
    for rows in blocks:
        chances, sums = _sharpened(_logs(probabilities[rows]), temperature)
        own = np.arange(len(sums)), codes[rows]
        shares = chances / sums[:, None]
        rights = shares * (share / others)
        rights[own] = (1.0 - share) * shares[own]
        rights /= np.maximum(rights.sum(axis=1, keepdims=True), 1e-300)
        rights[~known[rows]] = np.eye(rights.shape[1])[codes[rows][~known[rows]]]
        found.own[rows], found.best[rows], found.which[rows] = rights[own], rights.max(axis=1), rights.argmax(axis=1)
    return found


def _logs(probabilities: Float32Array) -> Float32Array:
    """In single precision: powers are found ten times as fast."""
    with np.errstate(divide="ignore"):  # a class that no judge knew
        return np.log(probabilities)


def _sharpened(logs: Float32Array, temperature: float) -> tuple[Float32Array, Float64Array]:
    """Chances at another temperature than the judge's, times the sums (n,) that go with them."""
    raised = logs * np.float32(JUDGE_TEMPERATURE / temperature)
    np.exp(raised, out=raised)
    return raised, raised.sum(axis=1).astype(np.float64)


def _likeliest(sure: Float64Array, others: int) -> tuple[float, float]:
    """Temperature and share of wrong labels that make the labels likeliest.

    Each temperature makes the judge `sure`, (t, n), of a row's label; `others` are the classes that it may else be of.
    """
    best, likeliest = -np.inf, (TEMPERATURES[0], float(WRONG_SHARES[0]))
    for temperature, own in zip(TEMPERATURES, sure, strict=True):
        as_right, as_wrong = np.outer(1.0 - WRONG_SHARES, own), np.outer(WRONG_SHARES, (1.0 - own) / others)
        likelihoods = np.log(np.maximum(as_right + as_wrong, 1e-300)).sum(axis=1)
        if likelihoods.max() > best:
            best, likeliest = float(likelihoods.max()), (temperature, float(WRONG_SHARES[likelihoods.argmax()]))
    return likeliest
