"""Evaluate: how good the answers are, as stored or on pictures that are sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Annotated, Any

from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field

from service.api.access import ContextOf, Reader, scoped_router
from service.api.asking import Asked, AskedPicture, ResolverOf, asked_form, described
from service.api.problems import responses
from service.api.routes.catalogues import CatalogueName, Changed
from service.api.uploads import ANY_SIZE, JSON_TYPE
from service.bootstrap import report_writer
from service.errors import InvalidInput
from service.usecases.context import Context
from service.usecases.evaluate import evaluate_pictures, report_data, stored_evaluation
from service.usecases.scoring import Labelled

router = scoped_router("ask")

MOST_PICTURES = 1000
MAX_BODY_BYTES = 512 * 1024 * 1024
LABELS = "labels"


class StoredEvaluationOptions(BaseModel):
    """How to look at the stored figures."""

    model_config = ConfigDict(extra="forbid")

    max_error: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description=(
            "Tell what rejection at this error does, too: `promised` of stored figures, `realised` on pictures. "
            "All other figures are of what the references answer, without rejection."
        ),
    )
    report: bool = Field(default=False, description="Add the report, an HTML page that stands alone, as `report`.")


class EvaluateOptions(StoredEvaluationOptions):
    """How to judge pictures."""

    labels: list[str] = Field(
        default_factory=list,
        max_length=MOST_PICTURES,
        description="Labels of the pictures, one for each in order, where file names have no folders.",
    )


class Evaluation(BaseModel):
    """How good the answers are. Further members are those of `holotype evaluate`."""

    model_config = ConfigDict(extra="allow")

    images: int | None = Field(description="Pictures that were judged.", examples=[120])
    accuracy: float | None = Field(examples=[0.94])
    interval: list[float] | None = Field(description="95 % interval of the accuracy.", examples=[[0.9, 0.97]])
    macro_f1: float | None
    weighted_f1: float | None
    top5: float | None
    references: int | float = Field(description="References that answer.")
    support: int | float | None = Field(description="Support examples; a mean where folds were judged.")
    selection: str | None = Field(description="Id of the selection that was judged; null before any optimisation.")
    measured_on: str = Field(examples=["120 pictures of the request that the catalogue does not hold"])
    per_class: dict[str, dict[str, Any]] = Field(description="Precision, recall, F1 and pictures of each class.")
    panel: dict[str, dict[str, Any]] = Field(description="The same for simple choices of references.")
    skipped: dict[str, int] = Field(description="Pictures that were left out, by reason.")
    changed: Changed | None = Field(
        default=None, description="Relabellings since stored figures were measured: they are of before. Null for none."
    )


@router.post(
    "/catalogues/{catalogue}:evaluate",
    responses=responses(400, 409, 413, 415),
    max_body_size=ANY_SIZE,
    openapi_extra=described(
        EvaluateOptions,
        MOST_PICTURES,
        also={JSON_TYPE: {"schema": StoredEvaluationOptions.model_json_schema(), "example": {}}},
    ),
)
def evaluate_answers(
    name: CatalogueName,
    who: Reader,
    context: ContextOf,
    resolver: ResolverOf,
    asked: Annotated[
        Asked, Depends(asked_form(MOST_PICTURES, takes_json=True, max_bytes=MAX_BODY_BYTES), scope="function")
    ],
) -> Evaluation:
    """Judge the answers on new pictures with their labels, or (JSON body `{}`) tell the figures of what serves.

    A picture's label is the folder in its file name, `apple/1.jpg`, or its entry of `labels`. Pictures that the
    catalogue holds, or whose class it does not know, are left out and counted.
    """
    if asked.body is not None:
        stored = asked.options(StoredEvaluationOptions)
        figures = stored_evaluation(context, who.tenant, name, stored.max_error)
        return _evaluation(context, who.tenant, name, figures, report=stored.report)
    options = asked.options(EvaluateOptions, lists=frozenset({LABELS}))
    labelled = _labelled(asked.pictures, options.labels)
    figures = evaluate_pictures(context, who.tenant, name, labelled, resolver, options.max_error)
    return _evaluation(context, who.tenant, name, figures, report=options.report)


def _evaluation(context: Context, tenant: str, name: str, figures: Mapping[str, Any], *, report: bool) -> Evaluation:
    page = {"report": report_writer().render(report_data(context, tenant, name, figures))} if report else {}
    return Evaluation.model_validate({**figures, **page})


def _labelled(pictures: Sequence[AskedPicture], labels: Sequence[str]) -> list[Labelled]:
    if labels and len(labels) != len(pictures):
        raise InvalidInput(
            f"{len(labels)} `labels` were sent for {len(pictures)} `pictures`: send one for each, in order"
        )
    named = labels or [_folder_of(one.name) for one in pictures]
    return [Labelled(label, one.read) for label, one in zip(named, pictures, strict=True)]


def _folder_of(name: str) -> str:
    """The first folder of a file's name; "" where it has none."""
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", ".", "..")]
    return parts[0] if len(parts) > 1 else ""
