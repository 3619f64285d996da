"""Examples: list, show, relabel, drop."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field

from service.api.access import ContextOf, Reader, Writer, scoped_router
from service.api.links import example_link, image_link, thumbnail_link
from service.api.paging import Cursor, Limit, Page, cut, decode_cursor
from service.api.problems import responses
from service.api.routes.catalogues import CatalogueName
from service.records import ExampleState, Split
from service.usecases import browsing, decide
from service.usecases.browsing import SeenExample
from service.usecases.labels import MAX_LABEL
from service.usecases.new_class import new_class

router = scoped_router("examples")

MOST_DROPPED = 1000
EXAMPLE_ID = "5c0e7c1e-3f0c-5d0a-9a55-0a7c8e1f2b3d"

ExampleId = Annotated[str, Path(alias="example", description="The example's id.", examples=[EXAMPLE_ID], max_length=64)]
"""The path parameter of every route of an example."""


class Reference(BaseModel):
    """What an example is in the selection that serves."""

    centrality: float | None = Field(description="Its centrality there; null where it is provisional.", examples=[0.12])
    provisional: bool = Field(description="No optimisation chose it: it stands for a class that came since.")


class ExampleLinks(BaseModel):
    """Where an example and its picture are."""

    self: str = Field(examples=[f"/v1/catalogues/fruit/examples/{EXAMPLE_ID}"])
    image: str = Field(examples=[f"/v1/catalogues/fruit/examples/{EXAMPLE_ID}/image"])
    thumbnail: str = Field(examples=[f"/v1/catalogues/fruit/examples/{EXAMPLE_ID}/thumbnail"])


class ExampleBody(BaseModel):
    """A labelled picture. `reference` is null where it is none of the selection that serves."""

    id: str = Field(examples=[EXAMPLE_ID])
    label: str = Field(examples=["apple"])
    split: Split
    state: ExampleState
    reference: Reference | None
    conflict_labels: list[str] = Field(description="Labels it was handed over under, while it is in conflict.")
    settled_labels: list[str] = Field(description="Labels that somebody decided against.")
    source: str = Field(description="Where it came from.", examples=["apple/001.jpg"])
    metadata: dict[str, str] = Field(examples=[{"shop": "north"}])
    width_px: int = Field(description="Of the upright picture, or of its crop.", examples=[640])
    height_px: int = Field(description="Of the upright picture, or of its crop.", examples=[480])
    content_hash: str = Field(description="sha256 of the picture's bytes, hexadecimal.")
    crop: str = Field(
        description="The part of the picture that it shows: x,y,width,height in pixels, with ,pad behind them where "
        "the aspect is kept; empty for all of it.",
        examples=["", "10,20,300,200"],
    )
    created_at: float = Field(description="Seconds since 1970.", examples=[1767225600.0])
    links: ExampleLinks


class RelabelledBody(ExampleBody):
    """An example under its new label."""

    new_class: bool = Field(description="No class had that label before.", examples=[False])
    close: list[str] = Field(description="Of a new class: known labels that are close to it.", examples=[[]])


class NewLabel(BaseModel):
    """What an example's label shall be."""

    model_config = ConfigDict(extra="forbid")

    label: str = Field(min_length=1, max_length=MAX_LABEL, examples=["pear"])


class Unwanted(BaseModel):
    """Examples that shall go, for good."""

    model_config = ConfigDict(extra="forbid")

    ids: list[Annotated[str, Field(max_length=64)]] = Field(
        min_length=1, max_length=MOST_DROPPED, examples=[[EXAMPLE_ID]]
    )
    remember: bool = Field(
        default=False,
        description="As hygiene's decision `drop`: they are passed over when they are handed over again under labels "
        "that they had, until the decision `keep` takes that back.",
    )


class Dropped(BaseModel):
    """What is gone: each id once, in the order asked."""

    dropped: list[str] = Field(examples=[[EXAMPLE_ID]])


def example_body(catalogue: str, seen: SeenExample) -> ExampleBody:
    """The body that tells of an example."""
    one, member = seen.example, seen.reference
    return ExampleBody(
        id=one.id,
        label=one.label,
        split=one.split,
        state=one.state,
        reference=None if member is None else Reference(centrality=member.centrality, provisional=member.provisional),
        conflict_labels=sorted(one.conflict_labels),
        settled_labels=list(one.settled_labels),
        source=one.source,
        metadata=dict(one.metadata),
        width_px=one.width_px,
        height_px=one.height_px,
        content_hash=one.content_hash,
        crop=one.crop,
        created_at=one.created_at,
        links=ExampleLinks(
            self=example_link(catalogue, one.id),
            image=image_link(catalogue, one.id),
            thumbnail=thumbnail_link(catalogue, one.id),
        ),
    )


@router.get("/catalogues/{catalogue}/examples")
def list_examples(
    name: CatalogueName,
    who: Reader,
    context: ContextOf,
    label: Annotated[str | None, Query(max_length=MAX_LABEL, description="Only this class.")] = None,
    split: Annotated[Split | None, Query(description="Only this split.")] = None,
    state: Annotated[ExampleState | None, Query(description="Only in this state.")] = None,
    reference: Annotated[
        Literal["true"] | None, Query(description="`true`: only references of the selection that serves.")
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[ExampleBody]:
    """Examples by id, a page at a time."""
    last = decode_cursor(cursor, str)
    found = browsing.list_examples(
        context,
        who.tenant,
        name,
        None if last is None else str(last[0]),
        limit + 1,
        label=label,
        split=split,
        state=state,
        references=reference == "true",
    )
    page, following = cut(found, limit, lambda one: one.example.id)
    return Page(items=[example_body(name, one) for one in page], next_cursor=following)


@router.get("/catalogues/{catalogue}/examples/{example}")
def show_example(name: CatalogueName, example_id: ExampleId, who: Reader, context: ContextOf) -> ExampleBody:
    """One example, with its place in the selection that serves."""
    return example_body(name, browsing.show_example(context, who.tenant, name, example_id))


@router.patch("/catalogues/{catalogue}/examples/{example}", responses=responses(409))
def relabel_example(
    name: CatalogueName, example_id: ExampleId, body: NewLabel, who: Writer, context: ContextOf
) -> RelabelledBody:
    """Give an example its label, which settles a conflict. Asked twice, nothing more happens.

    A label that no class has makes one; the answer says so, with the known labels that are close to it.
    """
    close = new_class(context, who.tenant, name, body.label)
    decide.relabel(context, who.tenant, name, example_id, body.label)
    shown = example_body(name, browsing.show_example(context, who.tenant, name, example_id))
    return RelabelledBody(**dict(shown), new_class=close is not None, close=list(close or ()))


@router.delete("/catalogues/{catalogue}/examples/{example}", status_code=204, responses=responses(409))
def drop_example(name: CatalogueName, example_id: ExampleId, who: Writer, context: ContextOf) -> None:
    """Take an example out for good: its point, its row, its bytes where no other catalogue of yours needs them.

    It may be handed over again; hygiene's decision `drop` keeps it out.
    """
    decide.drop(context, who.tenant, name, [example_id])


@router.post("/catalogues/{catalogue}/examples:delete", responses=responses(409))
def drop_examples(name: CatalogueName, body: Unwanted, who: Writer, context: ContextOf) -> Dropped:
    """Take several examples out for good: all of them, or none where one is unknown."""
    return Dropped(dropped=decide.drop(context, who.tenant, name, body.ids, remember=body.remember))
