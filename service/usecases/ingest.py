"""Handing over labelled pictures: bytes into the blob store, a row each; nothing is accepted before all are there."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from service.errors import AlreadyExists, CatalogueNotFound, HolotypeError, InvalidInput, JobFailed
from service.ports import EmbedChunk, FinishIngest
from service.records import Catalogue, Job, JobKind, JobState, NewItem
from service.usecases.catalogues import create_catalogue
from service.usecases.context import Context, OnProgress, image_key
from service.usecases.files import read_file
from service.usecases.finish_ingest import ingest_report
from service.usecases.labels import checked_name
from service.usecases.leases import kept_lease
from service.usecases.manifests import SPLITS
from service.usecases.sources import Source, find_sources
from service.usecases.splitting import batches

__all__ = ["ingest_report", "start_ingest"]

READING = "reading"


def start_ingest(
    context: Context,
    tenant: str,
    name: str,
    path: Path,
    *,
    split: str = "auto",
    label: str | None = None,
    encoder: str,
    on_progress: OnProgress = lambda stage, done, total: None,  # noqa: ARG005 - the names say what arrives
) -> Job:
    """Read the pictures of PATH and queue them for embedding; the job as queued. Broken ones are found by the workers.

    Args:
        context: the ports.
        tenant: whose catalogue it is.
        name: the catalogue; made with `encoder` when it is not there.
        path: a folder of label/picture.jpg, a CSV or JSONL manifest, or one picture.
        split: "auto" (decided at the end of the job), "support", "tuning" or "holdout".
        label: label of all pictures; refused for a folder of class folders.
        encoder: encoder of a new catalogue; one that is there keeps its own.
        on_progress: told ("reading", pictures read, pictures in all).

    Raises:
        InvalidInput: PATH, a name, the label or the split cannot be used, or there is no picture. Nothing was taken.
        Unavailable: an outside system does not answer.
        LeaseHeld: this process was held up so long that the job was given up; run it again.
    """
    if split not in SPLITS:
        raise InvalidInput(f"the split is {split!r}; it must be one of {', '.join(SPLITS)}")
    checked_name(tenant, "tenant")
    checked_name(name)
    sources = list(find_sources(path, label, SPLITS[split]))
    if not sources:
        raise InvalidInput(
            f"no picture under {path}: looked for JPEG, PNG and WebP files (.jpg, .png, .webp) in a folder per class",
            path=str(path),
        )
    catalogue = _catalogue(context, tenant, name, encoder)
    parameters = {"path": str(path), "split": split, "label": label}
    job = context.registry.open_job(catalogue, JobKind.INGEST, parameters)
    chunks = _hand_over(context, catalogue, job, sources, on_progress)
    for number in range(chunks):
        context.queue.enqueue(EmbedChunk(job.id, number))
    if not chunks:
        context.queue.enqueue(FinishIngest(job.id))
    return context.registry.job(job.id)


def _catalogue(context: Context, tenant: str, name: str, encoder: str) -> Catalogue:
    try:
        return context.registry.catalogue(tenant, name)
    except CatalogueNotFound:
        pass
    try:
        return create_catalogue(context, tenant, name, encoder)
    except AlreadyExists:  # another process was quicker
        return context.registry.catalogue(tenant, name)


def _hand_over(
    context: Context, catalogue: Catalogue, job: Job, sources: Sequence[Source], on_progress: OnProgress
) -> int:
    """Bytes and rows, then the seal that makes them a job; the number of chunks.

    While it reads, the job's lease is held: that is how the sweeper tells a reader at work from one that died.
    """
    with kept_lease(context, f"job:{job.id}", context.limits.job_lease_s) as lease:
        try:
            done = 0
            on_progress(READING, done, len(sources))
            for batch in batches(sources):
                items = []
                for source in batch:
                    items.append(_taken(context, catalogue.tenant, source))
                    done += 1
                    on_progress(READING, done, len(sources))
                lease.check()
                context.registry.add_items(job.id, items)
            lease.check()
            _refuse_given_up(context, job.id)
            return context.registry.seal_job(job.id, context.limits.chunk_images)
        except BaseException as error:
            _give_up(context, job.id, error)
            raise


def _taken(context: Context, tenant: str, source: Source) -> NewItem:
    """The picture's bytes in the blob store, or why they are not."""
    content_hash, failure = "", source.failure
    if failure is None:
        try:
            data = read_file(source.path)
        except InvalidInput as error:
            failure = error.message
        else:
            content_hash = hashlib.sha256(data).hexdigest()
            key = image_key(tenant, content_hash)
            if not context.blobs.exists(key):
                context.blobs.put(key, data)
    return NewItem(
        source=source.name, content_hash=content_hash, label=source.label, split=source.split, failure=failure
    )


def _refuse_given_up(context: Context, job_id: str) -> None:
    job = context.registry.job(job_id)
    if job.state is JobState.FAILED:
        raise JobFailed(job.error or "the job was given up", job=job_id)


def _give_up(context: Context, job_id: str, error: BaseException) -> None:
    """Close a job that was not sealed; when even that fails, the sweeper will."""
    try:
        reason = f"reading the pictures was broken off ({str(error) or type(error).__name__}); nothing was taken"
        context.registry.finish_job(job_id, None, reason)
    except HolotypeError:
        return
