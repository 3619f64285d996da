"""A job as it is told to people and programs: over HTTP, in events and in webhooks alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.records import ItemState, Job, JobKind, JobState

FINISHED = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)
"""States that a job does not leave."""

OF_ITEMS = (JobKind.INGEST, JobKind.CLASSIFY)
"""Kinds of jobs that work through items, so that `done` and `total` count pictures."""


def job_view(job: Job, catalogue: str, counts: Mapping[ItemState, int], now: float) -> dict[str, Any]:
    """The job as JSON.

    Args:
        job: what the registry holds of it.
        catalogue: the name of its catalogue.
        counts: its items by state.
        now: seconds since 1970; how fast a running job is depends on it.
    """
    rate = _images_per_s(job, now)
    return {
        "id": job.id,
        "kind": job.kind.value,
        "catalogue": catalogue,
        "state": job.state.value,
        "stage": job.stage,
        "done": job.done,
        "total": job.total,
        "counts": {state.value: number for state, number in sorted(counts.items()) if number},
        "images_per_s": None if rate is None else round(rate, 2),
        "eta_s": _eta_s(job, rate),
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "result": None if job.result is None else dict(job.result),
        "error": job.error,
        "links": _links(job),
    }


def _images_per_s(job: Job, now: float) -> float | None:
    """Pictures a second since the job was begun; None for a job of no pictures, and while none is done."""
    if job.kind not in OF_ITEMS or job.started_at is None or job.done == 0:
        return None
    seconds = (job.finished_at or now) - job.started_at
    return job.done / seconds if seconds > 0 else None


def _eta_s(job: Job, rate: float | None) -> float | None:
    """Seconds that a running job still needs at this rate; None while nobody can know."""
    if job.state is not JobState.RUNNING or not rate:
        return None
    return round((job.total - job.done) / rate, 1)


def _links(job: Job) -> dict[str, str]:
    own = f"/v1/jobs/{job.id}"
    links = {"self": own, "items": f"{own}/items", "events": f"{own}/events"}
    return links | {"results": f"{own}/results"} if job.kind is JobKind.CLASSIFY else links
