"""Answers to pictures that took no part in making the references, some of them of classes that have no reference.

Five rounds. In each a picture fold is judged, and a fifth of the classes has no reference at all: all its pictures are
unknown. Every class is left out once. The unknown count together as a quarter of the known, so a fifth of all. Data of
fewer than five folds have rounds in which only the unknown are asked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from service.core.crossfit import CrossFitter
from service.core.fitting import all_behind, fit, prepare
from service.core.model import BoolArray, Float32Array, Float64Array, IntArray
from service.core.recipe import Recipe

ROUNDS = 5
UNKNOWN = -1
UNKNOWN_SHARE = 0.2
"""Of all pictures asked, in the risk that is promised."""
BLOCK_ROWS = 2000
"""Pictures asked at a time, so that their similarities with all support fit into memory."""
MIN_CLASSES = 3
"""Fewer classes cannot spare one: the rest would have no rival."""


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """Out-of-fold answers.

    Attributes:
        scores: float32 (n, C), class scores; -inf for classes left out; every row has a finite score.
        truth: int64 (n,), UNKNOWN for pictures of left-out classes.
        raw: float32 (n,), largest raw similarity with any support picture that was there: the baseline.
        part_of: int64 (n,), the round.
    """

    scores: Float32Array
    truth: IntArray
    raw: Float32Array
    part_of: IntArray

    @property
    def known(self) -> BoolArray:
        """Bool (n,)."""
        return np.asarray(self.truth != UNKNOWN)

    @property
    def right(self) -> BoolArray:
        """Bool (n,): known, and named."""
        return np.asarray(self.scores.argmax(axis=1) == self.truth)

    @property
    def weights(self) -> Float64Array:
        """Float64 (n,): 1 for the known; the unknown share out UNKNOWN_SHARE of the total."""
        known = int(self.known.sum())
        unknown = UNKNOWN_SHARE / (1.0 - UNKNOWN_SHARE) * known / max(len(self.truth) - known, 1)
        return np.where(self.known, 1.0, unknown)

    def take(self, rows: BoolArray) -> Answers:
        """The rows of a mask."""
        return Answers(self.scores[rows], self.truth[rows], self.raw[rows], self.part_of[rows])


def left_out_classes(classes: int, seed: int) -> IntArray:
    """The round in which each class is left out, int64 (classes,), as even as can be."""
    rounds = np.empty(classes, dtype=np.int64)
    rounds[np.random.default_rng(seed).permutation(classes)] = np.arange(classes) % ROUNDS
    return rounds


def out_of_fold(fitter: CrossFitter, recipe: Recipe, *, all_serve: bool, leave_out: bool) -> Answers | None:
    """Answers by what would serve; None where no round can be asked.

    Args:
        fitter: the labelled pictures and their folds, two at least.
        recipe: as chosen, thresholds open.
        all_serve: the gate refused the choice; all support pictures answer, behind its head.
        leave_out: leave classes out; else every class is there and every picture is known.
    """
    classes = len(fitter.data.classes)
    present = len(np.unique(fitter.data.codes))
    if leave_out and present < MIN_CLASSES:
        return None
    out_in = np.full(classes, UNKNOWN)
    if leave_out:  # a class without pictures can be nobody's unknown one
        out_in[np.unique(fitter.data.codes)] = left_out_classes(present, fitter.seed)
    found = [
        _round(fitter, recipe, number, out_in == number, all_serve=all_serve)
        for number in range(ROUNDS if leave_out else fitter.folds)
    ]
    parts = [part for part in found if part is not None]
    if not parts:
        return None
    return Answers(
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.truth for part in parts]),
        np.concatenate([part.raw for part in parts]),
        np.concatenate([part.part_of for part in parts]),
    )


def _round(fitter: CrossFitter, recipe: Recipe, number: int, left_out: BoolArray, *, all_serve: bool) -> Answers | None:
    data = fitter.data
    support, tuning, judged = (rows[~left_out[data.codes[rows]]] for rows in fitter.roles(number % fitter.folds))
    if number >= fitter.folds:  # judged in an earlier round already
        judged = judged[:0]
    unknown = np.flatnonzero(left_out[data.codes])
    asked = np.concatenate([judged, unknown])
    if not (len(support) and len(asked)):
        return None
    if left_out.any():
        prepared = prepare(data.take(support), recipe.cleaning, fitter.seed)
    else:
        prepared = fitter.prepared(number, recipe.cleaning)
    thresholds = data.take(tuning) if fitter.tuned and len(tuning) else None
    if all_serve:
        fitted = all_behind(prepared.head(recipe), recipe, data.take(support))
    else:
        fitted = fit(recipe, prepared, thresholds, balanced=fitter.balanced)
    blocks = [data.embeddings[asked[start : start + BLOCK_ROWS]] for start in range(0, len(asked), BLOCK_ROWS)]
    answers = Answers(
        scores=np.concatenate([fitted.scores(block) for block in blocks]),
        truth=np.concatenate([data.codes[judged], np.full(len(unknown), UNKNOWN, dtype=np.int64)]),
        raw=np.concatenate([(block @ data.embeddings[support].T).max(axis=1) for block in blocks]),
        part_of=np.full(len(asked), number, dtype=np.int64),
    )
    # A class whose only pictures are judged has no reference: nothing is known of how such answers are trusted.
    answerable = np.isfinite(answers.scores[np.arange(len(asked)), answers.truth]) | ~answers.known
    return answers.take(answerable)


@dataclass(frozen=True, slots=True, eq=False)
class Strangers:
    """Every picture as if its class was not there.

    Attributes:
        nearness: float32 (n,), largest raw similarity with a support picture of the other classes.
        named: int64 (n,), the class of that picture.
        part_of: int64 (n,), the fold in which it was judged.
    """

    nearness: Float32Array
    named: IntArray
    part_of: IntArray


def strangers(fitter: CrossFitter) -> Strangers | None:
    """Of every fold's judged pictures; None where nothing is judged. It takes two classes."""
    data = fitter.data
    found: list[tuple[Float32Array, IntArray, IntArray]] = []
    for fold in range(fitter.folds):
        support, _, judged = fitter.roles(fold)
        for code in np.unique(data.codes[judged]):
            others, asked = support[data.codes[support] != code], judged[data.codes[judged] == code]
            if not len(others):
                continue
            for start in range(0, len(asked), BLOCK_ROWS):
                near = data.embeddings[asked[start : start + BLOCK_ROWS]] @ data.embeddings[others].T
                found.append((near.max(axis=1), data.codes[others[near.argmax(axis=1)]], np.full(len(near), fold)))
    if not found:
        return None
    nearness, named, part_of = (np.concatenate(column) for column in zip(*found, strict=True))
    return Strangers(nearness, named, part_of)
