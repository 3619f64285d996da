"""Requests about selections."""

from __future__ import annotations

import httpx

from service.client.calls import Call, get, model
from service.client.models.base import Page
from service.client.models.catalogues import Example
from service.client.models.selections import (
    ConfusedPicture,
    Confusion,
    Selection,
    SelectionDetail,
    SelectionDifference,
)
from service.client.routes.catalogues import of

PUBLISH_S = 120.0
"""An old selection's references may have to be written anew before it serves."""


def list_selections(name: str, cursor: str | None = None, limit: int = 100) -> Call[Page[Selection]]:
    """A page of the history, newest first."""
    return get(of(name, "selections"), model(Page[Selection]), cursor=cursor, limit=limit)


def show_selection(name: str, selection: str) -> Call[SelectionDetail]:
    """One selection in full."""
    return get(of(name, "selections", selection), model(SelectionDetail))


def list_references(
    name: str, selection: str, *, label: str | None = None, cursor: str | None = None, limit: int = 100
) -> Call[Page[Example]]:
    """A page of a selection's references."""
    return get(
        of(name, "selections", selection, "members"), model(Page[Example]), label=label, cursor=cursor, limit=limit
    )


def diff_selections(name: str, selection: str, other: str) -> Call[SelectionDifference]:
    """Two selections side by side."""
    return get(of(name, "selections", selection, "diff"), model(SelectionDifference), **{"with": other})


def activate_selection(name: str, selection: str) -> Call[Selection]:
    """A selection that serves from now on."""
    return Call(
        method="POST",
        path=of(name, "selections", f"{selection}:activate"),
        read=model(Selection),
        repeatable=True,
        timeout_s=PUBLISH_S,
    )


def roll_back_selection(name: str) -> Call[Selection]:
    """The selection that served before, serving again."""
    return Call(method="POST", path=of(name, "selections:rollback"), read=model(Selection), timeout_s=PUBLISH_S)


def selection_report(name: str, selection: str) -> Call[str]:
    """A selection's report, an HTML page that stands alone."""
    return get(of(name, "selections", selection, "report"), _text)


def selection_confusion(name: str, selection: str) -> Call[Confusion]:
    """The confusion matrix of the pictures that it was judged on."""
    return get(of(name, "selections", selection, "confusion"), model(Confusion))


def confused_pictures(
    name: str,
    selection: str,
    label: str,
    predicted: str | None = None,
    *,
    cursor: str | None = None,
    limit: int = 100,
) -> Call[Page[ConfusedPicture]]:
    """Pictures behind a cell of it; without `predicted` the rejected ones."""
    return get(
        of(name, "selections", selection, "confusion", "pictures"),
        model(Page[ConfusedPicture]),
        label=label,
        predicted=predicted,
        cursor=cursor,
        limit=limit,
    )


def _text(response: httpx.Response) -> str:
    return response.text
