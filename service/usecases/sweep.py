"""Enqueue again what was lost, close what nobody closes, repair drifted flags. Harmless at any time, in any number."""

from __future__ import annotations

import logging
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from service.errors import Busy, CatalogueNotFound, HolotypeError, LeaseHeld, PublishIncomplete
from service.ports import EmbedChunk, FinishIngest
from service.records import KINDS_OF_ITEMS, Catalogue, ItemState, Job, JobState
from service.usecases import publish
from service.usecases.archive_import import sweep_imports
from service.usecases.context import Context
from service.usecases.deleted import sweep_deleted
from service.usecases.giving_up import give_up_filling
from service.usecases.idempotency import forget_old_requests
from service.usecases.job_control import MOST_TOKENS
from service.usecases.leftovers import forget_leftovers
from service.usecases.webhooks import announce_due
from service.usecases.whole_jobs import whole_job_message

logger = logging.getLogger(__name__)

SECONDS_A_CHUNK = 0.5
"""A job with n open chunks is enqueued again at most every n * this: a chunk that merely waits for its turn looks
like a lost one, and doubles, though harmless, should not pile up faster than workers throw them away."""

WHOLE_COMPARISON_S = 3600.0
"""Every example of a catalogue is compared with its point so often; whoever changes splits aligns them by itself, and
what was broken off is done again by its job. The references of what serves are compared at every sweep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepReport:
    """What a sweep did.

    Attributes:
        chunks: chunks enqueued.
        finishing: ingest jobs enqueued to be closed.
        whole: optimise and fine-tuning jobs enqueued.
        abandoned: jobs given up whose pictures were never all handed over: their reader died or fell silent.
        repaired: points whose flags were put right.
        forgotten: requests whose idempotency keys were forgotten.
        imports: half-built catalogues deleted whose import died.
        leftovers: ended jobs whose failed pictures' bytes were forgotten.
        deleted: deleted examples whose bytes were forgotten.
        deliveries: messages to webhooks enqueued.
    """

    chunks: int
    finishing: int
    whole: int
    abandoned: int
    repaired: int
    forgotten: int = 0
    imports: int = 0
    leftovers: int = 0
    deleted: int = 0
    deliveries: int = 0


def sweep(context: Context) -> SweepReport:
    """One round over all tenants; chunks that keep losing their workers are cut up by `embed_chunk`, which counts.

    Raises:
        Unavailable: an outside system does not answer.
    """
    unfinished = context.registry.jobs([JobState.QUEUED, JobState.RUNNING, JobState.PAUSED])
    settled = [job for job in unfinished if job.kind in KINDS_OF_ITEMS and _ends(context, job)]
    for job in settled:
        context.queue.enqueue(FinishIngest(job.id))
    whole = [job for job in unfinished if job.kind not in KINDS_OF_ITEMS and job.state is not JobState.PAUSED]
    for job in whole:
        context.queue.enqueue(whole_job_message(job))
    return SweepReport(
        chunks=_enqueue_open_chunks(context),
        finishing=len(settled),
        whole=len(whole),
        abandoned=sum(_give_up_unread(context, job) for job in context.registry.jobs([JobState.OPENING])),
        imports=sweep_imports(context),
        repaired=_reconcile(context),
        forgotten=forget_old_requests(context),
        leftovers=forget_leftovers(context),
        deleted=sweep_deleted(context),
        deliveries=announce_due(context),
    )


def _ends(context: Context, job: Job) -> bool:
    """All its items are settled, or it is to be cancelled."""
    if job.cancelled_at is not None:
        return True
    return not context.registry.item_counts(job.id).get(ItemState.PENDING, 0)


def _enqueue_open_chunks(context: Context) -> int:
    numbers: dict[str, list[int]] = defaultdict(list)
    for job_id, number in context.registry.open_chunks():
        numbers[job_id].append(number)
    enqueued = 0
    for job_id, open_numbers in numbers.items():
        pause_s = min(SECONDS_A_CHUNK * len(open_numbers), context.limits.chunk_lease_s)
        try:
            # Never released: it runs out by itself, and the owner's name is new each time, so it cannot be renewed.
            context.registry.take_lease(f"sweep:{job_id}", f"{context.owner}:{uuid.uuid4()}", pause_s)
        except LeaseHeld:
            continue
        for number in open_numbers[:MOST_TOKENS]:
            context.queue.enqueue(EmbedChunk(job_id, number))
        enqueued += len(open_numbers[:MOST_TOKENS])
    return enqueued


def _give_up_unread(context: Context, job: Job) -> bool:
    """Fail a job whose reader lets go of its lease without a seal: it died. Nothing of it was accepted.

    An open one has no reader in between: it is given up when it has heard of nobody for long.
    """
    if job.kind not in KINDS_OF_ITEMS:
        return False
    if job.parameters.get("open"):
        return _give_up_silent(context, job)
    if context.clock() - job.created_at < context.limits.job_lease_s:
        return False
    name = f"job:{job.id}"
    try:
        context.registry.take_lease(name, context.owner, context.limits.job_lease_s)
    except LeaseHeld:
        return False
    try:
        if context.registry.job(job.id).state is not JobState.OPENING:
            return False
        reason = "the process that read the pictures ended before all were handed over; nothing was taken: run it again"
        give_up_filling(context, job, reason)
        return True
    finally:
        context.registry.release_lease(name, context.owner)


def _give_up_silent(context: Context, job: Job) -> bool:
    silent_s = context.clock() - (job.heard_at or job.created_at)
    if silent_s < context.limits.upload_silence_s:
        return False
    give_up_filling(
        context,
        job,
        f"no picture arrived for {silent_s / 60:.0f} minutes and it was never sealed; nothing was taken: open another "
        "one and hand the pictures over again (HOLOTYPE_UPLOAD_SILENCE_S sets how long is waited)",
    )
    return True


def _reconcile(context: Context) -> int:
    """Flags of all catalogues; one that is being published to (or was deleted meanwhile) waits for the next round."""
    repaired = 0
    for catalogue in context.registry.all_catalogues():
        if catalogue.fingerprint is None:
            continue
        try:
            with _whole_comparison(context, catalogue) as whole:
                repaired += publish.reconcile(context, catalogue, whole=whole)
        except (Busy, PublishIncomplete, CatalogueNotFound) as error:
            logger.warning("catalogue %s was not reconciled: %s", catalogue.name, error)
    return repaired


@contextmanager
def _whole_comparison(context: Context, catalogue: Catalogue) -> Iterator[bool]:
    """Is a whole comparison due? One that was broken off stays due; a new owner of a data directory starts with one."""
    name, owner = f"compare:{catalogue.id}", f"{context.owner}:{uuid.uuid4()}"
    try:
        # Kept on success: it runs out by itself, and the owner's name is new each time, so it cannot be renewed.
        context.registry.take_lease(name, owner, WHOLE_COMPARISON_S)
    except LeaseHeld:
        yield False
        return
    try:
        yield True
    except BaseException:
        with suppress(HolotypeError):
            context.registry.release_lease(name, owner)
        raise
