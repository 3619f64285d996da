"""Selections: what serves, what served, and how good each was."""

from __future__ import annotations

from typing import Any

from service.client.models.base import Answer


class Selection(Answer):
    """A versioned reference set. Rates are 0..1, None where nothing was measured; times are seconds since 1970.

    Attributes:
        active: it answers the catalogue's queries now.
        why: why it was activated, a sentence or two.
        references: how many it serves (or would serve) with.
        interval: 95 % interval of the accuracy.
        all_accuracy: accuracy with all support examples as references.
        links: paths of the selection, its members, report and confusion matrix.
    """

    id: str
    state: str
    active: bool
    created_at: float
    retired_at: float | None
    why: str
    references: int
    head: str
    strategy: str
    measured_on: str
    images: float
    accuracy: float | None
    interval: list[float] | None
    macro_f1: float | None
    all_accuracy: float | None
    links: dict[str, str]


class SelectionDetail(Selection):
    """A selection with everything that is stored about it."""

    recipe: dict[str, Any]
    thresholds: dict[str, float]
    references_by_label: dict[str, int]
    provisional: int
    figures: dict[str, Any]
    seed: int
    split_hash: str
    encoder_fingerprint: str


class SelectionDifference(Answer):
    """Two selections compared; what they agree in is left out, except for figures."""

    this: Selection
    other: Selection
    references: list[dict[str, Any]]
    thresholds: dict[str, Any]
    recipe: dict[str, Any]
    figures: dict[str, Any]


class Confusion(Answer):
    """What was taken for what: rows are the true classes, columns the answers."""

    labels: list[str]
    matrix: list[list[int]]
    images: int
    measured_on: str
    pictures: bool
    note: str | None


class ConfusedPicture(Answer):
    """A picture behind a cell of the confusion matrix."""

    id: str
    label: str
    confidence: float
    source: str
    example: str
    thumbnail: str
