"""Pictures: the decoder, and encoders with their provider."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from service.core.crop import Box
from service.core.model import Float32Array
from service.records import Fingerprint

PixelArray = NDArray[np.uint8]

Fit = Literal["own", "stretch", "pad"]
"""How pixels come to an encoder's input: as the encoder was trained to see whole pictures, which may cut their edges
off; or all of them, stretched to the input's proportions or with a border around them."""


@dataclass(frozen=True, slots=True, eq=False)
class DecodedImage:
    """A decoded picture.

    Attributes:
        pixels: uint8 (height, width, 3), RGB, upright, transparency on white; may be a reduced size.
        width_px, height_px: size of the whole picture, upright; of its box where one was asked for.
        perceptual_hash: 16 hex digits (64 bits); near-duplicates differ in few bits.
    """

    pixels: PixelArray
    width_px: int
    height_px: int
    perceptual_hash: str


@dataclass(frozen=True, slots=True)
class Mask:
    """A picture that is black where another one does not count.

    Attributes:
        width_px, height_px: its size, upright.
        box: the smallest one around all that is not black.
    """

    width_px: int
    height_px: int
    box: Box


@dataclass(frozen=True, slots=True, kw_only=True)
class FormTrial:
    """What was measured of one form in which a network could run.

    Attributes:
        form: e.g. "float32", "bfloat16 autocast", "bfloat16 compiled".
        images_per_s: of a pass, in turn with the other forms; None where it could not be tried.
        agreement: lowest cosine, over real pictures, of an embedding with the same picture's in float32; None likewise.
        note: why it could not be tried; "" where it was.
    """

    form: str
    images_per_s: float | None = None
    agreement: float | None = None
    note: str = ""


class ImageDecoder(Protocol):
    """Turns bytes into pixels, or says why not."""

    def decode(self, data: bytes, shortest_edge_px: int, box: Box | None = None) -> DecodedImage:
        """Decode; JPEG may be reduced while its shorter edge stays at least `shortest_edge_px`.

        With a box nothing is reduced, and only what is in the box is seen. Raises ImageRejected with a sentence that a
        person can act on, also for a box that is not inside the picture; never anything else for bad bytes.
        """
        ...

    def mask(self, data: bytes) -> Mask:
        """What of a mask is not black. Raises ImageRejected as `decode`, also where all of it is black."""
        ...

    def thumbnail(self, data: bytes, edge_px: int, box: Box | None = None) -> bytes:
        """A JPEG whose longer edge is at most `edge_px`, never larger than it was: upright, transparency on white.

        With a box, of what is in it. Of the file only pixels are there. Raises ImageRejected as `decode` does.
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
    def form(self) -> str:
        """How the network runs now: its precision, and what more there is, e.g. "bfloat16 compiled"."""
        ...

    @property
    def trials(self) -> Sequence[FormTrial]:
        """What `form` was chosen from on this machine, float32 first; empty where there was no choice."""
        ...

    def expect(self, pictures: int) -> None:
        """Told how many pictures are on their way; returns at once.

        For many an encoder may make itself faster, in the background: what comes meanwhile is encoded as before.
        """
        ...

    @property
    def shortest_edge_px(self) -> int:
        """Shorter edge that preprocessing needs: smaller decodes would lose detail."""
        ...

    def preprocess(self, pixels: PixelArray, fit: Fit = "own") -> Float32Array:
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
