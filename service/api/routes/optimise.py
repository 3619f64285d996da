"""Optimise: choose the references that answer, as a job."""

from __future__ import annotations

from typing import Literal

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field

from service.api.access import ContextOf, Writer, scoped_router
from service.api.idempotency import REPEATABLE, Answered, digest_of, once
from service.api.problems import responses
from service.api.routes.catalogues import CatalogueName
from service.api.routes.jobs import JobBody, job_body
from service.core.metric_learning import TrainedKind
from service.core.projection import HeadKind
from service.core.recipe import Strategy
from service.usecases.optimise import start_optimise
from service.usecases.optimise_request import (
    DEFAULT_NEIGHBOURS,
    DEFAULT_TRIALS,
    MOST_NEIGHBOURS,
    MOST_TRIALS,
    Metric,
    OptimiseRequest,
    Rejection,
    Search,
    Vote,
)

router = scoped_router("ask")


class OptimiseOptions(BaseModel):
    """What is asked of an optimisation."""

    model_config = ConfigDict(extra="forbid")

    budget: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="References a class at most; absent: 30 % of the class.",
        examples=[5],
    )
    metric: Metric = Field(default="accuracy", description="What the choice maximises.")
    strategy: Literal[Strategy, "auto"] = Field(
        default="auto", description="How references are chosen; `auto` lets cross-fitting decide."
    )
    head: Literal[HeadKind, TrainedKind, "auto"] = Field(
        default="auto",
        description="The map in front of the search; `auto` lets cross-fitting decide between the closed-form ones "
        "and proxies.",
    )
    vote: Vote = Field(
        default="best",
        description="A class's score: mean of its m `best` similarities, its `nearest` one, or its share of the "
        "distance-weighted votes of the nearest (`knn`); `auto` lets cross-fitting decide.",
    )
    neighbours: int = Field(default=DEFAULT_NEIGHBOURS, ge=1, le=MOST_NEIGHBOURS, description="Voters of `knn`.")
    search: Search = Field(
        default="sweep",
        description="`sweep`: an exact sweep of the thresholds; `thresholds`: a search over them as well.",
    )
    rejection: Rejection = Field(
        default="shared",
        description="Whether all classes share the trust that a stated error needs, or each `class` has its own.",
    )
    trials: int = Field(default=DEFAULT_TRIALS, ge=1, le=MOST_TRIALS, description="Trials of each search.")
    seed: int = Field(default=0, ge=0, lt=2**32, description="Of folds, search and bootstrap.")
    refit: bool = Field(default=True, description="Make every labelled picture a candidate for what is served.")


@router.post(
    "/catalogues/{catalogue}:optimise",
    status_code=202,
    response_model=JobBody,
    dependencies=REPEATABLE,
    responses=responses(400, 409, 413),
)
def optimise_catalogue(
    name: CatalogueName, request: Request, who: Writer, context: ContextOf, body: OptimiseOptions | None = None
) -> Response:
    """Choose the references that classify best, judge the choice, and let it serve: a job. Nothing has to be said.

    409 while another optimisation of the catalogue is not finished.
    """
    body = body or OptimiseOptions()
    asked = OptimiseRequest(**body.model_dump())

    def start() -> Answered:
        job = start_optimise(context, who.tenant, name, asked, alone=True)
        return Answered(body=job_body(context, job), status=202, location=f"/v1/jobs/{job.id}")

    return once(request, context, who, digest_of(body), start)
