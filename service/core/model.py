"""The numeric core's vocabulary: frozen values that the other core modules pass around.

Conventions: `n` rows, `d` embedding width, `k` projected width. Embeddings and projections are float32 and of unit
length; similarity is cosine, -1..1, higher is nearer. Labels inside the core are integer codes into `classes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class LabelledEmbeddings:
    """Embeddings with their labels, e.g. the support set.

    Attributes:
        embeddings: float32 (n, d), unit rows.
        codes: int64 (n,), index into `classes`.
        classes: the labels, sorted; a class may have no row.
        ids: the n example ids.
        groups: int64 (n,), equal for near-duplicates: rows of one group never straddle a split or a fold.
    """

    embeddings: Float32Array
    codes: IntArray
    classes: tuple[str, ...]
    ids: tuple[str, ...]
    groups: IntArray

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: IntArray | BoolArray) -> LabelledEmbeddings:
        """The rows given by index or mask, in that order; `classes` stay."""
        indices = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        return LabelledEmbeddings(
            embeddings=self.embeddings[indices],
            codes=self.codes[indices],
            classes=self.classes,
            ids=tuple(self.ids[i] for i in indices),
            groups=self.groups[indices],
        )


class Neighbour(NamedTuple):
    """One reference that a query resembles. `similarity` is cosine, -1..1, in the space that was searched."""

    example_id: str
    label: str
    similarity: float
    source: str = ""


class ScoredLabel(NamedTuple):
    """A label and its score: the mean of its best m similarities, -1..1; with words blended in it may lie beyond."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a query was resolved to.

    Attributes:
        label: the best class, or None when rejected.
        confidence: 0..1, calibrated temperature softmax of the class scores.
        margin: score of the best class minus score of the second, 0..2; 0..2 with one class only: its score + 1.
        top: the best classes, best first.
        neighbours: the references behind the answer, nearest first.
    """

    label: str | None
    confidence: float
    margin: float
    top: tuple[ScoredLabel, ...]
    neighbours: tuple[Neighbour, ...]
