"""Preview: what a new class would be confused with, before anything is stored."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field

from service.api.access import ContextOf, Reader, scoped_router
from service.api.answers import NoAnswerBody, ScoredLabelBody
from service.api.asking import Asked, ResolverOf, asked_form, described
from service.api.problems import responses
from service.api.routes.catalogues import CatalogueName
from service.api.routes.examples import EXAMPLE_ID
from service.api.uploads import ANY_SIZE
from service.usecases.labels import MAX_LABEL
from service.usecases.preview import preview_class

router = scoped_router("ask")

MOST_PICTURES = 64


class PreviewOptions(BaseModel):
    """The class that may be added."""

    model_config = ConfigDict(extra="forbid")

    label: str = Field(min_length=1, max_length=MAX_LABEL, examples=["papaya"])


class StoredCopy(BaseModel):
    """An example that is the same picture."""

    id: str = Field(examples=[EXAMPLE_ID])
    label: str = Field(examples=["mango"])


class AnsweredNow(BaseModel):
    """What answers a new picture while the new class is not there."""

    path: str = Field(examples=["papaya.jpg"])
    label: str | None = Field(examples=["mango"])
    confidence: float
    margin: float
    top: list[ScoredLabelBody]
    stored: StoredCopy | None = Field(
        description="The same picture in the catalogue, which neither answers nor is judged here; null of a new one."
    )


class ConfusionBody(BaseModel):
    """A present class and the new one."""

    label: str = Field(description="The present class.", examples=["mango"])
    answers: int = Field(description="New pictures that are answered as it now.")
    lost: int = Field(description="New pictures that still would be, with the others as references.")
    taken: int = Field(description="Its pictures that would be answered as the new class.")
    taken_right: int = Field(description="Those of them that are answered rightly now.")
    images: int = Field(description="Its pictures that were judged.")
    share: float = Field(description="taken / images.")
    examples: list[str] = Field(description="Ids of some of its examples that would be taken.")


class PreviewBody(BaseModel):
    """What would come of a new class."""

    label: str
    pictures: list[AnsweredNow | NoAnswerBody] = Field(
        description="All, in order; what cannot be used, or was sent before in the request, has an `error`."
    )
    confused_with: list[ConfusionBody] = Field(description="The classes that are concerned, the most first.")
    recognised: int | None = Field(description="New pictures that the others would recognise; null of a single one.")
    images: int = Field(description="Present pictures that were judged.")


@router.post(
    "/catalogues/{catalogue}:preview",
    responses=responses(400, 409, 413, 415),
    max_body_size=ANY_SIZE,
    openapi_extra=described(PreviewOptions, MOST_PICTURES),
)
def preview_new_class(
    name: CatalogueName,
    who: Reader,
    context: ContextOf,
    resolver: ResolverOf,
    asked: Annotated[Asked, Depends(asked_form(MOST_PICTURES), scope="function")],
) -> PreviewBody:
    """Tell which classes a new one would be confused with, by a few of its pictures. Nothing is stored."""
    options = asked.options(PreviewOptions)
    preview = preview_class(context, who.tenant, name, options.label, asked.named(), resolver)
    return PreviewBody.model_validate(preview.as_dict())
