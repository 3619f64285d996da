"""The command line's frame: help, usage errors, options before and after, broken pipes, Ctrl-C."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from service import __version__
from service.cli import main as entry
from service.cli.main import main
from service.cli.options import command, group_options, wants_json
from service.cli.output import Output
from service.cli.session import Session
from service.errors import CatalogueNotFound, InvalidInput
from tests.cli.conftest import Holotype
from tests.conftest import PictureFolder


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from service.cli.main import main; code = main(['--help']);"
        "heavy = {'torch', 'sklearn', 'scipy', 'celery', 'transformers', 'sqlalchemy', 'qdrant_client', 'numpy'};"
        "print(sorted(heavy & set(sys.modules)), code)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[] 0"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "catalogue",
        "catalogue create",
        "catalogue list",
        "catalogue show",
        "catalogue delete",
        "ingest",
        "optimise",
        "selections",
        "activate",
        "classify",
        "evaluate",
        "relabel",
        "drop",
        "dropped",
        "worker",
        "doctor",
    ],
)
def test_every_command_has_help_with_the_common_options(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*path.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert all(option in text for option in ("--json", "--data-dir", "--tenant"))
    assert path in {"", "catalogue"} or f"Example: holotype {path}" in " ".join(text.split())


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["--nonsense"],
        ["catalogue"],
        ["catalogue", "delete", "a"],
        ["ingest"],
        ["ingest", "a", "b", "--split", "train"],
        ["optimise", "a", "--budget", "0"],
        ["classify", "a"],
    ],
)
def test_wrong_use_is_two_in_both_forms(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "holotype" in told.err
    assert main([*arguments, "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["type"] in {"UsageError", "InvalidInput"}
    assert error["message"]


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"holotype {__version__}\n"
    assert main(["--version", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"version": __version__}


def test_json_behind_two_dashes_is_a_file_name() -> None:
    assert wants_json(["classify", "a", "--json"])
    assert not wants_json(["classify", "a", "--", "--json"])


def run_probe(monkeypatch: pytest.MonkeyPatch, arguments: list[str], probe: object = None) -> int:
    """Run `main` on an application with a group and one command, `group probe`."""
    app = typer.Typer()
    group = typer.Typer(callback=group_options)

    @command(group, "probe")
    def seen(session: Session, word: str = "none") -> None:
        if isinstance(probe, BaseException):
            raise probe
        session.output.result({"data_dir": session.settings.data_dir, "tenant": session.tenant, "word": word})

    app.callback()(group_options)
    app.add_typer(group, name="group")
    monkeypatch.setattr(entry, "app", app)
    return main(arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--data-dir", "x", "--tenant", "t", "--json", "group", "probe", "--word", "w"],
        ["group", "--data-dir", "x", "--json", "--tenant", "t", "probe", "--word", "w"],
        ["group", "probe", "--word", "w", "--json", "--tenant", "t", "--data-dir", "x"],
        [
            "--json",
            "--tenant",
            "u",
            "group",
            "--data-dir",
            "y",
            "probe",
            "--tenant",
            "t",
            "--data-dir",
            "x",
            "--word=w",
        ],
    ],
)
def test_common_options_are_taken_at_every_level_and_the_last_wins(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_probe(monkeypatch, arguments) == 0
    assert json.loads(capsys.readouterr().out) == {"data_dir": "x", "tenant": "t", "word": "w"}


def test_a_setting_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOLOTYPE_CHUNK_IMAGES", "many")
    assert run_probe(monkeypatch, ["group", "probe", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["type"] == "InvalidInput"
    assert "HOLOTYPE_CHUNK_IMAGES" in error["message"]


@pytest.mark.parametrize(
    ("probe", "code", "kind"),
    [
        (KeyboardInterrupt(), 130, "Interrupted"),
        (CatalogueNotFound("no catalogue 'a'", catalogue="a"), 3, "CatalogueNotFound"),
        (InvalidInput("no"), 2, "InvalidInput"),
        (ZeroDivisionError("division"), 1, "ZeroDivisionError"),
        (OSError(28, "No space left on device"), 1, "OSError"),
    ],
)
def test_errors_of_commands_become_one_json_value(
    probe: BaseException, code: int, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_probe(monkeypatch, ["group", "probe", "--json"], probe) == code
    assert json.loads(capsys.readouterr().out)["error"]["type"] == kind


def test_a_reader_that_has_gone_ends_the_command_quietly() -> None:
    code = (
        "import sys; from service.cli.output import Output\n"
        "from service.cli import main as entry\n"
        "entry._run = lambda arguments, output: output.result(['x' * 100] * 100_000)\n"
        "sys.exit(entry.main(['--json']))"
    )
    writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert writer.stdout is not None
    assert writer.stderr is not None
    writer.stdout.read(10)
    writer.stdout.close()
    said = writer.stderr.read()
    writer.stderr.close()
    assert writer.wait() == 141
    assert said == b""


def test_a_traceback_comes_with_the_debug_level_only(tmp_path: Path) -> None:
    code = (
        "import sys; from service.cli import main as entry, catalogues\n"
        "from service.cli.session import Session\n"
        "def broken(self): self.settings; raise RuntimeError('a wire is loose')\n"
        "Session.open = broken\n"
        "sys.exit(entry.main(['catalogue', 'list', '--json']))"
    )
    said = {}
    for level in ("WARNING", "DEBUG"):
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "HOLOTYPE_LOG_LEVEL": level}
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
        assert ran.returncode == 1
        assert json.loads(ran.stdout)["error"]["type"] == "RuntimeError"
        said[level] = ran.stderr
    assert "Traceback" not in said["WARNING"]
    assert "Traceback" in said["DEBUG"]


def test_output_without_json_keeps_standard_output() -> None:
    stream = sys.stdout
    with Output(as_json=False).kept_clean():
        assert sys.stdout is stream


def test_the_process_does_what_is_left_to_do_and_ends_with_the_commands_code() -> None:
    code = (
        "import atexit; from service.cli import main as entry;"
        "entry.main = lambda: atexit.register(print, 'the last words') and 7; entry.program()"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (7, "the last words\n", "")


def test_output_that_cannot_be_written_at_the_end_is_no_success() -> None:
    code = "from service.cli import main as entry; entry.main = lambda: print('lost') or 0; entry.program()"
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ran.returncode != 0
    assert "No space left on device" in ran.stderr


@pytest.mark.parametrize("words", [["--help"], ["catalogue", "list"], ["catalogue", "list", "--json"]])
def test_a_real_command_whose_reader_has_gone_says_141(tmp_path: Path, words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ran = real(words, tmp_path, writing)
    os.close(writing)
    assert (ran.returncode, ran.stderr) == (141, "")


@pytest.mark.parametrize("words", [["catalogue", "list"], ["catalogue", "list", "--json"]])
def test_a_full_disk_behind_standard_output_is_one_sentence(tmp_path: Path, words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        ran = real(words, tmp_path, full.fileno())
    assert ran.returncode == 1
    assert ran.stderr == "holotype: standard output cannot be written: No space left on device\n"


def test_standard_output_that_was_closed_before_is_no_error(tmp_path: Path) -> None:
    command = f"'{sys.executable}' -m service.cli.main catalogue list --json --data-dir '{tmp_path}' >&-"
    ran = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def real(words: list[str], data_dir: Path, stdout: int) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, on an empty data directory."""
    given = [*words, *([] if words == ["--help"] else ["--data-dir", str(data_dir)])]
    command = [sys.executable, "-m", "service.cli.main", *given]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)


def test_a_tenant_that_is_not_there_is_said_and_the_first_list_is_empty(
    holotype: Holotype, picture_folder: PictureFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert holotype("catalogue", "list") == (0, [])
    code, told = holotype("catalogue", "list", "--tenant", "nosuch")
    assert (code, told["error"]["type"]) == (3, "TenantNotFound")
    assert told["error"]["message"] == (
        "there is no tenant 'nosuch': the first `holotype ingest` or `holotype catalogue create` for it makes it; or "
        "is it misspelt in --tenant (HOLOTYPE_TENANT)?"
    )
    pictures = picture_folder("few", classes=1, each=2)
    assert holotype("ingest", "fruit", str(pictures), "--tenant", "nosuch")[0] == 0
    code, (found,) = holotype("catalogue", "list", "--tenant", "nosuch")
    assert (code, found["name"]) == (0, "fruit")
    assert holotype("catalogue", "create", "fruit", "--tenant", "other", "--encoder", "pixel")[0] == 0
    assert len(holotype("catalogue", "list", "--tenant", "other")[1]) == 1
    monkeypatch.setenv("HOLOTYPE_TENANT", "nosuhc")
    code, told = holotype("catalogue", "list")
    assert code == 3
    assert told["error"]["message"].endswith("(HOLOTYPE_TENANT)? There is 'nosuch'")
