"""How well a selection does: its report page, its confusion matrix and the pictures behind a cell."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from service.api.access import ContextOf, Reader, scoped_router
from service.api.links import example_link, thumbnail_link
from service.api.paging import Cursor, Limit, Page, cut, decode_cursor
from service.api.routes.catalogues import CatalogueName
from service.api.routes.examples import EXAMPLE_ID
from service.api.routes.selections import SelectionId
from service.bootstrap import report_writer
from service.usecases import confusion, history
from service.usecases.labels import MAX_LABEL

router = scoped_router("selections")


class ConfusionBody(BaseModel):
    """What was taken for what. Labels are as they were named when it was measured."""

    labels: list[str] = Field(examples=[["apple", "pear"]])
    matrix: list[list[int]] = Field(
        description="Rows: the true class; columns: the answer.", examples=[[[9, 1], [0, 8]]]
    )
    images: int = Field(description="Pictures that were judged; rejected ones are in no column.", examples=[18])
    measured_on: str = Field(description="holdout, cross-fitting or nothing.", examples=["holdout"])
    pictures: bool = Field(description="Can the pictures behind a cell be shown?")
    note: str | None = Field(description="What is missing and why, a sentence; null for nothing.")


class ConfusedPictureBody(BaseModel):
    """A judged picture."""

    id: str = Field(examples=[EXAMPLE_ID])
    label: str = Field(description="Its label now.", examples=["apple"])
    confidence: float = Field(description="Of the answer, 0..1.", examples=[0.71])
    source: str = Field(examples=["apple/001.jpg"])
    example: str = Field(description="Link to the example.")
    thumbnail: str = Field(description="Link to its thumbnail.")


@router.get(
    "/catalogues/{catalogue}/selections/{selection}/report",
    response_class=HTMLResponse,
    responses={200: {"description": "The page.", "content": {"text/html": {"schema": {"type": "string"}}}}},
)
def selection_report(name: CatalogueName, selection_id: SelectionId, who: Reader, context: ContextOf) -> HTMLResponse:
    """The report of a selection as one HTML page that stands alone: the page of `holotype evaluate --html`.

    A browser shows it in a sandbox: it belongs to no origin, loads nothing, and runs its own table sorter only.
    """
    writer = report_writer()
    page = writer.render(history.selection_report(context, who.tenant, name, selection_id))
    # A browser refuses to show a sandboxed page under any other opener policy.
    headers = {"Content-Security-Policy": writer.policy, "Cross-Origin-Opener-Policy": "unsafe-none"}
    return HTMLResponse(page, headers=headers)


@router.get("/catalogues/{catalogue}/selections/{selection}/confusion")
def selection_confusion(
    name: CatalogueName, selection_id: SelectionId, who: Reader, context: ContextOf
) -> ConfusionBody:
    """The confusion matrix of the pictures that the selection was judged on."""
    found = confusion.confusion(context, who.tenant, name, selection_id)
    return ConfusionBody(
        labels=list(found.labels),
        matrix=[list(row) for row in found.matrix],
        images=found.images,
        measured_on=found.measured_on,
        pictures=found.pictures,
        note=found.note,
    )


@router.get("/catalogues/{catalogue}/selections/{selection}/confusion/pictures")
def confused_pictures(
    name: CatalogueName,
    selection_id: SelectionId,
    who: Reader,
    context: ContextOf,
    label: Annotated[str, Query(max_length=MAX_LABEL, description="The true class.", examples=["apple"])],
    predicted: Annotated[
        str | None, Query(max_length=MAX_LABEL, description="The answer; absent: rejected ones.", examples=["pear"])
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[ConfusedPictureBody]:
    """Pictures behind a cell of the confusion matrix, the surest first; dropped ones are left out."""
    last = decode_cursor(cursor, int)
    after = None if last is None else int(str(last[0]))
    found = confusion.confused_pictures(context, who.tenant, name, selection_id, label, predicted, after, limit + 1)
    page, following = cut(found, limit, lambda one: one.place)
    return Page(items=[_shown(name, one) for one in page], next_cursor=following)


def _shown(catalogue: str, one: confusion.ConfusedPicture) -> ConfusedPictureBody:
    return ConfusedPictureBody(
        id=one.example.id,
        label=one.example.label,
        confidence=one.confidence,
        source=one.example.source,
        example=example_link(catalogue, one.example.id),
        thumbnail=thumbnail_link(catalogue, one.example.id),
    )
