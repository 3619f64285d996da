"""Small files that would keep a decoder busy for long: refused by counting what they are made of, before it begins."""

import struct
import zlib

import pytest
from PIL import Image

from service.adapters.image_structure import (
    MAX_CHUNKS,
    MAX_JUNK_BYTES,
    MAX_OTHER_CHUNKS,
    MAX_SCANS,
    MAX_SEGMENTS,
    check_structure,
)
from service.adapters.images import PillowDecoder
from service.errors import ImageRejected
from tests.adapters.pictures import as_file, noise

JPEG = as_file(noise(), "JPEG")
PROGRESSIVE = as_file(noise(), "JPEG", progressive=True)
PNG = as_file(noise())
PNG_HEAD = 33
"""Bytes of signature and header chunk."""


def refusal(data):
    with pytest.raises(ImageRejected) as caught:
        PillowDecoder().decode(data, 8)
    return caught.value.message


def taken(data):
    return PillowDecoder().decode(data, 8).pixels.shape


def chunk(name, body=b""):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def beside(png, chunks):
    return png[:PNG_HEAD] + chunks + png[PNG_HEAD:]


def scans(count, side=16):
    """A grey progressive JPEG: one scan of the means, `count` more that say "nothing here" to all blocks."""
    blocks = (side // 8) ** 2
    table = b"\xff\xdb\0\x43\0" + b"\1" * 64
    frame = b"\xff\xc2" + struct.pack(">HBHHB", 11, 8, side, side, 1) + b"\1\x11\0"
    codes = [
        b"\xff\xc4" + struct.pack(">HB", 20, kind) + bytes([1, *[0] * 15, value]) for kind, value in ((0, 0), (16, 0))
    ]
    first = b"\xff\xda" + struct.pack(">HB", 8, 1) + b"\1\0\0\0\0" + bytes(blocks // 8 + 1)
    empty = b"\xff\xda" + struct.pack(">HB", 8, 1) + b"\1\0\1\x3f\0" + bytes(blocks // 8 + 1)
    return b"\xff\xd8" + table + frame + b"".join(codes) + first + empty * count + b"\xff\xd9"


def test_scans_of_a_jpeg_are_counted():
    assert taken(scans(MAX_SCANS - 1)) == (8, 8, 3)
    assert refusal(scans(MAX_SCANS)) == (
        f"the JPEG has more than {MAX_SCANS} scans: open it in an image editor and save it again"
    )


def test_what_looks_like_a_scan_in_a_comment_is_none():
    comment = b"\xff\xfe" + struct.pack(">H", 2 + 400) + b"\xff\xda" * 200
    assert taken(JPEG[:2] + comment + JPEG[2:])


@pytest.mark.parametrize("segment", [b"\xff\xe0\0\2", b"\xff\xfe\0\2", b"\xff\xe1\0\x08Exif\0\0", b"\xff\xdd\0\4\0\0"])
def test_segments_of_a_jpeg_are_counted(segment):
    assert taken(JPEG[:2] + segment * 1000 + JPEG[2:])
    assert f"more than {MAX_SEGMENTS} segments before its first scan" in refusal(JPEG[:2] + segment * 2000 + JPEG[2:])


@pytest.mark.parametrize("junk", [b"\xff", b"\xff\0", b"\0", b"a"])
def test_bytes_between_segments_are_counted(junk):
    assert taken(JPEG[:20] + junk * (MAX_JUNK_BYTES // len(junk) - 10) + JPEG[20:])
    said = f"more than {MAX_JUNK_BYTES} bytes of no segment"
    assert said in refusal(JPEG[:20] + junk * (MAX_JUNK_BYTES // len(junk) + 10) + JPEG[20:])
    assert said in refusal(JPEG[:20] + junk * (MAX_JUNK_BYTES // len(junk) + 10))


def test_chunks_of_a_png_are_counted():
    assert taken(beside(PNG, chunk(b"IDAT") * 2000))
    assert taken(beside(PNG, chunk(b"tEXt", b"a\0b") * (MAX_OTHER_CHUNKS - 10)))
    assert f"more than {MAX_OTHER_CHUNKS} chunks beside those of its pixels" in refusal(
        beside(PNG, chunk(b"zzZz") * MAX_OTHER_CHUNKS)
    )
    assert f"more than {MAX_CHUNKS} chunks" in refusal(beside(PNG, chunk(b"IDAT") * MAX_CHUNKS))


def test_profiles_of_a_png_are_counted():
    profile = chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(100_000)))
    assert taken(beside(PNG, profile))
    assert "more than 1 colour profile:" in refusal(beside(PNG, profile * 2))


def test_files_as_programs_write_them_pass():
    two = Image.fromarray(noise())
    for data in (
        JPEG,
        PROGRESSIVE,
        PNG,
        as_file(two, "JPEG", icc_profile=bytes(200_000), exif=b"Exif\0\0" + bytes(60_000)),
        as_file(two, "PNG", icc_profile=bytes(200_000)),
        as_file(two, "MPO", save_all=True, append_images=[two]),
        as_file(noise(), "WEBP"),
    ):
        check_structure(data)


def test_other_bytes_are_none_of_its_business():
    for data in (b"", b"\xff\xd8", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", PNG[:40], b"RIFF", bytes(100)):
        check_structure(data)
