"""The cache's bytes: read back exactly, and refused when they are damaged."""

import numpy as np
import pytest

from service.core.stored_embedding import StoredEmbedding
from service.core.vectors import normalised
from service.errors import InvalidInput


def stored(dimension=5):
    embedding = normalised(np.random.default_rng(0).normal(size=(1, dimension)))[0]
    return StoredEmbedding(embedding, width_px=640, height_px=480, perceptual_hash="00ff" * 4)


def test_read_back_as_written():
    one = stored()
    other = StoredEmbedding.from_bytes(one.to_bytes(), 5)
    assert np.array_equal(one.embedding, other.embedding)
    assert other.embedding.dtype == np.float32
    assert (other.width_px, other.height_px, other.perceptual_hash) == (640, 480, "00ff" * 4)


def test_every_truncation_is_refused():
    data = stored().to_bytes()
    for length in range(0, len(data), 7):
        with pytest.raises(InvalidInput):
            StoredEmbedding.from_bytes(data[:length], 5)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"not a zip", np.zeros(3).tobytes()])
def test_other_bytes_are_refused(data):
    with pytest.raises(InvalidInput, match="no stored embedding"):
        StoredEmbedding.from_bytes(data, 5)


def test_another_width_is_refused():
    with pytest.raises(InvalidInput, match="5 wide; 6 are needed"):
        StoredEmbedding.from_bytes(stored().to_bytes(), 6)
