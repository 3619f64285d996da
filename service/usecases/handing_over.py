"""Handing pictures over to a job: bytes into the blob store, a row each, then the seal that lets workers begin.

Nothing is accepted before all are there: a job that was never sealed is closed, by who filled it or by the sweeper.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from service.errors import HolotypeError, InvalidInput, JobFailed
from service.ports import EmbedChunk, FinishIngest
from service.records import Catalogue, Job, JobKind, JobState, NewItem, Split
from service.usecases.context import Context, bytes_key
from service.usecases.crops import crop_of_mask
from service.usecases.giving_up import give_up_filling
from service.usecases.leases import kept_lease
from service.usecases.splitting import BATCH

FINISHED = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture that is handed over.

    Attributes:
        source: what reports call it.
        read: gives its bytes, or raises InvalidInput with the reason why not; None for one that the worker has to fetch
            from `source`, a URL, and for a failed one.
        label: its label, checked; "" where there is none.
        split: what it is for; UNASSIGNED leaves it to the end of the job.
        metadata: the user's own texts by name, checked.
        failure: why it cannot be used, a sentence; None for one to be read or fetched.
        crop: what of it counts (`core.crop`), "" for all of it.
        read_mask: gives the bytes of a mask that says so instead, as `read` does; None without one.
        keep_aspect: of what the mask shows.
    """

    source: str
    read: Callable[[], bytes] | None = None
    label: str = ""
    split: Split = Split.UNASSIGNED
    metadata: Mapping[str, str] = field(default_factory=dict)
    failure: str | None = None
    crop: str = ""
    read_mask: Callable[[], bytes] | None = None
    keep_aspect: bool = False


def filled_job(
    context: Context,
    catalogue: Catalogue,
    kind: JobKind,
    parameters: Mapping[str, Any],
    pictures: Iterable[Picture],
    *,
    once: bool = False,
    on_taken: Callable[[int], None] = lambda _done: None,
) -> Job:
    """A new job with these pictures, as it is queued.

    While it reads, the job's lease is held: that is how the sweeper tells a reader at work from one that died.

    Args:
        context: the ports.
        catalogue: what they are for.
        kind: INGEST stores them as examples, CLASSIFY answers them.
        parameters: of the job, JSON values.
        pictures: read one after the other, never more than one in memory.
        once: the same picture under the same name and label counts once.
        on_taken: told how many pictures were read.

    Raises:
        LeaseHeld, JobFailed: this process was held up so long that the job was given up.
        QuotaExceeded: they are too many for the tenant; nothing was taken.
        Unavailable: an outside system does not answer.
    """
    job = context.registry.open_job(catalogue, kind, parameters)
    with kept_lease(context, f"job:{job.id}", context.limits.job_lease_s) as lease:
        try:
            add_pictures(context, job, pictures, once=once, on_taken=on_taken, check=lease.check)
            lease.check()
            _refuse_given_up(context, job.id)
            chunks = context.registry.seal_job(job.id, context.limits.chunk_images)
        except BaseException as error:
            _give_up(context, job, error)
            raise
    _enqueue(context, job.id, chunks)
    return context.registry.job(job.id)


def add_pictures(
    context: Context,
    job: Job,
    pictures: Iterable[Picture],
    *,
    once: bool,
    on_taken: Callable[[int], None] = lambda _done: None,
    check: Callable[[], None] = lambda: None,
) -> int:
    """Bytes and rows of the pictures; how many rows were added. `check` is called before each batch of rows.

    Raises:
        InvalidInput: the job was sealed or given up meanwhile.
        QuotaExceeded: they are too many for the tenant.
        Unavailable: an outside system does not answer.
    """
    key_of = bytes_key(job)
    done = added = 0
    for batch in _batches(pictures):
        items = []
        for picture in batch:
            items.append(_taken(context, key_of, picture))
            done += 1
            on_taken(done)
        context.blobs.flush()
        check()
        added += context.registry.add_items(job.id, items, once=once)
    return added


def seal(context: Context, job: Job) -> Job:
    """Let the workers begin with an open job; one that is sealed already stays as it is.

    Raises:
        JobFailed: it was given up or cancelled before.
        Unavailable: an outside system does not answer.
    """
    if job.state is JobState.OPENING:
        chunks = context.registry.seal_job(job.id, context.limits.chunk_images)
        _refuse_given_up(context, job.id)
        _enqueue(context, job.id, chunks)
    else:
        _refuse_given_up(context, job.id)
    return context.registry.job(job.id)


def _enqueue(context: Context, job_id: str, chunks: int) -> None:
    for number in range(chunks):
        context.queue.enqueue(EmbedChunk(job_id, number))
    if not chunks:
        context.queue.enqueue(FinishIngest(job_id))


def _taken(context: Context, key_of: Callable[[str], str], picture: Picture) -> NewItem:
    """The picture's bytes in the blob store, or why they are not."""
    content_hash, failure, crop = "", picture.failure, picture.crop
    if failure is None and picture.read is not None:
        try:
            data = picture.read()
            if picture.read_mask is not None:
                crop = crop_of_mask(context.decoder, data, picture.read_mask(), keep_aspect=picture.keep_aspect)
        except InvalidInput as error:
            failure = error.message
        else:
            content_hash = hashlib.sha256(data).hexdigest()
            # Also where there is one by that name: after a power cut its bytes may be none, or others.
            context.blobs.put(key_of(content_hash), data)
    return NewItem(
        source=picture.source,
        content_hash=content_hash,
        label=picture.label,
        split=picture.split,
        failure=failure,
        crop=crop,
        metadata=picture.metadata,
    )


def _refuse_given_up(context: Context, job_id: str) -> None:
    job = context.registry.job(job_id)
    if job.state in (JobState.FAILED, JobState.CANCELLED):
        raise JobFailed(job.error or f"the job was {job.state}", job=job_id)


def _give_up(context: Context, job: Job, error: BaseException) -> None:
    """Close a job that was not sealed; when even that fails, the sweeper will."""
    try:
        reason = f"reading the pictures was broken off ({str(error) or type(error).__name__}); nothing was taken"
        give_up_filling(context, job, reason)
    except HolotypeError:
        return


def _batches(pictures: Iterable[Picture]) -> Iterator[list[Picture]]:
    rest = iter(pictures)
    while batch := list(islice(rest, BATCH)):
        yield batch
