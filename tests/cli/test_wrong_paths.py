"""Paths of another kind than the command takes, and what is found out before any work begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.usecases import evaluate
from tests.cli.conftest import Holotype
from tests.conftest import PictureFolder


def test_a_folder_is_no_picture(holotype: Holotype, picture_folder: PictureFolder) -> None:
    folder = picture_folder("fruit", classes=2, each=2)
    holotype("ingest", "fruit", folder)
    picture = next((folder / "class-00").iterdir())
    code, (refused, answered) = holotype("classify", "fruit", folder / "class-00", picture)
    assert code == 0
    said = f"is a folder: name pictures, e.g. {folder}/class-00/*.jpg"
    assert refused == {"path": f"{folder}/class-00", "error": said}
    assert answered["label"] == "class-00"
    assert holotype("classify", "fruit", folder)[0] == 1


def test_a_report_that_cannot_be_written_is_found_before_judging(
    holotype: Holotype, picture_folder: PictureFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holotype("ingest", "fruit", picture_folder("fruit", classes=2, each=2))
    judged: list[object] = []
    monkeypatch.setattr(evaluate, "judge", lambda *arguments: judged.append(arguments))
    new = picture_folder("new", classes=2, each=1, seed=7)
    code, told = holotype("evaluate", "fruit", new, "--html", tmp_path / "nowhere" / "x.html")
    assert code == 2
    assert "the report cannot be written to" in told["error"]["message"]
    assert judged == []
