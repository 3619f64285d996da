"""References kept in memory, answering what the filtered search of a store would, exactly.

One set holds what one filter matches: projections as the store has them, class by class. A query is then one product
with all of them and a maximum for each class.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.adapters.vector_common import nearest_first
from service.core.model import Float32Array, IntArray, Neighbour

SIMILARITIES = 4_000_000
"""Of queries with references, worked on at a time: 16 MB."""


@dataclass(frozen=True, slots=True, eq=False)
class HotReferences:
    """Exact copy of the points that matched when it was made.

    Attributes:
        vectors: float32 (r, d), unit rows, ordered by label, then by id.
        ids, sources: of the rows.
        labels: the c labels, sorted.
        starts: of each label, and the end: rows of label i are starts[i] up to starts[i + 1].
        firsts: the same without the end, int64 (c,).
    """

    vectors: Float32Array
    ids: tuple[str, ...]
    sources: tuple[str, ...]
    labels: tuple[str, ...]
    starts: tuple[int, ...]
    firsts: IntArray

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
            starts=(0, *np.cumsum(counts).tolist()),
            firsts=np.cumsum(counts) - counts,
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
            for row, tops in zip(block, np.maximum.reduceat(block, self.firsts, axis=1), strict=True)
        ]

    def _best(self, similarities: Float32Array, tops: Float32Array, per_label: int, labels: int) -> list[Neighbour]:
        """The `labels` best classes of one query, from its similarities (r,) and those of each class's best row (c,).

        No class scores more than its best row, so classes are looked at in that order until no other can matter.
        """
        order = (-tops).argsort(kind="stable").tolist()
        if per_label == 1:
            codes = order[:labels]
            starts = self.starts
            rows = [starts[code] + int(similarities[starts[code] : starts[code + 1]].argmax()) for code in codes]
        else:
            best = self._best_means(similarities, tops.tolist(), order, per_label, labels)
            rows = [row for _, of_class in best for row in of_class]
            codes = [code for code, of_class in best for _ in of_class]
        ids, names, sources = self.ids, self.labels, self.sources
        values = [one if -1.0 <= one <= 1.0 else math.copysign(1.0, one) for one in similarities[rows].tolist()]
        found = [
            Neighbour(ids[row], names[code], value, sources[row])
            for row, code, value in zip(rows, codes, values, strict=True)
        ]
        return found if per_label == 1 and len({*values}) == len(values) else nearest_first(found)

    def _best_means(
        self, similarities: Float32Array, tops: Sequence[float], order: Sequence[int], per_label: int, labels: int
    ) -> list[tuple[int, list[int]]]:
        """Codes and rows of the `labels` best classes by the mean of their `per_label` best rows."""
        looked: list[tuple[float, int, list[int]]] = []
        scores: list[float] = []
        for code in order:
            if len(scores) >= labels and scores[-labels] > tops[code]:
                break
            score, rows = self._best_rows(similarities, code, per_label)
            insort(scores, score)
            looked.append((-score, code, rows))
        return [(code, rows) for _, code, rows in sorted(looked)[:labels]]

    def _best_rows(self, similarities: Float32Array, code: int, per_label: int) -> tuple[float, list[int]]:
        """A class's score, and its best rows: by similarity, then by id."""
        first, last = self.starts[code : code + 2]
        own = similarities[first:last].tolist()
        rows = sorted(range(len(own)), key=own.__getitem__, reverse=True)[:per_label]  # equal ones stay in order
        return math.fsum(own[row] for row in rows) / len(rows), [first + row for row in rows]
