"""Draws of a data set: who supports, who tunes, who judges. What judges takes no part in anything else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from scripts.bench.selection import split, with_wrong_labels
from service.core.model import IntArray, LabelledEmbeddings
from service.core.pipeline import joined

HELD_OUT = 0.2
"""Share of a class's pictures that a seeded holdout takes."""
NOBODY = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Case:
    """One draw.

    Attributes:
        support, tuning: what may be known; `tuning` may be empty: then the support lends what it needs.
        judged: pictures that choose nothing, labels right.
        pictures: int64, the judged pictures' numbers: one picture has the same number in every case of a setting.
        seed: of the pipeline.
        budget: references a class at most; None: the product's default.
    """

    support: LabelledEmbeddings
    tuning: LabelledEmbeddings
    judged: LabelledEmbeddings
    pictures: IntArray
    seed: int
    budget: int | None = None


@dataclass(frozen=True, eq=False)
class Setting:
    """Cases whose figures are averaged; `name` is `{data}.{what}.noise{N}`."""

    name: str
    cases: tuple[Case, ...]
    trusted: bool = False
    """Whether verification and calibration are measured on it, too."""
    heads: bool = False
    """Whether heads are compared on it, and nothing else."""


def draw(
    known: tuple[LabelledEmbeddings, LabelledEmbeddings],
    judged: LabelledEmbeddings,
    pictures: IntArray,
    seed: int,
    noise: int = 0,
    budget: int | None = None,
) -> Case:
    """A case of (support, tuning), of whose labels `noise` per cent are replaced by wrong ones."""
    support, tuning = known
    if noise:
        both = with_wrong_labels(joined(support, tuning), noise / 100, seed)
        support, tuning = both.take(np.arange(len(support))), both.take(np.arange(len(support), len(both)))
    return Case(support, tuning, judged, pictures, seed, budget)


def shots_cases(data: LabelledEmbeddings, shots: int, noise: int, seeds: Sequence[int]) -> tuple[Case, ...]:
    """`shots` pictures a class support, half as many tune, the rest judges."""
    found = []
    for seed in seeds:
        support, tuning, judged = split(data, shots, seed)
        known = (data.take(support), data.take(tuning))
        found.append(draw(known, data.take(judged), judged, seed, noise))
    return tuple(found)


def enough(data: LabelledEmbeddings, shots: int) -> bool:
    """Whether the middling class has as many pictures, a third as many to tune, and some to judge."""
    pictures = np.bincount(data.codes, minlength=len(data.classes))
    return float(np.median(pictures)) >= shots + max(1, shots // 3) + 1


def whole_cases(
    data: LabelledEmbeddings, judged: LabelledEmbeddings, noise: int, seeds: Sequence[int]
) -> tuple[Case, ...]:
    """All pictures are candidates; others, of other places and days, judge."""
    others = recoded(judged, data.classes)
    known = (data, data.take(NOBODY))
    return tuple(draw(known, others, np.arange(len(others)), seed, noise) for seed in seeds)


def holdout_cases(data: LabelledEmbeddings, noise: int, seeds: Sequence[int]) -> tuple[Case, ...]:
    """A fifth of each class judges, the rest are candidates; near-duplicates stay on one side."""
    found = []
    for seed in seeds:
        rows = held_out(data, HELD_OUT, seed)
        known = (data.take(~rows), data.take(NOBODY))
        judged = np.flatnonzero(rows)
        found.append(draw(known, data.take(judged), judged, seed, noise))
    return tuple(found)


def held_out(data: LabelledEmbeddings, share: float, seed: int) -> np.ndarray:
    """Mask of the rows held out: a share of every class's groups, one at least and never all."""
    random = np.random.default_rng(seed)
    rows = np.zeros(len(data), dtype=bool)
    for code in np.unique(data.codes):
        groups = random.permutation(np.unique(data.groups[data.codes == code]))
        count = min(len(groups) - 1, max(1, round(share * len(groups))))
        rows |= np.isin(data.groups, groups[:count]) & (data.codes == code)
    return rows


def domain_cases(data: LabelledEmbeddings, domains: Sequence[str], noise: int, seed: int) -> tuple[Case, ...]:
    """Each domain is judged once by references of the others only."""
    found = []
    for number, domain in enumerate(sorted(set(domains))):
        rows = np.array([one == domain for one in domains])
        judged = np.flatnonzero(rows)
        known = (data.take(~rows), data.take(NOBODY))
        found.append(draw(known, data.take(judged), judged, seed + number, noise))
    return tuple(found)


def recoded(data: LabelledEmbeddings, classes: tuple[str, ...]) -> LabelledEmbeddings:
    """The same pictures under the codes of other classes; pictures of labels that are not among them go."""
    place = {label: code for code, label in enumerate(classes)}
    there = np.array([label in place for label in data.classes])[data.codes]
    kept = data.take(there)
    codes = np.array([place.get(label, -1) for label in data.classes], dtype=np.int64)[kept.codes]
    return replace(kept, codes=codes, classes=classes)


def narrowed(data: LabelledEmbeddings, codes: Sequence[int]) -> LabelledEmbeddings:
    """Only the rows of some classes, and only these classes."""
    classes = tuple(data.classes[code] for code in sorted(codes))
    return recoded(data, classes)


def without_classes(one: Case, share: float) -> tuple[Case, np.ndarray]:
    """The case with a share of its classes unknown, and which judged pictures are known, bool (n,).

    Nothing is handed over of the classes left out; in what is judged their codes come after those of the others.
    """
    classes = one.support.classes
    drawn = np.random.default_rng(one.seed).permutation(len(classes))
    unknown = np.sort(drawn[: max(1, round(share * len(classes)))])
    there = np.setdiff1d(np.arange(len(classes)), unknown)
    place = np.empty(len(classes), dtype=np.int64)
    place[np.concatenate([there, unknown])] = np.arange(len(classes))
    named = tuple(classes[code] for code in there)
    judged = replace(
        one.judged, codes=place[one.judged.codes], classes=named + tuple(classes[code] for code in unknown)
    )
    less = replace(one, support=narrowed(one.support, there), tuning=narrowed(one.tuning, there), judged=judged)
    return less, judged.codes < len(there)
