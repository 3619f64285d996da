"""The report of a selection in an archive: single judgements name pictures by content hash (and crop), not id."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from service.errors import InvalidInput
from service.usecases.archive_fields import Fields
from service.usecases.archive_format import PICTURE

JUDGED = "judged"
NAMES = "ids"
_COLUMNS: Mapping[str, tuple[type, ...]] = {"truth": (int,), "predicted": (int,), "confidence": (int, float)}


def judged_names(report: Mapping[str, Any]) -> list[str]:
    """The names of the pictures that were judged one by one: ids, or in an archive content hashes."""
    return list((report.get(JUDGED) or {}).get(NAMES, ()))


def renamed(report: Mapping[str, Any], name_of: Callable[[str], str | None]) -> dict[str, Any]:
    """The report with other names; judgements of pictures that have none are left out."""
    judged = report.get(JUDGED)
    if judged is None:
        return dict(report)
    rows = zip(judged[NAMES], *(judged[column] for column in _COLUMNS), strict=True)
    kept = [(name, *rest) for old, *rest in rows if (name := name_of(old)) is not None]
    columns = {column: [row[place] for row in kept] for place, column in enumerate((NAMES, *_COLUMNS))}
    return {**report, JUDGED: {**judged, **columns}}


def check_report(report: Fields) -> None:
    """Raises InvalidInput where what is looked up in it cannot be: single judgements, and the confusion matrix."""
    if "confusion" in report.names() and report.value("confusion") is not None:
        _check_confusion(report.inner("confusion"))
    if JUDGED not in report.names() or report.value(JUDGED) is None:
        return
    judged = report.inner(JUDGED)
    names = _list(judged, NAMES)
    if not all(isinstance(name, str) and PICTURE.fullmatch(name) for name in names):
        raise InvalidInput(f"{judged.where}: {NAMES} are not all content hashes")
    for column, kinds in _COLUMNS.items():
        values = _list(judged, column)
        if len(values) != len(names) or not all(type(value) in kinds for value in values):
            raise InvalidInput(f"{judged.where}: {column} has not one number for each of {len(names)} pictures")


def _check_confusion(confusion: Fields) -> None:
    labels, matrix = _list(confusion, "labels"), _list(confusion, "matrix")
    if not all(isinstance(label, str) for label in labels):
        raise InvalidInput(f"{confusion.where}: the labels are not all texts")
    for row in matrix:
        if not isinstance(row, list) or len(row) != len(labels) or not all(type(cell) is int for cell in row):
            raise InvalidInput(f"{confusion.where}: the matrix has not {len(labels)} numbers in each row")
    if len(matrix) != len(labels):
        raise InvalidInput(f"{confusion.where}: the matrix has {len(matrix)} rows for {len(labels)} labels")


def _list(found: Fields, key: str) -> list[Any]:
    value = found.value(key)
    if not isinstance(value, list):
        raise found.wrong(key, "a list")
    return value
