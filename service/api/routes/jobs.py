"""Jobs: show, list, follow, pause, resume, cancel, retry; and the pictures of one."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path
from pydantic import BaseModel, Field

from service.api.access import ContextOf, Reader, scoped_router
from service.records import Job, JobKind, JobState
from service.usecases import jobs
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


@router.get("/jobs/{job}")
def show_job(job_id: JobId, who: Reader, context: ContextOf) -> JobBody:
    """One job."""
    return job_body(context, jobs.tenant_job(context, who.tenant, job_id))
