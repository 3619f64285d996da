"""What a backup is: one tar, written and read from front to end, whose last member has the sha256 of all the others.

- `manifest.json`, the first: the version that wrote it, when, and the backup's own id;
- `blobs/KEY`: the bytes of pictures, stored embeddings, heads, references and reports, under the keys that they have;
- `encoders/FOLDER/FILE`: fine-tuned encoders that catalogues use, as they are in the data directory;
- `records.db`: all records as an SQLite database of one moment;
- `summary.json`: how many, and which bytes were lost already when it was made;
- `checksums.sha256`, the last: a line a member, as `sha256sum --check` reads it.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol, Self

from service.errors import InvalidInput

FORMAT = 1
MANIFEST, RECORDS, SUMMARY, CHECKSUMS = "manifest.json", "records.db", "summary.json", "checksums.sha256"
BLOBS, ENCODERS = "blobs/", "encoders/"
MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
"""Of a manifest and a summary."""

_PIECE = 1024 * 1024
_LINE = re.compile(r"[0-9a-f]{64}  .+\n")
_ENCODER_FILE = re.compile(r"finetuned-[0-9a-f]{16}/[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_ID = re.compile(r"[0-9a-f]{32}")


class Readable(Protocol):
    """What a member's bytes are read from."""

    def read(self, size: int = -1, /) -> bytes:
        """At most so many bytes; none at the end."""
        ...


class BackupWriter:
    """Members one after the other; their checksums wait in a file, for there may be millions. A context manager."""

    def __init__(self, file: IO[bytes], checksums: Path, clock: float) -> None:
        self._tar = tarfile.open(fileobj=file, mode="w:", format=tarfile.PAX_FORMAT)  # noqa: SIM115 -- ended by `end`
        self._checksums = checksums
        self._lines = checksums.open("w", encoding="utf-8")
        self._clock = clock

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()

    def add(self, name: str, data: bytes) -> None:
        """A member of bytes."""
        self._add(name, io.BytesIO(data), len(data))
        self._lines.write(f"{hashlib.sha256(data).hexdigest()}  {name}\n")

    def add_file(self, name: str, path: Path) -> None:
        """A member of a file's bytes."""
        with path.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
            opened.seek(0)
            self._add(name, opened, path.stat().st_size)
        self._lines.write(f"{digest}  {name}\n")

    def end(self) -> None:
        """The checksums, and the end of the tar."""
        self._lines.close()
        with self._checksums.open("rb") as opened:
            self._add(CHECKSUMS, opened, self._checksums.stat().st_size)
        self._tar.close()

    def _add(self, name: str, data: IO[bytes], size: int) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mtime, info.mode = size, int(self._clock), 0o600
        self._tar.addfile(info, data)
        self._tar.members.clear()  # type: ignore[attr-defined]  # else it remembers each


@dataclass(frozen=True, slots=True)
class Member:
    """One member that is being read."""

    name: str
    size: int
    data: Readable


def read_members(file: IO[bytes], checksums: Path) -> Iterator[Member]:
    """The members but the checksums, in order; each has to be read before the next.

    `checksums` is a file to note in what was read. Raises InvalidInput for what is no backup or was cut off, and, once
    all were read, with the first member that is not what was written: nothing of it counts before the end.
    """
    last = None
    with _sentences(), tarfile.open(fileobj=file, mode="r:") as tar, checksums.open("w", encoding="utf-8") as lines:
        for info in tar:
            tar.members.clear()  # type: ignore[attr-defined]  # else it remembers each
            data = tar.extractfile(info) if info.isreg() else None
            if data is None:
                raise InvalidInput(f"{info.name[:100]!a} in the backup is no file")
            last = info.name
            if last == CHECKSUMS:
                lines.flush()
                _compare(data, checksums)
                continue
            hashing = _Hashing(data)
            yield Member(info.name, info.size, hashing)
            lines.write(f"{hashing.rest()}  {info.name}\n")
    if last != CHECKSUMS:
        raise InvalidInput(f"the backup has no {CHECKSUMS} at its end: it is none, or it was cut off")


def read_document(member: Member) -> dict[str, Any]:
    """A JSON object. Raises InvalidInput."""
    if member.size > MAX_DOCUMENT_BYTES:
        raise InvalidInput(f"{member.name} has {member.size} bytes; at most {MAX_DOCUMENT_BYTES} are read")
    try:
        found = json.loads(member.data.read())
    except ValueError as error:
        raise InvalidInput(f"{member.name} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise InvalidInput(f"{member.name} is no JSON object")
    return found


def checked_encoder_file(name: str) -> str:
    """Of an encoder's file, below the folder of all encoders. Raises InvalidInput for one that leads elsewhere."""
    path = name.removeprefix(ENCODERS)
    if not _ENCODER_FILE.fullmatch(path):
        raise InvalidInput(f"{name[:100]!a} in the backup is no file of a fine-tuned encoder")
    return path


def manifest_bytes(backup_id: str, version: str, now: float) -> bytes:
    """The first member."""
    made_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    return json.dumps({"format": FORMAT, "id": backup_id, "holotype": version, "made_at": made_at}).encode()


def checked_manifest(found: Mapping[str, Any]) -> str:
    """The backup's id. Raises InvalidInput for a manifest of a newer Holotype, or of something else."""
    version = found.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise InvalidInput(
            f"the backup was made by Holotype {found.get('holotype')} in format {version}, this one reads formats up "
            f"to {FORMAT}: upgrade Holotype, then restore",
            found=version,
            known=FORMAT,
        )
    if version != FORMAT or not isinstance(found.get("id"), str) or not _ID.fullmatch(found["id"]):
        raise InvalidInput(f"{MANIFEST} is none of a backup of Holotype")
    return str(found["id"])


class _Hashing:
    """Reads through, and hashes on the way."""

    def __init__(self, data: Readable) -> None:
        self._data = data
        self._digest = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        piece = self._data.read(size)
        self._digest.update(piece)
        return piece

    def rest(self) -> str:
        """The hash of all of it, whatever of it was read so far."""
        while self.read(_PIECE):
            pass
        return self._digest.hexdigest()


class _sentences:  # noqa: N801 -- used as a function
    """What Python's tar reader raises for bytes that are no tar, as InvalidInput."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, (tarfile.TarError, EOFError)):
            raise InvalidInput(f"this is no whole backup: {str(error) or type(error).__name__}") from error


def _compare(written: Readable, read: Path) -> None:
    """Line by line: both are in the order of the members."""
    with read.open(encoding="utf-8") as ours:
        for theirs in io.TextIOWrapper(io.BufferedReader(_Raw(written)), encoding="utf-8", newline="\n"):
            own = ours.readline()
            if theirs != own:
                name = own[66:].strip() or theirs[66:].strip()
                raise InvalidInput(f"{name[:200]} in the backup is not what was written: its sha256 differs")
        if own := ours.readline():
            raise InvalidInput(f"{own[66:].strip()[:200]} in the backup has no checksum")


class _Raw(io.RawIOBase):
    def __init__(self, data: Readable) -> None:
        self._data = data

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 -- any buffer
        piece = self._data.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)
