"""The confusion matrix of a selection's judgement, and the pictures behind its cells."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from service.errors import NotFound
from service.records import Catalogue, Example, Selection
from service.usecases.context import Context, report_key

NOTHING_MEASURED = "nothing was measured: there were too few pictures to keep any back for judging"
NO_REPORT = "what was stored of this selection's judgement is gone: optimise again"
NO_PICTURES = (
    "this selection was judged before single judgements were kept, so its pictures cannot be told: optimise again"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """What was taken for what.

    Attributes:
        labels: the classes, sorted, as they were named then.
        matrix: rows the true class, columns the answer; rejected pictures are in no column.
        images: how many pictures were judged.
        measured_on: "holdout", "cross-fitting" or "nothing".
        pictures: are the pictures behind the cells known?
        note: what is missing and why, a sentence; None for nothing.
    """

    labels: tuple[str, ...]
    matrix: tuple[tuple[int, ...], ...]
    images: int
    measured_on: str
    pictures: bool
    note: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfusedPicture:
    """A judged picture that is still there. `place` is its place among those of the cell, the surest first."""

    example: Example
    confidence: float
    place: int


def confusion(context: Context, tenant: str, name: str, selection_id: str) -> Confusion:
    """Raises CatalogueNotFound, SelectionNotFound; Unavailable when the blob store does not answer."""
    catalogue = context.registry.catalogue(tenant, name)
    selection = context.registry.selection(catalogue.id, selection_id)
    stored = _stored(context, catalogue, selection)
    cells = stored.get("confusion")
    return Confusion(
        labels=tuple(cells["labels"]) if cells else (),
        matrix=tuple(tuple(row) for row in cells["matrix"]) if cells else (),
        images=int(selection.figures.get("images", 0)),
        measured_on=selection.measured_on,
        pictures="judged" in stored,
        note=_missing(selection, stored),
    )


def _missing(selection: Selection, stored: Mapping[str, Any]) -> str | None:
    """What cannot be told, and why."""
    if "confusion" not in stored:
        return NOTHING_MEASURED if not selection.figures.get("images") else NO_REPORT
    return None if "judged" in stored else NO_PICTURES


def confused_pictures(
    context: Context,
    tenant: str,
    name: str,
    selection_id: str,
    label: str,
    predicted: str | None,
    after: int | None,
    limit: int,
) -> list[ConfusedPicture]:
    """Pictures of class `label` that were taken for `predicted` (None: rejected), the surest first.

    Pictures that were dropped since are left out. There are none where single judgements were not kept, or a label is
    none of the matrix's.

    Args:
        context: the ports.
        tenant: whose catalogue.
        name: the catalogue.
        selection_id: whose judgement.
        label: the true class, as it was named then.
        predicted: the answer.
        after: `place` of the last picture of the page before, None for the first page.
        limit: pictures at most.

    Raises:
        CatalogueNotFound, SelectionNotFound: there is none.
        Unavailable: the blob store does not answer.
    """
    catalogue = context.registry.catalogue(tenant, name)
    selection = context.registry.selection(catalogue.id, selection_id)
    cell = _cell(_stored(context, catalogue, selection), label, predicted)
    first = 0 if after is None else after + 1
    there = context.registry.examples_by_id(catalogue.id, [example_id for example_id, _ in cell[first:]])
    found = [
        ConfusedPicture(example=there[example_id], confidence=confidence, place=place)
        for place, (example_id, confidence) in enumerate(cell)
        if place >= first and example_id in there
    ]
    return found[:limit]


def _cell(stored: Mapping[str, Any], label: str, predicted: str | None) -> list[tuple[str, float]]:
    """(example id, confidence) of a cell's pictures, the surest first."""
    judged, cells = stored.get("judged"), stored.get("confusion")
    if judged is None or cells is None:
        return []
    codes = {name: code for code, name in enumerate(cells["labels"])}
    wanted = codes.get(label), -1 if predicted is None else codes.get(predicted)
    columns = zip(judged["ids"], judged["truth"], judged["predicted"], judged["confidence"], strict=True)
    cell = [(example_id, confidence) for example_id, truth, answer, confidence in columns if (truth, answer) == wanted]
    return sorted(cell, key=lambda one: (-one[1], one[0]))


def _stored(context: Context, catalogue: Catalogue, selection: Selection) -> Mapping[str, Any]:
    """The selection's stored report; empty where it is gone."""
    with suppress(NotFound):
        value: Mapping[str, Any] = json.loads(context.blobs.get(report_key(catalogue.tenant, selection.id)))
        return value
    return {}
