"""`holotype describe`, here and over HTTP, with a CLIP of random weights."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.adapters import encoder_transformers
from service.core.words import FADES
from service.usecases.describing import FIGURES
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


@pytest.fixture(params=["here", "over_http"])
def holotype(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, clip: str) -> Holotype:
    """The commands, done by this process and by a server that takes the CLIP."""
    monkeypatch.setenv("HOLOTYPE_ENCODERS", f"{clip},pixel")
    run: Holotype = request.getfixturevalue(f"holotype_{request.param}")
    return run


def test_words_and_pictures_answer_together_and_texts_search_them(
    holotype: Holotype, clip: str, picture_folder: PictureFolder
) -> None:
    commands = [
        ("catalogue", "create", "fruit", "--encoder", clip),
        ("describe", "fruit", "class-00", "a {label}", "one {label}"),
        ("describe", "fruit", "papaya"),
        ("ingest", "fruit", picture_folder("fruit", classes=3, each=10)),
    ]
    assert [holotype(*command)[0] for command in commands] == [0, 0, 0, 0]
    code, chosen = holotype("optimise", "fruit", "--trials", "1", "--seed", "3")
    assert code == 0
    assert chosen["figures"][FIGURES]["fade"] in FADES
    picture = next(picture_folder("new", classes=1, each=1).rglob("*.*"))
    _, (answer,) = holotype("classify", "fruit", picture, "--top", "4")
    assert {one["label"] for one in answer["top"]} == {"class-00", "class-01", "class-02", "papaya"}

    _, found = holotype("search", "fruit", "--text", "a lime", "--top", "4")
    similarities = [one["similarity"] for one in found]
    assert len(similarities) == 4
    assert similarities == sorted(similarities, reverse=True)
    wanted = ("--label", "class-01", "--split", "support")
    _, narrowed = holotype("search", "fruit", "--text", "a lime", "--top", "3", *wanted)
    assert [(one["label"], one["split"]) for one in narrowed] == [("class-01", "support")] * 3
