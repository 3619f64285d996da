"""`holotype export` and `holotype import`, and an import that is killed."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from service.bootstrap import DATABASE_FILE, open_context
from service.cli.main import main
from service.settings import Settings
from service.usecases.archive_import import sweep_imports
from tests.conftest import write_pictures
from tests.processes import kill_group, start, wait_until


@pytest.fixture
def run(data_dir, monkeypatch, capsys):
    """Run a command; its exit code and JSON."""
    monkeypatch.setenv("HOLOTYPE_ENCODER", "pixel")

    def command(*arguments):
        code = main([*map(str, arguments), "--data-dir", str(data_dir), "--json"])
        return code, json.loads(capsys.readouterr().out)

    return command


def test_out_into_a_file_and_back_in(run, tmp_path):
    pictures = write_pictures(tmp_path / "pictures", classes=2, each=6)
    assert run("ingest", "birds", pictures)[0] == 0
    file = tmp_path / "birds.zip"
    code, told = run("export", "birds", file)
    assert (code, told) == (0, {"catalogue": "birds", "file": str(file), "bytes": file.stat().st_size, "images": True})
    bare = tmp_path / "bare.zip"
    assert run("export", "birds", bare, "--no-images")[1]["bytes"] < file.stat().st_size
    code, made = run("import", "copy", file)
    assert code == 0
    assert made["examples"] == run("catalogue", "show", "birds")[1]["examples"]
    assert list(tmp_path.glob(".*.zip*")) == []


def test_what_cannot_be_done_is_said(run, tmp_path):
    file = tmp_path / "birds.zip"
    assert run("export", "nothing", file)[0] == 3
    assert not file.exists()
    assert run("import", "birds", file)[0] == 2
    file.write_bytes(b"no zip")
    code, told = run("import", "birds", file)
    assert code == 2
    assert "no archive" in told["error"]["message"]
    assert run("export", "birds", file)[0] == 2, "what is there is not written over"
    run("catalogue", "create", "birds")
    assert run("export", "birds", tmp_path / "missing" / "birds.zip")[0] == 2
    assert run("import", "birds", file)[1]["error"]["type"] == "AlreadyExists"


def half_built(data_dir):
    """Rows of a catalogue without a name, read past the lock of the process at work."""
    with closing(sqlite3.connect(data_dir / DATABASE_FILE, timeout=30)) as connection:
        held = "select count(*) from holotype_examples e join holotype_catalogues c on c.id = e.catalogue_id"
        return connection.execute(f"{held} where c.name like '.%'").fetchone()[0]


def test_an_import_that_is_killed_leaves_nothing_after_the_next_sweep(run, tmp_path, data_dir):
    pictures = write_pictures(tmp_path / "pictures", classes=2, each=250)
    run("ingest", "birds", pictures)
    file = tmp_path / "birds.zip"
    run("export", "birds", file)
    run("catalogue", "delete", "birds", "--yes")
    command = [sys.executable, "-m", "service.cli.main", "import", "copy", str(file), "--data-dir", str(data_dir)]
    process = start(command, env={}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        wait_until(lambda: half_built(data_dir) > 0 or process.poll() is not None, "it builds")
    finally:
        kill_group(process)
    assert process.returncode == -signal.SIGKILL, process.stderr.read()
    assert half_built(data_dir) > 0
    with open_context(Settings(data_dir=data_dir, encoder="pixel")) as context:
        assert context.registry.all_catalogues() == []
        (half,) = context.registry.imports()
        assert sweep_imports(context) == 1
        assert context.registry.imports() == []
        assert context.registry.examples(half.id) == []
        assert context.blobs.keys("default/") == []
    assert run("import", "copy", file)[1]["labels"] == {"class-00": 250, "class-01": 250}
