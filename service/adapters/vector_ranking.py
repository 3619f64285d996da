"""The best classes of a query, exactly, from an engine that only knows how to list the nearest points.

A class's score is the mean of its m best similarities. Three kinds of question suffice, and each round asks one of them
for every query that is still open, in one batch:

1. the nearest points of all classes: a class of which m came has its final score, one of which fewer came can at most
   score the mean of those, one that did not come at most the last similarity;
2. the m best of one class, for classes that could still be among the best;
3. the nearest points of the classes not met yet, as long as one of them could still be among the best; if none comes,
   there is no such class.

Simply asking for more points until nothing can change would list the whole catalogue whenever it has fewer classes than
are asked for, or classes with fewer than m references: 0.2 s a query at 20 000 points on Qdrant Edge. Qdrant's query
groups rank groups by their best hit, which is another order for m > 1, and fill them by a bounded number of tries.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from service.adapters.vector_common import checked_limit, nearest_first
from service.core.model import Neighbour

TIE = 1e-7
"""Scores nearer than this may be equal but for rounding: float32 similarities have steps of 6e-8 near 1."""
LISTED = 6
"""The first list has this many points for each class wanted, times 2m - 1: points of one class come with others between
them, so whole classes take more. One round then mostly does; a point listed costs 5 us on Edge, a question 100 us."""
WIDER = 4
"""Each further list of classes not met yet is this many times as long as the one before."""


@dataclass(frozen=True, slots=True)
class Question:
    """The `limit` nearest points of query `row`: all, those with label `only`, or those with no label in `without`."""

    row: int
    limit: int
    only: str | None = None
    without: tuple[str, ...] = ()


Ask = Callable[[Sequence[Question]], list[list[Neighbour]]]
"""Answers questions in their order, each nearest first."""


def nearest_per_label(ask: Ask, queries: int, per_label: int, labels: int) -> list[list[Neighbour]]:
    """For each query, the `per_label` best points of each of its `labels` best classes, nearest first.

    A class with fewer points is scored by those it has; equal scores go to the label that sorts first.

    Args:
        ask: searches the points that match.
        queries: number of queries; questions name them by row.
        per_label: m >= 1.
        labels: number of classes wanted, at least 1; fewer come where there are fewer.

    Raises:
        InvalidInput: when `per_label` or `labels` is below 1.
    """
    checked_limit("per_label", per_label)
    checked_limit("labels", labels)
    tallies = [_Tally(row, per_label, labels) for row in range(queries)]
    questions = [question for tally in tallies for question in tally.questions()]
    while questions:
        for question, answer in zip(questions, ask(questions), strict=True):
            tallies[question.row].absorb(question, answer)
        open_rows = dict.fromkeys(question.row for question in questions)
        questions = [question for row in open_rows for question in tallies[row].questions()]
    return [best_classes(tally.whole_classes(), labels) for tally in tallies]


def best_of_labels(neighbours: Sequence[Neighbour], per_label: int) -> dict[str, list[Neighbour]]:
    """The first `per_label` neighbours of each label, from a list that is nearest first."""
    best: dict[str, list[Neighbour]] = {}
    for found in neighbours:
        members = best.setdefault(found.label, [])
        if len(members) < per_label:
            members.append(found)
    return best


def best_classes(best: dict[str, list[Neighbour]], labels: int) -> list[Neighbour]:
    """The points of the `labels` classes of highest mean, nearest first."""
    ranked = sorted(best, key=lambda label: (-_mean(best[label]), label))[:labels]
    return nearest_first([found for label in ranked for found in best[label]])


@dataclass(slots=True)
class _Tally:
    """What is known of one query's classes.

    `best` holds the points met, `whole` the labels whose score is final. No point of a label outside `best` is more
    similar than `bound`; it is -inf when there is no such label.
    """

    row: int
    per_label: int
    labels: int
    best: dict[str, list[Neighbour]] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)
    bound: float = math.inf
    limit: int = 0

    def questions(self) -> list[Question]:
        """What to ask next; nothing when the best classes are certain."""
        hurdle = self._hurdle()
        contenders = sorted(
            (-_mean(self.best[label]), label)
            for label in self.best.keys() - self.whole
            if _mean(self.best[label]) >= hurdle
        )
        if contenders:
            return [Question(self.row, self.per_label, only=label) for _, label in contenders[: self.labels]]
        if self.bound == -math.inf or self.bound < hurdle:
            return []
        self.limit = self.limit * WIDER or self.labels * LISTED * (2 * self.per_label - 1)
        return [Question(self.row, self.limit, without=tuple(self.best))]

    def absorb(self, question: Question, answer: Sequence[Neighbour]) -> None:
        if question.only is not None:
            # Nothing comes when the class's last point was deleted since it was met.
            self.best.pop(question.only)
            if answer:
                self.best[question.only] = list(answer)
                self.whole.add(question.only)
            return
        exhausted = len(answer) < question.limit
        for label, members in best_of_labels(answer, self.per_label).items():
            self.best[label] = members
            if exhausted or len(members) == self.per_label:
                self.whole.add(label)
        self.bound = -math.inf if exhausted else answer[-1].similarity

    def whole_classes(self) -> dict[str, list[Neighbour]]:
        return {label: self.best[label] for label in self.whole}

    def _hurdle(self) -> float:
        """What a class must be able to score to matter: the score of the last class wanted, -inf until there is one."""
        if len(self.whole) < self.labels:
            return -math.inf
        scores = sorted((_mean(self.best[label]) for label in self.whole), reverse=True)
        return scores[self.labels - 1] - TIE


def _mean(members: Sequence[Neighbour]) -> float:
    return math.fsum(found.similarity for found in members) / len(members)
