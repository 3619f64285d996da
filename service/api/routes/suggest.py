"""Label this next: which of some unlabelled pictures would help most if somebody labelled them."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field

from service.api.access import ContextOf, Reader, scoped_router
from service.api.answers import NoAnswerBody, ScoredLabelBody
from service.api.asking import Asked, ResolverOf, asked_form, described
from service.api.problems import responses
from service.api.routes.catalogues import CatalogueName
from service.api.uploads import ANY_SIZE
from service.errors import InvalidInput
from service.usecases.suggesting import Candidate, suggest_among

router = scoped_router("ask")

MOST_PICTURES = 1000
MAX_BODY_BYTES = 512 * 1024 * 1024


class SuggestOptions(BaseModel):
    """How many to name."""

    model_config = ConfigDict(extra="forbid")

    count: int = Field(default=20, ge=1, le=MOST_PICTURES, description="Pictures to name.", examples=[10])


class SuggestionBody(BaseModel):
    """A picture to label."""

    path: str = Field(description="Name that the picture was sent under.", examples=["new.jpg"])
    rank: int = Field(description="From 1, most helpful first.", examples=[1])
    likely: list[ScoredLabelBody] = Field(description="What it is answered as now, best first.")
    margin: float = Field(description="Score of the best class over that of the second.", examples=[0.02])
    why: str = Field(description="What its label would help with.", examples=["torn between apple and pear"])


class Suggestions(BaseModel):
    """Pictures to label, most helpful first, then those that cannot be used."""

    items: list[SuggestionBody | NoAnswerBody]


@router.post(
    "/catalogues/{catalogue}:next",
    responses=responses(400, 409, 413, 415),
    openapi_extra=described(SuggestOptions, MOST_PICTURES),
    max_body_size=ANY_SIZE,
)
def suggest_next_pictures(
    name: CatalogueName,
    who: Reader,
    context: ContextOf,
    resolver: ResolverOf,
    asked: Annotated[Asked, Depends(asked_form(MOST_PICTURES, max_bytes=MAX_BODY_BYTES), scope="function")],
) -> Suggestions:
    """Order unlabelled pictures by what their label would help: answers in doubt, far from one another.

    Pictures that the catalogue holds already, and further copies of a picture, are left out. Nothing is stored.
    """
    options = asked.options(SuggestOptions)
    asked.named()  # there is one at least
    if not asked.pictures:
        raise InvalidInput("no picture was sent: send each as a file, in a part named `pictures` of a form")
    candidates = [Candidate(one.name, one.read) for one in asked.pictures]
    found = suggest_among(context, who.tenant, name, candidates, options.count, resolver=resolver)
    return Suggestions(
        items=[
            (NoAnswerBody if "error" in one else SuggestionBody).model_validate(one)
            for one in (each.as_dict() for each in found)
        ]
    )
