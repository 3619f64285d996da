"""Training against proxies: one learnt direction a class, which begins as the class's mean.

Several heads are trained side by side in shared arrays. On few pictures most of the time is that of calls, not of
arithmetic, and cross-fitting trains one head for every fold: five together take three fifths of the time of five alone,
and come out the same bit for bit, for no head sees another's rows.

Sources: proxies and temperature as in NormFace (Wang et al. 2017) and Proxy-NCA (Movshovitz-Attias et al. 2017),
contrastive centres Qi and Su (2017).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from service.core.descent import Adam, unit
from service.core.model import Float32Array, IntArray
from service.core.vectors import class_sums

TEMPERATURE = 0.2
"""Of the proxies' softmax. On cached embeddings of groceries 0.15 to 0.2 were best of 0.05 to 1."""
CENTRE_OFFSET = 1.0
"""Keeps the contrastive-centre loss finite."""
BATCH_ROWS = 256
SMALL_PRODUCT, MOST_STRIPS = 1_000_000, 4
"""Multiplications up to which OpenBLAS copies nothing first, and into how many such products one is cut at most."""
SHORT = 64
"""Columns up to which the largest of a row is found faster column by column."""

ProxySlope = Callable[[Float32Array, IntArray, Sequence[slice]], Float32Array]
"""From similarities (b, c) with the proxies, which it may use up, the own proxy (b,) of each row, and the rows of each
pupil, over which its loss is a mean, to the gradient (b, c)."""


@dataclass(frozen=True, slots=True, eq=False)
class Pupil:
    """A head to be trained.

    Attributes:
        rows: float32 (n, d), centred embeddings.
        codes: int64 (n,), their classes.
        matrix: float32 (d, k), where to begin; it is left as it is.
    """

    rows: Float32Array
    codes: IntArray
    matrix: Float32Array


def batch_count(rows: int) -> int:
    """Into how many batches so many rows are cut."""
    return max(1, round(rows / BATCH_ROWS))


def groups_of(pupils: Sequence[Pupil]) -> list[list[int]]:
    """Pupils, by their place, that can be trained side by side: of one batch, one width and as many classes."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for place, one in enumerate(pupils):
        alone = (place,) if batch_count(len(one.rows)) > 1 else ()
        groups.setdefault((one.matrix.shape[1], len(np.unique(one.codes)), *alone), []).append(place)
    return list(groups.values())


def against_proxies(
    pupils: Sequence[Pupil], slope_of: ProxySlope, steps: int, random: np.random.Generator
) -> Iterator[list[Float32Array]]:
    """The matrices of one group of pupils after each step; they go on changing.

    All matrices, and below them all proxies, are one array, and are made unit and descend together.
    """
    targets = [np.unique(one.codes, return_inverse=True)[1] for one in pupils]
    proxies = [_first_proxies(one, target) for one, target in zip(pupils, targets, strict=True)]
    learnt = np.concatenate([*(one.matrix for one in pupils), *proxies])
    heads, own_proxies = _places([one.matrix for one in pupils]), _places(proxies)
    wide = heads[-1].stop
    descend, down = Adam(learnt), np.empty_like(learnt)
    matrices = [learnt[head] for head in heads]
    for batch in _batches(pupils, targets, steps, random):
        sides = list(zip(batch.rows, batch.places, heads, own_proxies, strict=True))
        n = len(batch.targets)
        both = np.empty((n + len(learnt) - wide, learnt.shape[1]), dtype=np.float32)
        for rows, place, head, _ in sides:
            np.matmul(rows, learnt[head], out=both[place])
        both[n:] = learnt[wide:]
        units, back = unit(both)
        z, p = units[:n], units[n:]
        similarities = np.empty((n, len(proxies[0])), dtype=np.float32)
        for _, place, _, proxy in sides:
            np.matmul(z[place], p[proxy].T, out=similarities[place])
        slope = slope_of(similarities, batch.targets, batch.places)
        for _, place, _, proxy in sides:
            np.matmul(slope[place], p[proxy], out=both[place])
            np.matmul(slope[place].T, z[place], out=both[n:][proxy])
        returned = back(both)
        for rows, place, head, _ in sides:
            _by_columns(rows, returned[place], down[head])
        down[wide:] = returned[n:]
        descend.step(down)
        yield matrices


def _by_columns(rows: Float32Array, slope: Float32Array, out: Float32Array) -> None:
    """rows.T @ slope, (d, k), some columns of the rows at a time: up to twice as fast on few wide rows, bit for bit."""
    strips = -(-rows.shape[1] * slope.size // SMALL_PRODUCT)
    width = -(-rows.shape[1] // strips) if strips <= MOST_STRIPS else rows.shape[1]
    for start in range(0, rows.shape[1], width):
        np.matmul(rows.T[start : start + width], slope, out=out[start : start + width])


def _first_proxies(pupil: Pupil, targets: IntArray) -> Float32Array:
    projections, _ = unit(pupil.rows @ pupil.matrix)
    return unit(class_sums(projections, targets, int(targets.max()) + 1).astype(np.float32))[0]


def _places(parts: Sequence[Float32Array]) -> list[slice]:
    """Where the rows of each part are when all are one array."""
    ends = accumulate(len(part) for part in parts)
    return [slice(end - len(part), end) for end, part in zip(ends, parts, strict=True)]


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """Rows of each pupil, their places among those of all, and the targets (b,) of all."""

    rows: list[Float32Array]
    places: list[slice]
    targets: IntArray


def _batches(
    pupils: Sequence[Pupil], targets: Sequence[IntArray], steps: int, random: np.random.Generator
) -> Iterator[_Batch]:
    """All rows where they are one batch; else those of the one pupil, shuffled and cut, again and again."""

    def batch(rows: IntArray | slice) -> _Batch:
        taken = [one.rows[rows] for one in pupils]
        return _Batch(taken, _places(taken), np.concatenate([target[rows] for target in targets]))

    n = len(pupils[0].rows)
    count = batch_count(n)
    if count == 1:
        yield from [batch(slice(None))] * steps
        return
    done = 0
    while True:
        for rows in np.array_split(random.permutation(n), count):
            if done == steps:
                return
            yield batch(rows)
            done += 1


def proxy_slope(similarities: Float32Array, targets: IntArray, pupils: Sequence[slice]) -> Float32Array:
    """Of the cross-entropy of a softmax over the proxies."""
    chances = similarities
    chances /= TEMPERATURE
    chances -= _largest(chances)
    np.exp(chances, out=chances)
    chances /= chances.sum(axis=1, keepdims=True)
    chances[np.arange(len(targets)), targets] -= 1.0
    for place in pupils:
        chances[place] /= TEMPERATURE * (place.stop - place.start)
    return chances


def _largest(values: Float32Array) -> Float32Array:
    """The largest of each row, (n, 1)."""
    turned = values.T if values.shape[1] > SHORT else np.ascontiguousarray(values.T)
    return np.asarray(turned.max(axis=0)[:, None])


def centre_slope(similarities: Float32Array, targets: IntArray, pupils: Sequence[slice]) -> Float32Array:
    """Of half the squared distance to the own centre over the sum of those to the others."""
    rows = np.arange(len(targets))
    distances = 2.0 - 2.0 * similarities
    own = distances[rows, targets]
    others = distances.sum(axis=1) - own + CENTRE_OFFSET
    slope = np.repeat((own / others**2)[:, None], similarities.shape[1], axis=1)
    slope[rows, targets] = -1.0 / others
    for place in pupils:
        slope[place] /= place.stop - place.start
    return slope
