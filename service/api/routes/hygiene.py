"""Hygiene: what may be wrong with a catalogue, and what a person decides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from service.api.access import ContextOf, Reader, Writer, scoped_router
from service.api.links import example_link, thumbnail_link
from service.api.paging import MOST_ROWS, Cursor, Limit, Page, cut, decode_cursor
from service.api.problems import responses
from service.api.routes.catalogues import CatalogueName
from service.api.routes.examples import EXAMPLE_ID
from service.records import Split
from service.usecases import dropped, reviewing
from service.usecases.findings import Advice, Decision, FindingKind
from service.usecases.labels import MAX_LABEL

router = scoped_router("hygiene")

MOST_UNREADABLE = 100


class ShownExample(BaseModel):
    """An example as evidence, with label and split as they were when it was looked at."""

    id: str = Field(examples=[EXAMPLE_ID])
    label: str = Field(examples=["apple"])
    split: Split
    source: str = Field(examples=["apple/001.jpg"])
    example: str = Field(description="Link to it.")
    thumbnail: str = Field(description="Link to its thumbnail.")


class FindingBody(BaseModel):
    """One thing that may be wrong. `example` is null where a class is meant."""

    kind: FindingKind
    labels: list[str] = Field(description="Classes it is about; of a suspected label the given one, then the likely.")
    example: ShownExample | None = Field(description="What the decision is for.")
    others: list[ShownExample] = Field(description="Evidence.")
    numbers: dict[str, int | float] = Field(description="The figures behind it.", examples=[{"similarity": 0.98}])
    suggested: Advice = Field(description="The decision that the evidence speaks for; `look`: a person's alone.")
    why: str = Field(description="A sentence.", examples=["pictures like it carry pear (0.98), not apple (0.01)"])


class HygieneBody(BaseModel):
    """What is left to decide. A survey looks at every example once; decisions take from it what they settle."""

    examples: int = Field(description="Examples that the survey looked at.")
    made_at: float | None = Field(description="When it was made, seconds since 1970; null for an empty catalogue.")
    changed: bool = Field(description="Examples changed since: `renew=true` looks at them anew.")
    counts: dict[str, int] = Field(description="Findings by kind.", examples=[{"label": 3, "duplicate": 8}])
    total: int = Field(description="Findings of the kind asked for.")
    findings: list[FindingBody] = Field(description="The first of them, the strongest of each kind first.")
    accepted: int = Field(description="Findings that are not listed, because somebody has kept the example.")
    unreadable: list[str] = Field(description="Ids of examples whose stored bytes cannot be read any more.")


class HygieneDecision(BaseModel):
    """A decision about an example."""

    model_config = ConfigDict(extra="forbid")

    example: str = Field(max_length=64, examples=[EXAMPLE_ID])
    decision: Decision = Field(examples=["relabel"])
    label: str | None = Field(default=None, max_length=MAX_LABEL, description="With relabel only.", examples=["pear"])


class DecidedBody(BaseModel):
    """What became of it."""

    example: str = Field(examples=[EXAMPLE_ID])
    decision: Decision
    label: str | None = Field(
        description="Its label now; null where there is no such example: it was dropped, or that was taken back.",
        examples=["pear"],
    )
    kept: list[FindingKind] = Field(description="Kinds that are accepted of it and are not listed again.")
    taken_back: bool = Field(
        description="It had been dropped, and `keep` took that back: it is stored when it is handed over again.",
        examples=[False],
    )
    new_class: bool = Field(description="No class had its label before `relabel` gave it.", examples=[False])
    close: list[str] = Field(description="Of a new class: known labels that are close to it.", examples=[[]])


class DroppedPicture(BaseModel):
    """A picture that is kept out. Its bytes, and where it came from, are gone."""

    id: str = Field(description="Of the example that it was.", examples=[EXAMPLE_ID])
    labels: list[str] = Field(description="Labels under which it is passed over: all that it had.")
    content_hash: str = Field(description="sha256 of the picture's bytes, hexadecimal.")
    crop: str = Field(description="The part of it that the example showed; empty for all of it.", examples=[""])


def _example(catalogue: str, shown: Mapping[str, Any]) -> ShownExample:
    links = {"example": example_link(catalogue, shown["id"]), "thumbnail": thumbnail_link(catalogue, shown["id"])}
    return ShownExample.model_validate({**shown, **links})


def _finding(catalogue: str, one: Mapping[str, Any]) -> FindingBody:
    return FindingBody.model_validate(
        {
            **one,
            "example": None if one["example"] is None else _example(catalogue, one["example"]),
            "others": [_example(catalogue, other) for other in one["others"]],
        }
    )


@router.get("/catalogues/{catalogue}/hygiene")
def list_findings(
    name: CatalogueName,
    who: Reader,
    context: ContextOf,
    kind: Annotated[FindingKind | None, Query(description="Only findings of this kind.")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS, description="Findings at most.")] = 100,
    renew: Annotated[bool, Query(description="Look anew where examples changed since the last survey.")] = False,
) -> HygieneBody:
    """What may be wrong with a catalogue: suspected labels, duplicates, leaks between splits, outliers and others.

    The first look takes some seconds for a few thousand pictures, and so does a new one; in between lists are kept,
    and shrink by what was decided.
    """
    found = reviewing.review(context, who.tenant, name, kind=kind, limit=limit, renew=renew)
    return HygieneBody(
        examples=found.examples,
        made_at=found.made_at,
        changed=found.changed,
        counts=dict(found.counts),
        total=found.total,
        findings=[_finding(name, one) for one in found.findings],
        accepted=found.accepted,
        unreadable=list(found.unreadable[:MOST_UNREADABLE]),
    )


@router.get("/catalogues/{catalogue}/dropped")
def list_dropped(
    name: CatalogueName, who: Reader, context: ContextOf, cursor: Cursor = None, limit: Limit = 100
) -> Page[DroppedPicture]:
    """Pictures that the decision `drop` keeps out, by id, a page at a time; `keep` with the id takes one back."""
    last = decode_cursor(cursor, str)
    found = dropped.dropped_page(context, who.tenant, name, None if last is None else str(last[0]), limit + 1)
    page, following = cut(found, limit, lambda one: one.example_id)
    return Page(items=[DroppedPicture.model_validate(dropped.as_dict(one)) for one in page], next_cursor=following)


@router.post("/catalogues/{catalogue}/hygiene/decisions", responses=responses(409))
def decide_finding(name: CatalogueName, body: HygieneDecision, who: Writer, context: ContextOf) -> DecidedBody:
    """Keep an example as it is, give it another label, or drop it for good. The decision sticks.

    A dropped picture is passed over (`skipped`) when it is handed over again under a label that it had; `keep` with the
    id of the dropped example takes that back, and the next ingest stores it. `GET .../dropped` lists them.
    """
    decided = reviewing.decide_finding(context, who.tenant, name, body.example, body.decision, body.label)
    return DecidedBody(
        example=body.example,
        decision=body.decision,
        label=None if decided.example is None else decided.example.label,
        kept=[FindingKind(kind) for kind in decided.kept],
        taken_back=decided.taken_back,
        new_class=decided.close is not None,
        close=list(decided.close or ()),
    )
