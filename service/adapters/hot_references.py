"""References kept in memory, answering what the filtered search of a store would, exactly.

One set holds what one filter matches: projections as the store has them, class by class. A query is then one product
with all of them and a maximum for each class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.adapters.vector_common import nearest_first
from service.core.model import Float32Array, IntArray, Neighbour

SIMILARITIES = 4_000_000
"""Of queries with references, worked on at a time: 16 MB."""
LOOKED_AT = 4
"""Classes looked at closely for each one wanted, by their best reference, before all are."""


@dataclass(frozen=True, slots=True, eq=False)
class HotReferences:
    """Exact copy of the points that matched when it was made.

    Attributes:
        vectors: float32 (r, d), unit rows, ordered by label, then by id.
        ids, sources: of the rows.
        labels: the c labels, sorted.
        starts: int64 (c + 1,), rows of label i are starts[i] up to starts[i + 1].
    """

    vectors: Float32Array
    ids: tuple[str, ...]
    sources: tuple[str, ...]
    labels: tuple[str, ...]
    starts: IntArray

    @staticmethod
    def of(found: Sequence[tuple[str, str, str, Float32Array]], dimension: int) -> HotReferences:
        """From (label, id, source, vector) of every point."""
        ordered = sorted(found, key=lambda one: one[:2])
        labels, counts = np.unique([one[0] for one in ordered], return_counts=True)
        vectors = np.array([one[3] for one in ordered], dtype=np.float32).reshape(len(ordered), dimension)
        return HotReferences(
            vectors=vectors,
            ids=tuple(one[1] for one in ordered),
            sources=tuple(one[2] for one in ordered),
            labels=tuple(str(label) for label in labels),
            starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        )

    @property
    def bytes(self) -> int:
        """Of the vectors, and about those of the rest."""
        return self.vectors.nbytes + 300 * len(self.ids)

    def nearest_per_label(self, queries: Float32Array, per_label: int, labels: int) -> list[list[Neighbour]]:
        """As `ports.VectorStore` has it, for queries (q, d) of unit length."""
        if not self.ids:
            return [[] for _ in queries]
        step = max(1, SIMILARITIES // len(self.ids))
        return [
            self._best(row, tops, per_label, labels)
            for start in range(0, len(queries), step)
            for block in [queries[start : start + step] @ self.vectors.T]
            for row, tops in zip(block, np.maximum.reduceat(block, self.starts[:-1], axis=1), strict=True)
        ]

    def _best(self, similarities: Float32Array, tops: Float32Array, per_label: int, labels: int) -> list[Neighbour]:
        """The `labels` best classes of one query, from its similarities (r,) and those of each class's best row (c,).

        No class scores more than its best row, so classes are looked at in that order until no other can matter.
        """
        order = np.argsort(-tops, kind="stable")
        count = labels if per_label == 1 else LOOKED_AT * labels
        while True:
            looked = [(*self._of(similarities, code, per_label), code) for code in order[:count].tolist()]
            ranked = sorted(looked, key=lambda one: (-one[0], one[2]))[:labels]
            if count >= len(order) or (len(ranked) == labels and ranked[-1][0] > tops[order[count]]):
                break
            count = len(order)
        return nearest_first([self._neighbour(row, code, similarities) for _, rows, code in ranked for row in rows])

    def _of(self, similarities: Float32Array, code: int, per_label: int) -> tuple[float, list[int]]:
        """A class's score, and its best rows: by similarity, then by id."""
        first, last = self.starts[code : code + 2].tolist()
        own = similarities[first:last]
        if per_label == 1:
            best = int(own.argmax())
            return float(own[best]), [first + best]
        rows = np.argsort(-own, kind="stable")[:per_label]
        return float(own[rows].mean(dtype=np.float64)), (first + rows).tolist()

    def _neighbour(self, row: int, code: int, similarities: Float32Array) -> Neighbour:
        similarity = min(1.0, max(-1.0, float(similarities[row])))
        return Neighbour(self.ids[row], self.labels[code], similarity, self.sources[row])
