"""`--max-error` and `verify` on real parts, before and after an optimisation."""

from pathlib import Path

import pytest

from service.bootstrap import open_context
from service.cli.main import main
from service.settings import Settings
from tests.cli.conftest import Holotype
from tests.conftest import PictureFolder

ANSWER = {
    "same",
    "similarity",
    "threshold",
    "rule",
    "tpr",
    "tnr",
    "eer",
    "same_pairs",
    "different_pairs",
    "selection",
    "measured_on",
}


@pytest.fixture
def fruit(holotype: Holotype, picture_folder: PictureFolder) -> Path:
    folder = picture_folder("fruit", classes=5, each=10)
    assert holotype("ingest", "fruit", folder)[0] == 0
    return folder


@pytest.fixture
def new(picture_folder: PictureFolder) -> Path:
    return picture_folder("new", classes=5, each=2, seed=7)


def test_before_an_optimisation_both_say_what_to_do(holotype: Holotype, fruit: Path, new: Path) -> None:
    one, other = sorted(new.rglob("*.*"))[:2]
    for arguments in (
        ("classify", "fruit", one, "--max-error", "0.01"),
        ("evaluate", "fruit", new, "--max-error", "0.01"),
        ("verify", "fruit", one, other),
        ("verify", "fruit", one, "--label", "class-00"),
    ):
        code, value = holotype(*arguments)
        assert code == 2
        assert value["error"]["type"] == "InvalidInput"
        assert "run `holotype optimise fruit` (over HTTP: " in value["error"]["message"]


def test_after_an_optimisation_answers_are_held_to_the_error(
    holotype: Holotype, fruit: Path, new: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, chosen = holotype("optimise", "fruit", "--trials", "1")
    assert code == 0
    figures = chosen["figures"]
    assert {"ece", "ece_temperature", "confidence", "auroc", "fpr95", "raw_auroc", "raw_fpr95"} <= set(figures)
    smallest = figures["policy"]["curve"][0][0]
    pictures = sorted(new.rglob("*.*"))
    code, value = holotype("classify", "fruit", *pictures, "--max-error", str(smallest / 2))
    assert (code, value["error"]["type"]) == (2, "InvalidInput")
    assert "cannot be promised" in value["error"]["message"]
    code, answers = holotype("classify", "fruit", *pictures, "--max-error", str(smallest))
    assert code == 0
    for path, answer in zip(pictures, answers, strict=True):
        if answer["rejected"] is None:
            assert answer["label"] == path.parent.name
        else:
            assert answer["label"] is None
            assert set(answer["rejected"]) == {"reason", "trust", "needed"}
            assert answer["rejected"]["reason"].startswith(("too far", "torn between", "below what"))
            assert answer["top"][0]["label"].startswith("class-")
    code, evaluation = holotype(
        "evaluate", "fruit", new, "--max-error", str(smallest), "--html", tmp_path / "page.html"
    )
    assert code == 0
    accepted = sum(answer["rejected"] is None for answer in answers)
    assert (evaluation["images"], evaluation["realised"]["accepted"]) == (10, accepted)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "How far answers can be trusted" in page
    code, stored = holotype("evaluate", "fruit", "--max-error", str(smallest))
    assert 0 < stored["promised"]["coverage"] <= 1
    assert main(["classify", "fruit", str(pictures[0]), "--max-error", str(smallest)]) == 0
    assert "confidence" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("vote", "told"), [("nearest", {"per_label": 1, "neighbours": None}), ("knn", {"per_label": 1, "neighbours": 5})]
)
def test_the_vote_that_was_set_is_chosen_judged_and_served(
    holotype: Holotype, fruit: Path, new: Path, data_dir: Path, vote: str, told: dict[str, object]
) -> None:
    code, chosen = holotype(
        "optimise", "fruit", "--trials", "2", "--vote", vote, "--neighbours", "5", "--rejection", "class"
    )
    assert code == 0
    with open_context(Settings(data_dir=data_dir, encoder="pixel")) as context:
        catalogue = context.registry.catalogue("default", "fruit")
        recipe = context.registry.selection(catalogue.id, chosen["selection"]).recipe
    assert told.items() <= recipe.items()
    pictures = sorted(new.rglob("*.*"))
    stated = chosen["figures"]["policy"]["curve"][-1][0]
    assert holotype("classify", "fruit", *pictures, "--max-error", stated)[0] == 0
    assert holotype("evaluate", "fruit", "--max-error", stated)[1]["promised"]["coverage"] > 0
    _, answers = holotype("classify", "fruit", *pictures)
    assert sum(answer["label"] == path.parent.name for path, answer in zip(pictures, answers, strict=True)) >= 9
    code, found = holotype("verify", "fruit", pictures[0], "--label", "class-00")
    assert (code, found["same"]) == (0, True)
    assert holotype("preview", "fruit", "another", *pictures[:2])[0] == 0


def test_pictures_are_verified(holotype: Holotype, fruit: Path, new: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, chosen = holotype("optimise", "fruit", "--trials", "1")
    same = sorted((new / "class-00").iterdir())
    other = sorted((new / "class-01").iterdir())
    for arguments, expected in (
        ((same[0], same[1]), True),
        ((same[0], other[0]), False),
        ((same[0], "--label", "class-00"), True),
        ((same[0], "--label", "class-01"), False),
        ((same[0], same[1], "--rule", "eer"), True),
    ):
        code, answer = holotype("verify", "fruit", *arguments)
        assert code == 0
        assert set(answer) == ANSWER
        assert answer["same"] is expected
        assert answer["selection"] == chosen["selection"]
        assert 0 <= answer["eer"] <= 1
    assert main(["verify", "fruit", str(same[0]), str(other[0])]) == 0
    assert "Not the same class" in capsys.readouterr().out


def test_verify_takes_a_second_picture_or_a_label(holotype: Holotype, fruit: Path, new: Path) -> None:
    one, other = sorted(new.rglob("*.*"))[:2]
    for arguments in ((one,), (one, other, "--label", "class-00")):
        code, value = holotype("verify", "fruit", *arguments)
        assert code == 2
        assert "one of both" in value["error"]["message"]
    code, value = holotype("verify", "fruit", one, new / "nothing.png")
    assert code == 2
    assert "there is no such file" in value["error"]["message"]
