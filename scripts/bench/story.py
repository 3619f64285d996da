"""The story that the method's source tells: twelve classes that are confused, few references chosen of many."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scripts.bench.cases import NOBODY, Case, draw, narrowed, recoded
from service.core.crossfit import CrossFitter
from service.core.model import IntArray, LabelledEmbeddings
from service.core.pipeline import joined
from service.core.recipe import Recipe

CLASSES = 12
CANDIDATES = 30
BUDGET = 6
FEWEST_JUDGED = 3
SOURCE = {"all references": (64, 60), "chosen": (79, 78)}
"""What the source reports of its own pictures: accuracy and weighted F1 in per cent."""


def story_cases(data: LabelledEmbeddings, more: LabelledEmbeddings | None, seeds: Sequence[int]) -> tuple[Case, ...]:
    """30 candidates a class are drawn, the classes that they confuse most are kept, all other pictures judge.

    Args:
        data: pictures that candidates are drawn from.
        more: further pictures that judge only, or None.
        seeds: one case each. Empty where fewer than twelve classes have 30 candidates and 3 pictures more.
    """
    everything = data if more is None else joined(data, _apart(recoded(more, data.classes), data))
    may_support = np.arange(len(everything)) < len(data)
    found = []
    for seed in seeds:
        candidates, judged = _drawn(everything, may_support, seed)
        codes = _confused(everything.take(candidates), seed)
        if len(codes) < CLASSES:
            return ()
        support = narrowed(everything.take(candidates), codes)
        there = judged[np.isin(everything.codes[judged], codes)]
        known = (support, support.take(NOBODY))
        found.append(draw(known, narrowed(everything.take(there), codes), there, seed, budget=BUDGET))
    return tuple(found)


def _apart(more: LabelledEmbeddings, data: LabelledEmbeddings) -> LabelledEmbeddings:
    """Near-duplicates were looked for in each set alone, so their groups are numbered apart."""
    return LabelledEmbeddings(
        more.embeddings, more.codes, more.classes, more.ids, more.groups + data.groups.max(initial=-1) + 1
    )


def _drawn(data: LabelledEmbeddings, may_support: np.ndarray, seed: int) -> tuple[IntArray, IntArray]:
    """Rows of candidates and of what judges, of the classes that have enough of both."""
    random = np.random.default_rng(seed)
    candidates: list[int] = []
    judged: list[int] = []
    for code in np.unique(data.codes):
        rows = np.flatnonzero((data.codes == code) & may_support)
        groups = random.permutation(np.unique(data.groups[rows]))
        ordered = np.concatenate([rows[data.groups[rows] == group] for group in groups]) if len(groups) else rows
        own = ordered[:CANDIDATES]
        # Near-duplicates of a candidate judge nothing.
        others = np.flatnonzero((data.codes == code) & ~np.isin(data.groups, data.groups[own]))
        if len(own) == CANDIDATES and len(others) >= FEWEST_JUDGED:
            candidates.extend(own.tolist())
            judged.extend(others.tolist())
    return np.sort(np.array(candidates, dtype=np.int64)), np.sort(np.array(judged, dtype=np.int64))


def _confused(candidates: LabelledEmbeddings, seed: int) -> IntArray:
    """The classes whose candidates the nearest other raw picture names worst, most confused first drawn, sorted."""
    if not len(candidates):
        return NOBODY
    fitter = CrossFitter(candidates, seed)
    wrong = fitter.run(Recipe()).scores.argmax(axis=1) != candidates.codes
    present = np.unique(candidates.codes)
    errors = np.array([wrong[candidates.codes == code].mean() for code in present])
    return np.sort(present[np.argsort(-errors, kind="stable")[:CLASSES]])
