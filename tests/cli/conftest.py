"""The command line in this process, on a data directory of the test's own, with the `pixel` encoder."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.cli.main import main

Holotype = Callable[..., tuple[int, Any]]


@pytest.fixture
def holotype(data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Holotype:
    """`holotype("ingest", "fruit", folder)`: the exit code and the one JSON value of standard output."""
    monkeypatch.setenv("HOLOTYPE_ENCODER", "pixel")
    monkeypatch.setenv("HOLOTYPE_CHUNK_IMAGES", "8")
    monkeypatch.setenv("HOLOTYPE_DATA_DIR", str(data_dir))

    def run(*arguments: object) -> tuple[int, Any]:
        capsys.readouterr()
        code = main([*map(str, arguments), "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run
