"""Heads trained by gradient descent: proxy, triplet, contrastive and contrastive-centre losses over unit projections.

All of them start at a closed-form head and turn its matrix so that classes lie farther apart; each loss is a function
of similarities alone, so one backward pass serves them all. In NumPy and not in a network library: the matrix is small
(hundreds of steps take a second), and a head has to come out the same on every device.

Sources: proxies and temperature as in NormFace (Wang et al. 2017) and Proxy-NCA (Movshovitz-Attias et al. 2017),
semi-hard triplets FaceNet (Schroff et al. 2015), pairs Hadsell et al. (2006), contrastive centres Qi and Su (2017),
Adam Kingma and Ba (2015).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from service.core.model import Float32Array, IntArray
from service.core.projection import Head
from service.core.vectors import class_sums

TrainedKind = Literal["proxy", "triplet", "contrastive", "centre"]
TRAINED_KINDS: tuple[TrainedKind, ...] = ("proxy", "triplet", "contrastive", "centre")
Mining = Literal["semi_hard", "random"]

WIDTH = 256
"""Most dimensions of a trained head's output."""
TEMPERATURE = 0.2
"""Of the proxies' softmax. On cached embeddings of groceries 0.15 to 0.2 were best of 0.05 to 1."""
MARGIN = 0.2
"""By which a triplet's negative shall be less similar than its positive."""
PAIR_MARGIN = 1.0
"""Distance (0..2 between unit rows) from which on a pair of two classes costs nothing."""
CENTRE_OFFSET = 1.0
"""Keeps the contrastive-centre loss finite."""
STEPS = (50, 200)
"""Of gradient descent, few where there is little to learn from: those that a search chooses between."""
BATCH_ROWS = 256
BATCH_CLASSES, BATCH_OF_CLASS = 32, 4
LEARNING_RATE = 1e-3
DECAYS = (0.9, 0.999)
TINY = 1e-8

Slope = Callable[[Float32Array, IntArray], Float32Array]
"""From similarities (b, t) and what each row's target is to the gradient (b, t) of the mean loss."""


def train_heads(
    kind: TrainedKind,
    embeddings: Float32Array,
    codes: IntArray,
    start: Head,
    steps: Sequence[int],
    seed: int,
    mining: Mining = "semi_hard",
) -> dict[int, Head]:
    """Heads trained from `start` on, one for each number of steps: one training passes them all by.

    Args:
        kind: the loss.
        embeddings: float32 (n, d), unit rows.
        codes: int64 (n,), the classes.
        start: where to begin; its mean stays, its matrix is cut to the first `WIDTH` columns.
        steps: of gradient descent; 0 gives the start. How many is chosen by cross-fitting: that is the early stopping.
        seed: of the batches; the same seed gives the same heads.
        mining: which negative a triplet takes: the most similar one that is less similar than the positive, or any.

    The start itself comes back where there is nothing to tell apart: one class, or no two pictures of any class.
    """
    counts = np.bincount(codes)
    longest = max(steps)
    if longest == 0 or np.count_nonzero(counts) < 2 or counts.max() < 2:
        return dict.fromkeys(steps, start)
    matrix = start.matrix[:, :WIDTH].astype(np.float32)
    matrix *= np.sqrt(matrix.shape[1]) / np.linalg.norm(matrix)
    centred = (embeddings - start.mean).astype(np.float32)
    training = _Training(centred, codes, matrix, np.random.default_rng(seed))
    if kind in ("proxy", "centre"):
        passed = training.against_proxies(_proxy_slope if kind == "proxy" else _centre_slope, longest)
    else:
        passed = training.within_batches(
            _pair_slope if kind == "contrastive" else _triplets(mining, training.random), longest
        )
    heads = {0: start}
    for done, _ in enumerate(passed, 1):
        if done in steps:
            heads[done] = Head(kind, start.mean, training.matrix.copy())
    return {wanted: heads[wanted] for wanted in steps}


@dataclass(slots=True, eq=False)
class _Training:
    """The matrix on its way. `rows` are centred embeddings (n, d)."""

    rows: Float32Array
    codes: IntArray
    matrix: Float32Array
    random: np.random.Generator

    def against_proxies(self, slope_of: Slope, steps: int) -> Iterator[None]:
        """One learnt direction a class, which begins as the class's mean; halts after each step.

        Matrix and proxies are one array, and are made unit and descend together: with few pictures most of the time is
        that of calls.
        """
        _, targets = np.unique(self.codes, return_inverse=True)
        projections, _ = _unit(self.rows @ self.matrix)
        proxies = _unit(class_sums(projections, targets, targets.max() + 1).astype(np.float32))[0]
        width = len(self.matrix)
        learnt = np.concatenate([self.matrix, proxies])
        self.matrix, proxies = learnt[:width], learnt[width:]
        descend, down = _Adam(learnt), np.empty_like(learnt)
        for batch in self._batches(steps):
            rows = self.rows[batch]
            n = len(rows)
            both = np.empty((n + len(proxies), learnt.shape[1]), dtype=np.float32)
            np.matmul(rows, self.matrix, out=both[:n])
            both[n:] = proxies
            units, back = _unit(both)
            z, p = units[:n], units[n:]
            slope = slope_of(z @ p.T, targets[batch])
            np.matmul(slope, p, out=both[:n])
            np.matmul(slope.T, z, out=both[n:])
            returned = back(both)
            np.matmul(rows.T, returned[:n], out=down[:width])
            down[width:] = returned[n:]
            descend.step(down)
            yield

    def within_batches(self, slope_of: Slope, steps: int) -> Iterator[None]:
        """Pictures against each other, a few of each of some classes at a time; halts after each step."""
        descend = _Adam(self.matrix)
        for _ in range(steps):
            batch = self._classes_batch()
            rows = self.rows[batch]
            z, z_back = _unit(rows @ self.matrix)
            slope = slope_of(z @ z.T, self.codes[batch])
            both_ways: Float32Array = np.add(slope, slope.T, dtype=np.float32)
            descend.step(rows.T @ z_back(both_ways @ z))
            yield

    def _batches(self, steps: int) -> Iterator[IntArray | slice]:
        """Rows shuffled and cut into batches of one size, again and again, `steps` in all; few rows are one batch."""
        count = max(1, round(len(self.rows) / BATCH_ROWS))
        if count == 1:
            yield from [slice(None)] * steps
            return
        done = 0
        while True:
            for batch in np.array_split(self.random.permutation(len(self.rows)), count):
                if done == steps:
                    return
                yield batch
                done += 1

    def _classes_batch(self) -> IntArray:
        present, counts = np.unique(self.codes, return_counts=True)
        several = present[counts > 1]
        drawn = self.random.permutation(several)[:BATCH_CLASSES]
        if len(drawn) < 2:  # one class of several pictures: the others lend their single ones as negatives
            drawn = present
        picked = [self.random.permutation(np.flatnonzero(self.codes == code))[:BATCH_OF_CLASS] for code in drawn]
        return np.concatenate(picked)


@dataclass(slots=True, eq=False)
class _Adam:
    """Adam on one array, in place."""

    values: Float32Array
    _mean: Float32Array
    _square: Float32Array
    _steps: int = 0

    def __init__(self, values: Float32Array) -> None:
        self.values = values
        self._mean = np.zeros_like(values)
        self._square = np.zeros_like(values)
        self._steps = 0

    def step(self, slope: Float32Array) -> None:
        """Down the slope, which is used up."""
        self._steps += 1
        first, second = DECAYS
        self._mean *= first
        self._mean += (1 - first) * slope
        self._square *= second
        slope *= slope
        self._square += (1 - second) * slope
        root = np.sqrt(self._square)
        root *= 1 / math.sqrt(1 - second**self._steps)
        root += TINY
        np.divide(self._mean, root, out=root)
        root *= LEARNING_RATE / (1 - first**self._steps)
        self.values -= root


def _unit(rows: Float32Array) -> tuple[Float32Array, Callable[[Float32Array], Float32Array]]:
    """Unit rows, and what carries a gradient by them back to the rows themselves."""
    lengths = np.maximum(np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None], np.float32(TINY))
    unit = rows / lengths

    def back(slope: Float32Array) -> Float32Array:
        along: Float32Array = np.einsum("ij,ij->i", slope, unit)[:, None] * unit
        np.subtract(slope, along, out=along)
        along /= lengths
        return along

    return unit, back


def _proxy_slope(similarities: Float32Array, targets: IntArray) -> Float32Array:
    """Of the cross-entropy of a softmax over the proxies."""
    chances = similarities / TEMPERATURE
    chances -= chances.max(axis=1, keepdims=True)
    np.exp(chances, out=chances)
    chances /= chances.sum(axis=1, keepdims=True)
    slope = chances
    slope[np.arange(len(targets)), targets] -= 1.0
    slope /= TEMPERATURE * len(targets)
    return slope


def _centre_slope(similarities: Float32Array, targets: IntArray) -> Float32Array:
    """Of half the squared distance to the own centre over the sum of those to the others."""
    rows = np.arange(len(targets))
    distances = 2.0 - 2.0 * similarities
    own = distances[rows, targets]
    others = distances.sum(axis=1) - own + CENTRE_OFFSET
    slope = np.repeat((own / others**2)[:, None], similarities.shape[1], axis=1)
    slope[rows, targets] = -1.0 / others
    return np.asarray(slope / len(targets), dtype=np.float32)


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
