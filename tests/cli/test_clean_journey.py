"""Looking around and cleaning up on real parts: hygiene, keep, search, next, preview."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service.cli.main import main
from tests.adapters.networks import write_clip
from tests.cli.conftest import Holotype
from tests.conftest import PictureFolder

KINDS = ["conflict", "label", "cross-label", "leak", "duplicate", "outlier", "small", "blank", "thin", "alike"]


@pytest.fixture(params=["here", "over_http"])
def holotype(request: pytest.FixtureRequest) -> Holotype:
    """The commands, done by this process and by a server: the tests mean the same."""
    run: Holotype = request.getfixturevalue(f"holotype_{request.param}")
    return run


@pytest.fixture
def folder(picture_folder: PictureFolder) -> Path:
    """Three classes of twelve pictures; one is blank and tiny, one of class-00 lies in class-01's folder."""
    made = picture_folder("fruit", classes=3, each=12)
    Image.new("RGB", (30, 30), (90, 120, 60)).save(made / "class-02" / "blank.png")
    (made / "class-00" / "0-0000.jpg").unlink()
    odd = picture_folder("odd", classes=1, each=1, seed=9, noise=90)  # no near-duplicate of the others
    shutil.move(odd / "class-00" / "9-0000.jpg", made / "class-01" / "wrong.jpg")
    return made


@pytest.fixture
def fruit(holotype: Holotype, folder: Path) -> Path:
    assert holotype("ingest", "fruit", folder)[0] == 0
    return folder


def named(findings: list[dict], kind: str, name: str) -> dict:
    (one,) = [one for one in findings if one["kind"] == kind and one["example"]["source"].endswith(name)]
    return one


def test_findings_are_decided_and_stay_decided(holotype: Holotype, fruit: Path) -> None:
    code, report = holotype("hygiene", "fruit")
    assert code == 0
    assert set(report) == {"examples", "counts", "findings", "accepted", "unreadable"}
    assert report["examples"] == 37
    assert list(report["counts"]) == KINDS
    assert sum(report["counts"].values()) == len(report["findings"])
    assert {one["suggested"] for one in report["findings"]} <= {"keep", "relabel", "drop", "look"}
    wrong = named(report["findings"], "label", "wrong.jpg")
    assert wrong["labels"] == ["class-01", "class-00"]
    assert wrong["suggested"] == "relabel"
    blank = named(report["findings"], "blank", "blank.png")
    assert blank["numbers"] == {"plain_share": 1.0}

    code, kept = holotype("keep", "fruit", blank["example"]["id"][:8])
    assert code == 0
    assert set(kept["kept"][blank["example"]["id"]]) >= {"small", "blank"}
    assert holotype("relabel", "fruit", wrong["example"]["id"][:9], wrong["labels"][1])[0] == 0
    _, after = holotype("hygiene", "fruit")
    assert after["accepted"] >= 2
    left = [one["example"]["source"] for one in after["findings"] if one["kind"] in ("label", "small", "blank")]
    assert left == [], "kept and relabelled ones are listed no more"
    assert holotype("keep", "fruit", "none")[0] == 3
    assert holotype("hygiene", "none")[0] == 3


def test_what_is_dropped_stays_out_until_it_is_kept(holotype: Holotype, fruit: Path) -> None:
    _, report = holotype("hygiene", "fruit")
    gone = named(report["findings"], "blank", "blank.png")["example"]["id"]
    assert holotype("drop", "fruit", gone[:8]) == (0, {"dropped": [gone]})
    code, again = holotype("ingest", "fruit", fruit)
    assert code == 0
    assert (again["stored"], again["duplicate"], again["skipped"]) == (0, 36, 1)
    (left_out,) = again["left_out"]
    assert left_out["path"].endswith("blank.png")
    assert f"`holotype keep fruit {gone}`" in left_out["reason"]
    code, out = holotype("dropped", "fruit")
    assert (code, [one["id"] for one in out]) == (0, [gone])
    assert set(out[0]) == {"id", "labels", "content_hash", "crop"}
    code, refused = holotype("drop", "fruit", gone)
    assert (code, refused["error"]["type"], refused["error"]["dropped"]) == (3, "ExampleNotFound", [gone])
    _, after = holotype("hygiene", "fruit")
    assert (after["counts"]["blank"], after["examples"]) == (0, 36)

    assert holotype("keep", "fruit", gone[:8]) == (0, {"kept": {}, "taken_back": [gone]})
    assert holotype("dropped", "fruit") == (0, [])
    assert holotype("ingest", "fruit", fruit)[1]["stored"] == 1
    _, back = holotype("hygiene", "fruit")
    assert named(back["findings"], "blank", "blank.png")["example"]["id"] == gone


def test_examples_are_searched_by_picture(holotype: Holotype, fruit: Path) -> None:
    asked = fruit / "class-01" / "0-0001.png"
    code, found = holotype("search", "fruit", "--image", asked, "--top", "3")
    assert code == 0
    assert [set(one) for one in found] == [{"id", "label", "split", "similarity", "source", "metadata"}] * 3
    assert found[0]["source"].endswith("class-01/0-0001.png")
    assert found[0]["similarity"] == pytest.approx(1)
    _, narrowed = holotype("search", "fruit", "--image", asked, "--label", "class-02", "--split", "support")
    assert {(one["label"], one["split"]) for one in narrowed} == {("class-02", "support")}
    for wrong in ([], ["--image", asked, "--text", "x"], ["--image", "none.png"], ["--text", "a lime"]):
        code, value = holotype("search", "fruit", *wrong)
        assert code == 2
        assert value["error"]["type"] == "InvalidInput"
    assert "knows pictures only" in value["error"]["message"]


def test_examples_are_searched_by_text_with_a_clip(
    holotype_here: Holotype, picture_folder: PictureFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLOTYPE_ENCODER", str(write_clip(tmp_path / "clip")))
    assert holotype_here("ingest", "fruit", picture_folder("few", classes=2, each=3))[0] == 0
    code, found = holotype_here("search", "fruit", "--text", "a lime", "--top", "4")
    assert code == 0
    similarities = [one["similarity"] for one in found]
    assert len(similarities) == 4
    assert similarities == sorted(similarities, reverse=True)


def test_the_next_pictures_to_label(holotype: Holotype, fruit: Path, picture_folder: PictureFolder) -> None:
    new = picture_folder("new", classes=4, each=3, seed=7)
    (new / "broken.png").write_bytes(b"no picture")
    shutil.copy(fruit / "class-01" / "0-0001.png", new / "known.png")
    code, found = holotype("next", "fruit", new, "--count", "4")
    assert code == 0
    *usable, broken = found
    assert [one["rank"] for one in usable] == [1, 2, 3, 4]
    assert all(set(one) == {"path", "rank", "likely", "margin", "why"} for one in usable)
    assert "class-03" in usable[0]["path"], "the class that nobody knows is most in doubt"
    assert broken["path"].endswith("broken.png")
    (only := new.parent / "only").mkdir()
    shutil.copy(new / "broken.png", only)
    assert holotype("next", "fruit", only)[0] == 1
    assert holotype("next", "fruit", new / "none")[0] == 2


def test_a_class_is_previewed_and_not_stored(holotype: Holotype, fruit: Path, picture_folder: PictureFolder) -> None:
    new = sorted((picture_folder("new", classes=4, each=4, seed=7) / "class-03").iterdir())
    code, found = holotype("preview", "fruit", "quince", *new, "none.png")
    assert code == 0
    assert set(found) == {"label", "pictures", "confused_with", "recognised", "images"}
    assert [set(one) for one in found["pictures"]] == [
        {"path", "label", "confidence", "margin", "top", "stored"}
    ] * 4 + [{"path", "error"}]
    assert found["recognised"] == 4
    assert sum(one["answers"] for one in found["confused_with"]) == 4
    same = sorted((new[0].parents[1] / "class-01").iterdir())
    _, twin = holotype("preview", "fruit", "quince", *same)
    first = twin["confused_with"][0]
    assert (first["label"], first["answers"]) == ("class-01", 4)
    assert first["share"] == pytest.approx(first["taken"] / first["images"])
    assert "quince" not in holotype("catalogue", "show", "fruit")[1]["labels"]
    assert holotype("preview", "fruit", "class-01", *same)[0] == 2
    assert holotype("preview", "fruit", "quince", "none.png")[0] == 2


def test_people_get_tables(
    holotype: Holotype, fruit: Path, picture_folder: PictureFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    new = picture_folder("new", classes=1, each=2, seed=7)
    (new / "broken.png").write_bytes(b"no picture")
    broken, whole = str(new / "broken.png"), str(new / "class-00" / "7-0000.jpg")
    (new.parent / "nothing").mkdir()
    held = str(next((fruit / "class-00").iterdir()))
    _, report = holotype("hygiene", "fruit")
    plain = next(one["example"]["id"] for one in report["findings"] if one["kind"] == "blank")
    wrong = named(report["findings"], "label", "wrong.jpg")["example"]["id"]
    first_to_drop = next(one["example"]["id"] for one in report["findings"] if one["suggested"] == "drop")
    for arguments, expected in (
        (["hygiene", "fruit"], "Labels in doubt"),
        (["hygiene", "fruit"], f"  holotype relabel fruit {wrong} class-00  # "),
        (["hygiene", "fruit"], f"  holotype drop fruit {first_to_drop}  # "),
        (["hygiene", "fruit"], "  holotype keep fruit "),
        (["hygiene", "fruit"], "Exact duplicates cannot be"),
        (["keep", "fruit", plain], "is kept: "),
        (["dropped", "fruit"], "nothing is dropped from fruit"),
        (["drop", "fruit", plain], "1 dropped: "),
        (["dropped", "fruit"], plain),
        (["dropped", "fruit"], "to have one again: holotype keep fruit ID"),
        (["search", "fruit", "--image", whole], "Most similar"),
        (["next", "fruit", str(new)], "Cannot be used"),
        (["next", "fruit", str(new.parent / "nothing")], "nothing in the folder"),
        (["preview", "fruit", "quince", whole], "cannot be told"),
        (["preview", "fruit", "quince", whole, str(new / "class-00" / "7-0001.png"), broken], "of 2 new pictures"),
        (["preview", "fruit", "quince", whole, whole], "the same picture as"),
        (["preview", "fruit", "quince", whole, held], "In the catalogue already"),
    ):
        capsys.readouterr()
        assert main(arguments) == 0
        told = capsys.readouterr().out
        assert expected in told, arguments
        assert not ("nothing is dropped" in told and "to have one again" in told)


def test_a_long_table_says_that_there_is_more(
    holotype: Holotype, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(0)
    for number in range(50):
        place, edge = tmp_path / "tiny" / "dot", (9, 40)[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (edge, edge, 3), dtype=np.uint8)).save(place / f"{number}.png")
    (tmp_path / "tiny" / "lone").mkdir()
    (tmp_path / "tiny" / "dot" / "1.png").rename(tmp_path / "tiny" / "lone" / "1.png")
    assert holotype("ingest", "dots", tmp_path / "tiny")[0] == 0
    assert main(["hygiene", "dots"]) == 0
    told = capsys.readouterr().out
    assert "Too small (20 of 25; --json lists all)" in told
    assert "1 of the classes has fewer than five distinct pictures: their labels are not judged" in told
