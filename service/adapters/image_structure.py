"""What a picture's file is made of, counted before a decoder goes through it.

A small file can keep a decoder busy for an hour without a single large number in its header: a progressive JPEG of 70
bytes a scan costs milliseconds a scan, a PNG unpacks every colour profile that it has, and Pillow keeps each of sixteen
million empty segments. No program writes such files, so what is far beyond the usual is refused unread.
"""

from __future__ import annotations

import re

from service.errors import ImageRejected, counted

MAX_SCANS = 100
"""A progressive JPEG has about ten; each costs up to 3 ms at 40 megapixels, however little it says."""
MAX_SEGMENTS = 2000
"""Before a JPEG's first scan: a profile of 64 MB would be a thousand. Pillow keeps them all."""
MAX_JUNK_BYTES = 64 * 1024
"""Between segments, where Pillow looks at one byte after the other."""
MAX_CHUNKS = 100_000
"""Of a PNG; those of the pixels have some thousand bytes each."""
MAX_OTHER_CHUNKS = 2000
"""Of a PNG, beside those that hold its pixels."""
MAX_PROFILES = 1
"""Of a PNG, as its specification says; each is unpacked, to as much as a megabyte."""

_SCAN = b"\xff\xda"
_MARKER = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)
_SEQUENTIAL, _FRAMES = frozenset({0xC0, 0xC1}), frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Of a sequential JPEG coded by Huffman each block takes two bits a scan: what it costs is bounded by its length."""
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xDA)})
_PNG = b"\x89PNG\r\n\x1a\n"
_PROFILE, _PIXELS = b"iCCP", b"IDAT"
_CHUNK_FRAME = 12
"""Bytes of a PNG's chunk beside its data: length, name, checksum."""


def check_structure(data: bytes) -> None:
    """Raises ImageRejected for a JPEG or PNG of more parts than any program writes; does nothing for other bytes."""
    if data.startswith(b"\xff\xd8"):
        _check_jpeg(data)
    elif data.startswith(_PNG):
        _check_png(data)


def _check_jpeg(data: bytes) -> None:
    at = segments = junk = 0
    frames: set[int] = set()
    while (found := _MARKER.search(data, at)) is not None and found[1] != _SCAN[1:]:
        segments += 1
        junk += found.end() - 2 - at
        at = found.end()
        frames |= _FRAMES & {found[1][0]}
        if found[1][0] not in _WITHOUT_LENGTH:
            at += max(2, int.from_bytes(data[at : at + 2]))
        _check(segments, MAX_SEGMENTS, "JPEG", "segment", " before its first scan")
    _check(
        junk + (len(data) if found is None else found.start()) - at, MAX_JUNK_BYTES, "JPEG", "byte", " of no segment"
    )
    # In what is coded 0xFF is always followed by a zero, so this counts scans, and those of a picture behind the first.
    if not frames <= _SEQUENTIAL:
        _check(data.count(_SCAN, at), MAX_SCANS, "JPEG", "scan")


def _check_png(data: bytes) -> None:
    at, chunks, others, profiles = len(_PNG), 0, 0, 0
    while at + _CHUNK_FRAME <= len(data):
        name = data[at + 4 : at + 8]
        chunks += 1
        others += name != _PIXELS
        profiles += name == _PROFILE
        at += _CHUNK_FRAME + int.from_bytes(data[at : at + 4])
        _check(chunks, MAX_CHUNKS, "PNG", "chunk")
        _check(others, MAX_OTHER_CHUNKS, "PNG", "chunk", " beside those of its pixels")
        _check(profiles, MAX_PROFILES, "PNG", "colour profile")


def _check(count: int, most: int, kind: str, noun: str, where: str = "") -> None:
    if count > most:
        raise ImageRejected(
            f"the {kind} has more than {counted(most, noun)}{where}: open it in an image editor and save it again"
        )
