"""From pixels to what a network is given, as the image processor of its folder makes it.

Nearly all processors do three things: resize by Pillow, cut out the middle, give each value of a channel its number.
`direct` does these without `transformers`, whose import takes two seconds, and in half the time a picture; it is used
where it makes the same numbers to the last bit of pictures of many shapes (`direct_if_same`), the processor elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from service.adapters.encoder_fitting import padded
from service.adapters.encoder_trials import photographs
from service.core.model import Float32Array
from service.ports import Fit, PixelArray

if TYPE_CHECKING:
    from transformers import BaseImageProcessor

Make = Callable[[PixelArray, Mapping[str, Any]], Float32Array]
"""uint8 (h, w, 3) to float32 (3, H, W), with the parameters that are otherwise than the processor's own."""

_SAMPLE_EDGE_PX = 256
# An edge that no picture has: nothing is reduced while decoding when the processor itself does not resize.
_NO_REDUCTION_PX = 1_000_000


class Preprocessing:
    """Callable: a picture as the network wants it. Stateless, so that threads may share it.

    Attributes:
        parameters: the processor's, as JSON values.
        input_size: (H, W) that a square picture gets.
        shortest_edge_px: what decoding must leave of the shorter edge.
    """

    def __init__(self, make: Make, parameters: Mapping[str, Any]) -> None:
        """Raises ValueError for a processor that makes no picture of a picture."""
        self._make = make
        self.parameters = parameters
        plain = self.plain_sample()
        if plain.ndim != 3:
            raise ValueError(f"it makes an array of {plain.shape}, where (3, height, width) is expected")
        self.input_size: tuple[int, int] = plain.shape[1:]
        size = parameters.get("size")
        edges = size.values() if parameters.get("do_resize") and isinstance(size, dict) else ()
        self.shortest_edge_px = max((int(edge) for edge in edges if edge), default=_NO_REDUCTION_PX)

    def __call__(self, pixels: PixelArray, fit: Fit = "own") -> Float32Array:
        """uint8 (h, w, 3) to float32 (3, H, W).

        With another fit than its own all pixels are resized to the size that a square picture gets, and nothing is cut
        off; a border has the processor's mean colour, which becomes 0.
        """
        otherwise: dict[str, Any] = {}
        if fit != "own":
            height, width = self.input_size
            if fit == "pad":
                pixels = padded(pixels, width, height, self._mean_colour())
            otherwise = whole_picture(self.parameters, self.input_size)
        return np.ascontiguousarray(self._make(pixels, otherwise), dtype=np.float32)

    def plain_sample(self) -> Float32Array:
        """A grey square."""
        grey = np.full((_SAMPLE_EDGE_PX, _SAMPLE_EDGE_PX, 3), 127, dtype=np.uint8)
        return np.ascontiguousarray(self._make(grey, {}), dtype=np.float32)

    def _mean_colour(self) -> list[int]:
        mean = self.parameters.get("image_mean") if self.parameters.get("do_normalize") else None
        shares = mean if isinstance(mean, list) and len(mean) == 3 else [0.5, 0.5, 0.5]
        return [min(255, max(0, round(255 * float(share)))) for share in shares]


def one_size(preprocessing: Preprocessing) -> bool:
    """Whether wide and high pictures get the size of square ones."""
    shapes = {preprocessing(np.zeros((*size, 3), dtype=np.uint8)).shape[1:] for size in ((90, 211), (211, 90))}
    return shapes == {preprocessing.input_size}


def whole_picture(parameters: Mapping[str, Any], input_size: tuple[int, int]) -> dict[str, Any]:
    """The parameters with which nothing of a picture is cut off."""
    otherwise: dict[str, Any] = {}
    if parameters.get("do_resize"):
        otherwise["size"] = {"height": input_size[0], "width": input_size[1]}
    if parameters.get("do_center_crop"):
        otherwise["do_center_crop"] = False
    return otherwise


def by_processor(processor: BaseImageProcessor) -> Make:
    """What the processor itself makes."""

    def make(pixels: PixelArray, otherwise: Mapping[str, Any]) -> Float32Array:
        # The channels' place is named because it would be guessed wrong for pictures three pixels high.
        made = processor(images=pixels, input_data_format="channels_last", return_tensors="np", **otherwise)
        pictures: list[Float32Array] = made["pixel_values"]
        return pictures[0]

    return make


def direct(parameters: Mapping[str, Any]) -> Make:
    """The same without the processor, for parameters that it knows; others raise when it is called, or do not agree."""
    numbers = _numbers(parameters)

    def make(pixels: PixelArray, otherwise: Mapping[str, Any]) -> Float32Array:
        wanted = {**parameters, **otherwise}
        if wanted.get("do_resize"):
            pixels = _resized(pixels, wanted["size"], wanted["resample"])
        if wanted.get("do_center_crop"):
            pixels = _middle(pixels, wanted["crop_size"]["height"], wanted["crop_size"]["width"])
        made = np.empty((3, *pixels.shape[:2]), dtype=np.float32)
        for channel in range(3):
            np.take(numbers[channel], pixels[..., channel], out=made[channel], mode="clip")  # which needs no buffer
        return made

    return make


def direct_if_same(processor: Make, parameters: Mapping[str, Any], input_size: tuple[int, int]) -> Make | None:
    """`direct`, if it makes the same of wide, high, large and tiny pictures, whole and cut, to the last bit."""
    try:
        make, whole = direct(parameters), whole_picture(parameters, input_size)
        same = all(
            np.array_equal(make(pixels, otherwise), processor(pixels, otherwise))
            for pixels in _pictures()
            for otherwise in ({}, whole)
        )
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError):  # parameters of another kind
        return None
    return make if same else None


def _numbers(parameters: Mapping[str, Any]) -> Float32Array:
    """float32 (3, 256): what becomes of each value of a channel, with types and order of transformers' arithmetic."""
    values = np.tile(np.arange(256, dtype=np.float32), (3, 1))
    if parameters.get("do_rescale"):
        values = (values.astype(np.float64) * parameters["rescale_factor"]).astype(np.float32)
    if parameters.get("do_normalize"):
        mean, deviation = (np.float32(parameters[name]).reshape(-1, 1) for name in ("image_mean", "image_std"))
        values = (values - mean) / deviation
    return values


def _resized(pixels: PixelArray, size: Mapping[str, Any], resample: int) -> PixelArray:
    from PIL import Image

    height, width = pixels.shape[:2]
    if set(size) == {"shortest_edge"}:
        edge = int(size["shortest_edge"])
        new = (edge, int(edge * height / width)) if width <= height else (int(edge * width / height), edge)
    else:
        new = (int(size["width"]), int(size["height"]))
    return np.asarray(Image.fromarray(pixels).resize(new, resample=Image.Resampling(resample)))


def _middle(pixels: PixelArray, height: int, width: int) -> PixelArray:
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    if top < 0 or left < 0:
        raise ValueError("a picture smaller than what is cut out of it has a border, which only the processor draws")
    return pixels[top : top + height, left : left + width]


def _pictures() -> list[PixelArray]:
    pieces = photographs()
    all_values = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    wide = np.concatenate(pieces[:4], axis=1)
    shapes = [pieces[0], pieces[5].swapaxes(0, 1), wide, wide.swapaxes(0, 1), pieces[9][:5, :3], pieces[2][:1, :9]]
    return [np.ascontiguousarray(one) for one in (*shapes, all_values, pieces[12][:97, :101], pieces[3][:64, :64])]
