"""Classify: which classes pictures are of, answered at once."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from service.api.access import ContextOf, Reader, scoped_router
from service.api.answers import AnswerBody, NoAnswerBody, answer_body
from service.api.asking import PICTURE_TYPES, Asked, ResolverOf, asked_form, described
from service.api.observing import note_answers
from service.api.problems import responses
from service.api.routes.catalogues import CatalogueName
from service.api.uploads import ANY_SIZE
from service.usecases.classify import classify

router = scoped_router("ask")

MOST_PICTURES = 64


class ClassifyOptions(BaseModel):
    """How to answer."""

    model_config = ConfigDict(extra="forbid")

    top: int = Field(default=5, ge=1, le=100, description="Labels to name.", examples=[3])
    max_error: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Error to accept among accepted answers, 0.01 for 1 %; the others are rejected.",
        examples=[0.05],
    )


class Answers(BaseModel):
    """An answer for each picture, in order; of one that cannot be used, why."""

    items: list[AnswerBody | NoAnswerBody]


PICTURE_BODIES: dict[str, Any] = {
    kind: {"schema": {"type": "string", "format": "binary"}} for kind in sorted(PICTURE_TYPES)
}


@router.post(
    "/catalogues/{catalogue}:classify",
    responses=responses(400, 409, 413, 415),
    max_body_size=ANY_SIZE,
    openapi_extra=described(ClassifyOptions, MOST_PICTURES, also=PICTURE_BODIES),
)
def classify_pictures(
    name: CatalogueName,
    who: Reader,
    context: ContextOf,
    resolver: ResolverOf,
    query: Annotated[ClassifyOptions, Query()],
    asked: Annotated[Asked, Depends(asked_form(MOST_PICTURES, takes_picture=True), scope="function")],
    request: Request,
) -> Answers:
    """Name the classes of 1 to 64 pictures: a form with parts named `pictures`, or one picture as the body.

    The options are fields of the form or of the query. A picture that cannot be used does not harm the others.
    """
    options = asked.options(ClassifyOptions, query)
    answers = classify(
        context, who.tenant, name, asked.named(), top=options.top, max_error=options.max_error, resolver=resolver
    )
    note_answers(request, answers)
    return Answers(items=[answer_body(name, one.as_dict()) for one in answers])
