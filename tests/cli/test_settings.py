"""Settings that cannot be used are refused before anything is opened, in sentences of our own."""

from __future__ import annotations

import re

import pytest
import torch

from service.cli.main import main
from service.errors import LONGEST_QUOTED, counted, quoted
from tests.cli.conftest import Holotype
from tests.conftest import PictureFolder


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("CHUNK_IMAGES", "many", "'many' must be a whole number"),
        ("CHUNK_IMAGES", "0", "'0' must be at least 1"),
        ("CHUNK_IMAGES", "65", "'65' must be at most 64"),
        ("CHUNK_LEASE_S", "x", "'x' must be a number"),
        ("CHUNK_LEASE_S", "0", "'0' must be above 0"),
        ("LOG_LEVEL", "loud", "'loud' must be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
    ],
)
def test_a_wrong_setting_is_told_without_the_librarys_words(
    holotype: Holotype, monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(f"HOLOTYPE_{name}", value)
    code, told = holotype("catalogue", "list")
    assert code == 2
    assert told["error"]["type"] == "InvalidInput"
    assert told["error"]["message"] == f"a setting cannot be used: HOLOTYPE_{name}: {words}"


def test_help_lists_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    codes = text[text.index("Exit codes:") :]
    assert all(f" {code} " in codes for code in (0, 1, 2, 3, 4, 130, 141))


def test_a_long_name_is_shortened_in_messages(holotype: Holotype) -> None:
    name = "n" * 400
    for arguments in (("catalogue", "show", name), ("catalogue", "create", name), ("catalogue", "delete", name)):
        code, told = holotype(*arguments)
        assert code in {2, 3}
        assert "(400 characters)" in told["error"]["message"]
        assert "n" * (LONGEST_QUOTED + 1) not in told["error"]["message"]
    assert quoted("short") == "'short'"


def test_one_is_not_plural(
    holotype: Holotype,
    picture_folder: PictureFolder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert holotype("ingest", "fruit", picture_folder("fruit", classes=1, each=2))[0] == 0
    capsys.readouterr()
    assert main(["catalogue", "show", "fruit"]) == 0
    shown = capsys.readouterr().out
    assert "1 label\n" in shown
    assert main(["doctor", "--quick"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"\b1 thread\b", shown)
    assert "1 catalogue of" in shown
    assert (counted(0, "label"), counted(2, "label")) == ("0 labels", "2 labels")
