"""Every command, here and over HTTP: the same JSON and the same exit codes, but for ids and times."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.cli.main import main
from tests.cli.conftest import Holotype, running_server
from tests.conftest import PictureFolder

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIMES = {"created_at", "made_at", "images_per_s", "seconds", "search_seconds"}


def comparable(value: object) -> object:
    """The value without ids and times."""
    if isinstance(value, dict):
        return {key: comparable(item) for key, item in value.items() if key not in TIMES}
    if isinstance(value, list):
        return [comparable(item) for item in value]
    return UUID.sub("ID", value) if isinstance(value, str) else value


def differences(one: object, other: object, where: str = "") -> list[str]:
    """Where two values differ; numbers by more than the last digits, which the order of a sum may change."""
    if isinstance(one, dict) and isinstance(other, dict):
        names = [*one, *(name for name in other if name not in one)]
        pairs = [(f"{where}.{name}", one.get(name, "nothing"), other.get(name, "nothing")) for name in names]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = [(f"{where}[{place}]", *pair) for place, pair in enumerate(zip(one, other, strict=True))]
    elif isinstance(one, float) and isinstance(other, float) and one == pytest.approx(other, rel=1e-5, abs=1e-6):
        return []
    else:
        return [] if one == other else [f"{where}: {one!r} here, {other!r} over HTTP"]
    return [found for place, left, right in pairs for found in differences(left, right, place)]


class Both:
    """Runs a command here, then over HTTP, and holds one answer against the other."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, here: Holotype, url: str, key: str) -> None:
        self._monkeypatch = monkeypatch
        self._run = here
        self._server = {"HOLOTYPE_URL": url, "HOLOTYPE_KEY": key}

    def each(self, *arguments: object) -> tuple[object, object]:
        """Both answers, compared; arguments that are pairs have a value for each side."""
        sides = [[one[side] if isinstance(one, tuple) else one for one in arguments] for side in (0, 1)]
        here = self._run(*sides[0])
        with self._monkeypatch.context() as patched:
            for name, value in self._server.items():
                patched.setenv(name, value)
            there = self._run(*sides[1])
        assert there[0] == here[0], (arguments, here[1], there[1])
        assert differences(comparable(here[1]), comparable(there[1])) == [], arguments
        return here[1], there[1]


@pytest.fixture
def both(holotype_here: Holotype, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Both]:
    """Two empty data directories."""
    with running_server(tmp_path / "server") as (url, key):
        yield Both(monkeypatch, holotype_here, url, key)


@pytest.fixture
def twins(
    holotype_here: Holotype, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data_dir: Path, fruit: Path
) -> Iterator[Both]:
    """Two that hold the same: the ids of examples are equal, and so is every choice that depends on their order."""
    assert holotype_here("ingest", "fruit", fruit)[0] == 0
    shutil.copytree(data_dir, tmp_path / "server")
    with running_server(tmp_path / "server") as (url, key):
        yield Both(monkeypatch, holotype_here, url, key)


@pytest.fixture
def fruit(picture_folder: PictureFolder) -> Path:
    """Three classes; a broken picture, an empty one, one under two labels, a wrong one, one of another kind."""
    folder = picture_folder("fruit", classes=3, each=10)
    (folder / "class-00" / "broken.png").write_bytes(b"no picture")
    (folder / "class-00" / "empty.png").write_bytes(b"")
    (folder / "class-01" / "old.gif").write_bytes(b"GIF89a")
    shutil.copy(folder / "class-00" / "0-0003.png", folder / "class-01" / "other.png")
    (folder / "class-00" / "0-0000.jpg").unlink()
    odd = picture_folder("odd", classes=1, each=1, seed=9, noise=90)  # no near-duplicate of the others
    shutil.move(odd / "class-00" / "9-0000.jpg", folder / "class-01" / "wrong.jpg")
    return folder


def test_catalogues_and_what_goes_into_them(both: Both, fruit: Path) -> None:
    both.each("catalogue", "list")
    both.each("catalogue", "create", "fruit", "--encoder", "pixel")
    both.each("catalogue", "create", "fruit")
    both.each("catalogue", "create", "no/name")
    both.each("classify", "fruit", fruit / "class-00" / "0-0001.png")
    here, _ = both.each("ingest", "fruit", fruit)
    assert (here["stored"], here["failed"], here["conflict"]) == (29, 3, 2)
    both.each("ingest", "fruit", fruit)
    both.each("catalogue", "show", "fruit")
    both.each("catalogue", "list")
    both.each("evaluate", "fruit")


def test_choosing_and_answering(twins: Both, fruit: Path, picture_folder: PictureFolder) -> None:
    new = picture_folder("new", classes=4, each=3, seed=7)
    (new / "class-00" / "broken.png").write_bytes(b"no picture")
    (new / "class-01" / "empty.png").write_bytes(b"")
    shutil.copy(fruit / "class-01" / "0-0004.jpg", new / "class-01")
    some = sorted((new / "class-02").iterdir())

    twins.each("classify", "fruit", *some, new, new / "nothing.png", "--top", "2")
    twins.each("classify", "fruit", "nothing.png")
    twins.each("classify", "none", "nothing.png")
    twins.each("verify", "fruit", some[0], some[1])
    chosen = tuple(one["selection"] for one in twins.each("optimise", "fruit", "--trials", "2", "--budget", "2"))
    twins.each("selections", "fruit")
    twins.each("classify", "fruit", *some)
    twins.each("classify", "fruit", *some, "--max-error", "0.4")
    twins.each("evaluate", "fruit")
    twins.each("evaluate", "fruit", "--max-error", "0.4")
    twins.each("evaluate", "fruit", new)
    twins.each("optimise", "fruit", "--trials", "1", "--strategy", "all")
    twins.each("optimise", "fruit", "--search", "thresholds", "--strategy", "medoids")
    twins.each("activate", "fruit", chosen)
    twins.each("activate", "fruit", "nothing")
    twins.each("verify", "fruit", some[0], some[1])
    twins.each("verify", "fruit", some[0], "--label", "class-01", "--rule", "eer")
    twins.each("search", "fruit", "--image", some[0], "--top", "3", "--label", "class-02")
    twins.each("search", "fruit", "--text", "a pear")
    twins.each("preview", "fruit", "quince", *sorted((new / "class-03").iterdir()), "none.png")
    twins.each("preview", "fruit", "class-01", *some)
    twins.each("preview", "fruit", "quince", *some, some[0])
    twins.each("next", "fruit", new, "--count", "4")
    twins.each("next", "fruit", new / "nothing")


def test_cleaning_up_is_the_same(twins: Both) -> None:
    reports = twins.each("hygiene", "fruit")
    wrong = tuple(
        next(one for one in report["findings"] if one["kind"] == "label")["example"]["id"] for report in reports
    )
    held = tuple(report["conflicts"][0]["id"] for report in twins.each("catalogue", "show", "fruit"))
    twins.each("keep", "fruit", wrong)
    twins.each("keep", "fruit", "nothing")
    twins.each("hygiene", "fruit")
    twins.each("relabel", "fruit", held, "class-00")
    twins.each("relabel", "fruit", "nothing", "class-00")
    twins.each("drop", "fruit", wrong, held)
    twins.each("drop", "fruit", wrong)
    twins.each("catalogue", "show", "fruit")
    twins.each("catalogue", "delete", "fruit", "--yes")
    twins.each("catalogue", "delete", "fruit", "--yes")


def test_what_is_handed_over_in_other_forms_is_the_same(both: Both, fruit: Path, tmp_path: Path) -> None:
    rows = ["path,label,split,shop", f"{fruit}/class-00/0-0001.png,a,support,north", f"{fruit}/class-00/0-0001.png,b,,"]
    rows += ["nowhere.png,a,,", f"{fruit}/class-01/0-0001.png,,,", f"{fruit}/class-01/0-0002.jpg,b,tuning,"]
    (tmp_path / "list.csv").write_text("\n".join(rows))
    both.each("ingest", "listed", tmp_path / "list.csv")
    both.each("catalogue", "show", "listed")
    both.each("ingest", "listed", fruit / "class-02" / "0-0001.png", "--label", "c", "--split", "holdout")
    both.each("ingest", "listed", fruit, "--label", "c")
    both.each("ingest", "listed", fruit / "nowhere")
    both.each("ingest", "broken", fruit / "class-00" / "broken.png", "--label", "c")
    (tmp_path / "nothing").mkdir()
    both.each("ingest", "listed", tmp_path / "nothing")
    both.each("evaluate", "listed", tmp_path / "nothing")
    both.each("search", "listed", "--image", fruit / "class-00" / "0-0001.png")


def test_a_report_is_written_here(holotype_over_http: Holotype, picture_folder: PictureFolder, tmp_path: Path) -> None:
    folder = picture_folder("fruit", classes=3, each=10)
    assert holotype_over_http("ingest", "fruit", folder)[0] == 0
    assert holotype_over_http("optimise", "fruit", "--trials", "1")[0] == 0
    new = picture_folder("new", classes=3, each=2, seed=7)
    for arguments in ([], [new]):
        code, value = holotype_over_http("evaluate", "fruit", *arguments, "--html", tmp_path / "report.html")
        assert code == 0
        assert "report" not in value
        page = (tmp_path / "report.html").read_text(encoding="utf-8")
        assert "<html" in page
        assert value["measured_on"] in page
        (tmp_path / "report.html").unlink()


@pytest.mark.parametrize("option", [["--data-dir", "x"], ["--tenant", "other"]])
def test_options_about_this_machine_are_refused(holotype_over_http: Holotype, option: list[str]) -> None:
    code, value = holotype_over_http("catalogue", "list", *option)
    assert code == 2
    assert option[0] in value["error"]["message"]


@pytest.mark.parametrize("command", [["serve"], ["worker", "--queue", "embed"]])
def test_what_a_server_cannot_be_asked_says_so(holotype_over_http: Holotype, command: list[str]) -> None:
    code, value = holotype_over_http(*command)
    assert code == 2
    assert "unset HOLOTYPE_URL" in value["error"]["message"]


def test_doctor_looks_at_the_server(holotype_over_http: Holotype, monkeypatch: pytest.MonkeyPatch) -> None:
    code, value = holotype_over_http("doctor")
    assert (code, value["state"]) == (0, "ok")
    assert [one["name"] for one in value["checks"]] == ["versions", "server", "parts", "key"]
    monkeypatch.setenv("HOLOTYPE_KEY", "holo_none")
    code, value = holotype_over_http("doctor")
    assert code == 1
    assert value["checks"][-1]["advice"].startswith("set HOLOTYPE_KEY")
    monkeypatch.setenv("HOLOTYPE_URL", "http://127.0.0.1:1")
    monkeypatch.setattr("service.client.retrying.random.uniform", lambda *_: 0.0)
    code, value = holotype_over_http("doctor")
    assert code == 1
    assert value["checks"][-1]["name"] == "server"


def test_a_wrong_key_is_one_sentence(
    holotype_over_http: Holotype, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOLOTYPE_KEY", "holo_none")
    code, value = holotype_over_http("catalogue", "list")
    assert (code, value["error"]["type"]) == (1, "NotAuthenticated")
    monkeypatch.setenv("HOLOTYPE_URL", "no url")
    assert main(["catalogue", "list"]) == 2
    assert "is no URL of a server" in capsys.readouterr().err


def test_people_read_the_tenant_of_the_key(holotype_over_http: Holotype, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["catalogue", "list"]) == 0
    assert "Catalogues of default" in capsys.readouterr().out
