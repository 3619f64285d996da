"""The README against the program: settings, commands, scripts, exit codes."""

import os
import re
from pathlib import Path

import pytest
import typer

from service.cli import failures
from service.cli import main as entry
from service.settings import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """The text between a heading and the next one of its depth."""
    found = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^\1 |\Z)", README, re.MULTILINE | re.DOTALL)
    assert found, f"the README has no section {title!r}"
    return found[2]


def commands() -> dict[str, set[str]]:
    """Every command with its own options, as Typer knows them."""
    common = {"--json", "--data-dir", "--tenant", "--help"}
    found: dict[str, set[str]] = {}
    todo = [("", typer.main.get_command(entry.app))]
    while todo:
        path, command = todo.pop()
        subcommands = getattr(command, "commands", None)
        if subcommands is not None:
            todo.extend((f"{path} {name}".strip(), one) for name, one in subcommands.items())
        else:
            found[path] = {
                option for parameter in command.params for option in parameter.opts if option[:2] == "--"
            } - common
    return found


def test_every_setting_is_in_the_table() -> None:
    rows = dict(re.findall(r"^\| `(HOLOTYPE_[A-Z_]+)` \| ([^|]*) \|", section("Settings"), re.MULTILINE))
    assert set(rows) == {f"HOLOTYPE_{name.upper()}" for name in Settings.model_fields}
    for name, field in Settings.model_fields.items():
        told = rows[f"HOLOTYPE_{name.upper()}"].strip()
        expected = {None: "none", Path.home() / ".holotype": "`~/.holotype`"}.get(field.default, f"`{field.default}`")
        assert told == expected, f"the default of {name}"


def test_every_command_is_in_the_reference_and_the_other_way_round() -> None:
    told = {" ".join(line.split()) for line in re.findall(r"^holotype (.*)$", section("Command line"), re.MULTILINE)}
    known = commands()
    for path, options in known.items():
        lines = [line for line in told if re.match(rf"{re.escape(path)}(\s|$)", line)]
        assert lines, f"`holotype {path}` is not in the README"
        missing = {option for option in options if not any(re.search(rf"{option}\b", line) for line in lines)}
        assert not missing, f"`holotype {path}`: {missing} not in the README"
    for line in told:
        path = next((one for one in known if re.match(rf"{re.escape(one)}(\s|$)", line)), None)
        assert path is not None, f"the README names `holotype {line}`, which does not exist"
        unknown = set(re.findall(r"--[a-z][a-z-]*", line)) - known[path] - {"--json", "--data-dir", "--tenant"}
        assert not unknown, f"`holotype {path}` has no {unknown}"


@pytest.mark.parametrize("script", sorted(set(re.findall(r"(?:scripts|\.ci)/[a-z_]+(?![a-z_/])", README))))
def test_every_script_that_is_named_can_be_run(script: str) -> None:
    assert (ROOT / script).is_file()
    assert os.access(ROOT / script, os.X_OK)


@pytest.mark.parametrize(
    "script", sorted(path.name for path in (ROOT / "scripts").iterdir() if not path.suffix and path.is_file())
)
def test_every_script_is_named(script: str) -> None:
    assert f"scripts/{script}" in README


def test_every_exit_code_is_told() -> None:
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", section("Exit codes"), re.MULTILINE)}
    known = {failures.DONE, failures.FAILED, failures.WRONG_USE, failures.NOT_FOUND, failures.IN_USE}
    assert codes == known | {failures.INTERRUPTED, failures.READER_GONE}


@pytest.mark.parametrize("name", re.findall(r"\]\((?!https?:|#)([^)#]+)", README))
def test_every_file_that_is_linked_is_there(name: str) -> None:
    assert (ROOT / name).exists()


def test_the_places_that_scripts_fill_are_there() -> None:
    opened = re.findall(r"<!-- results:([a-z]+) -->", README)
    assert "selection" in opened
    for name in opened:
        assert re.search(rf"<!-- results:{name} -->.*<!-- /results -->", README, re.DOTALL)
