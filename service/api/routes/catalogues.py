"""Catalogues: create, list, show, delete."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Response
from pydantic import BaseModel, ConfigDict, Field

from service.api.access import ContextOf, Reader, SettingsOf, Writer, scoped_router
from service.api.paging import Cursor, Limit, Page, cut, decode_cursor
from service.api.problems import responses
from service.usecases import catalogues

router = scoped_router("catalogues")

CatalogueName = Annotated[
    str, Path(alias="catalogue", description="The catalogue's name.", examples=["fruit"], max_length=100)
]
"""The path parameter of every route of a catalogue."""


class NewCatalogue(BaseModel):
    """What a catalogue is made of."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=100, examples=["fruit"], description="Letters, digits, '-', '_' and '.'.")
    encoder: str | None = Field(
        default=None,
        max_length=500,
        examples=["packaged:vit-s14"],
        description="One of those that the service allows (HOLOTYPE_ENCODERS); absent: its default. It stays.",
    )


class Conflict(BaseModel):
    """An example that waits for a decision: one picture under several labels."""

    id: str
    source: str
    labels: list[str]


class Changed(BaseModel):
    """Examples that came, or were given another label, since the selection's examples were read."""

    since: float = Field(description="When those were read, seconds since 1970.", examples=[1767225600.0])
    relabelled: int = Field(description="How many were relabelled.", examples=[30])
    into: dict[str, int] = Field(description="How many of these came, by label.", examples=[{"9": 30}])
    out_of: dict[str, int] = Field(description="How many of these left, by label.", examples=[{"5": 30}])
    added: dict[str, int] = Field(description="How many are new, by label.", examples=[{"watermelon": 12}])
    new_classes: list[str] = Field(description="Labels of these that nothing had before.", examples=[["watermelon"]])


class Catalogue(BaseModel):
    """A catalogue and what it holds."""

    name: str = Field(examples=["fruit"])
    encoder: str = Field(examples=["packaged:vit-s14"])
    examples: dict[str, int] = Field(description="Active examples by split.", examples=[{"support": 30, "tuning": 10}])
    labels: dict[str, int] = Field(description="Active examples by label.", examples=[{"apple": 20, "pear": 20}])
    conflicts: list[Conflict]
    active_selection: str | None = Field(description="The selection that serves; null before the first optimisation.")
    references: int = Field(description="References of that selection.", examples=[12])
    changed: Changed | None = Field(
        description="What came or was relabelled since it was measured: its figures are of before. Null for nothing."
    )


def shown_catalogue(summary: catalogues.CatalogueSummary) -> Catalogue:
    """The body that tells of a catalogue."""
    return Catalogue.model_validate(summary.as_dict())


@router.post("/catalogues", status_code=201, responses=responses(409))
def create_catalogue(
    body: NewCatalogue, response: Response, who: Writer, context: ContextOf, settings: SettingsOf
) -> Catalogue:
    """Make an empty catalogue on one encoder."""
    encoder = body.encoder or settings.encoder
    catalogues.create_catalogue(context, who.tenant, body.name, encoder, settings.allowed_encoders)
    response.headers["Location"] = f"/v1/catalogues/{body.name}"
    return shown_catalogue(catalogues.show_catalogue(context, who.tenant, body.name))


@router.get("/catalogues")
def list_catalogues(who: Reader, context: ContextOf, cursor: Cursor = None, limit: Limit = 50) -> Page[Catalogue]:
    """Your catalogues by name, a page at a time."""
    last = decode_cursor(cursor, str)
    after = None if last is None else str(last[0])
    found = catalogues.catalogues_page(context, who.tenant, after, limit + 1)
    page, following = cut(found, limit, lambda one: one.name)
    return Page(items=[shown_catalogue(one) for one in page], next_cursor=following)


@router.get("/catalogues/{catalogue}")
def show_catalogue(name: CatalogueName, who: Reader, context: ContextOf) -> Catalogue:
    """One catalogue."""
    return shown_catalogue(catalogues.show_catalogue(context, who.tenant, name))


@router.delete("/catalogues/{catalogue}", status_code=204, responses=responses(409))
def delete_catalogue(name: CatalogueName, who: Writer, context: ContextOf) -> None:
    """Delete a catalogue with its pictures, jobs and selections, for good."""
    catalogues.delete_catalogue(context, who.tenant, name)
