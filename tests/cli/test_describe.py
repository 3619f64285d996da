"""`holotype describe`, here and over HTTP, with a CLIP of random weights."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.adapters import encoder_transformers
from tests.adapters import networks
from tests.cli.conftest import Holotype, running_server
from tests.cli.test_over_http import Both
from tests.conftest import PictureFolder


@pytest.fixture
def clip(tmp_path: Path) -> str:
    folder = tmp_path / "clip"
    folder.mkdir()
    return str(networks.write_clip(folder))


@pytest.fixture
def both(holotype_here: Holotype, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clip: str) -> Iterator[Both]:
    """Two empty data directories, and a server that takes the CLIP."""
    monkeypatch.setenv("HOLOTYPE_ENCODERS", f"{clip},pixel")
    # Each data directory measures its own fastest form; on a busy machine they may differ, and so may the last digits.
    monkeypatch.setattr(encoder_transformers, "cpu_flags", lambda: frozenset())
    with running_server(tmp_path / "server") as (url, key):
        yield Both(monkeypatch, holotype_here, url, key)


def test_classes_start_from_words(both: Both, clip: str, picture_folder: PictureFolder) -> None:
    both.each("catalogue", "create", "fruit", "--encoder", clip)
    here, _ = both.each("describe", "fruit")
    assert here == []
    here, _ = both.each("describe", "fruit", "apple", "a {label}", "one {label}")
    assert (here["label"], here["templates"]) == ("apple", ["a {label}", "one {label}"])
    both.each("describe", "fruit", "red/pear")
    both.each("describe", "fruit", "apple", " ")
    both.each("describe", "nothing", "apple")
    here, _ = both.each("describe", "fruit")
    assert [one["label"] for one in here] == ["apple", "red/pear"]
    picture = next(picture_folder("new", classes=1, each=1).rglob("*.*"))
    here, _ = both.each("classify", "fruit", picture)
    assert any("stands on words alone" in note for note in here[0]["notes"])
    here, _ = both.each("describe", "fruit", "apple", "--remove")
    assert here == {"removed": "apple"}
    both.each("describe", "fruit", "apple", "--remove")
    both.each("describe", "fruit", "apple", "a {label}", "--remove")
