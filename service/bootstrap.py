"""The composition root: settings in, wired ports out. The only module that names adapters.

Adapters are imported where they are needed, so that a command pays for what it uses (`holotype --help` for none).
"""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import SecretStr

from service.ports import BlobStore, PictureFetcher, RateLimiter, RecordsCopies, ReportWriter, VectorStore
from service.records import Quotas
from service.settings import Settings, check_settings
from service.usecases.context import Context, Limits

if TYPE_CHECKING:
    from celery import Celery
    from opentelemetry.trace import TracerProvider

    from service.usecases.restore import Place

T = TypeVar("T")

DATABASE_FILE = "holotype.db"
VECTORS_FOLDER = "vectors"
BLOBS_FOLDER = "blobs"
ENCODERS_FOLDER = "encoders"


@contextmanager
def open_context(settings: Settings, *, micro_batches: bool = False) -> Iterator[Context]:
    """The wired ports, open for the length of the block.

    Without a broker this process becomes the one owner of the data directory, and the leases of the owner before it
    run out at once, so that `workers.embedded` can take up unfinished jobs.

    Forward passes of an encoder run in one thread, whoever asks for them. With `micro_batches`, for a process that
    answers many at once, those of workers give way, and `decode_threads` pictures at most are decoded at a time.

    Raises:
        InvalidInput: the settings do not go together.
        DataDirectoryInUse: another process owns the data directory.
        Unavailable: the database or the vector store does not answer.
    """
    check_settings(settings)
    with ExitStack() as stack:
        _open_data_directory(settings, stack)
        yield stack.enter_context(_wired(settings, micro_batches=micro_batches))


@contextmanager
def _wired(settings: Settings, *, micro_batches: bool = False) -> Iterator[Context]:
    """The ports of a data directory that is owned, or of servers."""
    from service.adapters.celery_queue import CeleryQueue
    from service.adapters.guarded_decoder import GuardedDecoder
    from service.adapters.optuna_search import OptunaSearch
    from service.adapters.registry_sql import SqlRegistry
    from service.adapters.webhook_sender import HttpWebhookSender

    with ExitStack() as stack:
        registry = SqlRegistry(_database_url(settings), time.time)
        stack.callback(registry.close)
        if not settings.distributed and settings.database_url is None:  # it is in the directory, whose owner this is
            registry.expire_leases()
        store = _vector_store(settings)
        stack.callback(store.close)
        app = stack.enter_context(celery_app(settings))
        parts = _Watched(settings)
        decoder = GuardedDecoder(settings.decode_threads)
        yield Context(
            registry=parts.watched(registry, "database"),
            store=parts.watched(store, "vectors"),
            blobs=parts.watched(blob_store(settings), "blobs"),
            queue=parts.watched(CeleryQueue(app, parts.outgoing), "queue"),
            decoder=decoder,
            search=OptunaSearch(),
            sender=HttpWebhookSender(private=settings.private_webhooks),
            clock=time.time,
            owner=f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}",
            limits=_limits(settings),
            fetcher=_fetcher(settings),
            **_encoders(settings, stack, decoder.get_ready, micro_batches=micro_batches),
        )


class _Watched:
    """Parts of the context with their calls in traces, where the settings ask for it; else as they are."""

    def __init__(self, settings: Settings) -> None:
        self._traces = settings.otel
        start_tracing(settings)

    def watched(self, part: T, system: str) -> T:
        if not self._traces:
            return part
        from service.adapters.tracing import traced

        return traced(part, system)

    def outgoing(self) -> dict[str, str]:
        if not self._traces:
            return {}
        from service.adapters.tracing import outgoing

        return outgoing()


def start_tracing(settings: Settings) -> TracerProvider | None:
    """The provider of this process's traces; None where the settings ask for none.

    Raises:
        InvalidInput: OpenTelemetry's SDK is not installed.
    """
    if not settings.otel:
        return None
    from service.adapters import tracing

    return tracing.start_tracing()


def continued_trace(settings: Settings, headers: Mapping[str, Any], name: str) -> AbstractContextManager[None]:
    """A worker's task as a part of the trace that its message's headers name, where the settings ask for traces."""
    if not settings.otel:
        return nullcontext()
    from service.adapters.tracing import continued

    return continued(headers, name)


def celery_app(settings: Settings) -> Celery:
    """The Celery application of these settings, as producers use it; `workers.app` adds what workers need.

    A context manager: `with celery_app(settings) as app` closes its connections at the end.
    """
    from service.adapters.celery_queue import EMBEDDED_BROKER, make_celery

    if settings.broker_url is not None:
        return make_celery(settings.broker_url.get_secret_value())
    # The broker in memory is the whole process's: each data directory has its own queues there.
    folder = str(settings.data_dir.resolve()).encode()
    return make_celery(EMBEDDED_BROKER, namespace=f"{hashlib.sha256(folder).hexdigest()[:12]}-")


def rate_limiter(settings: Settings) -> RateLimiter:
    """What counts requests a minute: in the broker where there is one, else in this process."""
    from service.adapters.rate_limits import MovingWindow

    return MovingWindow(None if settings.broker_url is None else settings.broker_url.get_secret_value())


@contextmanager
def place_to_restore(settings: Settings) -> Iterator[Place]:
    """Where a backup goes; the data directory is this process's for the length of the block.

    Raises:
        DataDirectoryInUse: another process owns it.
    """
    from service.adapters.data_directory import owned_directory
    from service.usecases.restore import Place

    def opened(records: Path) -> AbstractContextManager[Context]:
        url = SecretStr(f"sqlite:///{records.resolve()}")
        return _wired(settings.model_copy(update={"database_url": url, "broker_url": None}))

    with owned_directory(settings.data_dir):
        encoders = settings.data_dir / ENCODERS_FOLDER
        yield Place(settings.data_dir, records_copies(settings), blob_store(settings), encoders, opened)


def start_logging(settings: Settings) -> None:
    """Log of all libraries to standard error, at the settings' level and in their form."""
    from service.adapters import structured_logs

    structured_logs.start_logging(settings.log_level, settings.log_format)


def report_writer() -> ReportWriter:
    """What writes the HTML page of an evaluation."""
    from service.adapters.report_html import HtmlReportWriter

    return HtmlReportWriter()


def _open_data_directory(settings: Settings, stack: ExitStack) -> None:
    from service.adapters.data_directory import PRIVATE, check_restored, owned_directory

    if settings.distributed:
        settings.data_dir.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    else:
        stack.enter_context(owned_directory(settings.data_dir))
    check_restored(settings.data_dir, lambda: records_copies(settings).is_empty())


def _database_url(settings: Settings) -> str:
    if settings.database_url is None:
        return f"sqlite:///{settings.data_dir.resolve() / DATABASE_FILE}"
    return settings.database_url.get_secret_value()


def records_copies(settings: Settings) -> RecordsCopies:
    """What copies all records, of a data directory too that another process owns and works on."""
    from service.adapters.registry_sql.copies import SqlCopies

    return SqlCopies(_database_url(settings))


def _vector_store(settings: Settings) -> VectorStore:
    if settings.qdrant_url is None:
        from service.adapters.vector_hot import edge_store

        return edge_store(settings.data_dir / VECTORS_FOLDER, settings.hot_references_mb * 2**20)
    from service.adapters.vector_qdrant import QdrantStore

    key = settings.qdrant_api_key
    return QdrantStore.at(settings.qdrant_url, key.get_secret_value() if key else None)


def encoder_files(settings: Settings, specification: str) -> Mapping[str, Path]:
    """What a backup takes along of an encoder: `Encoders.files_of`."""
    from service.adapters.encoders import Encoders

    return Encoders(settings.data_dir / ENCODERS_FOLDER).files_of(specification)


def blob_store(settings: Settings) -> BlobStore:
    """The bytes by key; several processes may use them at once."""
    from service.adapters.blob_store import FsspecBlobStore

    return FsspecBlobStore(settings.blob_url or str(settings.data_dir.resolve() / BLOBS_FOLDER))


def _encoders(
    settings: Settings, stack: ExitStack, on_loading: Callable[[], None], *, micro_batches: bool
) -> dict[str, Any]:
    """What the context has to do with encoding."""
    from service.adapters.batched_encoders import BatchedEncoders
    from service.adapters.encoder_finetuning import TransformersFinetuner
    from service.adapters.encoders import Encoders
    from service.adapters.logged_encoders import LoggedEncoders

    own = Encoders(
        settings.data_dir / ENCODERS_FOLDER,
        device=settings.device,
        compiling=settings.compile,
        on_loading=on_loading,
    )
    encoders = BatchedEncoders(LoggedEncoders(own))
    stack.callback(encoders.close)
    parts: dict[str, Any] = {
        "encoders": encoders,
        "finetuner": TransformersFinetuner(own, settings.data_dir / ENCODERS_FOLDER, device=settings.device),
    }
    if micro_batches:
        decoding = threading.BoundedSemaphore(settings.decode_threads)
        parts |= {"bulk_encoders": encoders.bulk(), "decoding": decoding}
    return parts


def _fetcher(settings: Settings) -> PictureFetcher | None:
    if not settings.url_ingest:
        return None
    from service.adapters.url_fetch import UrlFetcher

    return UrlFetcher()


def _limits(settings: Settings) -> Limits:
    return Limits(
        chunk_images=settings.chunk_images,
        decode_threads=settings.decode_threads,
        chunk_lease_s=settings.chunk_lease_s,
        job_lease_s=settings.job_lease_s,
        gate_margin=settings.gate_margin,
        upload_silence_s=settings.upload_silence_s,
        new_tenant=Quotas(
            catalogues=settings.quota_catalogues,
            examples=settings.quota_examples,
            requests_per_minute=settings.quota_requests_per_minute,
            inflight_items=settings.quota_inflight_items,
        ),
    )
