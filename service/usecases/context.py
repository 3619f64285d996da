"""What every use case works with: the ports, and the names that several of them share."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial

from service.errors import NothingToServe
from service.ports import (
    BlobStore,
    EncoderFinetuner,
    EncoderProvider,
    ImageDecoder,
    JobQueue,
    ParameterSearch,
    Partition,
    PictureFetcher,
    Registry,
    VectorStore,
    WebhookSender,
)
from service.records import Catalogue, Job, JobKind, Quotas

OnProgress = Callable[[str, int, int], None]
"""Called with the stage's name, what is done and the total."""

UNBOUNDED = nullcontext()


UNLIMITED = Quotas()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The numbers of the settings that use cases need."""

    chunk_images: int = 32
    decode_threads: int = 2
    chunk_lease_s: float = 180.0
    job_lease_s: float = 120.0
    gate_margin: float = 0.01
    upload_silence_s: float = 3600.0
    new_tenant: Quotas = UNLIMITED


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The wired ports. `owner` names this process and thread of work in leases; `clock` gives seconds since 1970.

    `bulk_encoders` are those for work that can wait, where there are such; `decoding` is entered for each picture that
    somebody waits for, so that many requests at once do not hold many decoded pictures. `decoders` are threads that
    chunks worked on side by side share: the pictures of the one that came first are decoded first.
    """

    registry: Registry
    store: VectorStore
    blobs: BlobStore
    queue: JobQueue
    decoder: ImageDecoder
    encoders: EncoderProvider
    search: ParameterSearch
    sender: WebhookSender
    clock: Callable[[], float]
    owner: str
    limits: Limits = Limits()
    fetcher: PictureFetcher | None = None
    finetuner: EncoderFinetuner | None = None
    bulk_encoders: EncoderProvider | None = None
    decoding: AbstractContextManager[object] = UNBOUNDED
    decoders: Executor | None = None


def for_worker(context: Context, owner: str) -> Context:
    """The context of a worker: its own name in leases, and encoders that let go first who waits for an answer."""
    return replace(context, owner=owner, encoders=context.bulk_encoders or context.encoders)


def partition_of(catalogue: Catalogue) -> Partition:
    """Where the catalogue's points are. Raises NothingToServe while nothing was embedded yet."""
    if catalogue.fingerprint is None:
        raise NothingToServe(
            f"catalogue {catalogue.name!r} is empty: ingest labelled pictures first", catalogue=catalogue.name
        )
    return Partition(collection=catalogue.fingerprint.collection, tenant=catalogue.tenant, catalogue=catalogue.id)


def example_id_of(catalogue: Catalogue, content_hash: str, crop: str = "") -> str:
    """The point id: the same picture in the same catalogue is the same point, however often it is delivered."""
    return str(uuid.uuid5(uuid.UUID(catalogue.id), f"{content_hash}:{crop}"))


def image_key(tenant: str, content_hash: str) -> str:
    """Blob key of a picture's bytes."""
    return f"{tenant}/images/{content_hash[:2]}/{content_hash}"


THUMBNAIL_EDGES_PX = (32, 64, 96, 160, 256, 512)
"""Longest edges in which thumbnails are made and kept; another one is answered with the next larger."""


def thumbnail_key(tenant: str, edge_px: int, picture: str) -> str:
    """Blob key of a picture's (or its crop's) thumbnail by `Example.picture`, `edge_px` one of THUMBNAIL_EDGES_PX."""
    return f"{tenant}/thumbnails/{edge_px}/{picture[:2]}/{picture}.jpg"


def upload_key(tenant: str, job_id: str, content_hash: str) -> str:
    """Blob key of a picture that a job only answers: its own, forgotten with the job, whoever else has the picture."""
    return f"{uploads_prefix(tenant)}{job_id}/{content_hash[:2]}/{content_hash}"


def uploads_prefix(tenant: str) -> str:
    """What `upload_key` begins with, before the job's id."""
    return f"{tenant}/uploads/"


def uploaded_prefix(job: Job) -> str:
    """What the blob keys of all bytes start with that a classify job, or the one that it retries, was handed."""
    return f"{uploads_prefix(job.tenant)}{job.parameters.get('bytes_of', job.id)}/"


def bytes_key(job: Job) -> Callable[[str], str]:
    """Content hash to blob key of the bytes that a job, or the one that it retries, was handed."""
    if job.kind is JobKind.CLASSIFY:
        return partial(upload_key, job.tenant, job.parameters.get("bytes_of", job.id))
    return partial(image_key, job.tenant)


def embedding_key(tenant: str, digest: str, picture: str) -> str:
    """Blob key of the cached embedding, size and perceptual hash of a picture (or crop: `Example.picture`).

    `digest` is that of the encoder's fingerprint.
    """
    return f"{tenant}/embeddings/{digest}/{picture[:2]}/{picture}.npz"


def head_key(tenant: str, selection_id: str) -> str:
    """Blob key of a selection's head."""
    return f"{tenant}/heads/{selection_id}.npz"


def report_key(tenant: str, selection_id: str) -> str:
    """Blob key of a selection's report data."""
    return f"{tenant}/reports/{selection_id}.json"


def references_key(tenant: str, selection_id: str) -> str:
    """Blob key of a selection's references: their ids, labels and projections (`core.reference_set`)."""
    return f"{tenant}/heads/{selection_id}.references.npz"
