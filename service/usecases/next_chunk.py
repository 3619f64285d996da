"""A worker's turn: the next chunk that is fair between tenants, done as its job's kind asks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from service.errors import LeaseHeld, NotFound, Unavailable
from service.records import Chunk, JobKind
from service.usecases.answer_chunk import answer_claimed
from service.usecases.context import Context
from service.usecases.embed import embed_claimed
from service.usecases.jobs import fail_job
from service.usecases.log_context import log_ids

logger = logging.getLogger(__name__)

WORK: Mapping[JobKind, Callable[[Context, Chunk], None]] = {
    JobKind.INGEST: embed_claimed,
    JobKind.CLASSIFY: answer_claimed,
}
"""What is done with a claimed chunk. Each gives the chunk back when an outside system does not answer."""


def work_on_next_chunk(context: Context) -> None:
    """Claim the chunk whose turn it is and do it; nothing when no chunk is open.

    An error that trying again would not mend ends the chunk's job, whatever job the message was sent for.

    Raises:
        Unavailable: an outside system does not answer. The chunk is given back and the attempt not counted.
    """
    chunk = context.registry.claim_next_chunk(context.owner, context.limits.chunk_lease_s)
    if chunk is None:
        return
    ids = {"job": chunk.job_id}
    with log_ids(ids):
        _work_on(context, chunk, ids)


def _work_on(context: Context, chunk: Chunk, ids: dict[str, str]) -> None:
    try:
        job = context.registry.job(chunk.job_id)
        ids["tenant"] = job.tenant
        WORK[job.kind](context, chunk)
    except Unavailable:
        raise
    except (LeaseHeld, NotFound) as error:
        logger.info("chunk %d of job %s was let go: %s", chunk.number, chunk.job_id, error)
    except Exception as error:
        logger.exception("chunk %d of job %s failed", chunk.number, chunk.job_id)
        fail_job(context, chunk.job_id, error)
