"""The `pixel` encoder: colours on a 4 x 4 grid, computable by hand. For tests and first tries without weights.

Definition, which is also what its fingerprint hashes:

1. the picture is cut into 4 rows and 4 columns of cells; row i of a picture h high spans the pixels floor(i h / 4)
   up to, not including, ceil((i + 1) h / 4); columns alike. Where 4 does not divide the edge, cells overlap by a pixel;
2. each cell becomes its mean red, green and blue, each divided by 255: 48 numbers, cell by cell, row by row;
3. a 49th number, the constant 1, follows, so that a black picture has a direction too;
4. the 49 numbers are scaled to unit length.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from service.adapters.encoder_fitting import padded
from service.core.model import Float32Array
from service.core.vectors import normalised
from service.errors import InvalidInput
from service.ports import Fit, FormTrial, PixelArray
from service.records import Fingerprint

GRID = 4
DIMENSION = 3 * GRID * GRID + 1
DEFINITION = "4 x 4 cells floor(i n / 4) .. ceil((i + 1) n / 4), mean RGB / 255, row by row, then 1; unit length"
# Reduced JPEGs keep eight pixels a cell: enough for a mean.
SHORTEST_EDGE_PX = 8 * GRID


class PixelEncoder:
    """`ports.Encoder` without a network. Stateless."""

    fingerprint = Fingerprint(
        weights_sha256=hashlib.sha256(DEFINITION.encode()).hexdigest(),
        pooling="pixel",
        processor="PixelGrid",
        processor_parameters={"rows": GRID, "columns": GRID},
        dimension=DIMENSION,
    )
    device = "cpu"
    precision = form = "float32"
    trials: Sequence[FormTrial] = ()
    shortest_edge_px = SHORTEST_EDGE_PX
    encodes_text = False

    def expect(self, pictures: int) -> None:
        """There is nothing to make faster."""

    def preprocess(self, pixels: PixelArray, fit: Fit = "own") -> Float32Array:
        """uint8 (h, w, 3) to the grid's mean colours, float32 (4, 4, 3), 0..1.

        The grid stretches over all pixels as it is; a border ("pad") is black and makes the picture square.
        """
        if fit == "pad":
            pixels = padded(pixels, GRID, GRID, (0, 0, 0))
        rows, columns = (_cells(length) for length in pixels.shape[:2])
        grid = [[pixels[top:bottom, left:right].mean(axis=(0, 1)) for left, right in columns] for top, bottom in rows]
        return (np.array(grid, dtype=np.float64) / 255).astype(np.float32)

    def encode(self, inputs: Sequence[Float32Array]) -> Float32Array:
        """Grids to float32 (n, 49), unit rows."""
        if not inputs:
            return np.zeros((0, DIMENSION), dtype=np.float32)
        grids = np.stack(inputs).reshape(len(inputs), -1)
        return normalised(np.concatenate([grids, np.ones((len(inputs), 1), dtype=np.float32)], axis=1))

    def encode_text(self, texts: Sequence[str]) -> Float32Array:
        """Raises InvalidInput: there is no text here."""
        raise InvalidInput(f"the encoder 'pixel' cannot embed text ({len(texts)} given): use a CLIP encoder")


def _cells(length: int) -> list[tuple[int, int]]:
    """Where the four cells along an edge of `length` pixels start and end."""
    return [(i * length // GRID, -(-(i + 1) * length // GRID)) for i in range(GRID)]
