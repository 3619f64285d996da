"""Borders around pictures that an encoder shall see whole and in their own proportions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from service.ports import PixelArray


def padded(pixels: PixelArray, width: int, height: int, colour: Sequence[int]) -> PixelArray:
    """The picture in the middle of a canvas of the proportions width : height, as small as can be.

    Args:
        pixels: uint8 (h, w, 3).
        width: of the encoder's input; only its ratio to the height counts.
        height: of the encoder's input.
        colour: of the border, three numbers 0..255.

    Returns:
        uint8 (H, W, 3), one of H and W as before; the odd pixel of a border lies below or to the right.
    """
    own_height, own_width = pixels.shape[:2]
    canvas_width = max(own_width, round(own_height * width / height))
    canvas_height = max(own_height, round(own_width * height / width))
    canvas = np.empty((canvas_height, canvas_width, 3), dtype=np.uint8)
    canvas[:] = np.asarray(colour, dtype=np.uint8)
    top, left = (canvas_height - own_height) // 2, (canvas_width - own_width) // 2
    canvas[top : top + own_height, left : left + own_width] = pixels
    return canvas
