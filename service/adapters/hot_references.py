"""References kept in memory, answering what the filtered search of a store would, exactly.

One set holds what one filter matches: projections as the store has them, class by class. A query is then one product
with all of them and a maximum for each class.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from service.adapters.vector_common import nearest_first
from service.core.model import Float32Array, IntArray, Neighbour

SIMILARITIES = 4_000_000
"""Of queries with references, worked on at a time: 16 MB."""
MOST_REPEATS = 4
"""Places of a table of classes' rows for each row, at most: beyond, classes are of too different sizes for one."""

Texts = npt.NDArray[np.object_]
_record: Callable[[Iterable[object]], Neighbour] = partial(tuple.__new__, Neighbour)
"""A Neighbour of its four parts, in less than half the time that the class takes."""


@dataclass(frozen=True, slots=True, eq=False)
class HotReferences:
    """Exact copy of the points that matched when it was made.

    Attributes:
        vectors: float32 (r, d), unit rows, ordered by label, then by id.
        ids, sources: of the rows, (r,).
        labels: sorted, (c,).
        starts: of each label, and the end: rows of label i are starts[i] up to starts[i + 1].
        firsts: the same without the end, int64 (c,).
        members: rows of each label, int64 (c, m), the first again where it has fewer than the largest; None where that
            would be mostly repeats.
    """

    vectors: Float32Array
    ids: Texts
    sources: Texts
    labels: Texts
    starts: tuple[int, ...]
    firsts: IntArray
    members: IntArray | None

    @staticmethod
    def of(found: Sequence[tuple[str, str, str, Float32Array]], dimension: int) -> HotReferences:
        """From (label, id, source, vector) of every point."""
        ordered = sorted(found, key=lambda one: one[:2])
        labels, counts = np.unique([one[0] for one in ordered], return_counts=True)
        vectors = np.array([one[3] for one in ordered], dtype=np.float32).reshape(len(ordered), dimension)
        return HotReferences(
            vectors=vectors,
            ids=np.array([one[1] for one in ordered], dtype=object),
            sources=np.array([one[2] for one in ordered], dtype=object),
            labels=np.array(labels.tolist(), dtype=object),
            starts=(0, *np.cumsum(counts).tolist()),
            firsts=np.cumsum(counts) - counts,
            members=_members(counts),
        )

    @property
    def bytes(self) -> int:
        """Of the vectors, and about those of the rest."""
        return self.vectors.nbytes + 300 * len(self.ids)

    def nearest_per_label(self, queries: Float32Array, per_label: int, labels: int) -> list[list[Neighbour]]:
        """As `ports.VectorStore` has it, for queries (q, d) of unit length."""
        if not len(self.ids):
            return [[] for _ in queries]
        looked_up = 0 if self.members is None else 2 * labels * self.members.shape[1]
        step = max(1, SIMILARITIES // (len(self.ids) + min(looked_up, 2 * MOST_REPEATS * len(self.ids))))
        best = self._best_ones if per_label == 1 else partial(self._best_classes, per_label)
        return [
            found
            for start in range(0, len(queries), step)
            for found in best(queries[start : start + step] @ self.vectors.T, labels)
        ]

    def _best_ones(self, block: Float32Array, labels: int) -> list[list[Neighbour]]:
        """Of each query the best row of each of its `labels` best classes, from similarities (q, r)."""
        tops = np.maximum.reduceat(block, self.firsts, axis=1)
        if self.members is None or len(block) == 1:  # for one query tables cost more than they save
            return [self._best_of_one(one, top, labels) for one, top in zip(block, tops, strict=True)]
        orders = _largest(tops, labels)
        width = orders.shape[1]
        codes, queries = orders.ravel(), np.arange(len(block)).repeat(width)
        values = tops.ravel().take(codes + queries * tops.shape[1])
        members = self.members[codes]
        places = block.ravel().take(members + queries[:, None] * block.shape[1]).argmax(axis=1)
        rows = members.ravel().take(places + np.arange(len(members)) * members.shape[1])
        similarities = np.minimum(np.maximum(values, -1.0), 1.0)  # but for rounding
        parts = self.ids.take(rows), self.labels.take(codes), similarities, self.sources.take(rows)
        records = list(map(_record, zip(*[part.tolist() for part in parts], strict=True)))
        answers = [records[start : start + width] for start in range(0, len(records), width)]
        for place in np.flatnonzero(similarities[1:] == similarities[:-1]).tolist():
            answers[place // width] = nearest_first(answers[place // width])
        return answers

    def _best_of_one(self, similarities: Float32Array, tops: Float32Array, labels: int) -> list[Neighbour]:
        """The same of one query, from its similarities (r,) and those of the classes' best rows (c,)."""
        order, starts = (-tops).argsort(kind="stable")[:labels], self.starts
        codes = order.tolist()
        rows = [starts[code] + int(similarities[starts[code] : starts[code + 1]].argmax()) for code in codes]
        found = self._records(rows, codes, tops[order].tolist())
        return found if len({one.similarity for one in found}) == len(found) else nearest_first(found)

    def _best_classes(self, per_label: int, block: Float32Array, labels: int) -> list[list[Neighbour]]:
        """Of each query the `per_label` best rows of each of its `labels` best classes, from similarities (q, r).

        No class scores more than its best row, so classes are looked at in that order until no other can matter.
        """
        tops = np.maximum.reduceat(block, self.firsts, axis=1)
        orders = (-tops).argsort(axis=1, kind="stable")
        answers = []
        for similarities, top, order in zip(block, tops.tolist(), orders.tolist(), strict=True):
            best = self._best_means(similarities, top, order, per_label, labels)
            rows = [row for _, of_class in best for row in of_class]
            codes = [code for code, of_class in best for _ in of_class]
            answers.append(nearest_first(self._records(rows, codes, similarities[rows].tolist())))
        return answers

    def _records(self, rows: Sequence[int], codes: Sequence[int], values: Sequence[float]) -> list[Neighbour]:
        """What is told of rows of these classes with these similarities."""
        ids, names, sources = self.ids, self.labels, self.sources
        similarities = [one if -1.0 <= one <= 1.0 else math.copysign(1.0, one) for one in values]  # but for rounding
        parts = zip(rows, codes, similarities, strict=True)
        return [_record((ids[row], names[code], similarity, sources[row])) for row, code, similarity in parts]

    def _best_means(
        self, similarities: Float32Array, tops: Sequence[float], order: Sequence[int], per_label: int, labels: int
    ) -> list[tuple[int, list[int]]]:
        """Codes and rows of the `labels` best classes by the mean of their `per_label` best rows."""
        looked: list[tuple[float, int, list[int]]] = []
        scores: list[float] = []
        for code in order:
            if len(scores) >= labels and scores[-labels] > tops[code]:
                break
            score, rows = self._best_of(similarities, code, per_label)
            insort(scores, score)
            looked.append((-score, code, rows))
        return [(code, rows) for _, code, rows in sorted(looked)[:labels]]

    def _best_of(self, similarities: Float32Array, code: int, per_label: int) -> tuple[float, list[int]]:
        """A class's score, and its best rows: by similarity, then by id."""
        first, last = self.starts[code : code + 2]
        own = similarities[first:last].tolist()
        rows = sorted(range(len(own)), key=own.__getitem__, reverse=True)[:per_label]  # equal ones stay in order
        return math.fsum(own[row] for row in rows) / len(rows), [first + row for row in rows]


def _largest(values: Float32Array, count: int) -> IntArray:
    """Columns of the `count` largest of each row, largest first, the left one of equal ones first: int64 (q, n)."""
    below = -values
    if count < values.shape[1] and len(values) > 1:  # for one row sorting is as fast
        columns = below.argpartition(count - 1, axis=1)[:, :count]
        columns.sort(axis=1)
        chosen = np.take_along_axis(below, columns, axis=1)
        if np.count_nonzero(below <= chosen.max(axis=1, keepdims=True)) == chosen.size:  # no equal ones were left out
            return np.take_along_axis(columns, chosen.argsort(axis=1, kind="stable"), axis=1)
    return below.argsort(axis=1, kind="stable")[:, :count]


def _members(counts: IntArray) -> IntArray | None:
    """Rows of each class, from the sizes (c,) of classes that follow each other."""
    largest = int(counts.max(initial=0))
    if len(counts) * largest > MOST_REPEATS * int(counts.sum()):
        return None
    places = np.arange(largest)
    firsts: IntArray = (np.cumsum(counts) - counts)[:, None]
    return firsts + np.where(places < counts[:, None], places, 0)
