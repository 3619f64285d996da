"""The command line in this process, on a data directory of the test's own, with the `pixel` encoder; or over HTTP."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from service.api.app import create_app
from service.bootstrap import open_context
from service.cli.main import main
from service.records import Scope
from service.settings import Settings
from service.usecases.keys import create_key
from tests.api.serving import served
from workers.embedded import embedded_workers

Holotype = Callable[..., tuple[int, Any]]


@pytest.fixture
def holotype_here(data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Holotype:
    """`holotype("ingest", "fruit", folder)`: the exit code and the one JSON value of standard output."""
    monkeypatch.setenv("HOLOTYPE_ENCODER", "pixel")
    monkeypatch.setenv("HOLOTYPE_CHUNK_IMAGES", "8")
    monkeypatch.setenv("HOLOTYPE_DATA_DIR", str(data_dir))
    return _running(capsys)


@pytest.fixture
def holotype_over_http(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Holotype]:
    """The same commands, done by a server that HOLOTYPE_URL names."""
    with running_server(data_dir) as (url, key):
        monkeypatch.setenv("HOLOTYPE_URL", url)
        monkeypatch.setenv("HOLOTYPE_KEY", key)
        monkeypatch.setenv("HOLOTYPE_CHUNK_IMAGES", "8")
        monkeypatch.setenv("HOLOTYPE_DATA_DIR", "/nowhere/that/a/client/looks")
        yield _running(capsys)


@pytest.fixture
def holotype(holotype_here: Holotype) -> Holotype:
    """Here; modules whose tests mean the same over HTTP have a fixture of this name with both."""
    return holotype_here


@contextmanager
def running_server(data_dir: Path, tenant: str = "default") -> Iterator[tuple[str, str]]:
    """URL of what `holotype serve` runs, and a key of the tenant with every scope."""
    settings = Settings(data_dir=data_dir, encoder="pixel", chunk_images=8)
    with open_context(settings) as context, embedded_workers(context, settings):
        context.registry.ensure_tenant(tenant)
        key = create_key(context, tenant, "test", tuple(Scope)).credential
        with served(create_app(context, settings)) as url:
            yield url, key


def _running(capsys: pytest.CaptureFixture[str]) -> Holotype:
    def run(*arguments: object) -> tuple[int, Any]:
        capsys.readouterr()
        code = main([*map(str, arguments), "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run
