"""Prompts: the words that classes start from, with an encoder that knows text.

They are not below `/labels/{label}`: a label may hold slashes, and `labels/a/prompts` could be a label, too.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import status
from pydantic import BaseModel, ConfigDict, Field

from service.api.access import ContextOf, Reader, Writer, scoped_router
from service.api.paging import Cursor, Limit, Page, cut, decode_cursor
from service.api.problems import responses
from service.api.routes.catalogues import CatalogueName
from service.api.routes.labels import Label
from service.records import ClassPrompts
from service.usecases import describing

router = scoped_router("prompts")


class PromptsBody(BaseModel):
    """The words of a class. What is compared with pictures is the mean of the texts' embeddings."""

    label: str = Field(examples=["apple"])
    templates: list[str] = Field(
        description="As given; {label} stands for the label.",
        examples=[["a photo of an {label}.", "{label} on a tree"]],
    )
    made_at: float = Field(description="Seconds since 1970.", examples=[1767225600.0])


class NewPrompts(BaseModel):
    """What the pictures of a class show."""

    model_config = ConfigDict(extra="forbid")

    templates: list[Annotated[str, Field(max_length=describing.MOST_CHARACTERS)]] = Field(
        default_factory=list,
        max_length=describing.MOST_TEMPLATES,
        description="Texts in which {label} stands for the label; none for a few general ones.",
        examples=[["a photo of an {label}.", "{label} on a tree"]],
    )


@router.get("/catalogues/{catalogue}/prompts")
def list_prompts(
    name: CatalogueName, who: Reader, context: ContextOf, cursor: Cursor = None, limit: Limit = 100
) -> Page[PromptsBody]:
    """The words of the classes that have some, by label, a page at a time."""
    last = decode_cursor(cursor, str)
    found = describing.descriptions(context, who.tenant, name)
    rest = [one for one in found if last is None or one.label > str(last[0])]
    page, following = cut(rest, limit, lambda one: one.label)
    return Page(items=[_body(one) for one in page], next_cursor=following)


@router.get("/catalogues/{catalogue}/prompts/{label:path}")
def show_prompts(name: CatalogueName, label: Label, who: Reader, context: ContextOf) -> PromptsBody:
    """The words of a class."""
    return _body(describing.description(context, who.tenant, name, label))


@router.put("/catalogues/{catalogue}/prompts/{label:path}", responses=responses(409))
def put_prompts(name: CatalogueName, label: Label, body: NewPrompts, who: Writer, context: ContextOf) -> PromptsBody:
    """Let a class start from words, or replace its words, with or without pictures. They fade as pictures arrive."""
    return _body(describing.describe(context, who.tenant, name, label, body.templates))


@router.delete("/catalogues/{catalogue}/prompts/{label:path}", status_code=status.HTTP_204_NO_CONTENT)
def delete_prompts(name: CatalogueName, label: Label, who: Writer, context: ContextOf) -> None:
    """Take a class's words away; its pictures stay."""
    describing.forget_description(context, who.tenant, name, label)


def _body(one: ClassPrompts) -> PromptsBody:
    return PromptsBody(label=one.label, templates=list(one.templates), made_at=one.made_at)
