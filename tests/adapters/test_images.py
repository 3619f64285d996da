import io
import re
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from service.adapters.images import MAX_ASPECT, MAX_PIXELS, PillowDecoder
from service.errors import ImageRejected
from tests.adapters.pictures import as_file, noise

DECODER = PillowDecoder()
ORIENTATION = 0x0112


def decode(data, shortest_edge_px=8):
    return DECODER.decode(data, shortest_edge_px)


def refusal(data):
    with pytest.raises(ImageRejected) as caught:
        decode(data)
    return caught.value.message


def hamming(first, second):
    return (int(first, 16) ^ int(second, 16)).bit_count()


# ------------------------------------------------------------------------------------------------------------ formats


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True})])
def test_lossless_formats_come_back_pixel_by_pixel(kind, options):
    pixels = noise(31, 17)
    decoded = decode(as_file(pixels, kind, **options))
    assert decoded.pixels.dtype == np.uint8
    assert (decoded.width_px, decoded.height_px) == (17, 31)
    np.testing.assert_array_equal(decoded.pixels, pixels)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_formats_come_back_nearly(kind):
    pixels = noise(64, 48)
    decoded = decode(as_file(pixels, kind, quality=95), 48)
    assert decoded.pixels.shape == (64, 48, 3)
    assert np.abs(decoded.pixels.astype(int) - pixels).mean() < 4


def test_a_jpeg_is_reduced_while_its_shorter_edge_is_long_enough():
    data = as_file(noise(400, 800), "JPEG")
    assert decode(data, 100).pixels.shape == (100, 200, 3)
    assert decode(data, 101).pixels.shape == (200, 400, 3)
    assert decode(data, 401).pixels.shape == (400, 800, 3)
    assert (decode(data, 100).width_px, decode(data, 100).height_px) == (800, 400)


def test_grey_palette_one_bit_and_cmyk_become_rgb():
    grey = noise(channels=1)[:, :, 0]
    np.testing.assert_array_equal(decode(as_file(grey)).pixels, np.repeat(grey[:, :, None], 3, axis=2))

    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putpixel((1, 0), 1)
    np.testing.assert_array_equal(decode(as_file(palette)).pixels, [[[10, 20, 30], [200, 100, 50]]])

    bits = Image.new("1", (2, 1))
    bits.putpixel((1, 0), 1)
    np.testing.assert_array_equal(decode(as_file(bits)).pixels, [[[0, 0, 0], [255, 255, 255]]])

    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    red = decode(as_file(cmyk, "JPEG", quality=100)).pixels
    assert np.abs(red.astype(int) - [255, 0, 0]).max() <= 3


def test_16_bit_grey_keeps_its_upper_byte():
    values = np.array([[0, 255, 256, 0x1234, 65535]], dtype=np.uint16)
    decoded = decode(as_file(values)).pixels
    np.testing.assert_array_equal(decoded[:, :, 0], [[0, 0, 1, 0x12, 255]])
    assert decoded.shape == (1, 5, 3)


def test_16_bit_grey_with_a_transparent_value_shows_white_there():
    values = np.array([[0, 0x1234, 40000]], dtype=np.uint16)
    decoded = decode(as_file(values, transparency=0x1234)).pixels
    np.testing.assert_array_equal(decoded[:, :, 0], [[0, 255, 40000 >> 8]])


def test_16_bit_colour():
    rows = b"\0" + struct.pack(">6H", 0x1234, 0x5678, 0x9ABC, 0xFFFF, 0, 0x00FF)
    data = png(2, 1, 16, 2, zlib.compress(rows))
    np.testing.assert_array_equal(decode(data).pixels, [[[0x12, 0x56, 0x9A], [0xFF, 0, 0]]])


def test_only_the_first_frame_counts():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for kind, options in (("WEBP", {"lossless": True}), ("PNG", {}), ("MPO", {})):
        data = as_file(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert np.abs(decode(data).pixels.astype(int) - [255, 0, 0]).max() <= 3, kind


# -------------------------------------------------------------------------------------------------------- transparency


def test_transparency_lies_on_white():
    layer = np.array([[[255, 0, 0, 255], [255, 0, 0, 0], [0, 0, 0, 51]]], dtype=np.uint8)
    # the third: black at 51 / 255 = 20 % over white leaves 80 % of 255
    np.testing.assert_array_equal(decode(as_file(layer)).pixels, [[[255, 0, 0], [255, 255, 255], [204, 204, 204]]])
    webp = decode(as_file(layer, "WEBP", lossless=True, exact=True)).pixels
    np.testing.assert_array_equal(webp, [[[255, 0, 0], [255, 255, 255], [204, 204, 204]]])


def test_grey_with_alpha_and_transparent_colours_lie_on_white():
    grey = Image.new("LA", (2, 1), (0, 255))
    grey.putpixel((1, 0), (0, 0))
    np.testing.assert_array_equal(decode(as_file(grey)).pixels, [[[0, 0, 0], [255, 255, 255]]])

    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putpixel((1, 0), 1)
    for transparency in (1, b"\xff\x00"):
        decoded = decode(as_file(palette, transparency=transparency)).pixels
        np.testing.assert_array_equal(decoded, [[[10, 20, 30], [255, 255, 255]]])

    keyed = np.array([[[1, 2, 3], [4, 5, 6]]], dtype=np.uint8)
    decoded = decode(as_file(keyed, transparency=(4, 5, 6))).pixels
    np.testing.assert_array_equal(decoded, [[[1, 2, 3], [255, 255, 255]]])


# --------------------------------------------------------------------------------------------------------- orientation

STORED = [[10, 20, 30], [40, 50, 60]]
UPRIGHT = {
    1: [[10, 20, 30], [40, 50, 60]],
    2: [[30, 20, 10], [60, 50, 40]],
    3: [[60, 50, 40], [30, 20, 10]],
    4: [[40, 50, 60], [10, 20, 30]],
    5: [[10, 40], [20, 50], [30, 60]],
    6: [[40, 10], [50, 20], [60, 30]],
    7: [[60, 30], [50, 20], [40, 10]],
    8: [[30, 60], [20, 50], [10, 40]],
}


def exif(orientation):
    block = Image.Exif()
    block[ORIENTATION] = orientation
    return block


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_orientation_is_applied(orientation, kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    data = as_file(np.array(STORED, dtype=np.uint8), kind, exif=exif(orientation), **options)
    decoded = decode(data)
    expected = np.array(UPRIGHT[orientation])
    np.testing.assert_array_equal(decoded.pixels[:, :, 0], expected)
    assert (decoded.height_px, decoded.width_px) == expected.shape


def test_a_reduced_jpeg_is_turned_too_and_keeps_its_whole_size_upright():
    decoded = decode(as_file(noise(400, 800), "JPEG", exif=exif(6)), 100)
    assert decoded.pixels.shape == (200, 100, 3)
    assert (decoded.width_px, decoded.height_px) == (400, 800)


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_an_unknown_orientation_changes_nothing(orientation):
    decoded = decode(as_file(np.array(STORED, dtype=np.uint8), exif=exif(orientation)))
    np.testing.assert_array_equal(decoded.pixels[:, :, 0], STORED)


# ----------------------------------------------------------------------------------------------------- perceptual hash


def test_the_perceptual_hash_hardly_changes_with_format_and_size_but_with_the_picture():
    pixels = noise(300, 400, seed=1)
    whole = decode(as_file(pixels), 64)
    smaller = decode(as_file(Image.fromarray(pixels).resize((200, 150)), "JPEG"), 64)
    other = decode(as_file(noise(300, 400, seed=2)), 64)
    assert re.fullmatch(r"[0-9a-f]{16}", whole.perceptual_hash)
    assert hamming(whole.perceptual_hash, smaller.perceptual_hash) <= 4
    assert hamming(whole.perceptual_hash, other.perceptual_hash) >= 16


# ------------------------------------------------------------------------------------------------------------ refusals


def png(width, height, depth, colour, data):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    parts = [struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(("width", "height"), [(13_000, 13_000), (8_000, 5_001), (65_000, 65_000)])
def test_a_bomb_is_refused_by_its_header(width, height):
    message = refusal(png(width, height, 8, 2, b""))
    assert "at most 40 million are taken: scale it down" in message
    assert f"{width} x {height}" in message or str(width * height) in message


def test_forty_megapixels_are_taken():
    width, height = 8_000, 5_000
    assert width * height == MAX_PIXELS
    rows = zlib.compress(bytes((width // 8 + 1) * height), 1)
    decoded = decode(png(width, height, 1, 0, rows))
    assert (decoded.width_px, decoded.height_px) == (width, height)


def test_long_strips_are_refused():
    assert decode(as_file(np.zeros((1, MAX_ASPECT), dtype=np.uint8))).width_px == MAX_ASPECT
    message = refusal(as_file(np.zeros((1, MAX_ASPECT + 1), dtype=np.uint8)))
    assert message == "the picture is 51 x 1 pixels; one edge may be at most 50 times the other: crop it"


def test_an_empty_file():
    assert "empty (0 bytes)" in refusal(b"")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_truncated_file_says_where_it_ends(kind):
    data = as_file(noise(200, 200), kind)
    message = refusal(data[: len(data) // 2])
    assert f"ends too early, after {len(data) // 2} bytes" in message
    assert message.endswith("copy or download it again")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (as_file(noise(), "GIF"), "a GIF"),
        (as_file(noise(), "BMP"), "a BMP"),
        (as_file(noise(), "TIFF"), "a TIFF"),
        (as_file(noise(), "ICO"), "an icon (ICO)"),
        (as_file(noise(), "PDF"), "a PDF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC"),
        (b"\0\0\0\x1cftypavif\0\0\0\0", "an AVIF"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "a video (MP4 or MOV)"),
        (b"PK\x03\x04rest", "a ZIP"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG"),
        (b"path,label\na.jpg,cat\n", "a text"),
    ],
)
def test_another_format_is_named(data, kind):
    assert refusal(data) == (
        f"the file is {kind} file, whatever its name says; JPEG, PNG and WebP are taken: convert it to one of them"
    )


def test_noise_is_no_picture():
    assert refusal(bytes(range(128, 256))) == "the file is not a picture that can be read; JPEG, PNG and WebP are taken"


def test_a_damaged_start_names_the_format():
    assert "starts like a JPEG but its header is damaged" in refusal(b"\xff\xd8\xff" + bytes(50))
    assert "PNG" in refusal(b"\x89PNG\r\n\x1a\n" + bytes(50))


def malformed_exif():
    """A JPEG whose EXIF block claims more entries than it has: Pillow warns of it and goes on."""
    tiff = b"II*\0\x08\0\0\0" + struct.pack("<H", 9) + struct.pack("<HHII", 0x010F, 2, 400, 4000)
    return as_file(noise(), "JPEG", exif=b"Exif\0\0" + tiff)


@pytest.mark.parametrize("around", ["ignore", "default", "always"])
def test_what_pillow_warns_about_is_refused_whatever_the_filters(around):
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter(around)
        message = refusal(malformed_exif())
    assert message.startswith("the JPEG is malformed (")
    assert not shown


def test_only_pillows_warnings_become_errors():
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        decode(as_file(noise()))
        warnings.warn("somebody else's", UserWarning, stacklevel=1)
    assert [str(each.message) for each in shown] == ["somebody else's"]


def test_threads_agree_with_one_thread():
    files = [as_file(noise(seed=i), kind) for i in range(12) for kind in ("JPEG", "PNG", "WEBP")] + [
        malformed_exif()
    ] * 12

    def outcome(data):
        try:
            return DECODER.decode(data, 8).pixels.tobytes()
        except ImageRejected as error:
            return error.message

    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(outcome, files * 3))
    assert together == [outcome(data) for data in files] * 3
    assert [each for each in warnings.filters if each in before] == before


# ---------------------------------------------------------------------------------------------------------------- fuzz

SEEDS = [
    as_file(noise(), "JPEG", exif=exif(6)),
    as_file(noise(), "JPEG", progressive=True),
    as_file(Image.fromarray(noise()), "MPO", save_all=True, append_images=[Image.fromarray(noise(seed=1))]),
    as_file(noise(), exif=exif(3)),
    as_file(noise(channels=4)),
    as_file(Image.fromarray(noise()).quantize(16), transparency=b"\0\x80"),
    as_file(np.arange(600, dtype=np.uint16).reshape(20, 30)),
    as_file(Image.fromarray(noise()), "PNG", save_all=True, append_images=[Image.fromarray(noise(seed=1))]),
    as_file(noise(), "WEBP", exif=exif(8)),
    as_file(noise(channels=4), "WEBP", lossless=True),
    malformed_exif(),
]


@st.composite
def broken_files(draw):
    data = bytearray(draw(st.sampled_from(SEEDS)))
    # early bytes more often: headers are where parsers go astray
    positions = st.one_of(st.integers(0, min(200, len(data) - 1)), st.integers(0, len(data) - 1))
    for position, value in draw(st.lists(st.tuples(positions, st.integers(0, 255)), max_size=6)):
        data[position] = value
    cut = draw(st.one_of(st.none(), st.integers(0, len(data))))
    inserted = draw(st.binary(max_size=8))
    place = draw(st.integers(0, len(data)))
    return bytes(data[:place] + inserted + data[place:])[:cut]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.one_of(broken_files(), st.binary(max_size=200)))
def test_whatever_the_bytes_it_is_a_picture_or_a_refusal(data):
    try:
        decoded = decode(data)
    except ImageRejected:
        return
    assert decoded.pixels.ndim == 3
    assert decoded.pixels.shape[2] == 3
    assert decoded.width_px * decoded.height_px <= MAX_PIXELS


# --------------------------------------------------------------------------------------------------------- thumbnails


def thumbnail(data, edge_px=64):
    with Image.open(io.BytesIO(DECODER.thumbnail(data, edge_px))) as opened:
        opened.load()
        return opened


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_thumbnail_is_a_small_jpeg_of_the_same_picture(kind):
    pixels = noise(300, 600)
    small = thumbnail(as_file(pixels, kind))
    assert (small.format, small.mode, small.size) == ("JPEG", "RGB", (64, 32))
    exact = np.asarray(Image.fromarray(pixels).resize((64, 32), Image.Resampling.LANCZOS), dtype=int)
    assert np.abs(np.asarray(small, dtype=int) - exact).mean() < 6


def test_a_thumbnail_is_never_larger_than_the_picture():
    assert thumbnail(as_file(noise(20, 30)), 512).size == (30, 20)
    assert thumbnail(as_file(noise(8, 400)), 32).size == (32, 1)


def test_a_thumbnail_is_upright_on_white_and_tells_nothing_but_pixels():
    exif = Image.Exif()
    exif[ORIENTATION], exif[0x010E] = 6, "somewhere secret"
    data = as_file(Image.fromarray(noise(100, 200)), "JPEG", exif=exif, comment=b"secret too")
    assert b"secret" in data
    small = thumbnail(data)
    assert small.size == (32, 64)
    assert not small.getexif()
    assert b"secret" not in DECODER.thumbnail(data, 64)
    clear = as_file(Image.new("RGBA", (80, 80), (0, 0, 0, 0)))
    assert np.asarray(thumbnail(clear)).min() > 250


def test_what_cannot_be_decoded_has_no_thumbnail():
    with pytest.raises(ImageRejected):
        DECODER.thumbnail(b"GIF89a", 64)
