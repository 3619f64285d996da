"""What a person has dropped, in an archive: a line a picture."""

from __future__ import annotations

from collections.abc import Iterator

from service.errors import InvalidInput
from service.records import Dropped
from service.usecases.archive_fields import encoded, fields_of
from service.usecases.archive_format import DROPPED, labels_in, picture_in
from service.usecases.archive_reading import Archive


def dropped_line(one: Dropped) -> bytes:
    """One line, with its end."""
    return encoded({"hash": one.picture, "labels": list(one.labels)}) + b"\n"


def archived_dropped(archive: Archive) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Content hash, crop and labels of what was dropped, nothing where an archive has none.

    Raises InvalidInput naming what cannot be.
    """
    if DROPPED not in archive.manifest.members:
        return
    seen: set[tuple[str, str]] = set()
    for line, where in archive.lines(DROPPED):
        found = fields_of(line, where)
        picture, labels = picture_in(found), labels_in(found, "labels")
        if not labels:
            raise found.wrong("labels", "at least one label")
        if picture in seen:
            raise InvalidInput(f"{where}: {picture[0]} is there twice")
        seen.add(picture)
        yield *picture, labels
