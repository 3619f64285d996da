"""Hostile files: made by hand, and real pictures changed at random. The same seed makes the same files."""

from __future__ import annotations

import gzip
import random
import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from service.adapters.images import MAX_PIXELS
from tests.adapters.pictures import as_file, noise

Named = tuple[str, bytes]
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_HEAD = 33
"""Bytes of a PNG's signature and header chunk."""
WIDE, HIGH = 8000, 5000
"""As large as is taken."""
assert WIDE * HIGH == MAX_PIXELS


def hostile_files(count: int, seed: int) -> Iterator[Named]:
    """`count` files, each with a name that says how to make it again: all that are made by hand, then changed ones."""
    made = 0
    for named in by_hand():
        made += 1
        yield named
    seeds = real_pictures()
    for number in range(count - made):
        yield f"changed {seed}/{number}", changed(random.Random(f"{seed}/{number}"), seeds)


def real_pictures() -> list[bytes]:
    """Small ones of every kind that is taken, as programs write them."""
    grey16 = np.arange(600, dtype=np.uint16).reshape(20, 30) * 100
    still = Image.fromarray(noise())
    frames = [Image.fromarray(noise(seed=seed)) for seed in range(3)]
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "where it was taken"
    return [
        as_file(still, "JPEG", exif=exif, icc_profile=bytes(3000)),
        as_file(still, "JPEG", progressive=True, comment=b"a comment"),
        as_file(still.convert("L"), "JPEG", quality=30),
        as_file(still.convert("CMYK"), "JPEG"),
        as_file(frames[0], "MPO", save_all=True, append_images=frames[1:]),
        as_file(still, "PNG", exif=exif, icc_profile=bytes(3000)),
        as_file(noise(channels=4)),
        as_file(still.quantize(16), transparency=b"\0\x80"),
        as_file(still.convert("1")),
        as_file(still.convert("LA")),
        as_file(grey16),
        interlaced(noise()),
        as_file(frames[0], "PNG", save_all=True, append_images=frames[1:]),
        as_file(still, "WEBP", exif=exif, icc_profile=bytes(300)),
        as_file(noise(channels=4), "WEBP", lossless=True),
        as_file(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True),
    ]


# ---------------------------------------------------------------------------------------------------- changed at random


def changed(rng: random.Random, seeds: list[bytes]) -> bytes:
    """A real picture after one to three changes."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randint(1, 3)):
        data = rng.choice(CHANGES)(rng, data, seeds)
    return bytes(data)


def _place(rng: random.Random, data: bytearray) -> int:
    """Early ones more often: headers are where parsers go astray."""
    return rng.randrange(min(len(data), 200) if rng.random() < 0.6 else len(data)) if data else 0


def _flipped(rng: random.Random, data: bytearray, _seeds: list[bytes]) -> bytearray:
    for _ in range(rng.randint(1, 8)):
        if data:
            data[_place(rng, data)] = rng.randrange(256)
    return data


def _cut(rng: random.Random, data: bytearray, _seeds: list[bytes]) -> bytearray:
    return data[: rng.randrange(len(data) + 1)]


def _inserted(rng: random.Random, data: bytearray, _seeds: list[bytes]) -> bytearray:
    at = _place(rng, data)
    more = rng.choice([rng.randbytes(rng.randint(1, 64)), bytes(rng.randint(1, 4096)), b"\xff" * rng.randint(1, 4096)])
    return data[:at] + more + data[at:]


def _removed(rng: random.Random, data: bytearray, _seeds: list[bytes]) -> bytearray:
    at = _place(rng, data)
    del data[at : at + rng.randint(1, 100)]
    return data


def _doubled(rng: random.Random, data: bytearray, _seeds: list[bytes]) -> bytearray:
    at = _place(rng, data)
    return data[:at] + data[at : at + rng.randint(1, 400)] * rng.randint(2, 20) + data[at:]


def _extreme(rng: random.Random, data: bytearray, _seeds: list[bytes]) -> bytearray:
    """A number of 2 or 4 bytes, in either order, that is as large or as small as can be."""
    form = rng.choice([">H", "<H", ">I", "<I"])
    most = 0xFFFF if form.endswith("H") else 0xFFFFFFFF
    value = struct.pack(form, rng.choice([0, 1, most, most >> 1, (most >> 1) + 1, most - 1]))
    at = _place(rng, data)
    data[at : at + len(value)] = value
    return data


def _spliced(rng: random.Random, data: bytearray, seeds: list[bytes]) -> bytearray:
    other = rng.choice(seeds)
    return data[: _place(rng, data)] + other[rng.randrange(len(other)) :]


def _within_a_part(rng: random.Random, data: bytearray, seeds: list[bytes]) -> bytearray:
    """One chunk or segment changed, left out, doubled or moved, and lengths and checksums made to fit again."""
    form = next((form for form in FORMS if data.startswith(form[0])), None)
    if form is None:
        return _flipped(rng, data, seeds)
    _, split, join = form
    head, parts, rest = split(bytes(data))
    if parts:
        name, body = parts.pop(rng.randrange(len(parts)))
        for again in _instead(rng, body):
            parts.insert(rng.randrange(len(parts) + 1), (name, again))
    return bytearray(head + b"".join(join(name, body) for name, body in parts) + rest)


def _instead(rng: random.Random, body: bytes) -> list[bytes]:
    """What comes in the place of a part: nothing, the same elsewhere, twice the same, or another."""
    choices: list[Callable[[], list[bytes]]] = [
        list,
        lambda: [body],
        lambda: [body, body],
        lambda: [body[: rng.randrange(len(body) + 1)]],
        lambda: [bytes(_flipped(rng, bytearray(body), []))],
        lambda: [bytes(_extreme(rng, bytearray(body), []))],
    ]
    return rng.choice(choices)()


def png_chunk(name: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _png_parts(data: bytes) -> tuple[bytes, list[Named], bytes]:
    at, parts = len(PNG_SIGNATURE), []
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4])
        parts.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return data[:8], parts, data[at:]


def jpeg_segment(name: bytes, body: bytes) -> bytes:
    return name + struct.pack(">H", min(len(body) + 2, 0xFFFF)) + body


def _jpeg_parts(data: bytes) -> tuple[bytes, list[Named], bytes]:
    """Up to the first scan."""
    at, parts = 2, []
    while data[at : at + 1] == b"\xff" and data[at : at + 2] != b"\xff\xda" and at + 4 <= len(data):
        length = max(2, int.from_bytes(data[at + 2 : at + 4]))
        parts.append((data[at : at + 2], data[at + 4 : at + 2 + length]))
        at += 2 + length
    return data[:2], parts, data[at:]


def riff_chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def _webp_parts(data: bytes) -> tuple[bytes, list[Named], bytes]:
    at, parts = 12, []
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        parts.append((data[at : at + 4], data[at + 8 : at + 8 + length]))
        at += 8 + length + length % 2
    return data[:12], parts, data[at:]


def webp(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


Parts = Callable[[bytes], tuple[bytes, list[tuple[bytes, bytes]], bytes]]
FORMS: tuple[tuple[bytes, Parts, Callable[[bytes, bytes], bytes]], ...] = (
    (PNG_SIGNATURE, _png_parts, png_chunk),
    (b"\xff\xd8", _jpeg_parts, jpeg_segment),
    (b"RIFF", _webp_parts, riff_chunk),
)
CHANGES = (_flipped, _cut, _inserted, _removed, _doubled, _extreme, _spliced, _within_a_part, _within_a_part)


# --------------------------------------------------------------------------------------------------------- made by hand


def png(width: int, height: int, depth: int, colour: int, packed: bytes, *more: bytes, interlace: int = 0) -> bytes:
    """A PNG whose pixels are already packed; `more` chunks come before them."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    chunks = [png_chunk(b"IHDR", header), *more, png_chunk(b"IDAT", packed), png_chunk(b"IEND")]
    return PNG_SIGNATURE + b"".join(chunks)


def rows(bytes_a_row: int, height: int) -> bytes:
    """Packed rows of zeros, without having them in memory."""
    packer, row = zlib.compressobj(9), bytes(bytes_a_row + 1)
    return b"".join([*(packer.compress(row) for _ in range(height)), packer.flush()])


def interlaced(pixels: np.ndarray) -> bytes:
    """Pillow does not write these: Adam7, seven passes."""
    height, width = pixels.shape[:2]
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    lines = [b"\0" + line.tobytes() for y, x, dy, dx in passes for line in pixels[y::dy, x::dx] if line.size]
    return png(width, height, 8, 2, zlib.compress(b"".join(lines)), interlace=1)


def scans(count: int, width: int = WIDE, height: int = HIGH) -> bytes:
    """A grey progressive JPEG: one scan of the means, `count` more that say "nothing here" of all blocks."""
    blocks = (width // 8) * (height // 8)
    codes = b"".join(
        jpeg_segment(b"\xff\xc4", bytes([kind, 1, *[0] * 15, value])) for kind, value in ((0, 0), (16, 0xE0))
    )
    frame = jpeg_segment(b"\xff\xc2", struct.pack(">BHHB", 8, height, width, 1) + b"\1\x11\0")
    bits = ("0" + "1" * 14) * -(-blocks // 32767)
    bits += "1" * (-len(bits) % 8)
    nothing = int(bits, 2).to_bytes(len(bits) // 8).replace(b"\xff", b"\xff\0")
    first = jpeg_segment(b"\xff\xda", b"\1\1\0\0\0\0") + bytes(blocks // 8 + 1)
    empty = jpeg_segment(b"\xff\xda", b"\1\1\0\1\x3f\0") + nothing
    return (
        b"\xff\xd8"
        + jpeg_segment(b"\xff\xdb", b"\0" + b"\1" * 64)
        + frame
        + codes
        + first
        + empty * count
        + b"\xff\xd9"
    )


def by_hand() -> Iterator[Named]:
    """Each of its own kind."""
    yield from _no_pictures()
    yield from _sizes()
    yield from _bombs()
    yield from _odd_but_fine()
    yield from _as_large_as_is_taken()


def _no_pictures() -> Iterator[Named]:
    still = Image.fromarray(noise())
    yield "nothing", b""
    yield "a zero", b"\0"
    yield "a megabyte of zeros", bytes(1024 * 1024)
    for start in (b"\xff\xd8", b"\xff\xd8\xff", PNG_SIGNATURE, b"RIFF", b"RIFF\xff\xff\xff\xffWEBP", b"GIF89a", b"BM"):
        yield f"only {start!r}", start
        yield f"{start!r} and zeros", start + bytes(5000)
    for kind in ("GIF", "BMP", "TIFF", "ICO", "PDF", "PPM", "TGA", "DDS", "SGI", "PCX", "EPS", "JPEG2000"):
        yield f"a {kind} called .jpg", as_file(still, kind)
    yield "HTML", b"<html><script>alert(1)</script></html>"
    yield (
        "an SVG with a bomb of entities",
        (
            b'<!DOCTYPE s [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><svg xmlns="http://www.w3.org/2000/svg">&b;</svg>'
        ),
    )
    yield "PHP", b"\xff\xd8\xff\xe0<?php system($_GET[0]); ?>"
    yield "a pickle", b"\x80\x04\x95\x1a\0\0\0\0\0\0\0\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R."
    yield "a zip", b"PK\x03\x04" + bytes(100)
    yield "a program", b"\x7fELF" + bytes(100)
    yield "gzip", gzip.compress(bytes(100_000))


def _sizes() -> Iterator[Named]:
    for width, height in (
        (13_000, 13_000),
        (65_535, 65_535),
        (2**31 - 1, 2**31 - 1),
        (2**31, 1),
        (0, 0),
        (0, 10),
        (10, 0),
    ):
        yield f"a PNG of {width} x {height}", png(width, height, 8, 6, b"")
    yield "50 000 x 1", png(50_000, 1, 8, 0, rows(50_000, 1))
    yield "1 x 50 000", png(1, 50_000, 8, 0, rows(1, 50_000))
    jpeg = as_file(noise(), "JPEG")
    at = jpeg.index(b"\xff\xc0") + 5
    for height, width in ((65_535, 65_535), (0, 60), (40, 0), (65_535, 1), (5000, 8000)):
        yield f"a JPEG that says {width} x {height}", jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]
    for edge in (16_383, 2**24 - 1):
        header = b"\x10\0\0\0" + edge.to_bytes(3, "little") * 2
        yield f"a WebP of {edge} x {edge}", webp(riff_chunk(b"VP8X", header), as_file(noise(), "WEBP")[12:])
    yield "a lossless WebP of 16383 x 16383", webp(riff_chunk(b"VP8L", b"\x2f" + b"\xff" * 4 + bytes(20)))
    for kind in ("JPEG", "PNG", "WEBP"):
        yield f"one pixel of {kind}", as_file(noise(1, 1), kind)


def _bombs() -> Iterator[Named]:
    jpeg, flat = as_file(noise(), "JPEG"), as_file(noise())
    yield "a JPEG of a thousand scans", scans(1000)
    yield "as many scans as are taken", scans(99)
    for name, segment in {"APP0": b"\xff\xe0\0\2", "COM": b"\xff\xfe\0\2", "DRI": b"\xff\xdd\0\4\0\0"}.items():
        yield f"a JPEG of countless {name}", jpeg[:2] + segment * 200_000 + jpeg[2:]
    yield "a JPEG that is filled up", jpeg[:2] + b"\xff" * 1_000_000 + jpeg[2:]
    for name, chunk in {
        "tEXt": png_chunk(b"tEXt", b"a\0b"),
        "unknown chunks": png_chunk(b"zzZz"),
        "IDAT": png_chunk(b"IDAT"),
        "profiles": png_chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(1_000_000))),
        "packed texts": png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1_000_000))),
    }.items():
        many = 600 if name in ("profiles", "packed texts") else 110_000
        yield f"a PNG of countless {name}", flat[:PNG_HEAD] + chunk * many + flat[PNG_HEAD:]
    yield "a PNG that unpacks to a hundred megabytes more", png(60, 40, 8, 2, rows(10_000, 10_000))
    yield (
        "a profile that unpacks to a hundred megabytes",
        (flat[:PNG_HEAD] + png_chunk(b"iCCP", b"a\0\0" + rows(10_000, 10_000)) + flat[PNG_HEAD:]),
    )
    frame = (
        bytes(6) + (59).to_bytes(3, "little") + (39).to_bytes(3, "little") + b"\1\0\0\0" + as_file(noise(), "WEBP")[12:]
    )
    moving = b"\2\0\0\0" + (59).to_bytes(3, "little") + (39).to_bytes(3, "little")
    chunks = [riff_chunk(b"VP8X", moving), riff_chunk(b"ANIM", bytes(6)), riff_chunk(b"ANMF", frame) * 2000]
    yield "a WebP of two thousand frames", webp(*chunks)
    endless = png_chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))
    yield "a PNG of two thousand million frames", flat[:PNG_HEAD] + endless + flat[PNG_HEAD:]
    for entries, count in ((5000, 60_000), (65_535, 2**31 - 1)):
        tiff = b"MM\0*\0\0\0\x08" + struct.pack(">H", entries)
        tiff += b"".join(struct.pack(">HHII", tag, 5, count, 8) for tag in range(entries))
        yield f"EXIF of {entries} entries", flat[:PNG_HEAD] + png_chunk(b"eXIf", tiff) + flat[PNG_HEAD:]
    circle = b"MM\0*\0\0\0\x08\0\1" + struct.pack(">HHII", 0x8769, 4, 1, 8) + struct.pack(">I", 8)
    yield "EXIF that points to itself", flat[:PNG_HEAD] + png_chunk(b"eXIf", circle) + flat[PNG_HEAD:]
    yield (
        "EXIF of sixty kilobytes of noise",
        (jpeg[:2] + jpeg_segment(b"\xff\xe1", b"Exif\0\0" + random.Random(1).randbytes(60_000)) + jpeg[2:]),
    )
    yield (
        "XMP of sixty kilobytes",
        (
            jpeg[:2]
            + jpeg_segment(b"\xff\xe1", b"http://ns.adobe.com/xap/1.0/\0" + b"tiff:Orientation" * 3700)
            + jpeg[2:]
        ),
    )


def _odd_but_fine() -> Iterator[Named]:
    jpeg = as_file(noise(seed=50), "JPEG")
    yield "a JPEG and a zip", jpeg + b"PK\x03\x04" + bytes(1000)
    yield "a JPEG with a profile of a megabyte", as_file(noise(seed=51), "JPEG", icc_profile=bytes(1_000_000))
    yield (
        "a JPEG with a profile of noise",
        as_file(noise(seed=52), "JPEG", icc_profile=random.Random(2).randbytes(5000)),
    )
    yield "a JPEG of four colours", as_file(Image.fromarray(noise(seed=53)).convert("CMYK"), "JPEG")
    yield "a PNG of 16 bits", png(60, 40, 16, 6, zlib.compress((b"\0" + bytes(range(240)) * 2) * 40))


def _as_large_as_is_taken() -> Iterator[Named]:
    """Of the modes and forms that take most memory."""
    yield "40 MP of RGBA", png(WIDE, HIGH, 8, 6, rows(WIDE * 4, HIGH))
    yield (
        "40 MP of 16 bits and a transparent colour",
        png(WIDE, HIGH, 16, 2, rows(WIDE * 6, HIGH), png_chunk(b"tRNS", b"\0\1\0\1\0\1")),
    )
    turned = struct.pack(">2sHIHHHII", b"MM", 42, 8, 1, 0x0112, 3, 1, 6 << 16) + bytes(4)
    yield "40 MP of RGBA, turned", png(WIDE, HIGH, 8, 6, rows(WIDE * 4, HIGH), png_chunk(b"eXIf", turned))
    yield "40 MP of WebP", as_file(Image.new("RGBA", (6300, 6300)), "WEBP", lossless=True, method=0)
    yield (
        "40 MP of progressive JPEG in four colours",
        as_file(Image.new("CMYK", (WIDE, HIGH)), "JPEG", progressive=True),
    )
