"""Boxes and masks of pictures, down to the pixel."""

import io

import numpy as np
import pytest
from PIL import Image

from service.adapters.encoder_fitting import padded
from service.adapters.encoder_pixel import PixelEncoder
from service.adapters.images import PillowDecoder
from service.errors import ImageRejected
from tests.adapters.pictures import as_file, noise

DECODER = PillowDecoder()
ORIENTATION = 0x0112


def turned(pixels, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return as_file(pixels, "PNG", exif=exif)


def saved(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def refusal(what, *arguments):
    with pytest.raises(ImageRejected) as caught:
        what(*arguments)
    return caught.value.message


def test_a_box_is_cut_out_to_the_pixel():
    pixels = noise(31, 17)
    decoded = DECODER.decode(as_file(pixels, "PNG"), 8, (3, 5, 10, 20))
    np.testing.assert_array_equal(decoded.pixels, pixels[5:25, 3:13])
    assert (decoded.width_px, decoded.height_px) == (10, 20)
    alone = DECODER.decode(as_file(np.ascontiguousarray(pixels[5:25, 3:13]), "PNG"), 8)
    assert decoded.perceptual_hash == alone.perceptual_hash


def test_a_box_counts_in_the_upright_picture():
    pixels = noise(20, 40)
    decoded = DECODER.decode(turned(pixels, 6), 8, (0, 0, 20, 5))  # 20 wide and 40 high once it is upright
    np.testing.assert_array_equal(decoded.pixels, np.rot90(pixels, -1)[:5])
    told = refusal(DECODER.decode, turned(pixels, 6), 8, (0, 0, 40, 20))
    assert "reaches to 40,20, and the picture is 20 x 40 pixels" in told


def test_a_jpeg_is_not_reduced_under_a_box():
    data = as_file(np.full((800, 800, 3), 200, dtype=np.uint8), "JPEG")
    assert DECODER.decode(data, 8).pixels.shape == (100, 100, 3)
    assert DECODER.decode(data, 8, (400, 400, 40, 30)).pixels.shape == (30, 40, 3)


def test_a_thumbnail_shows_the_box():
    pixels = np.zeros((40, 80, 3), dtype=np.uint8)
    pixels[:, 40:] = (250, 0, 0)
    with Image.open(io.BytesIO(DECODER.thumbnail(as_file(pixels, "PNG"), 20, (40, 0, 40, 20)))) as image:
        assert image.size == (20, 10)
        np.testing.assert_allclose(np.asarray(image), np.broadcast_to((250, 0, 0), (10, 20, 3)), atol=4)


def painted(mode, value, size=(30, 20), where=(4, 6, 14, 9)):
    image = Image.new(mode, size, 0)
    image.paste(value, where)
    return image


@pytest.mark.parametrize(
    "mask",
    [
        painted("1", 1),
        painted("L", 1),
        painted("RGB", (0, 0, 1)),
        painted("RGBA", (0, 9, 0, 255)),
        painted("I;16", 1),
        painted("P", 1),
    ],
    ids=lambda image: image.mode,
)
def test_what_is_not_black_is_what_a_mask_shows(mask):
    if mask.mode == "P":
        mask.putpalette([0, 0, 0, 120, 0, 0])
    found = DECODER.mask(saved(mask))
    assert (found.width_px, found.height_px, found.box) == (30, 20, (4, 6, 10, 3))


def test_what_is_transparent_does_not_count():
    layer = np.zeros((10, 10, 4), dtype=np.uint8)
    layer[..., :3] = 255
    layer[2:5, 7, 3] = 255
    assert DECODER.mask(saved(Image.fromarray(layer))).box == (7, 2, 1, 3)


def test_a_jpeg_mask_is_not_misled_by_its_noise():
    found = DECODER.mask(saved(painted("RGB", (255, 255, 255), (64, 64), (9, 17, 41, 50)), "JPEG", quality=40))
    assert found.box == (9, 17, 32, 33)


def test_a_mask_is_set_upright():
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    found = DECODER.mask(saved(painted("L", 255), exif=exif))
    assert (found.width_px, found.height_px, found.box) == (20, 30, (11, 4, 3, 10))


def test_masks_that_show_nothing_say_so():
    assert "the mask (30 x 20 pixels) is all black" in refusal(DECODER.mask, saved(Image.new("RGB", (30, 20))))
    assert "empty" in refusal(DECODER.mask, b"")
    assert refusal(DECODER.mask, b"GIF89a")


@pytest.mark.parametrize(
    ("shape", "size", "canvas", "place"),
    [
        ((2, 6), (1, 1), (6, 6), (2, 0)),
        ((6, 2), (1, 1), (6, 6), (0, 2)),
        ((3, 4), (1, 1), (4, 4), (0, 0)),  # the odd row lies below
        ((4, 4), (2, 1), (4, 8), (0, 2)),
        ((5, 5), (9, 9), (5, 5), (0, 0)),
    ],
)
def test_a_border_makes_the_proportions_of_the_input(shape, size, canvas, place):
    pixels = np.full((*shape, 3), 200, dtype=np.uint8)
    made = padded(pixels, *size, (1, 2, 3))
    assert made.shape == (*canvas, 3)
    expected = np.broadcast_to(np.array([1, 2, 3], dtype=np.uint8), (*canvas, 3)).copy()
    expected[place[0] : place[0] + shape[0], place[1] : place[1] + shape[1]] = 200
    np.testing.assert_array_equal(made, expected)


def test_the_numeric_encoder_pads_with_black():
    pixels = np.full((2, 4, 3), 255, dtype=np.uint8)
    encoder = PixelEncoder()
    assert encoder.preprocess(pixels, "stretch").min() == 1
    np.testing.assert_array_equal(encoder.preprocess(pixels, "pad")[:, 0, 0], [0, 1, 1, 0])
