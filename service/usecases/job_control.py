"""What a person may do to a job: pause, resume, cancel, try its failed pictures again. All may be asked twice."""

from __future__ import annotations

from service.ports import EmbedChunk, FinishIngest
from service.records import KINDS_OF_ITEMS, Job, JobState
from service.usecases.context import Context
from service.usecases.jobs import tenant_job
from service.usecases.whole_jobs import whole_job_message

CHUNKS_AT_ONCE = 500
"""Chunks that one transaction cancels."""

MOST_TOKENS = 2000
"""Messages that are sent at once for the chunks of a job: for what is left, the sweeper sends more."""


def pause_job(context: Context, tenant: str, job_id: str) -> Job:
    """Nothing further of it is begun; what is being worked on is ended. A paused job stays as it is.

    Raises:
        NotFound: the tenant has no such job.
        WrongState: it is being filled, being cancelled, or has ended.
    """
    tenant_job(context, tenant, job_id)
    return context.registry.pause_job(job_id)


def resume_job(context: Context, tenant: str, job_id: str) -> Job:
    """Go on with a paused job; one that is not paused stays as it is. Raises NotFound, WrongState as `pause_job`."""
    tenant_job(context, tenant, job_id)
    job = context.registry.resume_job(job_id)
    enqueue_job(context, job)
    return job


def cancel_job(context: Context, tenant: str, job_id: str) -> Job:
    """Ask for its end. It becomes CANCELLED when what is being worked on has ended; what was stored stays.

    An optimise job that is publishing its selection already ends DONE. Asked again, the same answer.

    Raises:
        NotFound: the tenant has no such job.
        WrongState: it is done or has failed.
    """
    tenant_job(context, tenant, job_id)
    job = context.registry.cancel_job(job_id)
    if job.state is not JobState.CANCELLED:
        enqueue_end(context, job)
    return job


def retry_job(context: Context, tenant: str, job_id: str) -> Job:
    """The pictures of an ended job that failed or were cancelled, as a new job. Asked again, the same new job.

    A picture whose bytes are gone fails again and says so. One whose bytes never came stays with the old job.

    Raises:
        NotFound: the tenant has no such job.
        WrongState: it has not ended, or there is nothing to try again.
        QuotaExceeded: they are too many for the tenant.
    """
    tenant_job(context, tenant, job_id)
    job = context.registry.retry_job(job_id, context.limits.chunk_images)
    enqueue_job(context, job)
    return job


def enqueue_job(context: Context, job: Job) -> None:
    """Send messages for what is to be done of a queued or running job."""
    if job.kind not in KINDS_OF_ITEMS:
        context.queue.enqueue(whole_job_message(job))
        return
    chunks = -(-(job.total - job.done) // context.limits.chunk_images)
    for number in range(min(chunks, MOST_TOKENS)):
        context.queue.enqueue(EmbedChunk(job.id, number))
    if job.done == job.total:
        context.queue.enqueue(FinishIngest(job.id))


def enqueue_end(context: Context, job: Job) -> None:
    """Send the message upon which a job that is to be cancelled ends."""
    context.queue.enqueue(FinishIngest(job.id) if job.kind in KINDS_OF_ITEMS else whole_job_message(job))


def cancel_waiting(context: Context, job: Job) -> None:
    """Items that nobody works on become CANCELLED. What is being worked on sends for the end when it is settled."""
    if job.cancelled_at is None:
        return
    while context.registry.cancel_chunks(job.id, CHUNKS_AT_ONCE):
        pass
