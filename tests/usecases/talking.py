"""An encoder that knows text, and pictures of chosen embeddings, for tests of words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

import numpy as np

from service.usecases.context import Context
from tests.fakes import FAKE_DIMENSION, FakeEncoder, FakeEncoders, fake_context

TALKING = "talking"


def unit(*numbers: float) -> np.ndarray:
    row = np.zeros(FAKE_DIMENSION)
    row[: len(numbers)] = numbers
    return (row / np.linalg.norm(row)).astype(np.float32)


class TalkingEncoder(FakeEncoder):
    """A text's embedding is what `texts` says of it; of others it knows nothing."""

    encodes_text = True

    def __init__(self, texts: Mapping[str, np.ndarray]) -> None:
        super().__init__(TALKING)
        self.texts = dict(texts)

    def encode_text(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([self.texts[text] for text in texts])


def talking_context(texts: Mapping[str, np.ndarray], **changes) -> Context:
    encoders = FakeEncoders()
    encoders.known[TALKING] = TalkingEncoder(texts)
    return fake_context(encoders=encoders, **changes)


def shown(row: np.ndarray, name: str = "") -> bytes:
    """A picture of about this embedding (none of it below 0)."""
    pixels = np.zeros(FAKE_DIMENSION * 3, dtype=int)
    pixels[:FAKE_DIMENSION] = np.round(row * 250)
    looks = hashlib.sha256(f"{name}{row.tolist()}".encode()).hexdigest()[:16]
    told = {"name": name, "pixels": pixels.tolist(), "hash": looks, "crashes": 0, "width": 30, "height": 20}
    return json.dumps(told).encode()
