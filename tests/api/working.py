"""Workers by hand: an application without worker threads, whose chunks are done when a test says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastapi.testclient import TestClient

from service.api.app import create_app
from service.bootstrap import open_context
from service.records import Job
from service.settings import Settings
from service.usecases.context import Context
from service.usecases.finish_ingest import finish_ingest
from service.usecases.ingest import start_ingest
from service.usecases.next_chunk import work_on_next_chunk
from tests.adapters.pictures import as_file, noise
from tests.api.conftest import Api


@contextmanager
def without_workers(settings: Settings) -> Iterator[Api]:
    """An application that only takes work."""
    with open_context(settings) as context:
        app = create_app(context, settings)
        with TestClient(app, raise_server_exceptions=False) as client:
            yield Api(context, settings, client)


def pictures(folder: Path, count: int, label: str = "apple", first: int = 0) -> Path:
    """A folder of class folders; returns it."""
    for seed in range(first, first + count):
        path = folder / label / f"{seed}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(as_file(noise(seed=seed)))
    return folder


def queued(context: Context, folder: Path, tenant: str = "acme", catalogue: str = "fruit") -> Job:
    """An ingest job that nobody works on yet."""
    context.registry.ensure_tenant(tenant)
    return start_ingest(context, tenant, catalogue, folder, encoder="pixel")


def work(context: Context, chunks: int) -> None:
    """Do so many chunks, each of the tenant whose turn it is."""
    for _ in range(chunks):
        work_on_next_chunk(context)


def worked_off(context: Context, job: Job) -> None:
    """Do all of a job and close it."""
    work(context, 1 + job.total)
    finish_ingest(context, job.id)
