"""A job as it is told to people and programs: over HTTP, in events and in webhooks alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.core.pace import Pace, rate, rested
from service.records import KINDS_OF_ITEMS, ItemState, Job, JobKind, JobState

MOST_LISTED = 1000
"""Entries of a list in a job's result (errors, conflicts); the job's pictures, a page at a time, name all."""


def job_view(job: Job, catalogue: str, counts: Mapping[ItemState, int], now: float) -> dict[str, Any]:
    """The job as JSON.

    Args:
        job: what the registry holds of it.
        catalogue: the name of its catalogue.
        counts: its items by state.
        now: seconds since 1970; how fast a running job is depends on it.
    """
    cancelled = counts.get(ItemState.CANCELLED, 0)
    per_s = images_per_s(job, counts, now)
    return {
        "id": job.id,
        "kind": job.kind.value,
        "catalogue": catalogue,
        "state": job.state.value,
        "stage": job.stage,
        "done": job.done - cancelled,
        "total": job.total,
        "counts": {state.value: number for state, number in sorted(counts.items()) if number},
        "images_per_s": None if per_s is None else round(per_s, 2),
        "eta_s": _eta_s(job, per_s),
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "result": None if job.result is None else _brief(job.result),
        "error": job.error,
        "links": _links(job),
    }


def _brief(result: Mapping[str, Any]) -> dict[str, Any]:
    """The result with its lists cut to `MOST_LISTED` entries, and how many were left out of which."""
    told: dict[str, Any] = {}
    for name, value in result.items():
        told[name] = value[:MOST_LISTED] if isinstance(value, list) else value
        if isinstance(value, list) and len(value) > MOST_LISTED:
            told[f"{name}_left_out"] = len(value) - MOST_LISTED
    return told


def images_per_s(job: Job, counts: Mapping[ItemState, int], now: float) -> float | None:
    """Pictures a second: recently, of a running job, else over all its working time. None while unknown."""
    if job.kind not in KINDS_OF_ITEMS:
        return None
    return rate(Pace.from_dict(job.pace), job.done - counts.get(ItemState.CANCELLED, 0), now)


def overall_images_per_s(job: Job, counts: Mapping[ItemState, int], now: float) -> float | None:
    """The same over all its working time, running or not: the end of a long job does not dilute it."""
    if job.kind not in KINDS_OF_ITEMS:
        return None
    return rate(rested(Pace.from_dict(job.pace), now), job.done - counts.get(ItemState.CANCELLED, 0), now)


def _eta_s(job: Job, per_s: float | None) -> float | None:
    """Seconds that a running job still needs at this rate; None while nobody can know."""
    if job.state is not JobState.RUNNING or job.cancelled_at is not None or not per_s:
        return None
    return round((job.total - job.done) / per_s, 1)


def _links(job: Job) -> dict[str, str | None]:
    own = f"/v1/jobs/{job.id}"
    results = f"{own}/results" if job.kind is JobKind.CLASSIFY else None
    return {"self": own, "items": f"{own}/items", "events": f"{own}/events", "results": results}
