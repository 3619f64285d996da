"""Secrets come from the environment or from files, and from nowhere else; they are never shown, logged or kept."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from service.settings import Settings
from tests.cli.conftest import Holotype


@pytest.fixture
def folder(tmp_path, monkeypatch):
    found = tmp_path / "secrets"
    found.mkdir()
    monkeypatch.setenv("HOLOTYPE_SECRETS_DIR", str(found))
    return found


def test_values_are_read_from_files_without_the_line_break_at_their_end(folder):
    (folder / "holotype_database_url").write_text("postgresql+psycopg://holotype:from-a-file@host/name\n")
    (folder / "HOLOTYPE_METRICS_KEY").write_text("from-a-file-too")
    settings = Settings()
    assert settings.database_url.get_secret_value() == "postgresql+psycopg://holotype:from-a-file@host/name"
    assert settings.metrics_key.get_secret_value() == "from-a-file-too"
    assert "from-a-file" not in repr(settings) + str(settings.model_dump())


def test_a_variable_goes_before_a_file_and_an_argument_before_both(folder, monkeypatch):
    (folder / "holotype_qdrant_api_key").write_text("file")
    assert Settings().qdrant_api_key.get_secret_value() == "file"
    monkeypatch.setenv("HOLOTYPE_QDRANT_API_KEY", "variable")
    assert Settings().qdrant_api_key.get_secret_value() == "variable"
    assert Settings(qdrant_api_key="argument").qdrant_api_key.get_secret_value() == "argument"


def test_other_files_and_other_folders_are_not_read(folder, monkeypatch, tmp_path):
    (folder / "database_url").write_text("sqlite:///wrong")
    (folder / "holotype_database_url.bak").write_text("sqlite:///wrong")
    assert Settings().database_url is None
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("HOLOTYPE_DATABASE_URL=sqlite:///wrong\n")
    assert Settings().database_url is None


def test_a_folder_that_is_not_there_is_told(monkeypatch, tmp_path, holotype: Holotype):
    monkeypatch.setenv("HOLOTYPE_SECRETS_DIR", str(tmp_path / "none"))
    with pytest.raises(ValidationError, match="is no folder that can be read"):
        Settings()
    code, told = holotype("catalogue", "list")
    assert code == 2
    assert "HOLOTYPE_SECRETS_DIR" in told["error"]["message"]
    assert "is no folder that can be read" in told["error"]["message"]
