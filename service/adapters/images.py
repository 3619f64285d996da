"""Bytes to pixels with Pillow: JPEG, PNG and WebP, and a sentence for everything else.

What is refused, and why: formats beyond the three (Pillow would open 43, most of them never wanted and seldom tested),
more than 40 megapixels (a 164 KB PNG can ask for half a gigabyte; the header tells, before a pixel is decoded), very
long strips (resizing their shorter edge to an encoder's input would make giants of them), files of countless parts
(`image_structure`), and what Pillow warns about.
"""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO

import imagehash
import numpy as np

# The plugins of the three formats, registered once: Pillow's own lazy registration imports all 43, from any thread.
from PIL import (
    Image,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from service.adapters.image_refusals import MAX_PIXELS, damage, file_kind
from service.adapters.image_structure import check_structure
from service.core.crop import Box, check_within
from service.errors import ImageRejected, InvalidInput
from service.ports import DecodedImage, Mask

MAX_ASPECT = 50
_BAND_PX = 256
"""Lines that are laid on white at once: of a large picture three more layers would be half a gigabyte."""
THUMBNAIL_QUALITY = 82
JPEG_BEGINNING = b"\xff\xd8\xff"
JPEG_MASK_LEAST = 128
FORMATS = tuple(
    plugin.format
    for plugin in (JpegImagePlugin.JpegImageFile, PngImagePlugin.PngImageFile, WebPImagePlugin.WebPImageFile)
)
# A phone's JPEG with a second frame (depth, gain map) comes as MPO; its EXIF block is a small TIFF.
_ALSO_NEEDED = (MpoImagePlugin, TiffImagePlugin)
_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPPING = {
    Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_270,
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_90,
}
_PILLOW = r"PIL\."
_REFUSED_WARNINGS = (UserWarning, Image.DecompressionBombWarning)
_FRONT = [("error", None, category, re.compile(_PILLOW), 0) for category in reversed(_REFUSED_WARNINGS)]
_filters_lock = threading.Lock()


class PillowDecoder:
    """`ports.ImageDecoder` on Pillow. Keeps no state: safe to call from several threads, which decode side by side."""

    def decode(self, data: bytes, shortest_edge_px: int, box: Box | None = None) -> DecodedImage:
        """Decode the first frame: RGB, upright, transparency on white.

        Args:
            data: the bytes of a file.
            shortest_edge_px: a JPEG is decoded at 1/2, 1/4 or 1/8 while its shorter edge stays at least this long.
            box: what of it counts; nothing is reduced then, so that its edges are where they were asked for.

        Raises:
            ImageRejected: with a sentence that a person can act on; nothing else, whatever the bytes.
        """
        edge = shortest_edge_px if box is None else None
        (width, height), upright = _opened(data, _rgb, edge)
        if box is not None:
            try:
                check_within(box, width, height)
            except InvalidInput as error:
                raise ImageRejected(error.message, width_px=width, height_px=height) from error
            x, y, width, height = box
            upright = upright.crop((x, y, x + width, y + height))
        return DecodedImage(
            pixels=np.array(upright, dtype=np.uint8),
            width_px=width,
            height_px=height,
            perceptual_hash=str(imagehash.phash(upright)),
        )

    def mask(self, data: bytes) -> Mask:
        """The smallest box around what is not black, of any mode; what is transparent is black.

        A JPEG's black is never quite black: of one, pixels count that are brighter than half in some colour.

        Raises:
            ImageRejected: as `decode`, also for a mask that is all black.
        """
        least = JPEG_MASK_LEAST if data.startswith(JPEG_BEGINNING) else 1
        (width, height), seen = _opened(data, lambda image: _seen(image, least))
        found = seen.getbbox()
        if found is None:
            raise ImageRejected(
                f"the mask ({width} x {height} pixels) is all black: paint what counts in any other colour",
                width_px=width,
                height_px=height,
            )
        left, top, right, bottom = found
        return Mask(width, height, (left, top, right - left, bottom - top))

    def thumbnail(self, data: bytes, edge_px: int, box: Box | None = None) -> bytes:
        """A JPEG of at most `edge_px` in its longer edge, of pixels alone: place, camera and such stay behind.

        Raises:
            ImageRejected: as `decode`.
        """
        small = Image.fromarray(self.decode(data, edge_px, box).pixels)
        small.thumbnail((edge_px, edge_px), Image.Resampling.LANCZOS)
        buffer = BytesIO()
        small.save(buffer, format="JPEG", quality=THUMBNAIL_QUALITY, optimize=True)
        return buffer.getvalue()

    def size(self, data: bytes) -> tuple[int, int]:
        """Width and height in pixels, as the file has them, from its header alone. Raises ImageRejected as `decode`."""
        _refuse_warnings()
        with _told(data), Image.open(BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            _check_size(width, height)
        return width, height


def _opened(
    data: bytes, convert: Callable[[Image.Image], Image.Image], shortest_edge_px: int | None = None
) -> tuple[tuple[int, int], Image.Image]:
    """Width and height of the whole picture, upright; and its first frame, upright, maybe reduced, converted."""
    with _told(data):
        (width, height), turn, converted = _decoded(data, convert, shortest_edge_px)
        upright = converted if turn is None else converted.transpose(turn)
    return ((height, width) if turn in _SWAPPING else (width, height)), upright


def _decoded(
    data: bytes, convert: Callable[[Image.Image], Image.Image], shortest_edge_px: int | None
) -> tuple[tuple[int, int], Image.Transpose | None, Image.Image]:
    """The same as the file has it, and how to turn it. What was decoded is let go of before anybody turns it."""
    _refuse_warnings()
    with Image.open(BytesIO(data), formats=FORMATS) as image:
        _check_size(*image.size)
        size = image.size
        if shortest_edge_px is not None:
            image.draft(None, (max(1, shortest_edge_px), max(1, shortest_edge_px)))
        image.load()
        return size, _turn(image), convert(image)


@contextmanager
def _told(data: bytes) -> Iterator[None]:
    """Whatever Pillow raises inside as ImageRejected, a sentence that a person can act on."""
    if not data:
        raise ImageRejected("the file is empty (0 bytes): copy it again from where it came from")
    check_structure(data)
    try:
        yield
    except ImageRejected:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        pixels = re.search(r"\d+", str(error))  # "Image size (169000000 pixels) exceeds limit of ..."
        raise ImageRejected(_too_large(pixels[0] if pixels else "far too many")) from error
    except UnidentifiedImageError as error:
        raise ImageRejected(file_kind(data)) from error
    except Exception as error:  # bad bytes make Pillow raise OSError, SyntaxError, struct.error and others
        raise ImageRejected(damage(data, error)) from error


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise ImageRejected(_too_large(f"{width} x {height}"), width_px=width, height_px=height)
    longer, shorter = max(width, height), min(width, height)
    if longer > MAX_ASPECT * shorter:
        raise ImageRejected(
            f"the picture is {width} x {height} pixels; one edge may be at most {MAX_ASPECT} times the other: crop it",
            width_px=width,
            height_px=height,
        )


def _too_large(size: str) -> str:
    return f"the picture has {size} pixels; at most {MAX_PIXELS // 1_000_000} million are taken: scale it down"


def _turn(image: Image.Image) -> Image.Transpose | None:
    """How to set the picture upright, from EXIF or XMP. Call after `load`: a PNG may carry EXIF behind the pixels."""
    orientation = image.getexif().get(_ORIENTATION_TAG)
    return _UPRIGHT.get(orientation) if isinstance(orientation, int) else None


def _rgb(image: Image.Image) -> Image.Image:
    """Any mode to RGB, transparency on white."""
    if image.mode.startswith("I;16"):
        return _from_16_bit(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    flat = Image.new("RGB", image.size)
    for top in range(0, image.height, _BAND_PX):
        band = (0, top, image.width, min(top + _BAND_PX, image.height))
        layer = image.crop(band).convert("RGBA")
        flat.paste(Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB"), band)
    return flat


def _seen(image: Image.Image, least: int) -> Image.Image:
    """White where a mask's colour is at least `least` (of 255; of 16 bits, anything but 0) and not transparent."""
    if image.mode.startswith("I"):
        return Image.fromarray(np.where(np.asarray(image) != 0, 255, 0).astype(np.uint8))
    layer = np.asarray(image.convert("RGBA"))
    seen = (layer[..., :3].max(axis=2) >= least) & (layer[..., 3] > 0)
    return Image.fromarray(np.where(seen, 255, 0).astype(np.uint8))


def _from_16_bit(image: Image.Image) -> Image.Image:
    """16-bit grey to RGB by the upper byte, as Pillow does for 16-bit colour; its own conversion would clip at 255."""
    values = np.asarray(image).astype(np.uint16)
    grey = (values >> 8).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey).convert("RGB")


def _refuse_warnings() -> None:
    """Put filters in front that turn Pillow's warnings, and no other module's, into exceptions.

    `warnings.catch_warnings` swaps a list of the whole process: two threads leaving it in the wrong order leave the
    wrong list behind for good. So the filters stay; they are moved to the front again if others came before them.
    """
    if warnings.filters[: len(_FRONT)] != _FRONT:
        with _filters_lock:
            for category in _REFUSED_WARNINGS:
                warnings.filterwarnings("error", category=category, module=_PILLOW)
