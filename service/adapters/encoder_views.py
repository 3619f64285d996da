"""What of a picture is embedded: the picture, or the picture and its mirror image.

Mirrored is what the network is given, after preprocessing: no picture is decoded or resized twice. The views go through
the same pass one after the other, so that the network's forms, what was measured of them and the memory that a batch
takes are those of the encoder without it; only the time doubles.
"""

from __future__ import annotations

import numpy as np

from service.adapters.encoder_forms import Pass
from service.adapters.encoder_pooling import parts_of
from service.adapters.encoder_specification import Pooling, Views
from service.core.model import Float32Array
from service.core.vectors import normalised


def passes_of(views: Views | None) -> int:
    """How often a picture goes through the network."""
    return 1 if views is None else 2


def viewed(run: Pass, views: Views | None, pooling: Pooling) -> Pass:
    """The pass whose rows are made of the views: `run` itself, or the mean of a picture's row and its mirror image's.

    `run` pools as `pooling` says. Raises InvalidInput, when called, for views that cancel each other out.
    """
    if views is None:
        return run

    def both(pictures: Float32Array) -> Float32Array:
        return mean_by_parts(run(pictures), run(mirrored(pictures)), parts_of(pooling))

    return both


def mirrored(pictures: Float32Array) -> Float32Array:
    """Pictures (n, 3, h, w) with left and right exchanged, as an array of its own."""
    return np.ascontiguousarray(pictures[..., ::-1])


def mean_by_parts(first: Float32Array, second: Float32Array, parts: int) -> Float32Array:
    """Unit rows (n, d) half way between two: each of the equal parts is averaged and brought back to its length.

    A part whose views lie further apart would be shorter than the others, and no part any more (`core.parts`).
    """
    split = (first.astype(np.float64) + second).reshape(len(first) * parts, -1)
    return normalised(normalised(split).reshape(first.shape))
