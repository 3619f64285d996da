"""A tenant's jobs: finding one, telling of it, waiting for it, and ending one that cannot go on."""

from __future__ import annotations

import time
from typing import Any

from service.errors import CatalogueNotFound, JobFailed, NotFound, Unavailable, quoted
from service.records import Job, JobState
from service.usecases.context import Context, OnProgress
from service.usecases.job_view import job_view

OUTAGE_S = 30.0
"""How long the registry may be silent before waiting is given up; the job itself goes on."""


def tenant_job(context: Context, tenant: str, job_id: str) -> Job:
    """The tenant's job. Raises NotFound, in the same words for another tenant's."""
    try:
        job = context.registry.job(job_id)
    except NotFound:
        raise _no_job(job_id) from None
    if job.tenant != tenant:
        raise _no_job(job_id)
    return job


def shown_job(context: Context, job: Job) -> dict[str, Any]:
    """The job as JSON (`job_view`). Raises NotFound when it was deleted meanwhile, with its catalogue."""
    try:
        catalogue = context.registry.catalogue_by_id(job.catalogue_id)
    except CatalogueNotFound:
        raise _no_job(job.id) from None
    return job_view(job, catalogue.name, context.registry.item_counts(job.id), context.clock())


def _no_job(job_id: str) -> NotFound:
    return NotFound(f"there is no job {quoted(job_id)}", job=job_id)


def wait_for_job(context: Context, job_id: str, on_progress: OnProgress, poll_s: float = 0.1) -> Job:
    """Watch the registry until the job is done; workers elsewhere or in this process do the work.

    `on_progress` is called with (stage, done, total) whenever one of them changed.

    Raises:
        JobFailed: with the job's error, or because somebody cancelled it.
        NotFound: no such job.
        Unavailable: the registry was silent for `OUTAGE_S`.
    """
    shown: tuple[str, int, int] | None = None
    while True:
        job = _read(context, job_id, poll_s)
        progress = (job.stage, job.done, job.total)
        if progress != shown:
            on_progress(*progress)
            shown = progress
        if job.state is JobState.DONE:
            return job
        if job.state is JobState.FAILED:
            raise JobFailed(f"the {job.kind} job failed: {job.error}", job=job.id, error=job.error)
        if job.state is JobState.CANCELLED:
            done = f"{job.done} of {job.total}"
            raise JobFailed(f"the {job.kind} job was cancelled; done were {done}", job=job.id, error=job.error)
        time.sleep(poll_s)


def fail_job(context: Context, job_id: str, error: Exception) -> None:
    """End a job whose work raised an error that trying again would not mend; a finished job stays as it is."""
    sentence = str(error) or type(error).__name__
    context.registry.finish_job(job_id, None, error=sentence)


def _read(context: Context, job_id: str, poll_s: float) -> Job:
    """The job, over short outages of the registry."""
    give_up = time.monotonic() + OUTAGE_S
    while True:
        try:
            return context.registry.job(job_id)
        except Unavailable:
            if time.monotonic() > give_up:
                raise
            time.sleep(max(poll_s, 1.0))
