"""The commands on real parts: shapes of the JSON, exit codes, and what one command leaves for the next."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from service.bootstrap import open_context
from service.cli.main import main
from service.cli.optimise import DEFAULT_NEIGHBOURS, DEFAULT_TRIALS
from service.settings import Settings
from service.usecases.optimise_request import OptimiseRequest
from tests.cli.conftest import Holotype
from tests.conftest import PictureFolder
from tests.processes import start, wait_until

PROGRAM = Path(sys.executable).with_name("holotype")
SELECTION = {"selection", "activated", "why", "references", "head", "strategy", "figures", "measured_on"}
EVALUATION = {
    *("images", "accuracy", "macro_f1", "weighted_f1", "top5", "references", "support"),
    *("per_class", "panel", "measured_on", "skipped"),
}


def program(*arguments: object, **variables: str) -> list[str]:
    return ["env", *(f"{name}={value}" for name, value in variables.items()), str(PROGRAM), *map(str, arguments)]


@pytest.fixture(params=["here", "over_http"])
def holotype(request: pytest.FixtureRequest) -> Holotype:
    """The commands, done by this process and by a server: the tests mean the same."""
    run: Holotype = request.getfixturevalue(f"holotype_{request.param}")
    return run


@pytest.fixture
def fruit(holotype: Holotype, picture_folder: PictureFolder) -> Path:
    """The folder that the catalogue "fruit" was filled from: three classes of ten pictures."""
    folder = picture_folder("fruit", classes=3, each=10)
    code, _ = holotype("ingest", "fruit", folder)
    assert code == 0
    return folder


def test_ingest_says_what_became_of_every_picture(holotype: Holotype, picture_folder: PictureFolder) -> None:
    folder = picture_folder("fruit", classes=2, each=5)
    first = next((folder / "class-00").iterdir())
    (folder / "class-00" / "broken.png").write_bytes(b"no picture")
    shutil.copy(first, folder / "class-01" / "other.png")

    code, report = holotype("ingest", "fruit", folder)
    assert code == 0
    assert {key: report[key] for key in ("stored", "duplicate", "failed")} == {
        "stored": 9,
        "duplicate": 0,
        "failed": 1,
    }
    assert report["conflict"] == 2
    assert isinstance(report["job"], str)
    assert report["images_per_s"] > 0
    [error] = report["errors"]
    assert error["path"].endswith("broken.png")
    assert error["reason"]
    [conflict] = report["conflicts"]
    assert len(conflict["paths"]) == 2
    assert sorted(conflict["labels"]) == ["class-00", "class-01"]

    code, again = holotype("ingest", "fruit", folder)
    assert code == 0
    assert again["stored"] == 0


def test_ingest_fails_when_every_picture_does(holotype: Holotype, tmp_path: Path) -> None:
    (tmp_path / "fruit" / "pear").mkdir(parents=True)
    (tmp_path / "fruit" / "pear" / "broken.png").write_bytes(b"no picture")
    code, report = holotype("ingest", "fruit", tmp_path / "fruit")
    assert code == 1
    assert report["failed"] == 1
    assert len(report["errors"]) == 1


def test_catalogues_are_made_listed_shown_and_deleted(holotype: Holotype, fruit: Path) -> None:
    code, made = holotype("catalogue", "create", "empty", "--encoder", "pixel")
    assert code == 0
    assert made["name"] == "empty"
    assert made["active_selection"] is None
    assert holotype("catalogue", "create", "empty")[0] == 2
    code, found = holotype("catalogue", "list")
    assert [one["name"] for one in found] == ["empty", "fruit"]
    code, shown = holotype("catalogue", "show", "fruit")
    assert code == 0
    assert shown["encoder"] == "pixel"
    assert shown["labels"] == {"class-00": 10, "class-01": 10, "class-02": 10}
    assert {split: shown["examples"][split] for split in ("support", "tuning", "holdout")} == {
        "support": 18,
        "tuning": 6,
        "holdout": 6,
    }
    code, refused = holotype("catalogue", "delete", "fruit")
    assert code == 2
    assert "--yes" in refused["error"]["message"]
    assert holotype("catalogue", "delete", "fruit", "--yes") == (0, {"deleted": "fruit"})
    assert holotype("catalogue", "show", "fruit")[0] == 3


def test_a_tenant_sees_its_own_only(holotype_here: Holotype, picture_folder: PictureFolder) -> None:
    fruit = picture_folder("fruit", classes=2, each=2)
    assert holotype_here("ingest", "fruit", fruit)[0] == 0
    code, value = holotype_here("catalogue", "list", "--tenant", "other")
    assert (code, value["error"]["type"]) == (3, "TenantNotFound")
    assert holotype_here("--tenant", "other", "catalogue", "create", "own")[0] == 0
    code, listed = holotype_here("catalogue", "list", "--tenant", "other")
    assert (code, [one["name"] for one in listed]) == (0, ["own"])
    code, value = holotype_here("--tenant", "other", "classify", "fruit", next((fruit / "class-00").iterdir()))
    assert code == 3
    assert value["error"]["type"] == "CatalogueNotFound"


@pytest.mark.parametrize("tenant", ["", "../other", "a b"])
def test_a_tenant_is_a_name(holotype_here: Holotype, tenant: str) -> None:
    code, value = holotype_here("catalogue", "create", "fruit", "--tenant", tenant)
    assert code == 2
    assert value["error"]["type"] == "InvalidInput"


def test_pictures_are_classified_before_and_after_optimisation(
    holotype: Holotype, fruit: Path, picture_folder: PictureFolder
) -> None:
    new = picture_folder("new", classes=3, each=2, seed=7)
    pictures = sorted(new.rglob("*.*"))
    code, answers = holotype("classify", "fruit", *pictures, new / "nothing.png", "--top", "2")
    assert code == 0
    assert [answer["path"] for answer in answers] == [str(path) for path in (*pictures, new / "nothing.png")]
    assert set(answers[-1]) == {"path", "error"}
    for path, answer in zip(pictures, answers, strict=False):
        assert answer["label"] == path.parent.name
        assert 0 <= answer["confidence"] <= 1
        assert len(answer["top"]) == 2
        assert set(answer["top"][0]) == {"label", "score"}
        assert {"id", "label", "similarity", "source"} <= set(answer["neighbours"][0])
        assert answer["selection"] is None
        assert any("all 18 support examples" in note for note in answer["notes"])

    code, chosen = holotype("optimise", "fruit", "--trials", "2", "--seed", "3", "--budget", "2")
    assert code == 0
    assert set(chosen) >= SELECTION
    assert 3 <= chosen["references"] <= 6 or not chosen["figures"]["gate_passed"]
    code, found = holotype("selections", "fruit")
    assert [one["selection"] for one in found] == [chosen["selection"]]
    assert set(found[0]) >= SELECTION
    code, answers = holotype("classify", "fruit", *pictures)
    assert [answer["label"] for answer in answers] == [path.parent.name for path in pictures]
    assert {answer["selection"] for answer in answers} == {chosen["selection"]}


def test_a_selection_is_judged_and_activated_again(holotype: Holotype, fruit: Path, tmp_path: Path) -> None:
    code, error = holotype("evaluate", "fruit")
    assert code == 3
    assert error["error"]["type"] == "SelectionNotFound"
    _, first = holotype("optimise", "fruit", "--trials", "1", "--strategy", "medoids", "--no-refit")
    _, second = holotype("optimise", "fruit", "--trials", "1", "--strategy", "all")
    code, stored = holotype("evaluate", "fruit", "--html", tmp_path / "report.html")
    assert code == 0
    assert set(stored) >= EVALUATION
    assert "<html" in (tmp_path / "report.html").read_text(encoding="utf-8")
    code, back = holotype("activate", "fruit", first["selection"])
    assert code == 0
    assert back["selection"] == first["selection"]
    assert back["activated"] is True
    _, found = holotype("selections", "fruit")
    assert {one["selection"]: one["activated"] for one in found} == {
        first["selection"]: True,
        second["selection"]: False,
    }
    code, error = holotype("activate", "fruit", "7d0c8a52-0000-4b3f-9d0e-6f2d3a3c7b11")
    assert code == 3
    assert error["error"]["type"] == "SelectionNotFound"


def test_evaluate_counts_what_it_leaves_out(holotype: Holotype, fruit: Path, picture_folder: PictureFolder) -> None:
    new = picture_folder("new", classes=4, each=3, seed=7)
    (new / "class-00" / "broken.png").write_bytes(b"no picture")
    shutil.copy(next((fruit / "class-01").iterdir()), new / "class-01")
    code, evaluation = holotype("evaluate", "fruit", new)
    assert code == 0
    assert set(evaluation) >= EVALUATION
    assert evaluation["images"] == 9
    assert evaluation["skipped"] == {"unknown_label": 3, "already_stored": 1, "broken": 1}
    assert set(evaluation["per_class"]) == {"class-00", "class-01", "class-02"}
    assert set(evaluation["per_class"]["class-00"]) == {"precision", "recall", "f1", "images"}


def test_a_conflict_is_decided_by_relabel_or_drop(
    holotype: Holotype, fruit: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = sorted((fruit / "class-00").iterdir())[:2]
    wrong = fruit.parent / "wrong"
    (wrong / "class-02").mkdir(parents=True)
    shutil.copy(first, wrong / "class-02" / "first.jpg")
    shutil.copy(second, wrong / "class-02" / "second.png")
    _, report = holotype("ingest", "fruit", wrong)
    assert report["conflict"] == 2
    conflicts = holotype("catalogue", "show", "fruit")[1]["conflicts"]
    assert [one["source"] for one in conflicts] == [str(first), str(second)]
    assert [one["labels"] for one in conflicts] == [["class-00", "class-02"]] * 2
    held = [one["id"] for one in conflicts]
    assert main(["catalogue", "show", "fruit"]) == 0
    shown = capsys.readouterr().out
    assert all(one["id"] in shown and one["source"] in shown for one in conflicts)
    code, changed = holotype("relabel", "fruit", held[0], "class-02")
    assert code == 0
    assert set(changed) == {"id", "label", "split", "state", "source", "new_class", "close"}
    assert (changed["id"], changed["label"], changed["state"]) == (held[0], "class-02", "active")
    assert (changed["new_class"], changed["close"]) == (False, [])
    capsys.readouterr()
    assert main(["relabel", "fruit", held[0], "class-O2"]) == 0
    assert "class-O2 is a new class: no other picture had that label. Close to it: class-02" in capsys.readouterr().out
    assert holotype("relabel", "fruit", held[0], "class-02")[1]["label"] == "class-02"
    assert holotype("drop", "fruit", held[1]) == (0, {"dropped": [held[1]]})
    assert holotype("catalogue", "show", "fruit")[1]["conflicts"] == []
    assert holotype("relabel", "fruit", held[1], "pear")[0] == 3
    assert holotype("drop", "fruit", held[1])[0] == 3


def test_doctor_finds_nothing_wrong_with_the_machine_that_tests(holotype_here: Holotype) -> None:
    code, value = holotype_here("doctor")
    assert code == 0
    assert value["state"] in {"ok", "warn"}
    names = {check["name"] for check in value["checks"]}
    assert names >= {"versions", "data directory", "device", "processor", "queue", "records and vectors", "encoder"}
    assert all(set(check) == {"name", "state", "found", "advice"} for check in value["checks"])


@pytest.mark.parametrize(
    ("variable", "value", "name"),
    [
        ("HOLOTYPE_DEVICE", "cuda:99", "device"),
        ("HOLOTYPE_DATABASE_URL", "postgresql+psycopg://a:b@127.0.0.1:1/c", "records and vectors"),
        ("HOLOTYPE_BROKER_URL", "redis://127.0.0.1:1/0", "queue"),
        ("HOLOTYPE_CHUNK_IMAGES", "many", "settings"),
        ("HOLOTYPE_DATA_DIR", "/proc/nothing", "data directory"),
    ],
)
def test_doctor_names_what_is_broken(
    holotype_here: Holotype, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, name: str
) -> None:
    monkeypatch.setenv(variable, value)
    code, told = holotype_here("doctor", "--quick")
    assert code == 1
    assert told["state"] == "fail"
    assert name in {check["name"] for check in told["checks"] if check["state"] == "fail"}


def test_a_worker_needs_a_broker(holotype_here: Holotype) -> None:
    code, value = holotype_here("worker", "--queue", "embed")
    assert code == 2
    assert "HOLOTYPE_BROKER_URL" in value["error"]["message"]


def test_a_second_process_is_told_to_wait(holotype_here: Holotype) -> None:
    holotype_here("catalogue", "create", "fruit")
    with open_context(Settings()):
        ran = subprocess.run([PROGRAM, "catalogue", "list", "--json"], capture_output=True, text=True, check=False)
    assert ran.returncode == 4
    error = json.loads(ran.stdout)["error"]
    assert error["type"] == "DataDirectoryInUse"
    assert str(os.getpid()) in error["message"]


def test_the_program_tells_people_on_two_streams(data_dir: Path, picture_folder: PictureFolder) -> None:
    folder = picture_folder("fruit", classes=2, each=2)
    command = program("ingest", "fruit", folder, "--data-dir", data_dir, HOLOTYPE_ENCODER="pixel")
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("4 stored")
    assert "4 of 4" in ran.stderr
    assert "encoder pixel on cpu, float32" in ran.stderr.splitlines()
    assert "fingerprint" not in ran.stderr
    assert "Traceback" not in ran.stderr


def test_ctrl_c_ends_with_a_sentence_and_the_job_goes_on(
    data_dir: Path, picture_folder: PictureFolder, tmp_path: Path
) -> None:
    folder = picture_folder("fruit", classes=2, each=50)
    variables = {"HOLOTYPE_ENCODER": "pixel", "HOLOTYPE_CHUNK_IMAGES": "1", "HOLOTYPE_DATA_DIR": str(data_dir)}
    with (tmp_path / "stderr").open("w+", encoding="utf-8") as stderr:
        command = program("ingest", "fruit", folder, "--json", **variables)
        running = start(command, stdout=subprocess.PIPE, stderr=stderr)
        wait_until(lambda: "embedding:" in (tmp_path / "stderr").read_text(encoding="utf-8"), "embedding begins")
        running.send_signal(signal.SIGINT)
        out, _ = running.communicate(timeout=60)
    assert running.returncode == 130
    assert json.loads(out)["error"]["type"] == "Interrupted"
    again = subprocess.run(
        program("ingest", "fruit", folder, "--json", **variables), capture_output=True, text=True, check=True
    )
    report = json.loads(again.stdout)
    assert report["stored"] + report["duplicate"] == 100
    shown = subprocess.run(
        program("catalogue", "show", "fruit", "--json", **variables), capture_output=True, check=True
    )
    assert sum(json.loads(shown.stdout)["labels"].values()) == 100


def test_people_get_tables_from_every_command(
    holotype: Holotype, fruit: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = next((fruit / "class-00").iterdir())
    for arguments, expected in (
        (["catalogue", "list"], "fruit"),
        (["catalogue", "show", "fruit"], "class-01"),
        (["ingest", "fruit", str(fruit)], "30 there already"),
        (["optimise", "fruit", "--trials", "1"], "measured_on"),
        (["selections", "fruit"], "accuracy"),
        (["classify", "fruit", str(picture), "nothing.png"], "No answer"),
        (["evaluate", "fruit"], "By class"),
        (["doctor", "--quick"], "versions"),
        (["catalogue", "delete", "fruit", "--yes"], "is gone"),
    ):
        capsys.readouterr()
        assert main(arguments) == 0
        assert expected in capsys.readouterr().out, arguments


def test_the_default_of_trials_is_the_requests() -> None:
    assert (OptimiseRequest().trials, OptimiseRequest().neighbours) == (DEFAULT_TRIALS, DEFAULT_NEIGHBOURS)
