"""The map of a catalogue: its examples in two dimensions."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, Field

from service.api.access import ContextOf, Reader, scoped_router
from service.api.links import thumbnail_link
from service.api.routes.catalogues import CatalogueName
from service.api.routes.examples import EXAMPLE_ID
from service.api.routes.selections import SELECTION_ID
from service.records import Split
from service.usecases import mapping
from service.usecases.mapping import MOST_PLACES

router = scoped_router("catalogues")


class PlaceBody(BaseModel):
    """An example on the map."""

    id: str = Field(examples=[EXAMPLE_ID])
    label: str = Field(examples=["apple"])
    split: Split
    reference: bool = Field(description="It is a reference of the selection that serves.")
    x: float = Field(ge=-1, le=1, examples=[0.25])
    y: float = Field(ge=-1, le=1, examples=[-0.5])
    thumbnail: str = Field(examples=[f"/v1/catalogues/fruit/examples/{EXAMPLE_ID}/thumbnail"])


class MapBody(BaseModel):
    """A catalogue in two dimensions. What lies together looks alike to what serves; far distances mean little."""

    places: list[PlaceBody]
    total: int = Field(description="Active examples; where there are more than places, these are a fair sample.")
    selection: str | None = Field(
        description="The selection whose head projects; null: raw embeddings.", examples=[SELECTION_ID]
    )
    head: str = Field(description="Kind of that head.", examples=["lda"])


@router.get("/catalogues/{catalogue}/map")
def show_map(
    name: CatalogueName,
    who: Reader,
    context: ContextOf,
    limit: Annotated[int, Query(ge=1, le=MOST_PLACES, description="Places at most.")] = MOST_PLACES,
) -> MapBody:
    """Examples laid out in two dimensions, references marked.

    The first look takes a few seconds, then the places are kept until examples or the selection change.
    """
    found = mapping.catalogue_map(context, who.tenant, name, limit)
    return MapBody(
        places=[
            PlaceBody(
                id=one.example.id,
                label=one.example.label,
                split=one.example.split,
                reference=one.reference,
                x=max(-1.0, min(1.0, one.x)),
                y=max(-1.0, min(1.0, one.y)),
                thumbnail=thumbnail_link(name, one.example.id),
            )
            for one in found.places
        ],
        total=found.total,
        selection=found.selection,
        head=found.head,
    )
