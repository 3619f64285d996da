"""What the command line says: one JSON value or tables on standard output, all else on standard error."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TextIO

from rich.box import SIMPLE, SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.errors import counted, listed

WIDTH_WITHOUT_TERMINAL = 200
"""Columns of a table that goes to a file or a pipe: wide enough not to cut a path."""

COUNTS = ("references", "support", "measured_references")
"""Figures that count pictures."""

MOST_DIGITS = 10
"""Behind the point, for two numbers to be told apart."""


SECONDS_UNTIL_A_FULL_PIPE_IS_TRIED_AGAIN = 0.01


class UnwritableOutput(Exception):
    """Standard output does not take what is to be said. Not an OSError: Typer would make exit code 1 of a closed pipe.

    Attributes:
        reader_gone: the reader of a pipe has gone; otherwise the disk is full, say.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(f"standard output cannot be written: {error.strerror or error}")
        self.reader_gone = isinstance(error, BrokenPipeError)


class Output:
    """Where a command's words go.

    With `as_json` standard output belongs to the one JSON value: whatever else is printed there while the command runs,
    by a library say, goes to standard error.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._stdout: TextIO = sys.stdout or _nowhere()

    @contextlib.contextmanager
    def kept_clean(self) -> Iterator[None]:
        """While inside, `print` of anybody else reaches standard error when standard output is for JSON."""
        if not self.as_json:
            yield
            return
        with contextlib.redirect_stdout(sys.stderr):
            yield

    def result(self, value: object, *tables: Table | str) -> None:
        """The command's answer: `value` as JSON, or the tables and lines for people."""
        if self.as_json:
            self._write_json(value)
            return
        console = _console(self._stdout)
        with _told(), console.capture() as drawn:  # what is captured is written to, empty
            for one in tables:
                console.print(printable(one) if isinstance(one, str) else one, soft_wrap=isinstance(one, str))
        text = drawn.get()
        if not console.is_terminal:
            text = "\n".join(line.rstrip() for line in text.split("\n"))
        self._write(text.encode(self._stdout.encoding or "utf-8", "backslashreplace"))

    def failure(self, kind: str, message: str, details: Mapping[str, object]) -> None:
        """An error: JSON on standard output, or one sentence on standard error."""
        if self.as_json:
            self._write_json({"error": {**details, "type": kind, "message": message}})
        else:
            self.note(f"holotype: {message}")

    def note(self, message: str) -> None:
        """A line for people, on standard error."""
        _console(sys.stderr).print(printable(message), soft_wrap=True)

    def _write_json(self, value: object) -> None:
        text = json.dumps(plain(value), ensure_ascii=False, indent=2, allow_nan=False) + "\n"
        # A file name that is no UTF-8 holds lone surrogates; "backslashreplace" makes of each the JSON escape \\udcxx.
        self._write(text.encode("utf-8", "backslashreplace"))

    def _write(self, data: bytes) -> None:
        """All of it: with PYTHONUNBUFFERED set, `write` to a pipe takes what fits and drops the rest unsaid.

        Raises UnwritableOutput.
        """
        with _told():
            self._stdout.flush()
            rest = memoryview(data)
            while rest:
                taken = self._stdout.buffer.write(rest)
                if not taken:  # a pipe that does not block, and is full
                    time.sleep(SECONDS_UNTIL_A_FULL_PIPE_IS_TRIED_AGAIN)
                rest = rest[taken or 0 :]
            self._stdout.flush()


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What goes wrong in writing becomes UnwritableOutput."""
    try:
        yield
    except OSError as error:
        raise UnwritableOutput(error) from error


def _nowhere() -> TextIO:
    """For a process whose standard output was closed before it began."""
    return Path(os.devnull).open("w", encoding="utf-8")


def plain(value: object) -> Any:  # noqa: ANN401  JSON is any of six types
    """The value with what JSON knows only: numbers that are not finite become null, arrays lists, the rest strings."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (Sequence, set, frozenset)) and not isinstance(value, (bytes, bytearray)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy's scalars and arrays, without importing NumPy
        return plain(value.tolist())
    return str(value)


def printable(value: object) -> Text:
    """Text without markup and without control characters: a file name must not steer the terminal."""
    kept = "".join(c if c.isprintable() or c == "\n" else "�" for c in str(value))
    return Text(kept)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table for people; columns whose heading ends in a `#` are numbers and stand on the right."""
    made = Table(title=Text(title, style="bold"), title_justify="left", box=SIMPLE_HEAD)
    for column in columns:
        made.add_column(column.removesuffix("#"), justify="right" if column.endswith("#") else "left", overflow="fold")
    for row in rows:
        made.add_row(*(printable(shown(cell)) for cell in row))
    return made


def pairs(title: str, values: Mapping[str, object]) -> Table:
    """A table of names and values."""
    made = Table(title=Text(title, style="bold"), title_justify="left", show_header=False, box=SIMPLE)
    made.add_column(style="bold")
    made.add_column(overflow="fold")
    for name, value in values.items():
        made.add_row(printable(name), printable(shown(value)))
    return made


def told_changes(changed: Mapping[str, Any]) -> str:
    """What came, and what became of labels, since a selection was measured, in words."""
    added, new = changed.get("added", {}), changed.get("new_classes", [])  # a server of before tells neither
    parts = []
    if new:
        told = listed([f"{label}: {counted(added[label], 'example')}" for label in new])
        parts.append(f"{len(new)} new {'class' if len(new) == 1 else 'classes'} ({told})")
    if known := [label for label in added if label not in new]:
        told = listed([f"{added[label]} of {label}" for label in known])
        parts.append(f"{counted(sum(added[label] for label in known), 'example')} added ({told})")
    if changed["relabelled"]:
        came = ", ".join(f"{number} to {label}" for label, number in changed["into"].items())
        left = ", ".join(f"{number} from {label}" for label, number in changed["out_of"].items())
        parts.append(f"{counted(changed['relabelled'], 'example')} relabelled ({came}; {left})")
    return f"{', '.join(parts)} since: the figures are of before, optimise again"


def whole_counts(values: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers of pictures without digits behind the point: cross-fitting tells means."""
    means = {key: round(values[key]) for key in COUNTS if isinstance(values.get(key), float)}
    return {**values, **means}


def told_apart(one: float, other: float) -> tuple[str, str]:
    """Both with two digits behind the point, or as many as make them differ; two again where nothing does."""
    for digits in range(2, MOST_DIGITS):
        if f"{one:.{digits}f}" != f"{other:.{digits}f}":
            return f"{one:.{digits}f}", f"{other:.{digits}f}"
    return f"{one:.2f}", f"{other:.2f}"


def shown(value: object) -> str:
    """A cell's text: four digits behind the point, nothing for None, `name number` lists for mappings."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) > 1 else f"{value:.4f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {shown(item)}" for name, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(shown(item) for item in value)
    return str(value)


def error_console() -> Console:
    """A console on standard error, for progress."""
    return Console(stderr=True)


def _console(stream: IO[str]) -> Console:
    return Console(file=stream, width=None if stream.isatty() else WIDTH_WITHOUT_TERMINAL, highlight=False)
