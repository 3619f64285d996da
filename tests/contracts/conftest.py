"""Every test of the registry's contract runs on SQLite and, where there is one, on PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from service.adapters.registry_sql import SqlRegistry
from service.ports import Registry
from service.records import Catalogue
from tests import postgres_server
from tests.fake_registry import FakeRegistry
from tests.registry_rows import Clock


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("registry") / "migrated.db"
    SqlRegistry(f"sqlite:///{path}").close()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def registry_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database with tables and no rows."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path / "holotype.db")
        yield f"sqlite:///{tmp_path / 'holotype.db'}"
    else:
        with postgres_server.database_url(postgres_server.migrated_template()) as url:
            yield url


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry(registry_url: str, clock: Clock) -> Iterator[Registry]:
    opened: Registry = SqlRegistry(registry_url, clock)
    yield opened
    opened.close()


@pytest.fixture
def catalogue(registry: Registry) -> Catalogue:
    return registry.create_catalogue("tenant", "birds", "pixel")


@pytest.fixture(params=["sqlite", "postgresql", "fake"])
def rows(request: pytest.FixtureRequest, clock: Clock, tmp_path: Path) -> Iterator[Registry]:
    """Each database by turns, and the fake."""
    with ExitStack() as stack:
        if request.param == "fake":
            yield FakeRegistry(clock)  # type: ignore[misc]
            return
        if request.param == "sqlite":
            shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path / "holotype.db")
            url = f"sqlite:///{tmp_path / 'holotype.db'}"
        else:
            url = stack.enter_context(postgres_server.database_url(postgres_server.migrated_template()))
        opened = SqlRegistry(url, clock)
        stack.callback(opened.close)
        yield opened
