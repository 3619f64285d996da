"""What of a picture counts, as a person says it: a box in pixels, or a mask; stretched, or with its aspect kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.core.crop import Crop, box_of
from service.errors import ImageRejected, InvalidInput
from service.ports import ImageDecoder
from service.usecases.files import checked_path

BOX, MASK, KEEP_ASPECT = COLUMNS = ("box", "mask", "keep_aspect")
_YES, _NO = ("yes", "true", "1"), ("", "no", "false", "0")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a picture counts. Without crop and mask all of it.

    Attributes:
        crop: canonical, of a box; "" without one.
        mask: name of a mask's file; "" without one.
        keep_aspect: of the mask's crop.
    """

    crop: str = ""
    mask: str = ""
    keep_aspect: bool = False


def wanted_of(fields: Mapping[str, Any]) -> Wanted:
    """What the fields `box`, `mask` and `keep_aspect` of a manifest's line say. Raises InvalidInput."""
    box, mask, keep = fields.get(BOX), fields.get(MASK), _flag(fields.get(KEEP_ASPECT))
    if mask is not None and not isinstance(mask, str):
        raise InvalidInput(f"mask is {json.dumps(mask)[:50]}; the name of a file is needed")
    mask = (mask or "").strip()
    given = box is not None and box != [] and str(box).strip() != ""
    if given and mask:
        raise InvalidInput("the line names a box and a mask; give one of them")
    if keep and not given and not mask:
        raise InvalidInput("keep_aspect is for crops: give a box or a mask, or leave it out")
    if not given:
        return Wanted("", checked_path(mask, "mask"), keep)
    if not isinstance(box, str | list):
        raise InvalidInput(f"box is {json.dumps(box)[:50]}; x,y,width,height is needed")
    return Wanted(str(Crop(box_of(box), keep)))


def crop_of_mask(decoder: ImageDecoder, picture: bytes, mask: bytes, *, keep_aspect: bool) -> str:
    """The crop around what of the mask is not black.

    Raises ImageRejected when either cannot be read, the mask is all black or not of the picture's size.
    """
    try:
        found = decoder.mask(mask)
    except ImageRejected as error:
        raise ImageRejected(f"its mask cannot be used: {error.message}") from error
    decoded = decoder.decode(picture, 1)
    if (found.width_px, found.height_px) != (decoded.width_px, decoded.height_px):
        raise ImageRejected(
            f"its mask is {found.width_px} x {found.height_px} pixels and the picture {decoded.width_px} x "
            f"{decoded.height_px} (both upright): a mask has the picture's size"
        )
    return str(Crop(found.box, keep_aspect))


def _flag(given: object) -> bool:
    text = "" if given is None else str(given).strip().lower()
    if text not in _YES + _NO:
        raise InvalidInput(f"keep_aspect is {str(given)[:50]!r}; yes or no is needed")
    return text in _YES
