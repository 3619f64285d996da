"""A data directory of an older version opens, answers as before and is whole; one of a newer version is refused."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import text

from service.adapters.registry_sql.database import Database
from service.adapters.registry_sql.migrate import alembic_config
from service.adapters.registry_sql.schema import REVISION
from service.bootstrap import DATABASE_FILE
from service.cli.main import main
from tests.conftest import write_pictures

OLDER = ("0001", "0002", "0003", "0004", "0005", "0006")
"""Schemas that a data directory out there may have."""


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    """A data directory of this version, with a selection that serves."""
    folder = tmp_path_factory.mktemp("original")
    pictures = write_pictures(folder / "pictures", classes=3, each=6)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HOLOTYPE_ENCODER", "pixel")
        for one in (("ingest", "birds", str(pictures)), ("optimise", "birds", "--trials", "1")):
            assert main([*one, "--data-dir", str(folder / "data")]) == 0
    return folder / "data"


@pytest.fixture
def run(data_dir, monkeypatch, capsys):
    """A command on the test's own data directory: its exit code and JSON."""
    monkeypatch.setenv("HOLOTYPE_ENCODER", "pixel")

    def command(*arguments):
        capsys.readouterr()
        code = main([*map(str, arguments), "--data-dir", str(data_dir), "--json"])
        return code, json.loads(capsys.readouterr().out)

    return command


def records(data_dir):
    return closing(Database(f"sqlite:///{data_dir / DATABASE_FILE}"))


@pytest.mark.parametrize("revision", OLDER)
def test_a_data_directory_of_every_released_version_opens_and_answers_as_it_did(
    run, original, data_dir, tmp_path, revision
):
    shutil.copytree(original, data_dir)
    asked = sorted(write_pictures(tmp_path / "asked", classes=3, each=1, seed=9).rglob("*.*g"))
    answered = run("classify", "birds", *asked)
    with records(data_dir) as database:
        database.write(lambda connection: command.downgrade(alembic_config(connection), revision))
    assert run("classify", "birds", *asked) == answered
    code, told = run("verify-store")
    assert (code, told["examples"], told["left"]) == (0, 18, [])
    with records(data_dir) as database:
        version = database.read(lambda connection: connection.execute(text("select * from holotype_version")).scalar())
    assert version == REVISION


def test_every_older_schema_is_tried():
    assert len(OLDER) == int(REVISION) - 1


def test_a_downgrade_is_refused_and_changes_nothing(run, original, data_dir, tmp_path):
    shutil.copytree(original, data_dir)
    assert run("backup", tmp_path / "now.tar")[0] == 0
    with records(data_dir) as database:
        database.write(lambda connection: connection.execute(text("update holotype_version set version_num = '0999'")))
    for words in (("catalogue", "list"), ("classify", "birds", tmp_path / "now.tar"), ("verify-store",)):
        code, told = run(*words)
        assert code == 2
        assert "has schema 0999, this Holotype knows schemas up to" in told["error"]["message"]
        assert "upgrade Holotype" in told["error"]["message"]
    with records(data_dir) as database:
        rows = database.read(
            lambda connection: connection.execute(text("select count(*) from holotype_examples")).scalar()
        )
    assert rows == 18
