"""The part of a picture that an example shows: a box of whole pixels, and the name that picture and box have together.

A box is written "x,y,width,height", in pixels of the upright picture, from its upper left corner. Its canonical form,
which is kept and is part of an example's identity, has whole numbers and, where the aspect is kept, ",pad" behind them:
"10,20,30,40,pad". Whole pictures have the empty crop. A picture's name is its content hash, with a crop "HASH@CROP".
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from service.errors import InvalidInput

Box = tuple[int, int, int, int]
"""x, y, width, height in whole pixels of the upright picture."""

MOST_PX = 1_000_000
_PAD = "pad"
_SEPARATORS = re.compile(r"[\s,;]+")
CROP = re.compile(r"\d{1,7},\d{1,7},\d{1,7},\d{1,7}(,pad)?")
"""The canonical form, but for leading zeros and empty boxes, which `Crop.parse` refuses."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A box, and whether what it shows keeps its proportions (with a border) or is stretched to the encoder's input."""

    box: Box
    keep_aspect: bool = False

    def __str__(self) -> str:
        numbers = ",".join(str(number) for number in self.box)
        return f"{numbers},{_PAD}" if self.keep_aspect else numbers

    @staticmethod
    def parse(text: str) -> Crop | None:
        """Reads the canonical form back, None for "". Raises InvalidInput for anything else."""
        if not text:
            return None
        if CROP.fullmatch(text):
            numbers = text.removesuffix(f",{_PAD}").split(",")
            x, y, width, height = (int(number) for number in numbers)
            crop = Crop((x, y, width, height), keep_aspect=text.endswith(_PAD))
            if width and height and str(crop) == text:
                return crop
        raise InvalidInput(f"{text[:60]!r} is no crop: x,y,width,height in whole pixels is needed, such as 10,20,30,40")


def box_of(given: str | Sequence[object]) -> Box:
    """The box that a person wrote: "x,y,width,height" or the four numbers.

    Fractions of pixels are widened to whole ones. Raises InvalidInput for anything that is no box of at least a pixel.
    """
    parts = _SEPARATORS.split(given.strip()) if isinstance(given, str) else list(given)
    shown = given.strip()[:60] if isinstance(given, str) else ",".join(str(part)[:15] for part in parts[:6])
    if len(parts) != 4:
        raise InvalidInput(f"the box {shown!r} has {len(parts)} numbers; x,y,width,height in pixels are needed")
    x, y, width, height = (_number(part, shown) for part in parts)
    if x < 0 or y < 0:
        raise InvalidInput(f"the box {shown!r} begins at {x:g},{y:g}; x and y count from 0,0, the upper left corner")
    if width < 1 or height < 1:
        raise InvalidInput(
            f"the box {shown!r} is {width:g} wide and {height:g} high; at least 1 pixel is needed (fractions of the "
            "picture are not taken: multiply them by its width and height)"
        )
    left, top = math.floor(x), math.floor(y)
    return left, top, math.ceil(x + width) - left, math.ceil(y + height) - top


def check_within(box: Box, width_px: int, height_px: int) -> None:
    """Raises InvalidInput with the numbers where the box is not wholly inside a picture of this size."""
    x, y, width, height = box
    if x + width > width_px or y + height > height_px:
        raise InvalidInput(
            f"the box {x},{y},{width},{height} reaches to {x + width},{y + height}, and the picture is {width_px} x "
            f"{height_px} pixels (upright): x + width and y + height must not exceed them"
        )


def picture_name(content_hash: str, crop: str) -> str:
    """What a picture and its crop are called together; the content hash alone for whole pictures."""
    return f"{content_hash}@{crop}" if crop else content_hash


def hash_and_crop(name: str) -> tuple[str, str]:
    """Content hash and crop of a `picture_name`."""
    content_hash, _, crop = name.partition("@")
    return content_hash, crop


def _number(part: object, shown: str) -> float:
    try:
        number = math.nan if isinstance(part, bool) else float(str(part))
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or abs(number) > MOST_PX:
        raise InvalidInput(
            f"the box {shown!r} has {str(part)[:15]!r} where a number of pixels from 0 to {MOST_PX} is needed"
        )
    return number
