"""Waiting for a job, and ending one that cannot go on."""

from __future__ import annotations

import time

from service.errors import JobFailed, Unavailable
from service.records import Job, JobState
from service.usecases.context import Context, OnProgress

OUTAGE_S = 30.0
"""How long the registry may be silent before waiting is given up; the job itself goes on."""


def wait_for_job(context: Context, job_id: str, on_progress: OnProgress, poll_s: float = 0.1) -> Job:
    """Watch the registry until the job is done; workers elsewhere or in this process do the work.

    `on_progress` is called with (stage, done, total) whenever one of them changed.

    Raises:
        JobFailed: with the job's error.
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
