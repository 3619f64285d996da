"""A tenant's jobs: finding one, telling of it, waiting for it, and ending one that cannot go on."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from service.errors import CatalogueNotFound, InvalidInput, JobFailed, NotFound, Unavailable, quoted
from service.records import Item, ItemState, Job, JobKind, JobState
from service.usecases.context import Context, OnProgress
from service.usecases.job_view import job_view
from service.usecases.log_context import log_ids
from service.usecases.webhooks import announce

logger = logging.getLogger(__name__)

OUTAGE_S = 30.0
"""How long the registry may be silent before waiting is given up; the job itself goes on."""

_some_job_ended = threading.Condition()
"""Told whenever this process ended a job: who waits here for one need not sleep through its end."""


def tenant_job(context: Context, tenant: str, job_id: str) -> Job:
    """The tenant's job. Raises NotFound, in the same words for another tenant's."""
    try:
        job = context.registry.job(job_id)
    except (NotFound, InvalidInput):  # the latter for text that no id can be
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


def list_jobs(
    context: Context,
    tenant: str,
    *,
    states: Sequence[JobState] | None = None,
    kind: JobKind | None = None,
    catalogue: str | None = None,
    before: int | None = None,
    limit: int,
) -> list[tuple[int, dict[str, Any]]]:
    """The tenant's jobs as JSON, newest first, each with its serial number; those with a lower one than `before`.

    Raises CatalogueNotFound.
    """
    names = {one.id: one.name for one in context.registry.catalogues(tenant)}
    catalogue_id = None if catalogue is None else context.registry.catalogue(tenant, catalogue).id
    found = context.registry.jobs_page(
        tenant, states=states, kind=kind, catalogue_id=catalogue_id, before=before, limit=limit
    )
    counts = context.registry.item_counts_of([job.id for _, job in found])
    now = context.clock()
    return [
        (serial, job_view(job, names[job.catalogue_id], counts[job.id], now))
        for serial, job in found
        if job.catalogue_id in names  # one that is being imported has no name yet
    ]


def list_items(
    context: Context, tenant: str, job_id: str, states: Sequence[ItemState] | None, after: int | None, limit: int
) -> list[Item]:
    """Pictures of the tenant's job by id; those with a higher one than `after`. Raises NotFound."""
    return context.registry.items_page(tenant_job(context, tenant, job_id).id, states=states, after=after, limit=limit)


def _no_job(job_id: str) -> NotFound:
    return NotFound(f"there is no job {quoted(job_id)}", job=job_id)


def wait_for_job(context: Context, job_id: str, on_progress: OnProgress, poll_s: float = 0.1) -> Job:
    """Watch the registry until the job is done; workers elsewhere or in this process do the work.

    It is read every `poll_s`, and at once when a worker of this process has ended a job.

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
            raise JobFailed(f"the {job.kind} job was cancelled: what it had stored stays", job=job.id, error=job.error)
        with _some_job_ended:
            _some_job_ended.wait(poll_s)


def end_job(context: Context, job_id: str, result: Mapping[str, Any] | None, error: str | None = None) -> None:
    """End a job (`registry.finish_job`) and send out who is to be told of it; an ended job stays as it is."""
    announce(context, context.registry.finish_job(job_id, result, error))
    with _some_job_ended:
        _some_job_ended.notify_all()
    with suppress(NotFound, Unavailable):  # it has ended all the same
        _tell_end(context.registry.job(job_id))


def _tell_end(job: Job) -> None:
    """One line in the log, with what a person would ask first: whose, of which kind, how it went and how long."""
    took_s = (job.finished_at or 0.0) - (job.started_at or job.finished_at or 0.0)
    with log_ids({"tenant": job.tenant, "job": job.id, "selection": (job.result or {}).get("selection")}):
        logger.info("%s job %s after %.1f s, %d of %d%s", job.kind, job.state, took_s, job.done, job.total,
                    f": {job.error}" if job.error else "")  # fmt: skip


def fail_job(context: Context, job_id: str, error: Exception) -> None:
    """End a job whose work raised an error that trying again would not mend; a finished job stays as it is."""
    end_job(context, job_id, None, str(error) or type(error).__name__)


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
