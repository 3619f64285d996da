"""The answers of a classify job, one JSON object a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import Query
from fastapi.responses import StreamingResponse

from service.api.access import ContextOf, Reader, scoped_router
from service.api.answers import NoAnswerBody, answer_body
from service.api.problems import responses
from service.api.routes.jobs import JobId
from service.records import Item
from service.usecases.classify_results import job_results

router = scoped_router("jobs")

MEDIA_TYPE = "application/jsonl"

Partial = Annotated[bool, Query(description="Answer also while the job works, with the pictures that are done.")]


EXAMPLE = '{"path":"new.jpg","label":"apple","confidence":0.97,...}\n{"path":"notes.txt","error":"..."}\n'


@router.get(
    "/jobs/{job}/results",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "An object a line, in the order in which the pictures were handed over: the answer, as "
            "`:classify` gives it, or `path` and `error`.",
            "content": {MEDIA_TYPE: {"schema": {"type": "string"}, "example": EXAMPLE}},
        },
        **responses(409),
    },
)
def job_results_lines(job_id: JobId, who: Reader, context: ContextOf, partial: Partial = False) -> StreamingResponse:
    """The answers of a classify job as JSON lines."""
    job, items = job_results(context, who.tenant, job_id, partial=partial)
    catalogue = context.registry.catalogue_by_id(job.catalogue_id).name
    return StreamingResponse(_lines(catalogue, items), media_type=MEDIA_TYPE)


def _lines(catalogue: str, items: Iterator[Item]) -> Iterator[str]:
    for item in items:
        if item.result is not None:
            body = answer_body(catalogue, {**item.result, "path": item.source})
        else:
            body = NoAnswerBody(path=item.source, error=item.reason or f"it was {item.state.value}")
        yield body.model_dump_json() + "\n"
