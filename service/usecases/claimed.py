"""Claimed chunks, whatever is done with them: workers that vanish, outages, and what cannot go on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import LeaseHeld, NotFound, Unavailable
from service.ports import EmbedChunk, FinishIngest
from service.records import Chunk, FailedItem, Job, Settlement
from service.usecases.context import Context
from service.usecases.jobs import end_job

logger = logging.getLogger(__name__)

MAX_LOSSES = 2
"""A chunk whose workers vanished this often is cut into single pictures."""

MAX_SINGLE_LOSSES = 3
"""A picture whose workers vanished this often, alone, is given up."""

KILLER = "decoding it ended the worker process three times: open it and save it anew as JPEG or PNG"


@contextmanager
def given_back(context: Context, chunk: Chunk) -> Iterator[None]:
    """Work on a claimed chunk. What is gone, or in other hands by now, is let go of; other errors are passed on.

    Raises:
        Unavailable: an outside system does not answer. The chunk is given back and the attempt not counted.
    """
    try:
        yield
    except (NotFound, LeaseHeld) as error:
        logger.warning("chunk %d of job %s was given up: %s", chunk.number, chunk.job_id, error)
    except BaseException as error:
        # An outage or a shutdown is not the pictures' fault: what is no Exception was raised to end this worker.
        if isinstance(error, Unavailable) or not isinstance(error, Exception):
            _give_back(context, chunk)
        raise


def lost_too_often(context: Context, chunk: Chunk) -> bool:
    """Did the chunk's workers vanish so often that it is not done as it is? Then it was cut up, or given up."""
    losses = chunk.attempt - 1
    if losses >= MAX_LOSSES and len(chunk.items) > 1:
        for number in context.registry.split_chunk(chunk):
            context.queue.enqueue(EmbedChunk(chunk.job_id, number))
        return True
    if losses >= MAX_SINGLE_LOSSES:
        fail_all(context, chunk, KILLER)
        return True
    return False


def fail_all(context: Context, chunk: Chunk, reason: str) -> None:
    """Every picture of the chunk fails with the reason."""
    failed = [FailedItem(item_id=item.id, reason=reason) for item in chunk.items]
    finish_if_settled(context, chunk, context.registry.settle_chunk(chunk, context.owner, [], failed))


def finish_if_settled(context: Context, chunk: Chunk, settlement: Settlement) -> None:
    """Have the job closed when this was its last chunk."""
    if settlement.job_settled:
        context.queue.enqueue(FinishIngest(chunk.job_id))


def end_whole_job(context: Context, job: Job, chunk: Chunk, error: str) -> None:
    """No picture of the job can be worked on: all of them fail with the error, and so does the job."""
    fail_all(context, chunk, error)
    for job_id, number in context.registry.open_chunks():
        if job_id == job.id:
            other = context.registry.claim_chunk(job_id, number, context.owner, context.limits.chunk_lease_s)
            if other is not None:
                fail_all(context, other, error)
    end_job(context, job.id, None, error)


def _give_back(context: Context, chunk: Chunk) -> None:
    """Without waiting for the lease to run out; when the registry is what is down, it has to run out."""
    try:
        context.registry.release_chunk(chunk, context.owner)
    except Unavailable as error:
        logger.warning("chunk %d of job %s could not be given back: %s", chunk.number, chunk.job_id, error)
