"""An embedding with what else is known of its picture, as bytes: the cache that spares a second encoding."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass

import numpy as np

from service.core.model import Float32Array
from service.core.vectors import checked_embeddings
from service.errors import InvalidInput


@dataclass(frozen=True, slots=True, eq=False)
class StoredEmbedding:
    """What encoding one picture gave.

    Attributes:
        embedding: float32 (d,), unit length.
        width_px, height_px: size of the whole picture, upright.
        perceptual_hash: 16 hex digits.
    """

    embedding: Float32Array
    width_px: int
    height_px: int
    perceptual_hash: str

    def to_bytes(self) -> bytes:
        """An .npz without pickle."""
        buffer = io.BytesIO()
        size = np.array([self.width_px, self.height_px], dtype=np.int64)
        np.savez(buffer, embedding=self.embedding, size=size, perceptual_hash=np.array(self.perceptual_hash))
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes, dimension: int) -> StoredEmbedding:
        """Read back. Raises InvalidInput for bytes that are no whole embedding of width `dimension`."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                width, height = (int(edge) for edge in arrays["size"])
                embedding, perceptual_hash = arrays["embedding"], str(arrays["perceptual_hash"])
        except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile) as error:
            raise InvalidInput(f"{len(data)} bytes are no stored embedding ({error})") from error
        checked = checked_embeddings(np.atleast_2d(embedding), dimension)
        return cls(checked[0], width, height, perceptual_hash)
