"""An application with catalogues of three colours, made once for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastapi.testclient import TestClient

from service.api.app import create_app
from service.bootstrap import open_context
from service.records import Catalogue, Scope
from service.settings import Settings
from service.usecases.context import Context
from tests.api.conftest import Api
from tests.api.filled import ingest, optimise, write_fruit
from workers.embedded import embedded_workers


class Shop(Api):
    """Tenant acme's `fruit`, optimised if it has several pictures a class; its `raw`, not; `fruit` of tenant other."""

    @property
    def acme(self) -> TestClient:
        """A client that may read."""
        return self.as_tenant("acme", (Scope.READ,))

    def catalogue(self, name: str = "fruit") -> Catalogue:
        return self.context.registry.catalogue("acme", name)


@contextmanager
def opened_shop(folder: Path, *, fruit: int) -> Iterator[Shop]:
    """The application over a data directory in `folder`, with `fruit` pictures of each class."""
    settings = Settings(data_dir=folder / "data", encoder="pixel")
    with open_context(settings, micro_batches=True) as context, embedded_workers(context, settings):
        _fill(context, folder, fruit)
        with TestClient(create_app(context, settings), raise_server_exceptions=False) as client:
            yield Shop(context, settings, client)


def _fill(context: Context, folder: Path, fruit: int) -> None:
    ingest(context, "acme", "fruit", write_fruit(folder / "fruit", fruit))
    if fruit > 1:
        ingest(context, "acme", "raw", write_fruit(folder / "raw", 2))
        ingest(context, "other", "fruit", write_fruit(folder / "other", 1, ("plum",)))
        optimise(context, "acme", "fruit")
