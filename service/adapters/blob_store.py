"""Bytes by key, over fsspec: a folder by default, S3 or any other store by URL.

A local file is written under another name and moved into place: a reader, or whoever comes after a kill, sees all or
nothing of it. It is not flushed to the disk (fsync) one by one, which would cost milliseconds a picture, but with all
others by `flush`, before rows name it: a power cut takes only what was not accepted yet. Object stores write whole
objects.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem

from service.errors import HolotypeError, InvalidInput, NotFound, Unavailable

UNFINISHED = ".unfinished"
"""Folder, beside the keys, of files that are being written; no key may start with it."""

MAX_KEY_BYTES = 1024
MAX_SEGMENT_BYTES = 255
FORBIDDEN = frozenset('\\:*?[]"<>|')
"""Characters that some store or file system reads as something else than themselves."""

DELETED_AT_ONCE = 1000


class FsspecBlobStore:
    """Implements `ports.BlobStore`. Safe for several threads and processes: every write is of a whole blob."""

    def __init__(self, location: str | Path) -> None:
        """Open the folder or URL; a local folder is made.

        Args:
            location: a path, or an fsspec URL such as `s3://bucket/prefix`, `memory://name`.

        Raises:
            InvalidInput: for a protocol that is unknown or whose package is not installed.
        """
        self.location = str(location)
        try:
            # A cached listing would hide what other processes write.
            self._files, root = fsspec.core.url_to_fs(self.location, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            raise InvalidInput(_not_opened(self.location, error), location=self.location) from error
        self._root = root.rstrip("/")
        self._local = isinstance(self._files, LocalFileSystem)
        self._outages = _outages(self._files)
        if self._local:
            Path(self._root).mkdir(parents=True, exist_ok=True)

    def ping(self) -> None:
        with self._outages_as_sentences("ping"):
            if self._local and not Path(self._root).is_dir():
                raise Unavailable(f"the folder {self._root} is gone", location=self.location)
            self._files.isfile(self._path("ping"))

    def put(self, key: str, data: bytes) -> None:
        path = self._path(key)
        with self._outages_as_sentences(key):
            if self._local:
                self._put_local(Path(path), data)
            else:
                self._files.pipe_file(path, data)

    def flush(self) -> None:
        if self._local:
            with self._outages_as_sentences("flush"):
                _flush(self._root)

    def get(self, key: str) -> bytes:
        path = self._path(key)
        with self._outages_as_sentences(key):
            try:
                return bytes(self._files.cat_file(path))
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                raise NotFound(f"there is nothing under {key!r} in {self.location}", key=key) from None

    def exists(self, key: str) -> bool:
        path = self._path(key)
        with self._outages_as_sentences(key):
            return bool(self._files.isfile(path))

    def delete(self, keys: Iterable[str]) -> None:
        paths = sorted({self._path(key) for key in keys})
        for start in range(0, len(paths), DELETED_AT_ONCE):
            some = paths[start : start + DELETED_AT_ONCE]
            with self._outages_as_sentences(some[0]):
                self._delete(some)

    def keys(self, prefix: str) -> list[str]:
        folder, slash, _ = prefix.rpartition("/")
        if slash:
            _check(folder)
        with self._outages_as_sentences(prefix):
            found = self._walk(folder) if self._local else self._files.find(f"{self._root}/{folder}")
            cut = len(self._root) + 1
            inside = (str(path)[cut:] for path in found)
            return sorted(key for key in inside if key.startswith(prefix) and not key.startswith(f"{UNFINISHED}/"))

    def _path(self, key: str) -> str:
        _check(key)
        return f"{self._root}/{key}"

    def _put_local(self, path: Path, data: bytes) -> None:
        unfinished = Path(self._root, UNFINISHED, uuid.uuid4().hex)
        try:
            _write(unfinished, data)
            _move(unfinished, path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise

    def _walk(self, folder: str) -> Iterator[str]:
        """Paths of all files below the folder, as fsspec writes them; its own `find` is slow, it asks for sizes."""
        for parent, _, names in os.walk(f"{self._root}/{folder}"):
            for name in names:
                yield f"{Path(parent).as_posix()}/{name}"

    def _delete(self, paths: list[str]) -> None:
        """In one request where the store is remote; one that objects to missing files is asked one by one."""
        if self._files.async_impl:
            with suppress(FileNotFoundError):
                self._files.rm(paths)
                return
        for path in paths:
            with suppress(FileNotFoundError, IsADirectoryError, NotADirectoryError):
                self._files.rm_file(path)

    @contextmanager
    def _outages_as_sentences(self, key: str) -> Iterator[None]:
        try:
            yield
        except HolotypeError:
            raise
        except self._outages as error:
            reason = str(error) or type(error).__name__
            raise Unavailable(f"{self.location} does not take or give {key!r}: {reason}", key=key) from error


def _check(key: str) -> None:
    """Raises InvalidInput for what is not plain segments joined by slashes: nothing may lead out of the store."""
    try:
        encoded = key.encode()
    except UnicodeEncodeError:
        raise _refused(key, "is not valid UTF-8") from None
    if len(encoded) > MAX_KEY_BYTES:
        raise _refused(key, f"has {len(encoded)} bytes, at most {MAX_KEY_BYTES} are allowed")
    if any(character in FORBIDDEN or not character.isprintable() for character in key):
        raise _refused(key, 'holds a character that is not allowed: control characters and \\ : * ? [ ] " < > |')
    segments = key.split("/")
    if any(segment in {"", ".", "..", UNFINISHED} for segment in segments):
        raise _refused(key, f'has an empty, ".", ".." or "{UNFINISHED}" part')
    if any(len(segment.encode()) > MAX_SEGMENT_BYTES for segment in segments):
        raise _refused(key, f"has a part of more than {MAX_SEGMENT_BYTES} bytes")


def _refused(key: str, why: str) -> InvalidInput:
    return InvalidInput(f"the key {key!r} {why}", key=key)


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _move(source: Path, target: Path) -> None:
    """Atomic: both are on one file system. The folder is made when the move shows that it is not there."""
    try:
        source.replace(target)
    except FileNotFoundError:
        target.parent.mkdir(parents=True, exist_ok=True)
        source.replace(target)


def _flush(folder: str) -> None:
    """Everything that was written to the folder's file system is on the disk; of other systems, to all of them."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "syncfs"):
        os.sync()
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if libc.syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), folder)
    finally:
        os.close(descriptor)


def _not_opened(location: str, error: Exception) -> str:
    protocol = location.partition("://")[0]
    if protocol in {"s3", "s3a"} and isinstance(error, ImportError):
        return f"{location} needs s3fs, which is not installed: pip install 'holotype[s3]'"
    return f"{location} cannot be opened as a blob store: {error}"


def _outages(files: fsspec.AbstractFileSystem) -> tuple[type[Exception], ...]:
    """What the file system raises when it cannot be reached. botocore's errors are not OSErrors."""
    if "s3" not in files.protocol:
        return (OSError,)
    errors = importlib.import_module("botocore.exceptions")
    return (OSError, errors.BotoCoreError, errors.ClientError)
