"""Reading a zip that nobody vouches for: its directory is judged before it is read, each member before it is unpacked.

Refused are more members and bytes than are allowed, members that unpack to many times their size, names that are none
of an archive's (so nothing absolute, nothing with `..`, no folder, no link), names that are there twice, encryption and
compressions other than deflate. Every member that is read has the size and the sha256 that are written for it.
"""

from __future__ import annotations

import hashlib
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from service.errors import InvalidInput
from service.usecases.archive_format import MANIFEST, hash_of_image
from service.usecases.archive_manifest import Manifest

MAX_MEMBERS = 2_000_000
MAX_RATIO = 100
"""Bytes that a byte may unpack to. Lines of examples reach 10, pictures and embeddings hardly 1."""
RATIO_FREE_BYTES = 64 * 1024
"""Members up to this size may be packed however tightly."""
MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
"""Of a manifest, a report, a selection and one picture: what is read as a whole."""
MAX_LINE_BYTES = 4 * 1024 * 1024

_PIECE = 1024 * 1024
_DIRECTORY_ENTRY_BYTES = 46
_ENTRY_EXTRA_BYTES = 150
"""The longest of our names with the 28 bytes that large files add, and something to spare."""
_NAME = re.compile(
    r"manifest\.json|(prompts|dropped)\.jsonl|examples/[0-9]{5,}\.jsonl|embeddings/[0-9]{5,}\.npy|images/[0-9a-f]{64}"
    r"|selections/[0-9]{3}/(selection\.json|report\.json|members\.jsonl|projections\.npy|mean\.npy|matrix\.npy)"
)
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, struct.error, UnicodeError, RuntimeError)


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """What an archive may be.

    Attributes:
        unpacked_bytes: sum over its members.
        members: how many.
    """

    unpacked_bytes: int
    members: int = MAX_MEMBERS


class Archive:
    """An open archive: its manifest, and its members one at a time."""

    def __init__(self, opened: zipfile.ZipFile) -> None:
        self._zip = opened
        self._infos = {info.filename: info for info in opened.infolist()}
        size = self._infos[MANIFEST].file_size if MANIFEST in self._infos else None
        if size is None:
            raise InvalidInput(f"the archive has no {MANIFEST}: it is none of a catalogue, or it was cut off")
        if size > MAX_DOCUMENT_BYTES:
            raise InvalidInput(f"{MANIFEST} has {size} bytes; at most {MAX_DOCUMENT_BYTES} are read")
        self.manifest = Manifest.from_bytes(b"".join(self._pieces(MANIFEST)))
        self.images = frozenset(found for name in self._infos if (found := hash_of_image(name)))
        self._check_listed()

    def _check_listed(self) -> None:
        there = self._infos.keys() - {MANIFEST} - {f"images/{one}" for one in self.images}
        listed = self.manifest.members.keys()
        if lacking := sorted(listed - there):
            raise InvalidInput(f"the archive lacks {lacking[0]}, which its manifest lists", lacking=lacking[:20])
        if surplus := sorted(there - listed):
            raise InvalidInput(f"the manifest does not list {surplus[0]}", surplus=surplus[:20])
        if len(self.images) != self.manifest.images:
            raise InvalidInput(f"the manifest counts {self.manifest.images} images, there are {len(self.images)}")
        for name, (size, _) in self.manifest.members.items():
            if self._infos[name].file_size != size:
                raise InvalidInput(f"{name} has {self._infos[name].file_size} bytes, the manifest says {size}")

    def size(self, name: str) -> int:
        """Bytes of a member. Raises InvalidInput when there is none of the name."""
        if name not in self._infos:
            raise InvalidInput(f"the archive lacks {name}")
        return self._infos[name].file_size

    def document(self, name: str, most: int = MAX_DOCUMENT_BYTES) -> bytes:
        """A whole member. Raises InvalidInput when it is missing, too large or not what was written."""
        size = self.size(name)
        if size > most:
            raise InvalidInput(f"{name} has {size} bytes; at most {most} are read")
        return b"".join(self._checked(name))

    def lines(self, name: str) -> Iterator[tuple[bytes, str]]:
        """The lines of a member, each with where it is. Raises InvalidInput for one far too long, or changed."""
        self.size(name)
        rest = b""
        number = 0
        for piece in self._checked(name):
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                number += 1
                yield line, f"{name} line {number}"
            if len(rest) > MAX_LINE_BYTES:
                raise InvalidInput(f"{name} line {number + 1} has more than {MAX_LINE_BYTES} bytes")
        if rest:
            raise InvalidInput(f"{name} does not end with a whole line: it was cut off")

    def _checked(self, name: str) -> Iterator[bytes]:
        """A member's bytes; at their end it is known whether they are what was written."""
        expected = hash_of_image(name) or self.manifest.members[name][1]
        digest = hashlib.sha256()
        for piece in self._pieces(name):
            digest.update(piece)
            yield piece
        if digest.hexdigest() != expected:
            raise InvalidInput(f"{name} was changed: its sha256 is {digest.hexdigest()}, {expected} is written for it")

    def _pieces(self, name: str) -> Iterator[bytes]:
        """Raises InvalidInput where the member does not unpack to the size that the directory states."""
        info = self._infos[name]
        left = info.file_size
        with broken_as_sentences(), self._zip.open(info) as member:
            while piece := member.read(_PIECE):
                left -= len(piece)
                if left < 0:
                    break
                yield piece
        if left:
            raise InvalidInput(f"{name} does not unpack to the {info.file_size} bytes that are stated for it")


@contextmanager
def opened_archive(file: IO[bytes], limits: ArchiveLimits) -> Iterator[Archive]:
    """The archive in a file that can be sought. Raises InvalidInput for what is none, or beyond the limits."""
    _check_directory(file, limits)
    with broken_as_sentences():
        opened = zipfile.ZipFile(file)
    with opened:
        _check_members(opened, limits)
        yield Archive(opened)


@contextmanager
def broken_as_sentences() -> Iterator[None]:
    """What Python's zip reader raises for bytes that are no zip, as InvalidInput."""
    try:
        yield
    except _BROKEN as error:
        raise InvalidInput(f"the archive is no whole zip file: {str(error) or type(error).__name__}") from error
    except (OSError, ValueError) as error:
        raise InvalidInput(f"the archive cannot be read: {str(error) or type(error).__name__}") from error


_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")


def _check_directory(file: IO[bytes], limits: ArchiveLimits) -> None:
    """The directory's size, read as `zipfile` will, which takes it into memory whole, however large it is."""
    end = _END.size
    file.seek(0, 2)
    size = file.tell()
    tail = _tail(file, size, end + _LOCATOR.size + _END_64.size)
    if len(tail) < end or tail[-end:][:4] != b"PK\5\6" or tail[-2:] != b"\0\0":
        raise InvalidInput(f"these {size} bytes are no archive of a catalogue: no zip ends so, or it was cut off")
    directory = _END.unpack(tail[-end:])[5]
    locator = tail[:-end][-_LOCATOR.size :]
    if locator[:4] == b"PK\6\7" and tail[:4] == b"PK\6\6":
        directory = _END_64.unpack(tail[: _END_64.size])[8]
    most = limits.members * (_DIRECTORY_ENTRY_BYTES + _ENTRY_EXTRA_BYTES)
    if directory > min(size, most):
        raise InvalidInput(
            f"the archive's directory is said to have {directory} bytes; {min(size, most)} are possible for "
            f"{size} bytes and {limits.members} members"
        )


def _tail(file: IO[bytes], size: int, length: int) -> bytes:
    file.seek(max(0, size - length))
    return file.read(length)


def _check_members(opened: zipfile.ZipFile, limits: ArchiveLimits) -> None:
    infos = opened.infolist()
    if len(infos) > limits.members:
        raise InvalidInput(f"the archive has {len(infos)} members; at most {limits.members} are taken")
    if len(opened.NameToInfo) != len(infos):
        raise InvalidInput("the archive has two members of one name")
    total = 0
    for info in infos:
        _check_member(info)
        total += info.file_size
    if total > limits.unpacked_bytes:
        raise InvalidInput(
            f"the archive unpacks to {total} bytes; at most {limits.unpacked_bytes} are taken (HOLOTYPE_IMPORT_MB)",
            bytes=total,
        )


def _check_member(info: zipfile.ZipInfo) -> None:
    name = info.orig_filename
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"{name[:100]!a} is no member of a catalogue's archive")
    if info.flag_bits & 0x1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InvalidInput(f"{name} is encrypted, or compressed otherwise than by deflate")
    mode = info.external_attr >> 16
    if mode & 0o170000 not in (0, 0o100000):
        raise InvalidInput(f"{name} is a link or a folder, not a file")
    if info.file_size > RATIO_FREE_BYTES and info.file_size > MAX_RATIO * info.compress_size:
        raise InvalidInput(
            f"{name} unpacks from {info.compress_size} to {info.file_size} bytes, more than {MAX_RATIO} times as many"
        )
