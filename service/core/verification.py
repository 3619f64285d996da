"""Same class or not: thresholds on the similarity of two pictures, or of a picture and a class.

Otsu's threshold (1979) splits similarities into two groups with the largest variance between them, labels unseen; the
EER threshold is where as many pairs of the same class fall below as pairs of different classes above. Pairs of
different classes outnumber the others by far, and Otsu would split them alone: same and different weigh the same here.
On unseen pairs of groceries (LDA head) that gives a TPR of 0.988 and a TNR of 0.826, the natural weights 0.999 and
0.599; on digits 0.945 and 0.928 against 0.975 and 0.836.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from service.core.model import BoolArray, Float32Array, Float64Array, IntArray
from service.core.reliability import roc_points
from service.errors import InvalidInput

Rule = Literal["otsu", "eer"]
RULES: tuple[Rule, ...] = ("otsu", "eer")
MAX_PAIRS = 20_000
"""Of each kind; more are sampled."""
HISTOGRAM_BINS = 50


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Similarities of pairs: float64 (n,), and whether they are of one class: bool (n,)."""

    similarities: Float64Array
    same: BoolArray

    def __len__(self) -> int:
        return len(self.same)

    @property
    def usable(self) -> bool:
        """Are there pairs of either kind?"""
        return bool(self.same.any() and not self.same.all())

    @property
    def weights(self) -> Float64Array:
        """Float64 (n,): same and different sum to 1/2 each. Needs either kind."""
        return np.asarray(np.where(self.same, 0.5 / self.same.sum(), 0.5 / (~self.same).sum()))


def joined(parts: Sequence[Pairs]) -> Pairs:
    """All pairs of several sets, at least one."""
    return Pairs(np.concatenate([p.similarities for p in parts]), np.concatenate([p.same for p in parts]))


def picture_pairs(projections: Float32Array, codes: IntArray, groups: IntArray, seed: int) -> Pairs:
    """Pairs of rows, without pairs of near-duplicates; at most MAX_PAIRS of each kind, drawn with the seed.

    Args:
        projections: float32 (n, k), unit rows, in the space of the head that serves.
        codes: int64 (n,), classes.
        groups: int64 (n,), equal for near-duplicates.
        seed: of the draw.
    """
    random = np.random.default_rng(seed)
    firsts, seconds = _same_pairs(codes, groups, random)
    chosen = random.permutation(len(firsts))[:MAX_PAIRS]
    firsts, seconds = firsts[chosen], seconds[chosen]
    others = _different_pairs(codes, random)
    rows = np.concatenate([np.stack([firsts, seconds]), others], axis=1)
    same = np.arange(rows.shape[1]) < len(firsts)
    similarities = np.einsum("nk,nk->n", projections[rows[0]], projections[rows[1]], dtype=np.float64)
    return Pairs(np.clip(similarities, -1.0, 1.0), same)


def label_pairs(scores: Float32Array, truth: IntArray, seed: int) -> Pairs:
    """Pictures against classes: a picture's score for its own class is "same", for every other one "different".

    `scores` is float32 (n, C), -inf for classes without a reference, which make no pair; `truth` int64 (n,), negative
    for a picture of no class that is here. At most MAX_PAIRS of each kind.
    """
    own = np.arange(scores.shape[1])[None, :] == truth[:, None]
    finite = np.isfinite(scores)
    random = np.random.default_rng(seed)
    same, different = (
        values[random.choice(len(values), min(len(values), MAX_PAIRS), replace=False)]
        for values in (scores[own & finite], scores[~own & finite])
    )
    return Pairs(
        np.concatenate([same, different]).astype(np.float64), np.arange(len(same) + len(different)) < len(same)
    )


def _same_pairs(codes: IntArray, groups: IntArray, random: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Rows of each pair of one class; large classes lend as many rows as give several times what will be drawn."""
    firsts, seconds = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    present = np.unique(codes)
    most = 20 + math.isqrt(16 * MAX_PAIRS // max(len(present), 1))
    for code in present:
        rows = np.flatnonzero(codes == code)
        rows = rows if len(rows) <= most else np.sort(random.permutation(rows)[:most])
        upper = np.triu(groups[rows][:, None] != groups[rows][None, :], 1)
        one, other = np.nonzero(upper)
        firsts.append(rows[one])
        seconds.append(rows[other])
    return np.concatenate(firsts), np.concatenate(seconds)


def _different_pairs(codes: IntArray, random: np.random.Generator) -> IntArray:
    """(2, m) rows of different classes: all of them where there are few, else drawn, none twice."""
    n = len(codes)
    if n * (n - 1) // 2 <= 4 * MAX_PAIRS:
        one, other = np.nonzero(np.triu(codes[:, None] != codes[None, :], 1))
        chosen = random.permutation(len(one))[:MAX_PAIRS]
        return np.stack([one[chosen], other[chosen]])
    drawn = np.sort(random.integers(0, n, (2, 4 * MAX_PAIRS)), axis=0)
    drawn = np.unique(drawn[:, codes[drawn[0]] != codes[drawn[1]]], axis=1)
    return drawn[:, random.permutation(drawn.shape[1])[:MAX_PAIRS]]


def otsu_threshold(values: Float64Array, weights: Float64Array) -> float:
    """The cut with the largest variance between what lies below and above it, exact: every cut is tried.

    `values` and `weights` are float64 (n,), n >= 1, weights above 0. Halfway between two neighbouring values; equally
    good cuts are averaged. One value only is its own threshold.
    """
    order = np.argsort(values, kind="stable")
    ranked, mass = values[order], weights[order]
    ends = np.flatnonzero(ranked[1:] > ranked[:-1])
    if not len(ends):
        return float(ranked[0])
    below = np.cumsum(mass)
    sums = np.cumsum(mass * ranked)
    w0, w1 = below[ends], below[-1] - below[ends]
    between = w0 * w1 * (sums[ends] / w0 - (sums[-1] - sums[ends]) / w1) ** 2
    best = ends[between >= between.max() * (1.0 - 1e-12)]
    return float(np.mean((ranked[best] + ranked[best + 1]) / 2.0))


def equal_error(pairs: Pairs) -> tuple[float, float]:
    """(threshold, equal error rate): where missed pairs of one class and let-in pairs of two classes are as frequent.

    Of all cuts the one with the smallest difference of the two rates is taken (then the one with the smallest sum),
    halfway between two neighbouring similarities; the rate is their mean, 0..1. Needs either kind of pair.
    """
    values = np.unique(pairs.similarities)
    cuts = np.concatenate([[values[0]], (values[1:] + values[:-1]) / 2.0, [np.nextafter(values[-1], np.inf)]])
    same, different = np.sort(pairs.similarities[pairs.same]), np.sort(pairs.similarities[~pairs.same])
    missed = np.searchsorted(same, cuts, side="left") / len(same)
    let_in = 1.0 - np.searchsorted(different, cuts, side="left") / len(different)
    best = np.lexsort((missed + let_in, np.abs(missed - let_in)))[0]
    return float(cuts[best]), float((missed[best] + let_in[best]) / 2.0)


def rates(pairs: Pairs, threshold: float) -> dict[str, float]:
    """{tpr, tnr}: shares of pairs of one class at or above the threshold, and of two classes below it."""
    above = pairs.similarities >= threshold
    return {"tpr": float(above[pairs.same].mean()), "tnr": float((~above)[~pairs.same].mean())}


def thresholds_on(pairs: Pairs) -> dict[Rule, float]:
    """Each rule's threshold. Needs either kind of pair."""
    return {"otsu": otsu_threshold(pairs.similarities, pairs.weights), "eer": equal_error(pairs)[0]}


def judged_pairs(tuned: Pairs, unseen: Pairs, measured_on: str) -> dict[str, Any]:
    """Thresholds set on `tuned` and judged on `unseen`: what is stored with a selection, JSON-serialisable."""
    found = thresholds_on(tuned)
    return {
        **{rule: {"threshold": found[rule], **rates(unseen, found[rule])} for rule in RULES},
        "eer_rate": equal_error(unseen)[1],
        "same": int(unseen.same.sum()),
        "different": int((~unseen.same).sum()),
        "measured_on": measured_on,
    }


def pair_histogram(pairs: Pairs, thresholds: Mapping[Rule, float]) -> dict[str, Any]:
    """What the report draws: {edges, same, different (densities), thresholds, roc}."""
    low, high = float(pairs.similarities.min()), float(pairs.similarities.max())
    edges = np.linspace(low, max(high, low + 1e-6), HISTOGRAM_BINS + 1)
    same, different = (
        np.histogram(pairs.similarities[kind], edges, density=True)[0].round(5).tolist()
        for kind in (pairs.same, ~pairs.same)
    )
    return {
        "edges": edges.round(5).tolist(),
        "same": same,
        "different": different,
        "thresholds": dict(thresholds),
        "roc": roc_points(pairs.similarities, pairs.same),
    }


def check_rule(rule: str) -> None:
    """Raises InvalidInput for a rule that is not known."""
    if rule not in RULES:
        raise InvalidInput(f"rule {rule!r} is unknown; known are {', '.join(RULES)}", rule=rule)
