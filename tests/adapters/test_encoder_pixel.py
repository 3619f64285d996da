import hashlib
import json

import numpy as np
import pytest

from service.adapters.encoder_pixel import DEFINITION, PixelEncoder
from service.errors import InvalidInput

ENCODER = PixelEncoder()


def embed(pixels):
    return ENCODER.encode([ENCODER.preprocess(np.asarray(pixels, dtype=np.uint8))])[0]


def test_black_is_the_constant_alone():
    expected = np.zeros(49)
    expected[48] = 1
    np.testing.assert_allclose(embed(np.zeros((8, 8, 3))), expected)


def test_white_has_49_equal_numbers():
    np.testing.assert_allclose(embed(np.full((5, 9, 3), 255)), np.full(49, 1 / 7), rtol=1e-6)


def test_one_red_cell():
    pixels = np.zeros((8, 8, 3))
    pixels[2:4, 6:8, 0] = 255  # row 1, column 3 of the grid: numbers 3 * (4 * 1 + 3) onwards
    expected = np.zeros(49)
    expected[[21, 48]] = 1 / np.sqrt(2)
    np.testing.assert_allclose(embed(pixels), expected, atol=1e-7)


def test_a_cell_is_the_mean_of_its_pixels():
    pixels = np.zeros((8, 8, 3))
    pixels[0, 0] = [255, 51, 0]  # one pixel of four
    expected = np.zeros(49)
    expected[[0, 1, 48]] = [0.25, 0.05, 1]
    np.testing.assert_allclose(embed(pixels), expected / np.linalg.norm(expected), rtol=1e-6)


def test_edges_that_four_does_not_divide_share_a_pixel_between_cells():
    grid = ENCODER.preprocess(np.arange(6, dtype=np.uint8).repeat(3).reshape(6, 1, 3))
    # rows 0..1, 1..2, 3..4, 4..5 of six
    np.testing.assert_allclose(grid[:, 0, 0] * 255, [0.5, 1.5, 3.5, 4.5], rtol=1e-6)
    assert grid.shape == (4, 4, 3)


def test_a_single_pixel_fills_the_grid():
    np.testing.assert_allclose(ENCODER.preprocess(np.full((1, 1, 3), 51, dtype=np.uint8)), np.full((4, 4, 3), 0.2))


def test_batches_and_nothing():
    noise = np.random.default_rng(0).integers(0, 256, (3, 10, 7, 3), dtype=np.uint8)
    together = ENCODER.encode([ENCODER.preprocess(each) for each in noise])
    assert together.dtype == np.float32
    np.testing.assert_array_equal(together, np.stack([embed(each) for each in noise]))
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, rtol=1e-6)
    assert ENCODER.encode([]).shape == (0, 49)


def test_fingerprint_is_that_of_the_definition():
    fingerprint = ENCODER.fingerprint
    assert fingerprint.weights_sha256 == hashlib.sha256(DEFINITION.encode()).hexdigest()
    assert (fingerprint.dimension, fingerprint.pooling) == (49, "pixel")
    assert json.loads(json.dumps(fingerprint.as_dict())) == fingerprint.as_dict()


def test_no_text():
    assert not ENCODER.encodes_text
    with pytest.raises(InvalidInput, match="cannot embed text"):
        ENCODER.encode_text(["a cat"])
