"""Reading pictures that people name: whatever is handed over or asked about goes through here."""

from __future__ import annotations

import os
from pathlib import Path

from service.errors import InvalidInput, quoted

MAX_FILE_BYTES = 64 * 1024 * 1024
"""Larger files are refused unopened: a film or a disk image must not fill the memory."""

MAX_PATH = 4096
"""Characters of a path: more than file systems take."""


def checked_path(name: str, what: str) -> str:
    """The path as it is written. Raises InvalidInput, calling it `what`, for one that no file can have."""
    if len(name) > MAX_PATH:
        raise InvalidInput(f"{what} {quoted(name)} is too long: at most {MAX_PATH} characters are read")
    if "\0" in name:
        raise InvalidInput(f"{what} holds a NUL character")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"{what} {quoted(name)} holds half of a surrogate pair: write it as UTF-8") from None
    return name


def read_file(path: Path) -> bytes:
    """The file's bytes. Raises InvalidInput for what is no regular file, empty, too large or unreadable."""
    try:
        if not path.is_file():
            raise InvalidInput("there is no such file" if not path.exists() else "it is not a regular file")
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise InvalidInput(too_large(size))
        with open(path, "rb", opener=_without_waiting) as file:
            data = file.read(MAX_FILE_BYTES + 1) or b""
    except (OSError, ValueError) as error:  # ValueError: a path that no file system can hold
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidInput(f"it cannot be read ({reason}): check its permissions") from error
    if len(data) > MAX_FILE_BYTES:  # it grew meanwhile
        raise InvalidInput(too_large(len(data)))
    if not data:
        raise InvalidInput("the file is empty (0 bytes): copy it again from where it came from")
    return data


def _without_waiting(path: str, flags: int) -> int:
    """A regular file of /proc may have nothing to read for hours, and a pipe may have taken the file's place."""
    return os.open(path, flags | os.O_NONBLOCK)


def read_mask(path: Path) -> bytes:
    """The bytes of a picture's mask. Raises InvalidInput as `read_file`, saying that it is about the mask."""
    try:
        return read_file(path)
    except InvalidInput as error:
        raise InvalidInput(f"its mask {quoted(path.name)} cannot be used: {error.message}") from error


def too_large(size: int) -> str:
    """What is said of a file of so many bytes."""
    return f"it has {size / 1024**2:.1f} MB; at most {MAX_FILE_BYTES // 1024**2} MB are read: save it smaller"
