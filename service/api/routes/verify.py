"""Verify: are two pictures of one class, or is one of a given class?"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field

from service.api.access import ContextOf, Reader, scoped_router
from service.api.asking import Asked, ResolverOf, asked_form, described
from service.api.problems import responses
from service.api.routes.catalogues import CatalogueName
from service.api.uploads import ANY_SIZE
from service.core.verification import Rule
from service.errors import InvalidInput
from service.usecases.labels import MAX_LABEL
from service.usecases.verify import verify_label, verify_pictures

router = scoped_router("ask")

MOST_PICTURES = 2


class VerifyOptions(BaseModel):
    """What to compare with, and how to decide."""

    model_config = ConfigDict(extra="forbid")

    label: str | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_LABEL,
        description="The class to compare one picture with.",
        examples=["apple"],
    )
    rule: Rule = Field(
        default="otsu", description="Threshold: Otsu's, or that of the equal error rate, where both errors are as many."
    )


class Verified(BaseModel):
    """Same class or not, and how often that is right."""

    same: bool
    similarity: float = Field(description="-1..1, behind the selection's head.", examples=[0.81])
    threshold: float = Field(description="From here on it counts as the same class.", examples=[0.55])
    rule: Rule
    tpr: float = Field(description="Share of pairs of one class that are found to be, as measured.", examples=[0.96])
    tnr: float = Field(description="Share of pairs of two classes that are found to be.", examples=[0.97])
    eer: float = Field(description="The equal error rate.", examples=[0.035])
    same_pairs: int | None = Field(
        description="Pairs of one class that `tpr` and `eer` were measured on.", examples=[812]
    )
    different_pairs: int | None = Field(
        description="Pairs of two classes that `tnr` and `eer` were measured on.", examples=[20000]
    )
    selection: str = Field(description="Id of the selection that measured it.")
    measured_on: str


@router.post(
    "/catalogues/{catalogue}:verify",
    responses=responses(400, 409, 413, 415),
    max_body_size=ANY_SIZE,
    openapi_extra=described(VerifyOptions, MOST_PICTURES),
)
def verify_sameness(
    name: CatalogueName,
    who: Reader,
    context: ContextOf,
    resolver: ResolverOf,
    asked: Annotated[Asked, Depends(asked_form(MOST_PICTURES), scope="function")],
) -> Verified:
    """Say whether two pictures are of one class, or whether one picture is of the class `label`."""
    options = asked.options(VerifyOptions)
    pictures = asked.named()
    if (len(pictures) == MOST_PICTURES) == (options.label is not None):
        raise InvalidInput("send two pictures, or one and the label of a class to compare it with")
    first = pictures[0]
    if options.label is None:
        answer = verify_pictures(context, who.tenant, name, first, pictures[1], options.rule, resolver)
    else:
        answer = verify_label(context, who.tenant, name, first, options.label, options.rule, resolver)
    return Verified.model_validate(answer)
