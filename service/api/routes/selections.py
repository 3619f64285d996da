"""Selections: list, show, compare, activate, roll back."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import BaseModel, Field

from service.api.access import ContextOf, Reader, Writer, scoped_router
from service.api.links import example_link, selection_link, thumbnail_link
from service.api.paging import Cursor, Limit, Page, cut, decode_cursor
from service.api.problems import responses
from service.api.routes.catalogues import CatalogueName
from service.api.routes.examples import ExampleBody, example_body
from service.records import SelectionState
from service.usecases import history, publish
from service.usecases.history import LabelDiff, SelectionDiff, SelectionInFull
from service.usecases.labels import MAX_LABEL
from service.usecases.selections import SelectionSummary

router = scoped_router("selections")

SELECTION_ID = "0f8d6a52-6d5e-5c1c-8f0e-2b9a3c4d5e6f"
OTHER_ID = "7d1f2c3b-4a59-4e8d-9c0b-1a2b3c4d5e6f"
MOST_IDS = 50
"""Ids a class and side that a comparison lists; the counts are whole."""

SelectionId = Annotated[
    str, Path(alias="selection", description="The selection's id.", examples=[SELECTION_ID], max_length=64)
]
"""The path parameter of every route of a selection."""


class SelectionLinks(BaseModel):
    """Where the rest of a selection is."""

    self: str = Field(examples=[f"/v1/catalogues/fruit/selections/{SELECTION_ID}"])
    members: str = Field(description="Its references, a page at a time.")
    report: str = Field(description="Its report, an HTML page.")
    confusion: str = Field(description="Its confusion matrix.")


class SelectionBody(BaseModel):
    """A versioned reference set. Rates are 0..1; null where nothing was measured."""

    id: str = Field(examples=[SELECTION_ID])
    state: SelectionState
    active: bool = Field(description="It answers the catalogue's queries now.")
    created_at: float = Field(description="Seconds since 1970.", examples=[1767225600.0])
    retired_at: float | None
    why: str = Field(description="Why it was activated, in a sentence or two.")
    references: int = Field(description="References that it serves (or would serve) with.", examples=[12])
    support: float | None = Field(description="Support examples that they were chosen from.")
    head: str = Field(examples=["lda"])
    strategy: str = Field(examples=["thresholds"])
    measured_on: str = Field(description="holdout, cross-fitting or nothing.", examples=["holdout"])
    images: int = Field(description="Pictures that it was measured on.", examples=[120])
    accuracy: float | None = Field(examples=[0.94])
    interval: list[float] | None = Field(description="95 % interval of the accuracy.", examples=[[0.9, 0.97]])
    macro_f1: float | None = Field(examples=[0.93])
    all_accuracy: float | None = Field(description="Accuracy with all support examples as references.")
    links: SelectionLinks


class SelectionDetail(SelectionBody):
    """A selection with everything that is stored about it."""

    recipe: dict[str, Any] = Field(description="How references were chosen and how votes are counted.")
    thresholds: dict[str, float] = Field(description="Largest centrality of a class's references, by label.")
    references_by_label: dict[str, int] = Field(examples=[{"apple": 4, "pear": 8}])
    provisional: int = Field(description="References that no optimisation chose.")
    figures: dict[str, Any] = Field(description="The evaluation that goes with it.")
    seed: int
    split_hash: str = Field(description="Changes whenever an example, its label or its split does.")
    encoder_fingerprint: str = Field(description="Digest of the encoder that it was made with.")


class OfOne(BaseModel):
    """References of a class that one of two selections has and the other has not."""

    count: int
    examples: list[str] = Field(description=f"Links to them, {MOST_IDS} at most.")
    thumbnails: list[str] = Field(description="Links to their thumbnails, in the same order.")


class LabelDifference(BaseModel):
    """A class whose references differ."""

    label: str = Field(examples=["apple"])
    only_this: OfOne
    only_other: OfOne
    both: int


class Difference(BaseModel):
    """A value in this selection and in the other; null where there is none."""

    this: Any
    other: Any


class SelectionDifference(BaseModel):
    """Two selections compared. What they agree in is left out, except for figures."""

    this: SelectionBody
    other: SelectionBody
    references: list[LabelDifference]
    thresholds: dict[str, Difference] = Field(examples=[{"apple": {"this": 0.12, "other": 0.2}}])
    recipe: dict[str, Difference] = Field(examples=[{"head": {"this": "within", "other": "lda"}}])
    figures: dict[str, Difference] = Field(examples=[{"accuracy": {"this": 0.95, "other": 0.94}}])


def _fields(catalogue: str, summary: SelectionSummary) -> dict[str, Any]:
    one = summary.selection
    figures = one.figures
    link = selection_link(catalogue, one.id)
    return {
        "id": one.id,
        "state": one.state,
        "active": summary.active,
        "created_at": one.created_at,
        "retired_at": one.retired_at,
        "why": one.why,
        "references": summary.references,
        "head": one.recipe.get("head", "none"),
        "strategy": one.recipe.get("strategy", "all"),
        "measured_on": one.measured_on,
        "images": figures.get("images", 0),
        **{name: figures.get(name) for name in ("support", "accuracy", "interval", "macro_f1", "all_accuracy")},
        "links": {
            "self": link,
            "members": f"{link}/members",
            "report": f"{link}/report",
            "confusion": f"{link}/confusion",
        },
    }


def _body(catalogue: str, summary: SelectionSummary) -> SelectionBody:
    return SelectionBody.model_validate(_fields(catalogue, summary))


def _detail(catalogue: str, full: SelectionInFull) -> SelectionDetail:
    one = full.summary.selection
    return SelectionDetail.model_validate(
        {
            **_fields(catalogue, full.summary),
            "recipe": dict(one.recipe),
            "thresholds": dict(one.thresholds),
            "references_by_label": dict(full.references),
            "provisional": full.provisional,
            "figures": dict(one.figures),
            "seed": one.seed,
            "split_hash": one.split_hash,
            "encoder_fingerprint": one.fingerprint_digest,
        }
    )


def _of_one(catalogue: str, ids: tuple[str, ...]) -> OfOne:
    some = ids[:MOST_IDS]
    return OfOne(
        count=len(ids),
        examples=[example_link(catalogue, one) for one in some],
        thumbnails=[thumbnail_link(catalogue, one) for one in some],
    )


def _label_difference(catalogue: str, one: LabelDiff) -> LabelDifference:
    return LabelDifference(
        label=one.label,
        only_this=_of_one(catalogue, one.only_this),
        only_other=_of_one(catalogue, one.only_other),
        both=one.both,
    )


def _difference(catalogue: str, diff: SelectionDiff) -> SelectionDifference:
    pairs = {
        part: {name: Difference(this=this, other=other) for name, (this, other) in values.items()}
        for part, values in (("thresholds", diff.thresholds), ("recipe", diff.recipe), ("figures", diff.figures))
    }
    return SelectionDifference(
        this=_body(catalogue, diff.this),
        other=_body(catalogue, diff.other),
        references=[_label_difference(catalogue, one) for one in diff.references],
        **pairs,
    )


@router.get("/catalogues/{catalogue}/selections")
def list_selections(
    name: CatalogueName, who: Reader, context: ContextOf, cursor: Cursor = None, limit: Limit = 20
) -> Page[SelectionBody]:
    """The history of selections, newest first, a page at a time."""
    last = decode_cursor(cursor, str)
    found = history.selections_page(context, who.tenant, name, None if last is None else str(last[0]), limit + 1)
    page, following = cut(found, limit, lambda one: one.selection.id)
    return Page(items=[_body(name, one) for one in page], next_cursor=following)


@router.get("/catalogues/{catalogue}/selections/{selection}")
def show_selection(name: CatalogueName, selection_id: SelectionId, who: Reader, context: ContextOf) -> SelectionDetail:
    """One selection: recipe, figures, references by label."""
    return _detail(name, history.show_selection(context, who.tenant, name, selection_id))


@router.get("/catalogues/{catalogue}/selections/{selection}/members")
def list_references(
    name: CatalogueName,
    selection_id: SelectionId,
    who: Reader,
    context: ContextOf,
    label: Annotated[str | None, Query(max_length=MAX_LABEL, description="Only this class.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[ExampleBody]:
    """The selection's references by example id, a page at a time; `reference` is their place in this selection."""
    last = decode_cursor(cursor, str)
    after = None if last is None else str(last[0])
    found = history.selection_members(context, who.tenant, name, selection_id, after, limit + 1, label)
    page, following = cut(found, limit, lambda one: one.example.id)
    return Page(items=[example_body(name, one) for one in page], next_cursor=following)


@router.get("/catalogues/{catalogue}/selections/{selection}/diff")
def diff_selections(
    name: CatalogueName,
    selection_id: SelectionId,
    who: Reader,
    context: ContextOf,
    other_id: Annotated[
        str, Query(alias="with", max_length=64, description="Id of the other selection.", examples=[OTHER_ID])
    ],
) -> SelectionDifference:
    """Two selections side by side: references that only one has, thresholds and settings that differ, figures."""
    return _difference(name, history.diff_selections(context, who.tenant, name, selection_id, other_id))


@router.post("/catalogues/{catalogue}/selections/{selection}:activate", responses=responses(409))
def activate_selection(
    name: CatalogueName, selection_id: SelectionId, who: Writer, context: ContextOf
) -> SelectionBody:
    """Let a selection serve, which may be asked twice.

    It takes some seconds where its references must be written anew; until then the former one answers.
    """
    return _body(name, publish.activate(context, who.tenant, name, selection_id))


@router.post("/catalogues/{catalogue}/selections:rollback", responses=responses(409))
def roll_back_selection(name: CatalogueName, who: Writer, context: ContextOf) -> SelectionBody:
    """Let the selection serve again that served before this one; asked twice, it leads back to where it began."""
    return _body(name, history.roll_back(context, who.tenant, name))
