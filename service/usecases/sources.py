"""Where labelled pictures come from: a folder per class, a manifest, a single file.

In a folder, a picture's label is the name of the directory directly under PATH that leads to it, however deep it lies.
Files of the suffixes .jpg, .jpeg, .jfif, .png and .webp are pictures, and files of any name that begin as JPEG, PNG or
WebP do; pictures of other kinds (.gif, .heic, ...) are failed items that say what to convert them to; everything else
(Thumbs.db, notes.txt) and hidden names are no pictures and are passed over. A walk never
follows a link out of PATH. A label that is given is the label of the pictures that lie directly in PATH; with pictures
in its folders it is refused.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from service.errors import InvalidInput, counted
from service.records import Split
from service.usecases.labels import checked_label

PICTURE_SUFFIXES = frozenset({".jfif", ".jpeg", ".jpg", ".png", ".webp"})
OTHER_PICTURE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".cr2", ".dng", ".gif", ".heic", ".heif", ".ico", ".jp2", ".jxl", ".nef", ".ppm", ".psd", ".svg"}
    | {".tif", ".tiff", ".xcf"}
)
_MAGIC = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|RIFF....WEBP", re.DOTALL)
"""How a JPEG, a PNG and a WebP begin."""

_MAGIC_BYTES = 12
MANIFEST_SUFFIXES = frozenset({".csv", ".jsonl", ".ndjson"})
_STRAY = "it lies directly in PATH and has no label: move it into a folder named after its class"


@dataclass(frozen=True, slots=True)
class Source:
    """A picture that was handed over.

    Attributes:
        path: the file; for a manifest line that names none, the manifest's.
        label: its label, checked; "" when there is none to be had.
        split: what it is for; UNASSIGNED leaves it to the end of the job.
        failure: why it cannot be used, a sentence; None for one to be read.
        metadata: the user's own texts by name, from a manifest's further columns.
        line: number of the manifest's line, from 1; None outside manifests.
        crop: what of it counts (`core.crop`), "" for all of it.
        mask: a file that says so instead; None without one.
        keep_aspect: of what the mask shows.
    """

    path: Path
    label: str
    split: Split
    failure: str | None = None
    line: int | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    crop: str = ""
    mask: Path | None = None
    keep_aspect: bool = False

    @property
    def name(self) -> str:
        """What reports call it: the path as given, and the line of a manifest that could not be used."""
        shown = os.fsencode(self.path).decode("utf-8", "replace")
        return f"{shown}, line {self.line}" if self.line is not None and self.failure else shown


class Sources:
    """The pictures under PATH, counted at once and walked anew each time: a list of a million takes 600 MB."""

    def __init__(self, path: Path, label: str | None, split: Split) -> None:
        """Raises InvalidInput, ManifestError as `find_sources`."""
        self._walk = partial(find_sources, path, label, split)
        self._count = sum(1 for _ in self._walk())

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Source]:
        return self._walk()


def find_sources(path: Path, label: str | None, split: Split) -> Iterator[Source]:
    """All pictures under PATH, in the order of their names; a manifest's in its own order.

    Args:
        path: a folder, a .csv or .jsonl manifest, or one picture.
        label: the label of all of them; in a manifest, of the lines without one.
        split: what they are for; in a manifest, those of the lines without one.

    Raises:
        InvalidInput: PATH is not there, is neither folder nor file, the label is none, pictures have no label, or a
            label is given for a folder of class folders.
        ManifestError: PATH ends like a manifest and is none.
    """
    checked = None if label is None else checked_label(label)
    if path.is_dir():
        yield from _folder(path, checked, split)
    elif not path.exists():
        raise InvalidInput(
            f"{path} is not there: name a folder of label/picture.jpg, a .csv or .jsonl manifest, or one picture"
        )
    elif not path.is_file():
        raise InvalidInput(f"{path} is neither a folder nor a regular file")
    elif path.suffix.lower() in MANIFEST_SUFFIXES:
        from service.usecases.manifests import manifest_sources

        yield from manifest_sources(path, checked, split)
    else:
        yield _single(path, checked, split)


def find_pictures(root: Path) -> Iterator[Source]:
    """All pictures under a folder, however deep, none with a label: for those that nobody has labelled yet."""
    for path in _pictures(root):
        yield Source(path, "", Split.UNASSIGNED, _link_failure(root, path) or refused_kind(path))


def refused_kind(path: Path) -> str | None:
    """Why a file of this suffix cannot be used, None when it may be: JPEG, PNG and WebP under any suffix."""
    if path.suffix.lower() not in OTHER_PICTURE_SUFFIXES or begins_as_picture(path):
        return None
    return f"{path.suffix} files are not read: convert it to JPEG, PNG or WebP"


def begins_as_picture(path: Path) -> bool:
    """Is it a regular file, not a link, whose first bytes are those of a JPEG, PNG or WebP?"""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):  # opening a pipe would wait for its writer
            return False
        with path.open("rb") as file:
            return _MAGIC.match(file.read(_MAGIC_BYTES)) is not None
    except (OSError, ValueError):  # ValueError: a path that no file system can hold
        return False


def _single(path: Path, label: str | None, split: Split) -> Source:
    if not _is_picture(path):
        raise InvalidInput(f"{path} is neither a picture (.jpg, .jpeg, .png, .webp) nor a manifest (.csv, .jsonl)")
    if label is None:
        raise InvalidInput(f"{path} is one picture and needs its label: add --label LABEL")
    return Source(path, label, split, refused_kind(path))


def _folder(root: Path, label: str | None, split: Split) -> Iterator[Source]:
    """The folder's pictures; those that lie directly in it have no label of their own."""
    strays = labelled = 0  # failures are neither
    if label is not None:
        _check_one_class(root, _pictures(root))
    for path in _pictures(root):
        parts = path.relative_to(root).parts
        failure = _link_failure(root, path) or refused_kind(path)
        if label is None and len(parts) == 1:
            strays += failure is None
            yield Source(path, "", split, failure or _STRAY)
        else:
            labelled += failure is None
            yield _labelled(path, label or parts[0], split, failure)
    if strays and not labelled:
        raise InvalidInput(
            f"{strays} pictures lie directly in {root}: add --label LABEL, or put them into one folder per class",
            pictures=strays,
        )


def _check_one_class(root: Path, pictures: Iterable[Path]) -> None:
    """One label for a folder of class folders would relabel them all."""
    inner = [path for path in pictures if len(path.relative_to(root).parts) > 1]
    if inner:
        raise InvalidInput(
            f"--label is for the pictures of one class, and {counted(len(inner), 'picture')} of {root} lie in folders "
            f"of their own, such as {inner[0].parent}: leave --label out, or give the folder of one class",
            pictures=len(inner),
        )


def _labelled(path: Path, label: str, split: Split, failure: str | None) -> Source:
    try:
        return Source(path, checked_label(label), split, failure)
    except InvalidInput as error:
        return Source(path, "", split, error.message)


def _link_failure(root: Path, path: Path) -> str | None:
    """Why a link is not followed, None for what is no link or leads to a file within PATH."""
    if not path.is_symlink():
        return None
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):  # RuntimeError: of a circle, before Python 3.13
        return "it is a link that leads nowhere, or in a circle: copy the picture"
    if target.is_dir():
        return "it is a linked folder, and links to folders are not followed: copy the folder"
    if not target.is_relative_to(root.resolve()):
        return "it is a link that leads out of PATH and is not followed: copy the picture"
    return None


def _pictures(root: Path) -> Iterator[Path]:
    """Visible files that are pictures by name or content, and links to folders, sorted by name, depth first."""

    def unreadable(error: OSError) -> None:
        raise InvalidInput(f"{error.filename} cannot be listed ({error.strerror}): check its permissions")

    for folder, names, files in os.walk(root, onerror=unreadable):
        names[:] = sorted(name for name in names if not name.startswith("."))
        linked = [name for name in names if Path(folder, name).is_symlink()]
        wanted = [name for name in files if not name.startswith(".") and _is_picture(Path(folder, name))]
        for name in sorted(linked + wanted):
            yield Path(folder, name)


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES | OTHER_PICTURE_SUFFIXES or begins_as_picture(path)
