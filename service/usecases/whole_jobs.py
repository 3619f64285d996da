"""Jobs that one worker carries out as a whole, under a lease, and that a person may pause or cancel meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from service.errors import HolotypeError, LeaseHeld, NotFound, Unavailable
from service.ports import RunFinetune, RunOptimise
from service.records import FINAL_STATES, Job, JobKind, JobState
from service.usecases.context import Context
from service.usecases.jobs import end_job
from service.usecases.leases import Liveness, kept_lease
from service.usecases.log_context import log_ids

STILL_S = 7200.0
"""A job that tells no progress for so long hangs, though its process lives: it is given to another worker. The longest
step that tells none (a trial over a million pictures, an epoch on a processor) takes a fraction of that."""


class Interrupted(Exception):
    """The job was paused or cancelled and shall not go on. Nothing of it serves: publishing is its last stage."""


def whole_job_message(job: Job) -> RunOptimise | RunFinetune:
    """What a worker is sent to carry the job out."""
    return RunFinetune(job.id) if job.kind is JobKind.FINETUNE else RunOptimise(job.id)


def run_whole_job(context: Context, job_id: str, work: Callable[[Context, Job], Mapping[str, Any]]) -> None:
    """Carry out a job, or leave it to whoever holds its lease. Delivered twice, it runs once.

    `work` gives the job's result; it calls `tell_progress` and lets Interrupted through.
    """
    job = context.registry.job(job_id)
    if job.state in (*FINAL_STATES, JobState.PAUSED):
        return
    try:
        liveness = Liveness(lambda: _progress_of(context, job_id), STILL_S)
        lease = kept_lease(context, f"job:{job_id}", context.limits.job_lease_s, liveness)
        with log_ids({"tenant": job.tenant, "job": job_id}), lease:
            end_job(context, job_id, work(context, context.registry.job(job_id)))
    except Interrupted:
        _interrupted(context, job_id)
    except (LeaseHeld, Unavailable):
        # Somebody else is at it, or a system is away: the sweeper brings the job back when its lease has run out.
        raise
    except HolotypeError as error:
        end_job(context, job_id, None, error.message)
    except Exception as error:
        end_job(context, job_id, None, f"unexpected {type(error).__name__}: {error}")
        raise


def _progress_of(context: Context, job_id: str) -> tuple[str, int, int] | None:
    """What changes as the job goes on; None for one that went with its catalogue."""
    with suppress(NotFound):
        job = context.registry.job(job_id)
        return job.stage, job.done, job.total
    return None


def tell_progress(context: Context, job: Job, stage: str, done: int, total: int) -> None:
    """Tell how far it is. Raises Interrupted when the job was paused, cancelled or ended meanwhile."""
    if not context.registry.set_progress(job.id, stage, done, total):
        raise Interrupted


def _interrupted(context: Context, job_id: str) -> None:
    """A cancelled job ends; a paused one goes on where it can, or begins anew."""
    with suppress(NotFound):
        if context.registry.job(job_id).cancelled_at is not None:
            end_job(context, job_id, None)
