"""Pictures: the decoder, and encoders with their provider."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from service.core.model import Float32Array
from service.records import Fingerprint

PixelArray = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class DecodedImage:
    """A decoded picture.

    Attributes:
        pixels: uint8 (height, width, 3), RGB, upright, transparency on white; may be a reduced size.
        width_px, height_px: size of the whole picture, upright.
        perceptual_hash: 16 hex digits (64 bits); near-duplicates differ in few bits.
    """

    pixels: PixelArray
    width_px: int
    height_px: int
    perceptual_hash: str


class ImageDecoder(Protocol):
    """Turns bytes into pixels, or says why not."""

    def decode(self, data: bytes, shortest_edge_px: int) -> DecodedImage:
        """Decode; JPEG may be reduced while its shorter edge stays at least `shortest_edge_px`.

        Raises ImageRejected with a sentence that a person can act on; never anything else for bad bytes.
        """
        ...

    def thumbnail(self, data: bytes, edge_px: int) -> bytes:
        """A JPEG whose longer edge is at most `edge_px`, never larger than the picture: upright, transparency on white.

        Nothing of the file but its pixels is in it. Raises ImageRejected as `decode` does.
        """
        ...

    def size(self, data: bytes) -> tuple[int, int]:
        """Width and height in pixels as the file has them, not turned upright; only the header is looked at.

        Raises ImageRejected as `decode` does.
        """
        ...


class Encoder(Protocol):
    """A frozen image (and, for CLIP, text) network. Thread-safe; loaded once per process."""

    @property
    def fingerprint(self) -> Fingerprint: ...

    @property
    def device(self) -> str:
        """e.g. "cpu", "cuda:0 (NVIDIA L4)"."""
        ...

    @property
    def precision(self) -> str:
        """e.g. "float32", "bfloat16"."""
        ...

    @property
    def shortest_edge_px(self) -> int:
        """Shorter edge that preprocessing needs: smaller decodes would lose detail."""
        ...

    def preprocess(self, pixels: PixelArray) -> Float32Array:
        """uint8 (h, w, 3) to the network's float32 input. Safe to call from several threads."""
        ...

    def encode(self, inputs: Sequence[Float32Array]) -> Float32Array:
        """Preprocessed inputs to float32 (n, d), unit rows."""
        ...

    @property
    def encodes_text(self) -> bool: ...

    def encode_text(self, texts: Sequence[str]) -> Float32Array:
        """Texts to float32 (n, d), unit rows, in the images' space. Raises InvalidInput where it has no text."""
        ...


class EncoderProvider(Protocol):
    """Finds encoders by specification: a hub id, a local folder, `packaged:vit-s14`, `pixel`."""

    def check(self, specification: str) -> None:
        """Cheap check, nothing loaded. Raises InvalidInput for what can never be loaded."""
        ...

    def load(self, specification: str) -> Encoder:
        """The encoder, loaded once per process. Raises InvalidInput or Unavailable."""
        ...
