"""Jobs: list, show, the pictures of one, pause, resume, cancel, retry. Following one: `job_events.py`."""

from __future__ import annotations

from typing import Annotated, Any, cast

from fastapi import Path, Query, Response
from pydantic import BaseModel, Field

from service.api.access import ContextOf, Reader, Writer, scoped_router
from service.api.paging import Cursor, Limit, Page, decode_cursor, encode_cursor
from service.api.problems import responses
from service.records import Item, ItemState, Job, JobKind, JobState
from service.usecases import job_control, jobs
from service.usecases.context import Context

router = scoped_router("jobs")

JobId = Annotated[
    str,
    Path(alias="job", description="The job's id.", examples=["5d1c2c0e-8f55-4d6e-9f2b-0d4b1c9a7e10"], max_length=64),
]
"""The path parameter of every route of a job."""


class JobLinks(BaseModel):
    """Where the rest of a job is."""

    self: str = Field(examples=["/v1/jobs/5d1c2c0e-8f55-4d6e-9f2b-0d4b1c9a7e10"])
    items: str = Field(description="Its pictures, a page at a time.")
    events: str = Field(description="Its progress as server-sent events.")
    results: str | None = Field(default=None, description="Answers of a classify job, a JSON object a line.")


class JobBody(BaseModel):
    """A unit of work. `done`, `failed` and `cancelled` are final states; times are seconds since 1970."""

    id: str = Field(examples=["5d1c2c0e-8f55-4d6e-9f2b-0d4b1c9a7e10"])
    kind: JobKind
    catalogue: str = Field(description="Name of its catalogue.", examples=["fruit"])
    state: JobState
    stage: str = Field(description="What it is at, for a progress bar.", examples=["embedding"])
    done: int = Field(description="Pictures (or steps of the stage) that are done.", examples=[40])
    total: int = Field(examples=[100])
    counts: dict[str, int] = Field(description="Its pictures by state.", examples=[{"pending": 60, "stored": 40}])
    images_per_s: float | None = Field(description="Pictures a second while it works; null while unknown.")
    eta_s: float | None = Field(description="Seconds that it still needs at this rate; null while unknown.")
    created_at: float = Field(examples=[1767225600.0])
    started_at: float | None
    finished_at: float | None
    result: dict[str, Any] | None = Field(description="What came of it, once it is done.")
    error: str | None = Field(description="Why it failed, a sentence.")
    links: JobLinks


def job_body(context: Context, job: Job) -> JobBody:
    """The body that tells of a job. Raises NotFound when it was deleted meanwhile, with its catalogue."""
    return JobBody.model_validate(jobs.shown_job(context, job))


class ItemBody(BaseModel):
    """A picture of a job, and what became of it."""

    id: int = Field(examples=[17])
    source: str = Field(description="What it was called when it was handed over.", examples=["apple/1.jpg"])
    label: str = Field(examples=["apple"])
    state: ItemState
    reason: str | None = Field(description="Why it failed, or is in conflict: a sentence.")
    example: str | None = Field(description="Id of the example that it became, or is a duplicate of.")
    crop: str = Field(description="What of it counts: x,y,width,height in pixels; empty for all of it.", examples=[""])
    metadata: dict[str, str] = Field(examples=[{"lot": "17"}])


@router.get("/jobs")
def list_jobs(
    who: Reader,
    context: ContextOf,
    state: Annotated[list[JobState] | None, Query(description="Only these; absent: all.", max_length=7)] = None,
    kind: Annotated[JobKind | None, Query(description="Only this kind.")] = None,
    catalogue: Annotated[str | None, Query(description="Only this catalogue's.", max_length=100)] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[JobBody]:
    """The tenant's jobs, newest first."""
    found = jobs.list_jobs(
        context,
        who.tenant,
        states=state,
        kind=kind,
        catalogue=catalogue,
        before=serial_of(cursor),
        limit=limit + 1,
    )
    shown = [JobBody.model_validate(view) for _, view in found[:limit]]
    return Page[JobBody](items=shown, next_cursor=encode_cursor(found[limit - 1][0]) if len(found) > limit else None)


@router.get("/jobs/{job}")
def show_job(job_id: JobId, who: Reader, context: ContextOf) -> JobBody:
    """One job."""
    return job_body(context, jobs.tenant_job(context, who.tenant, job_id))


@router.get("/jobs/{job}/items")
def list_job_items(
    job_id: JobId,
    who: Reader,
    context: ContextOf,
    state: Annotated[
        list[ItemState] | None, Query(description="Only these; absent: all.", max_length=len(ItemState))
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[ItemBody]:
    """The pictures of a job, in the order they were handed over, with reasons."""
    found = jobs.list_items(context, who.tenant, job_id, state, serial_of(cursor), limit + 1)
    shown = [_item_body(item) for item in found[:limit]]
    return Page[ItemBody](items=shown, next_cursor=encode_cursor(found[limit - 1].id) if len(found) > limit else None)


@router.post("/jobs/{job}:pause", responses=responses(409))
def pause_job(job_id: JobId, who: Writer, context: ContextOf) -> JobBody:
    """Begin nothing further of a job; what is being worked on is ended. A paused job stays as it is."""
    return job_body(context, job_control.pause_job(context, who.tenant, job_id))


@router.post("/jobs/{job}:resume", responses=responses(409))
def resume_job(job_id: JobId, who: Writer, context: ContextOf) -> JobBody:
    """Go on with a paused job; one that is not paused stays as it is."""
    return job_body(context, job_control.resume_job(context, who.tenant, job_id))


@router.post("/jobs/{job}:cancel", responses=responses(409))
def cancel_job(job_id: JobId, who: Writer, context: ContextOf) -> JobBody:
    """End a job. What is being worked on is ended first, then its state is `cancelled`; what was stored stays.

    An optimise job activates nothing any more; one that is activating its selection already ends as `done`.
    """
    return job_body(context, job_control.cancel_job(context, who.tenant, job_id))


@router.post("/jobs/{job}:retry", status_code=202, responses=responses(409))
def retry_job(job_id: JobId, response: Response, who: Writer, context: ContextOf) -> JobBody:
    """Try the pictures of an ended job that failed or were cancelled again, as a new job; asked again, the same one.

    Their bytes are kept for a day after the end of the job; a picture whose bytes are gone fails again and says so.
    """
    body = job_body(context, job_control.retry_job(context, who.tenant, job_id))
    response.headers["Location"] = body.links.self
    return body


def serial_of(cursor: str | None) -> int | None:
    """The number in a cursor that holds one. Raises InvalidInput for another list's."""
    keys = decode_cursor(cursor, int)
    return None if keys is None else min(max(cast("int", keys[0]), -1), 2**63 - 1)


def _item_body(item: Item) -> ItemBody:
    return ItemBody(
        id=item.id,
        source=item.source,
        label=item.label,
        state=item.state,
        reason=item.reason,
        example=item.example_id,
        crop=item.crop,
        metadata=dict(item.metadata),
    )
