"""What may be wrong with labelled pictures: strays, classes too thin or too alike, pictures that show nothing.

Labels are doubted in `core.doubts`. Outliers are judged within their class by the modified z-score of Iglewicz and
Hoaglin (1993).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.core.model import Float32Array, Float64Array, IntArray, LabelledEmbeddings

THIN_PICTURES = 5
"""A class of fewer distinct pictures has neither tuning nor holdout pictures (see `core.splits`), and not one for each
of five folds: nobody can say what its pictures look like, and so no label is doubted for it."""
SMALL_EDGE_PX = 32
"""A shorter edge below this leaves an encoder of 14-pixel patches nothing to see."""

OUTLIER_NEIGHBOURS = 3
OUTLIER_Z = 3.5
OUTLIER_MIN_PICTURES = 8
"""In a smaller class the median deviation says little."""
LEAST_SPREAD = 0.01
"""Smallest deviation, in cosine distance, that counts: in a class of copies a hair's breadth is no outlier."""
Z_OF_MAD = 1.4826

ALIKE_SHARE = 0.1
ALIKE_PICTURES = 2
MOST_ALIKE_PAIRS = 20

BLANK_LEVELS = 8
"""Of 255: JPEG's noise on a plain surface stays below."""
BLANK_SHARE = 0.99
CHUNK_ROWS = 512


@dataclass(frozen=True, slots=True)
class Outlier:
    """A row far from its class: `distance` 0..2 (1 - mean cosine of its nearest), `z` in robust deviations."""

    row: int
    distance: float
    median: float
    z: float


@dataclass(frozen=True, slots=True)
class AlikePair:
    """Two classes that the judge mixes up: `rows` of one answered as the other, `share` 0..1 of both classes' rows."""

    first: int
    second: int
    rows: tuple[int, ...]
    share: float


def outliers(data: LabelledEmbeddings) -> list[Outlier]:
    """Rows far from the other pictures of their class, the farthest first, measured on the embeddings given.

    A row's distance is 1 minus the mean cosine of its `OUTLIER_NEIGHBOURS` nearest of the same class; near-duplicates
    of itself do not count. Classes of fewer than `OUTLIER_MIN_PICTURES` distinct pictures are passed over.
    """
    found: list[Outlier] = []
    for code in np.unique(data.codes):
        members = np.flatnonzero(data.codes == code)
        if len(np.unique(data.groups[members])) < OUTLIER_MIN_PICTURES:
            continue
        distances = _distances(data.embeddings[members], data.groups[members])
        median = float(np.median(distances))
        spread = max(Z_OF_MAD * float(np.median(np.abs(distances - median))), LEAST_SPREAD)
        scores = (distances - median) / spread
        found.extend(
            Outlier(int(members[place]), float(distances[place]), median, float(scores[place]))
            for place in np.flatnonzero(scores > OUTLIER_Z).tolist()
        )
    return sorted(found, key=lambda one: (-one.z, one.row))


def _distances(embeddings: Float32Array, groups: IntArray) -> Float64Array:
    """1 - mean cosine of each row's nearest rows of other groups, float64 (n,); needs that many other groups."""
    distances = np.empty(len(embeddings))
    for start in range(0, len(embeddings), CHUNK_ROWS):
        chunk = slice(start, start + CHUNK_ROWS)
        similarities = (embeddings[chunk] @ embeddings.T).astype(np.float64)
        similarities[groups[chunk, None] == groups[None, :]] = -np.inf
        nearest = np.partition(similarities, -OUTLIER_NEIGHBOURS, axis=1)[:, -OUTLIER_NEIGHBOURS:]
        distances[chunk] = 1.0 - nearest.mean(axis=1)
    return distances


def thin_classes(data: LabelledEmbeddings) -> list[tuple[int, int]]:
    """(code, distinct pictures) of the classes with rows but fewer than `THIN_PICTURES` distinct ones, by code."""
    pictures = {int(code): len(np.unique(data.groups[data.codes == code])) for code in np.unique(data.codes)}
    return [(code, count) for code, count in pictures.items() if count < THIN_PICTURES]


def alike_classes(data: LabelledEmbeddings, probabilities: Float64Array) -> list[AlikePair]:
    """Pairs of classes whose pictures the judge answers with each other's label, the most mixed up first.

    At least `ALIKE_PICTURES` pictures and `ALIKE_SHARE` of both classes' pictures; at most `MOST_ALIKE_PAIRS` pairs.
    Rows whose judge did not know their class say nothing about it.
    """
    answers = probabilities.argmax(axis=1)
    judged = probabilities[np.arange(len(data)), data.codes] > 0
    counts = np.bincount(data.codes, minlength=len(data.classes))
    mixed: dict[tuple[int, int], list[int]] = {}
    for row in np.flatnonzero(judged & (answers != data.codes)).tolist():
        given, answer = int(data.codes[row]), int(answers[row])
        mixed.setdefault((min(given, answer), max(given, answer)), []).append(row)
    pairs = [
        AlikePair(first, second, tuple(rows), len(rows) / int(counts[first] + counts[second]))
        for (first, second), rows in mixed.items()
    ]
    pairs = [pair for pair in pairs if pair.share >= ALIKE_SHARE and len(pair.rows) >= ALIKE_PICTURES]
    return sorted(pairs, key=lambda pair: (-pair.share, pair.first, pair.second))[:MOST_ALIKE_PAIRS]


def plain_share(pixels: NDArray[np.uint8]) -> float:
    """Share of a picture's pixels, 0..1, within `BLANK_LEVELS` of its median colour in all three channels.

    `pixels` is uint8 (h, w, 3). A picture is blank when the share is at least `BLANK_SHARE`.
    """
    flat = pixels.reshape(-1, pixels.shape[-1]).astype(np.int16)
    away = np.abs(flat - np.median(flat, axis=0))
    return float((away <= BLANK_LEVELS).all(axis=1).mean())
