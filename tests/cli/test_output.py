"""What goes to which stream, and in which form."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.table import Table

from service.cli.output import Output, pairs, plain, printable, shown, table, told_apart, told_changes, whole_counts


def test_json_is_the_only_thing_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(as_json=True)
    with output.kept_clean():
        print("a library talks")  # noqa: T201
        output.result({"label": "груша"}, "a pear")
    told = capsys.readouterr()
    assert told.out == '{\n  "label": "груша"\n}\n'
    assert "a library talks" in told.err


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ((0.3, 0.62), ("0.30", "0.62")),
        ((0.6071, 0.6126), ("0.607", "0.613")),
        ((0.6123, 0.61234), ("0.61230", "0.61234")),
        ((1.0, 1.0), ("1.00", "1.00")),
    ],
)
def test_numbers_that_differ_are_told_apart(numbers: tuple[float, float], told: tuple[str, str]) -> None:
    assert told_apart(*numbers) == told


def test_numbers_of_pictures_are_whole() -> None:
    told = whole_counts({"references": 31.2, "support": 115.6, "accuracy": 0.5})
    assert told == {"references": 31, "support": 116, "accuracy": 0.5}
    assert whole_counts({"references": None}) == {"references": None}


def test_what_changed_since_a_selection_was_measured_is_told_in_words() -> None:
    moved = {"relabelled": 1, "into": {"pear": 1}, "out_of": {"fig": 1}}
    before = " since: the figures are of before, optimise again"
    assert told_changes(moved) == "1 example relabelled (1 to pear; 1 from fig)" + before
    none = {"relabelled": 0, "into": {}, "out_of": {}}
    came = {"added": {"melon": 12, "pear": 2}, "new_classes": ["melon"]}
    told = "1 new class (melon: 12 examples), 2 examples added (2 of pear)"
    assert told_changes(none | came) == told + before
    assert told_changes(moved | came).startswith(told + ", 1 example relabelled (")


def test_people_get_tables(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(as_json=False)
    with output.kept_clean():
        output.result({}, "done", table("Things", ("name", "size#"), [("pear", 2), ("fig", None)]))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "done"
    assert any("pear" in line and "2" in line for line in lines)
    assert any("fig" in line and "-" in line for line in lines)


def test_a_file_name_that_is_no_utf8_is_valid_json(capsys: pytest.CaptureFixture[str]) -> None:
    name = b"caf\xe9.png".decode("utf-8", "surrogateescape")
    Output(as_json=True).result({"path": name})
    assert json.loads(capsys.readouterr().out) == {"path": name}


def test_errors_say_type_message_and_details(capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=True).failure("InvalidInput", "too few", {"given": 1, "needed": 2})
    assert json.loads(capsys.readouterr().out) == {
        "error": {"type": "InvalidInput", "message": "too few", "given": 1, "needed": 2}
    }
    Output(as_json=False).failure("InvalidInput", "too few", {})
    assert capsys.readouterr().err == "holotype: too few\n"


def test_a_detail_cannot_hide_the_type(capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=True).failure("InvalidInput", "no", {"type": "something", "message": "else"})
    assert json.loads(capsys.readouterr().out)["error"] == {"type": "InvalidInput", "message": "no"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), None),
        (float("inf"), None),
        (np.float32(0.5), 0.5),
        (np.arange(3), [0, 1, 2]),
        (("a", None, True), ["a", None, True]),
        ({1: {"x": np.int64(2)}}, {"1": {"x": 2}}),
        ({"path": Path("a/b")}, {"path": "a/b"}),
    ],
)
def test_plain_values_are_json(value: object, expected: object) -> None:
    assert plain(value) == expected
    json.dumps(plain(value), allow_nan=False)


def test_names_cannot_steer_the_terminal() -> None:
    assert printable("a\x1b[31m[bold]b\x07").plain == "a�[31m[bold]b�"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "-"),
        (True, "yes"),
        (0.51234, "0.5123"),
        (12.5, "12.5000"),
        (9.0, "9"),
        (1.0, "1.0000"),
        ([0.1, 0.2], "0.1000, 0.2000"),
        ({"a": 1}, "a 1"),
    ],
)
def test_cells_are_readable(value: object, expected: str) -> None:
    assert shown(value) == expected


def test_pairs_have_a_row_each() -> None:
    made = pairs("Catalogue", {"name": "a", "references": 3})
    assert isinstance(made, Table)
    assert made.row_count == 2


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("as_json", [True, False])
def test_more_than_a_pipe_holds_arrives_whole(unbuffered: str, as_json: bool) -> None:
    code = (
        "from service.cli.output import Output\n"
        f"Output(as_json={as_json}).result(['x' * 100] * 5000, *['y' * 100] * 5000)"
    )
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=environment)
    if as_json:
        assert json.loads(ran.stdout) == ["x" * 100] * 5000
    else:
        assert ran.stdout.decode().splitlines() == ["y" * 100] * 5000
