"""Labels: the classes of a catalogue; list, rename, delete."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field

from service.api.access import ContextOf, Reader, Writer, scoped_router
from service.api.paging import Cursor, Limit, Page, cut, decode_cursor
from service.api.problems import responses
from service.api.routes.catalogues import CatalogueName
from service.usecases import classes
from service.usecases.labels import MAX_LABEL

router = scoped_router("labels")

Label = Annotated[
    str, Path(alias="label", description="The label; may hold slashes.", examples=["apple"], max_length=MAX_LABEL)
]


class LabelBody(BaseModel):
    """A class of the catalogue."""

    label: str = Field(examples=["apple"])
    examples: dict[str, int] = Field(description="Active examples by split.", examples=[{"support": 12, "tuning": 4}])
    references: int = Field(description="References of the selection that serves.", examples=[4])
    conflicts: int = Field(description="Examples in conflict that carry this label among others.", examples=[0])


class NewName(BaseModel):
    """What a class shall be called."""

    model_config = ConfigDict(extra="forbid")

    label: str = Field(min_length=1, max_length=MAX_LABEL, examples=["pear"])


class RenamedBody(BaseModel):
    """What the renaming did."""

    label: str = Field(description="The name now.", examples=["pear"])
    relabelled: int = Field(description="Examples that it changed; 0 when asked again.", examples=[16])
    merged: bool = Field(description="A class of that name was there before: this one is part of it now.")
    examples: int = Field(description="Active examples that the class has now.", examples=[40])
    conflicts: int = Field(description="Examples in conflict that still carry the former label, until decided.")


class DeletedBody(BaseModel):
    """What the deletion did."""

    label: str = Field(examples=["apple"])
    dropped: int = Field(description="Examples that are gone, for good.", examples=[16])
    conflicts: int = Field(description="Examples in conflict that still carry the label, until decided.")


@router.get("/catalogues/{catalogue}/labels")
def list_labels(
    name: CatalogueName, who: Reader, context: ContextOf, cursor: Cursor = None, limit: Limit = 100
) -> Page[LabelBody]:
    """The catalogue's classes by label, a page at a time."""
    last = decode_cursor(cursor, str)
    after = None if last is None else str(last[0])
    found = classes.labels_page(context, who.tenant, name, after, limit + 1)
    page, following = cut(found, limit, lambda one: one.label)
    return Page(
        items=[
            LabelBody(
                label=one.label,
                examples={split.value: count for split, count in one.examples.items()},
                references=one.references,
                conflicts=one.conflicts,
            )
            for one in page
        ],
        next_cursor=following,
    )


@router.patch("/catalogues/{catalogue}/labels/{label:path}", responses=responses(409))
def rename_label(name: CatalogueName, label: Label, body: NewName, who: Writer, context: ContextOf) -> RenamedBody:
    """Give a class another name; the name of a class that is there merges the two. Asked twice, nothing more happens.

    Until the next optimisation a new name answers through all its support examples; a class that another one was
    merged into, through its references and the support examples that came. Answers' notes and figures say so.
    """
    done = classes.rename_label(context, who.tenant, name, label, body.label)
    return RenamedBody(
        label=done.label,
        relabelled=done.relabelled,
        merged=done.merged,
        examples=done.examples,
        conflicts=done.conflicts,
    )


@router.delete("/catalogues/{catalogue}/labels/{label:path}", responses=responses(409))
def delete_label(name: CatalogueName, label: Label, who: Writer, context: ContextOf) -> DeletedBody:
    """Drop a class with all its examples, for good."""
    done = classes.delete_label(context, who.tenant, name, label)
    return DeletedBody(label=done.label, dropped=done.dropped, conflicts=done.conflicts)
