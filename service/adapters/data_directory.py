"""One owner of a data directory: an advisory lock on a file in it, which the kernel lets go of with the process."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from service.errors import DataDirectoryInUse, InvalidInput
from service.ports.backups import RESTORING

LOCK_FILE = "lock"
PRIVATE = 0o700
"""Of a data directory: pictures, hashes of keys and labels are nobody else's on this machine."""


@contextmanager
def owned_directory(folder: Path) -> Iterator[Path]:
    """Create the folder where it is absent and own it for the length of the block.

    Raises:
        DataDirectoryInUse: another process (or another block of this one) owns it; names the process.
        InvalidInput: the folder cannot be made or written to.
    """
    with _open_lock(folder) as lock:
        _take(lock, folder)
        _write_holder(lock)
        yield folder
        # Closing the file lets go of the lock. The file stays: removing it would let two processes lock two files.


def check_restored(folder: Path, is_empty: Callable[[], bool]) -> None:
    """Tidy up behind a restore that ended; `is_empty` says whether there are no records, which come last.

    Raises:
        InvalidInput: a restore into the folder was broken off.
    """
    for left in folder.glob(f"{RESTORING}*"):
        if is_empty():
            raise InvalidInput(
                f"a restore into {folder} was broken off: restore the same backup again, which goes on with it, or "
                "empty the directory",
                data_dir=str(folder),
            )
        shutil.rmtree(left)


def _open_lock(folder: Path) -> IO[str]:
    try:
        folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        return (folder / LOCK_FILE).open("a+", encoding="utf-8")
    except OSError as error:
        raise InvalidInput(
            f"the data directory {folder} cannot be used ({error.strerror}): give another one with --data-dir",
            data_dir=str(folder),
        ) from error


def _take(lock: IO[str], folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = _read_holder(lock)
        raise DataDirectoryInUse(
            f"the data directory {folder} is in use by {_described(holder)}: wait until it ends, stop it, or give "
            "another directory with --data-dir",
            data_dir=str(folder),
            holder=holder,
        ) from error


def _write_holder(lock: IO[str]) -> None:
    lock.truncate(0)
    json.dump({"pid": os.getpid(), "command": " ".join(sys.argv[:3]), "since": time.time()}, lock)
    lock.flush()


def _read_holder(lock: IO[str]) -> dict[str, object]:
    """What the owner wrote; empty when it has not come to that yet."""
    lock.seek(0)
    try:
        holder = json.loads(lock.read())
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}


def _described(holder: dict[str, object]) -> str:
    if not holder:
        return "another process"
    if holder["pid"] == os.getpid():
        return f"this process itself (pid {holder['pid']})"
    return f"process {holder['pid']} ({holder['command']})"
