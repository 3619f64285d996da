"""Manifests: CSV with the columns path, label and (if wanted) split, or JSONL with one object of these keys a line.

A line may say that only a part of its picture counts: `box`, the four numbers x,y,width,height in pixels of the upright
picture (in JSON also as a list), or `mask`, a file whose pixels that are not black are what counts; `keep_aspect` (yes)
keeps its proportions. The same picture may be in several lines, with other boxes. Further columns or keys are metadata:
the user's own short texts, stored with the picture.

Relative paths start at the manifest's folder. A manifest is the user's own list of files, so absolute paths and `..`
are taken as written. A line whose content is wrong is a failed item that names its line; the rest goes on. A file that
is no manifest at all is a ManifestError, and nothing of it is taken.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service.errors import InvalidInput, ManifestError, quoted
from service.records import Split
from service.usecases.crops import COLUMNS as CROP_COLUMNS
from service.usecases.crops import Wanted, wanted_of
from service.usecases.files import checked_path
from service.usecases.given_once import GivenTwice, given_once
from service.usecases.labels import checked_label
from service.usecases.metadata import checked_metadata
from service.usecases.sources import Source, refused_kind

SPLITS = {"auto": Split.UNASSIGNED, **{split.value: split for split in Split if split is not Split.UNASSIGNED}}
"""What a person may write, with "auto" for "at the end of the job"."""

MAX_MANIFEST_BYTES = 512 * 1024 * 1024
"""Some millions of lines; all of them are in memory while they are read."""

_DELIMITERS = (",", ";", "\t")

OWN_COLUMNS = frozenset({"path", "label", "split", *CROP_COLUMNS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of a manifest.

    Attributes:
        number: of the line, from 1.
        path: of the picture, as written; "" when the line could not be read.
        label: checked; "" when neither the line nor the caller gives one.
        split: what it is for.
        wanted: what of the picture counts.
        metadata: what its further columns say, checked.
        failure: why the line cannot be used; None for one that can.
    """

    number: int
    path: str = ""
    label: str = ""
    split: Split = Split.UNASSIGNED
    wanted: Wanted = field(default_factory=Wanted)
    metadata: Mapping[str, str] = field(default_factory=dict)
    failure: str | None = None


def manifest_sources(path: Path, label: str | None, split: Split) -> Iterator[Source]:
    """A Source for every line that is not empty, in the order of the lines.

    Args:
        path: the manifest, UTF-8 with or without byte order mark.
        label: of lines without one; None makes those lines fail.
        split: of lines without one.

    Raises:
        ManifestError: the file is no manifest; names the line where reading stopped.
    """
    for row in manifest_rows(path, label, split):
        if row.failure is not None:
            yield Source(path, "", split, row.failure, row.number)
            continue
        picture = path.parent / row.path
        mask = path.parent / row.wanted.mask if row.wanted.mask else None
        yield Source(
            picture,
            row.label,
            row.split,
            refused_kind(picture),
            row.number,
            row.metadata,
            crop=row.wanted.crop,
            mask=mask,
            keep_aspect=row.wanted.keep_aspect,
        )


def manifest_rows(path: Path, label: str | None, split: Split, shown: str | None = None) -> Iterator[Row]:
    """A Row for every line that is not empty, in the order of the lines.

    Args:
        path: the manifest, UTF-8 with or without byte order mark.
        label: of lines without one; None makes those lines fail, "" leaves them without.
        split: of lines without one.
        shown: what the manifest is called in errors; its path when left out.

    Raises:
        ManifestError: the file is no manifest; names the line where reading stopped.
    """
    name = shown or str(path)
    # Not str.splitlines: it also cuts at characters that a JSON text or a file name may hold, such as U+2028.
    lines = list(io.StringIO(_text(path, name), newline=""))
    found = _csv_rows(name, lines, label) if name.lower().endswith(".csv") else _json_rows(name, lines)
    count = 0
    for number, fields in found:
        count += 1
        yield _row(number, fields, label, split)
    if not count:
        raise ManifestError(f"{name} lists no picture: it has no line beside the header", path=name)


def _row(number: int, fields: Mapping[str, Any] | str, label: str | None, split: Split) -> Row:
    """One line; a Row with its failure set when the line is wrong. A string is a failure already."""
    if isinstance(fields, str):
        return Row(number=number, failure=fields)
    try:
        given = _field(fields, "label") or label
        return Row(
            number=number,
            path=_path_field(fields),
            label="" if given == "" else checked_label(given or ""),
            split=_split(_field(fields, "split"), split),
            wanted=wanted_of(fields),
            metadata=checked_metadata({name: value for name, value in fields.items() if name not in OWN_COLUMNS}),
        )
    except InvalidInput as error:
        return Row(number=number, failure=error.message)


def _path_field(row: Mapping[str, Any]) -> str:
    given = row.get("path")
    if given is not None and not isinstance(given, str):
        raise InvalidInput(f"path is not text: {json.dumps(given)[:50]}")
    name = _field(row, "path")
    if not name:
        raise InvalidInput("the line names no path")
    return checked_path(name, "path")


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
        raise InvalidInput(f"the split is {quoted(text)}; it must be one of {', '.join(SPLITS)}")
    return SPLITS[text.lower()]


def _text(path: Path, name: str) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_MANIFEST_BYTES + 1)
        if len(data) > MAX_MANIFEST_BYTES:
            most = MAX_MANIFEST_BYTES // 1024**2
            raise ManifestError(f"{name} has more than {most} MB: hand its lines over in several manifests", path=name)
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"{name} is not UTF-8 text (byte {error.start}): save it as UTF-8"
        raise ManifestError(message, path=name) from error
    except OSError as error:
        raise InvalidInput(f"{name} cannot be read ({error.strerror})", path=name) from error


def _csv_rows(name: str, lines: list[str], label: str | None) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    """(line number, fields by lower-case column) of the lines below the header."""
    header = lines[0] if lines else ""
    delimiter = max(_DELIMITERS, key=header.count)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        columns = [column.strip().lower() for column in next(reader, [])]
        _check_columns(name, columns, label)
        for fields in reader:
            if any(field.strip() for field in fields):
                yield reader.line_num, _csv_row(columns, fields)
    except csv.Error as error:
        raise ManifestError(f"{name} is no CSV at line {reader.line_num}: {error}", path=name) from error


def _check_columns(name: str, columns: list[str], label: str | None) -> None:
    """A column without a name, such as the numbers that some programs write in front, is passed over later."""
    needed = ["path"] if label is not None else ["path", "label"]
    missing = [column for column in needed if column not in columns]
    if missing:
        raise ManifestError(
            f"{name} has the columns {quoted(', '.join(columns)) if any(columns) else '(none)'} and lacks "
            f"{' and '.join(missing)}: "
            "its first line must be path,label or path,label,split",
            path=name,
        )
    for column, count in Counter(filter(None, columns)).items():
        if count > 1:
            raise ManifestError(f"{name} has the column {quoted(column)} twice: each may be there once", path=name)
    try:
        checked_metadata(dict.fromkeys(column for column in columns if column and column not in OWN_COLUMNS))
    except InvalidInput as error:
        raise ManifestError(
            f"{name}: {error.message}; columns beside path, label, split, box, mask and keep_aspect are metadata",
            path=name,
        ) from error


def _csv_row(columns: list[str], fields: list[str]) -> Mapping[str, Any] | str:
    if len(fields) > len(columns):
        return f"the line has {len(fields)} fields, the header {len(columns)}: quote a field that holds the separator"
    return {column: value for column, value in zip(columns, fields, strict=False) if column}


def _json_rows(name: str, lines: list[str]) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    """(line number, object) of the lines that are not empty."""
    first = True
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        row = _json_row(line)
        if first and isinstance(row, str):
            raise ManifestError(f"{name} is no JSONL manifest: line {number}: {row}", path=name)
        first = False
        yield number, row


def _json_row(line: str) -> Mapping[str, Any] | str:
    try:
        value = json.loads(line, object_pairs_hook=given_once)
    except GivenTwice as error:
        return str(error)
    except (ValueError, RecursionError) as error:
        return f"it is not JSON ({str(error)[:100]})"
    if not isinstance(value, dict):
        return 'it is not a JSON object such as {"path": "a.jpg", "label": "pear"}'
    return value
