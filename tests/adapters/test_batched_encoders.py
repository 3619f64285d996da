from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest

from service.adapters.batched_encoders import BatchedEncoders
from service.adapters.encoders import Encoders
from service.errors import InvalidInput, Unavailable
from tests.adapters.networks import VIT, write_clip, write_folder

TOLERANCE = 1e-5


@pytest.fixture
def folder(request, tmp_path):
    if request.param == "pixel":
        return "pixel"
    return str(write_folder(tmp_path, VIT) if request.param == "vit" else write_clip(tmp_path))


def pictures(count: int) -> list[np.ndarray]:
    noise = np.random.default_rng(3)
    return [noise.integers(0, 256, (40 + n, 60, 3), dtype=np.uint8) for n in range(count)]


@pytest.mark.parametrize("folder", ["pixel", "vit"], indirect=True)
def test_embeddings_are_those_of_single_calls(folder, tmp_path, monkeypatch):
    plain = Encoders(tmp_path / "cache", device="cpu").load(folder)
    inputs = [plain.preprocess(one) for one in pictures(24)]
    alone = np.concatenate([plain.encode([one]) for one in inputs])
    sizes: list[int] = []
    encode = type(plain).encode

    def counted(self, some):
        sizes.append(len(some))
        return encode(self, some)

    monkeypatch.setattr(type(plain), "encode", counted)
    provider = Encoders(tmp_path / "cache", device="cpu")
    start = threading.Barrier(24)
    with closing(BatchedEncoders(provider)) as batched, ThreadPoolExecutor(24) as pool:
        encoder = batched.load(folder)

        def ask(one: np.ndarray) -> np.ndarray:
            start.wait(20)
            return encoder.encode([one])

        shared = np.concatenate(list(pool.map(ask, inputs)))
    assert shared.dtype == np.float32
    np.testing.assert_allclose(shared, alone, atol=TOLERANCE)
    assert np.argmax(shared @ alone.T, axis=1).tolist() == list(range(24)), "each has its own"
    assert sum(sizes) == 24
    if folder != "pixel":
        assert len(sizes) < 24, "passes were shared"


@pytest.mark.parametrize("folder", ["clip"], indirect=True)
def test_texts_go_through_too(folder, tmp_path):
    plain = Encoders(tmp_path / "cache", device="cpu").load(folder)
    texts = ["a ripe pear", "an apple", "plums in a bowl"]
    with closing(BatchedEncoders(Encoders(tmp_path / "cache", device="cpu"))) as batched:
        encoder = batched.load(folder)
        assert encoder.encodes_text
        np.testing.assert_allclose(encoder.encode_text(texts), plain.encode_text(texts), atol=TOLERANCE)
        assert encoder.encode_text([]).shape == (0, 24)


def test_the_encoder_is_described_as_it_is_and_loaded_once(tmp_path):
    with closing(BatchedEncoders(Encoders(tmp_path))) as batched:
        encoder, bulk = batched.load("pixel"), batched.bulk().load("pixel")
        plain = Encoders(tmp_path).load("pixel")
        for one in (encoder, bulk):
            for name in ("fingerprint", "device", "precision", "shortest_edge_px", "encodes_text"):
                assert getattr(one, name) == getattr(plain, name)
        (picture,) = pictures(1)
        prepared = encoder.preprocess(picture)
        np.testing.assert_array_equal(prepared, plain.preprocess(picture))
        np.testing.assert_array_equal(bulk.encode([prepared]), plain.encode([prepared]))
        assert encoder.encode([]).shape == (0, 49)
        assert len(batched._passes) == 1, "both views share the passes"
        with pytest.raises(InvalidInput, match="cannot embed text"):
            encoder.encode_text(["a pear"])
        for provider in (batched, batched.bulk()):
            provider.check("pixel")
            with pytest.raises(InvalidInput):
                provider.check("packaged:nothing")


def test_after_closing_nothing_is_encoded_and_nobody_hangs(tmp_path):
    batched = BatchedEncoders(Encoders(tmp_path))
    before = batched.load("pixel")
    prepared = before.preprocess(pictures(1)[0])
    before.encode([prepared])
    batched.close()
    for encoder in (before, batched.load("pixel"), batched.bulk().load("pixel")):
        with pytest.raises(Unavailable, match="stopping"):
            encoder.encode([prepared])
    assert not [thread for thread in threading.enumerate() if thread.name == "forward-passes"]
