"""Manifests: CSV with the columns path, label and (if wanted) split, or JSONL with one object of these keys a line.

Relative paths start at the manifest's folder. A manifest is the user's own list of files, so absolute paths and `..`
are taken as written. A line whose content is wrong is a failed item that names its line; the rest goes on. A file that
is no manifest at all is a ManifestError, and nothing of it is taken.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from service.errors import InvalidInput, ManifestError
from service.records import Split
from service.usecases.labels import checked_label
from service.usecases.sources import Source, refused_kind

SPLITS = {"auto": Split.UNASSIGNED, **{split.value: split for split in Split if split is not Split.UNASSIGNED}}
"""What a person may write, with "auto" for "at the end of the job"."""

_DELIMITERS = (",", ";", "\t")


def manifest_sources(path: Path, label: str | None, split: Split) -> Iterator[Source]:
    """A Source for every line that is not empty, in the order of the lines.

    Args:
        path: the manifest, UTF-8 with or without byte order mark.
        label: of lines without one; None makes those lines fail.
        split: of lines without one.

    Raises:
        ManifestError: the file is no manifest; names the line where reading stopped.
    """
    # Not str.splitlines: it also cuts at characters that a JSON text or a file name may hold, such as U+2028.
    lines = list(io.StringIO(_text(path), newline=""))
    rows = _csv_rows(path, lines, label) if path.suffix.lower() == ".csv" else _json_rows(path, lines)
    count = 0
    for number, row in rows:
        count += 1
        yield row_source(path, number, row, label, split)
    if not count:
        raise ManifestError(f"{path} lists no picture: it has no line beside the header", path=str(path))


def row_source(manifest: Path, number: int, row: Mapping[str, Any] | str, label: str | None, split: Split) -> Source:
    """One line's picture; a Source with its failure set when the line is wrong. A string is a failure already."""
    if isinstance(row, str):
        return Source(manifest, "", split, row, number)
    try:
        picture = manifest.parent / _path_field(row)
        given_label = checked_label(_field(row, "label") or label or "")
        given_split = _split(_field(row, "split"), split)
    except InvalidInput as error:
        return Source(manifest, "", split, error.message, number)
    return Source(picture, given_label, given_split, refused_kind(picture), number)


def _path_field(row: Mapping[str, Any]) -> str:
    given = row.get("path")
    if given is not None and not isinstance(given, str):
        raise InvalidInput(f"path is not text: {json.dumps(given)[:50]}")
    name = _field(row, "path")
    if not name:
        raise InvalidInput("the line names no path")
    return name


def _field(row: Mapping[str, Any], key: str) -> str:
    """The field's text, "" when it is left out. A JSON number is a fine label."""
    value = row.get(key)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InvalidInput(f"{key} is {json.dumps(value)[:50]}; a text is needed")
    text = str(value).strip()
    if "\0" in text:
        raise InvalidInput(f"{key} holds a NUL character")
    return text


def _split(text: str, default: Split) -> Split:
    if not text:
        return default
    if text.lower() not in SPLITS:
        raise InvalidInput(f"the split is {text!r}; it must be one of {', '.join(SPLITS)}")
    return SPLITS[text.lower()]


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"{path} is not UTF-8 text (byte {error.start}): save it as UTF-8"
        raise ManifestError(message, path=str(path)) from error
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read ({error.strerror})", path=str(path)) from error


def _csv_rows(path: Path, lines: list[str], label: str | None) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    """(line number, fields by lower-case column) of the lines below the header."""
    header = lines[0] if lines else ""
    delimiter = max(_DELIMITERS, key=header.count)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        columns = [name.strip().lower() for name in next(reader, [])]
        _check_columns(path, columns, label)
        for fields in reader:
            if any(field.strip() for field in fields):
                yield reader.line_num, _csv_row(columns, fields)
    except csv.Error as error:
        raise ManifestError(f"{path} is no CSV at line {reader.line_num}: {error}", path=str(path)) from error


def _check_columns(path: Path, columns: list[str], label: str | None) -> None:
    needed = ["path"] if label is not None else ["path", "label"]
    missing = [name for name in needed if name not in columns]
    if missing:
        raise ManifestError(
            f"{path} has the columns {', '.join(columns) or '(none)'} and lacks {' and '.join(missing)}: "
            "its first line must be path,label or path,label,split",
            path=str(path),
        )


def _csv_row(columns: list[str], fields: list[str]) -> Mapping[str, Any] | str:
    if len(fields) > len(columns):
        return f"the line has {len(fields)} fields, the header {len(columns)}: quote a field that holds the separator"
    return dict(zip(columns, fields, strict=False))


def _json_rows(path: Path, lines: list[str]) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    """(line number, object) of the lines that are not empty."""
    first = True
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        row = _json_row(line)
        if first and isinstance(row, str):
            raise ManifestError(f"{path} is no JSONL manifest: line {number}: {row}", path=str(path))
        first = False
        yield number, row


def _json_row(line: str) -> Mapping[str, Any] | str:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"it is not JSON ({str(error)[:100]})"
    if not isinstance(value, dict):
        return 'it is not a JSON object such as {"path": "a.jpg", "label": "pear"}'
    return value
