"""Reading pictures that people name: whatever is handed over or asked about goes through here."""

from __future__ import annotations

from pathlib import Path

from service.errors import InvalidInput

MAX_FILE_BYTES = 64 * 1024 * 1024
"""Larger files are refused unopened: a film or a disk image must not fill the memory."""


def read_file(path: Path) -> bytes:
    """The file's bytes. Raises InvalidInput for what is no regular file, empty, too large or unreadable."""
    try:
        if not path.is_file():
            raise InvalidInput("there is no such file" if not path.exists() else "it is not a regular file")
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise InvalidInput(too_large(size))
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a path that no file system can hold
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidInput(f"it cannot be read ({reason}): check its permissions") from error
    if len(data) > MAX_FILE_BYTES:  # it grew meanwhile
        raise InvalidInput(too_large(len(data)))
    if not data:
        raise InvalidInput("the file is empty (0 bytes): copy it again from where it came from")
    return data


def read_mask(path: Path) -> bytes:
    """The bytes of a picture's mask. Raises InvalidInput as `read_file`, saying that it is about the mask."""
    try:
        return read_file(path)
    except InvalidInput as error:
        raise InvalidInput(f"its mask {path.name!r} cannot be used: {error.message}") from error


def too_large(size: int) -> str:
    """What is said of a file of so many bytes."""
    return f"it has {size / 1024**2:.1f} MB; at most {MAX_FILE_BYTES // 1024**2} MB are read: save it smaller"
