"""Heads trained by gradient descent: proxy, triplet, contrastive and contrastive-centre losses over unit projections.

All of them start at a closed-form head and turn its matrix so that classes lie farther apart; each loss is a function
of similarities alone, so one backward pass serves them all. In NumPy and not in a network library: the matrix is small
(hundreds of steps take a second), and a head has to come out the same on every device. Proxies and centres are learnt
in `core.proxies`; here are the losses of pictures against each other.

Sources: semi-hard triplets FaceNet (Schroff et al. 2015), pairs Hadsell et al. (2006).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from service.core.descent import TINY, Adam, unit
from service.core.model import Float32Array, IntArray
from service.core.projection import Head
from service.core.proxies import Pupil, against_proxies, centre_slope, groups_of, proxy_slope

TrainedKind = Literal["proxy", "triplet", "contrastive", "centre"]
TRAINED_KINDS: tuple[TrainedKind, ...] = ("proxy", "triplet", "contrastive", "centre")
Mining = Literal["semi_hard", "random"]

WIDTH = 256
"""Most dimensions of a trained head's output."""
MARGIN = 0.2
"""By which a triplet's negative shall be less similar than its positive."""
PAIR_MARGIN = 1.0
"""Distance (0..2 between unit rows) from which on a pair of two classes costs nothing."""
STEPS = (50, 200)
"""Of gradient descent, few where there is little to learn from: those that a search chooses between."""
BATCH_CLASSES, BATCH_OF_CLASS = 32, 4

Slope = Callable[[Float32Array, IntArray], Float32Array]
"""From similarities (b, t) and what each row's target is to the gradient (b, t) of the mean loss."""


@dataclass(frozen=True, slots=True, eq=False)
class Lessons:
    """What a head is trained on.

    Attributes:
        embeddings: float32 (n, d), unit rows.
        codes: int64 (n,), the classes.
        start: where to begin; its mean stays, its matrix is cut to the first `WIDTH` columns.
    """

    embeddings: Float32Array
    codes: IntArray
    start: Head

    @property
    def empty(self) -> bool:
        """There is nothing to tell apart: one class, or no two pictures of any class."""
        counts = np.bincount(self.codes)
        return bool(np.count_nonzero(counts) < 2 or counts.max() < 2)

    def pupil(self) -> Pupil:
        """As the losses need it."""
        matrix = self.start.matrix[:, :WIDTH].astype(np.float32)
        matrix *= np.sqrt(matrix.shape[1]) / np.linalg.norm(matrix)
        return Pupil((self.embeddings - self.start.mean).astype(np.float32), self.codes, matrix)


def train_heads(
    kind: TrainedKind, lessons: Sequence[Lessons], steps: Sequence[int], seed: int, mining: Mining = "semi_hard"
) -> list[dict[int, Head]]:
    """Heads of each of the lessons, one for each number of steps: one training passes them all by.

    Args:
        kind: the loss.
        lessons: what each head learns from. None sees another's; small ones are worked on side by side.
        steps: of gradient descent; 0 gives the start. How many is chosen by cross-fitting: that is the early stopping.
        seed: of the batches; the same seed gives the same heads.
        mining: which negative a triplet takes: the most similar one that is less similar than the positive, or any.

    The start itself comes back of lessons that are empty.
    """
    heads = [dict.fromkeys(steps, one.start) for one in lessons]
    taught = [place for place, one in enumerate(lessons) if not one.empty]
    pupils = [lessons[place].pupil() for place in taught]
    for group in groups_of(pupils) if kind in ("proxy", "centre") else [[place] for place in range(len(pupils))]:
        passed = _trained(kind, [pupils[place] for place in group], max(steps), seed, mining)
        for done, matrices in enumerate(passed, 1):
            if done not in steps:
                continue
            for place, matrix in zip(group, matrices, strict=True):
                heads[taught[place]][done] = Head(kind, lessons[taught[place]].start.mean, matrix.copy())
    return heads


def _trained(
    kind: TrainedKind, pupils: Sequence[Pupil], steps: int, seed: int, mining: Mining
) -> Iterator[list[Float32Array]]:
    """The matrices after each step. Only proxies and centres take several pupils."""
    random = np.random.default_rng(seed)
    match kind:
        case "proxy":
            return against_proxies(pupils, proxy_slope, steps, random)
        case "centre":
            return against_proxies(pupils, centre_slope, steps, random)
        case "contrastive":
            return _within_batches(pupils[0], _pair_slope, steps, random)
        case "triplet":
            return _within_batches(pupils[0], _triplets(mining, random), steps, random)


def _within_batches(
    pupil: Pupil, slope_of: Slope, steps: int, random: np.random.Generator
) -> Iterator[list[Float32Array]]:
    """Pictures against each other, a few of each of some classes at a time; the matrix after each step."""
    matrix = pupil.matrix.copy()
    descend = Adam(matrix)
    for _ in range(steps):
        batch = _classes_batch(pupil.codes, random)
        rows = pupil.rows[batch]
        z, z_back = unit(rows @ matrix)
        slope = slope_of(z @ z.T, pupil.codes[batch])
        both_ways: Float32Array = np.add(slope, slope.T, dtype=np.float32)
        descend.step(rows.T @ z_back(both_ways @ z))
        yield [matrix]


def _classes_batch(codes: IntArray, random: np.random.Generator) -> IntArray:
    present, counts = np.unique(codes, return_counts=True)
    several = present[counts > 1]
    drawn = random.permutation(several)[:BATCH_CLASSES]
    if len(drawn) < 2:  # one class of several pictures: the others lend their single ones as negatives
        drawn = present
    return np.concatenate([random.permutation(np.flatnonzero(codes == code))[:BATCH_OF_CLASS] for code in drawn])


def _pair_slope(similarities: Float32Array, codes: IntArray) -> Float32Array:
    """Of the squared distance of pairs of one class, and the squared lack of distance of other pairs."""
    same = codes[:, None] == codes[None, :]
    np.fill_diagonal(same, val=False)
    other = codes[:, None] != codes[None, :]
    distances = np.sqrt(np.maximum(2.0 - 2.0 * similarities, TINY))
    lack = np.where(other, np.maximum(PAIR_MARGIN - distances, 0.0), 0.0)
    pairs, others = max(int(same.sum()), 1), max(int(other.sum()), 1)
    return np.asarray(np.where(same, -2.0 / pairs, 0.0) + 2.0 * lack / distances / others, dtype=np.float32)


def _triplets(mining: Mining, random: np.random.Generator) -> Slope:
    def slope_of(similarities: Float32Array, codes: IntArray) -> Float32Array:
        anchors, positives = np.nonzero((codes[:, None] == codes[None, :]) & ~np.eye(len(codes), dtype=bool))
        negatives = _negatives(similarities, codes, anchors, positives, mining, random)
        lack = MARGIN + similarities[anchors, negatives] - similarities[anchors, positives]
        active = lack > 0.0
        slope = np.zeros_like(similarities)
        share = np.float32(1.0 / max(len(anchors), 1))
        np.add.at(slope, (anchors[active], positives[active]), -share)
        np.add.at(slope, (anchors[active], negatives[active]), share)
        return slope

    return slope_of


def _negatives(
    similarities: Float32Array,
    codes: IntArray,
    anchors: IntArray,
    positives: IntArray,
    mining: Mining,
    random: np.random.Generator,
) -> IntArray:
    """A negative for each pair of one class: semi-hard, or where there is none the least similar one; or any."""
    foreign = codes[anchors][:, None] != codes[None, :]
    if mining == "random":
        return np.asarray(np.where(foreign, random.random(foreign.shape), -1.0).argmax(axis=1))
    candidates = similarities[anchors]
    easier = foreign & (candidates < similarities[anchors, positives][:, None])
    hardest = np.where(easier, candidates, -np.inf).argmax(axis=1)
    least = np.where(foreign, candidates, np.inf).argmin(axis=1)
    return np.asarray(np.where(easier.any(axis=1), hardest, least))
