"""`holotype classify` on many pictures, and on files that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.usecases import classify as module
from service.usecases.files import MAX_FILE_BYTES
from tests.cli.conftest import Holotype
from tests.conftest import PictureFolder


@pytest.fixture
def fruit(holotype: Holotype, picture_folder: PictureFolder) -> Path:
    folder = picture_folder("fruit", classes=2, each=6)
    assert holotype("ingest", "fruit", folder)[0] == 0
    return folder


def test_pictures_are_read_and_classified_a_chunk_at_a_time(
    holotype: Holotype, fruit: Path, picture_folder: PictureFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = picture_folder("new", classes=2, each=9, seed=7)
    pictures = sorted(new.rglob("*.*"))
    pictures.insert(3, new / "nothing.png")
    pictures.insert(11, pictures[0])
    seen = []
    real = module.classify

    def watched(context, tenant, name, some, **options):
        seen.append(len(some))
        return real(context, tenant, name, some, **options)

    monkeypatch.setattr(module, "classify", watched)
    code, answers = holotype("classify", "fruit", *pictures)
    assert code == 0
    assert seen == [7, 8, 4], "HOLOTYPE_CHUNK_IMAGES is 8, and one of the first eight is no file"
    assert [one["path"] for one in answers] == [str(path) for path in pictures]
    assert answers[11] == answers[0]
    assert answers[3] == {"path": str(new / "nothing.png"), "error": "there is no such file"}
    assert all(one["label"] == Path(one["path"]).parent.name for one in answers if "label" in one)


def test_what_ingest_would_not_read_is_not_read(
    holotype: Holotype, fruit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    huge, empty = tmp_path / "huge.png", tmp_path / "empty.png"
    with huge.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    empty.touch()
    opened = []
    real = Path.open
    monkeypatch.setattr(Path, "open", lambda self, *rest, **more: opened.append(self) or real(self, *rest, **more))
    code, answers = holotype("classify", "fruit", huge, empty, tmp_path)
    assert code == 1
    assert [one["error"] for one in answers] == [
        "it has 64.0 MB; at most 64 MB are read: save it smaller",
        "the file is empty (0 bytes): copy it again from where it came from",
        f"is a folder: name pictures, e.g. {tmp_path}/*.jpg",
    ]
    assert huge not in opened
