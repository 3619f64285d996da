"""A picture and its mirror image as one embedding, on tiny real networks."""

import numpy as np
import pytest
import torch

from service.adapters.encoder_loading import configuration_sha256
from service.adapters.encoder_transformers import TransformersEncoder
from service.adapters.encoder_trials import Kept, key_of, write_kept
from service.adapters.encoder_views import mean_by_parts, mirrored
from service.core.parts import count_parts
from service.errors import InvalidInput
from service.ports import FormTrial
from tests.adapters import networks
from tests.adapters.pictures import noise

PICTURES = [noise(50, 40, seed=i) for i in range(5)]
LEFT = np.float32([[0.6, 0.8, 0.0, 1.0]]) / np.float32(2**0.5)
RIGHT = np.float32([[0.6, -0.8, 0.0, 1.0]]) / np.float32(2**0.5)


@pytest.fixture(scope="module")
def dinov2(tmp_path_factory):
    return networks.write_folder(tmp_path_factory.mktemp("dinov2"), networks.DINOV2)


def load(folder, **options):
    return TransformersEncoder(folder, device="cpu", precision="float32", **options)


def embed(encoder, pictures=PICTURES):
    return encoder.encode([encoder.preprocess(picture) for picture in pictures])


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def test_the_mean_by_hand():
    np.testing.assert_allclose(mean_by_parts(LEFT, RIGHT, 1), unit(np.float32([[0.6, 0, 0, 1]])), atol=1e-6)
    np.testing.assert_allclose(mean_by_parts(LEFT, RIGHT, 2), unit(np.float32([[1, 0, 0, 1]])), atol=1e-6)


def test_views_that_cancel_each_other_out_are_refused():
    with pytest.raises(InvalidInput, match="row 1 has length 0"):
        mean_by_parts(np.concatenate([LEFT, LEFT]), np.concatenate([LEFT, -LEFT]), 1)


def test_mirrored_is_left_and_right_exchanged_in_memory_of_its_own():
    pictures = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    found = mirrored(pictures)
    assert found[1, 2, 3].tolist() == pictures[1, 2, 3].tolist()[::-1]
    assert found.flags.c_contiguous
    assert not np.shares_memory(found, pictures)


@pytest.mark.parametrize(("pooling", "parts"), [("layers", 3), ("class_token", 1), ("mean", 1)])
def test_an_embedding_is_the_mean_of_both_views_part_by_part(dinov2, pooling, parts):
    plain, both = load(dinov2, pooling=pooling), load(dinov2, pooling=pooling, views="mirror")
    inputs = [plain.preprocess(picture) for picture in PICTURES]
    views = [plain.encode(inputs), plain.encode([each[:, :, ::-1].copy() for each in inputs])]
    split = [each.reshape(len(each), parts, -1) for each in views]
    expected = unit(unit((split[0] + split[1]) / 2).reshape(len(inputs), -1))
    found = both.encode(inputs)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert count_parts(found) == parts
    assert (found * views[0]).sum(axis=1).max() < 0.999, "else the picture alone would do"


def test_the_mean_of_whole_embeddings_has_no_equal_parts(dinov2):
    plain = load(dinov2, pooling="layers")
    inputs = [plain.preprocess(picture) for picture in PICTURES]
    mirror = plain.encode([each[:, :, ::-1].copy() for each in inputs])
    assert count_parts(mean_by_parts(plain.encode(inputs), mirror, 1)) == 1


def test_a_clip_picture_is_the_mean_of_both_projections_and_words_stay(tmp_path):
    folder = networks.write_clip(tmp_path)
    plain, both = load(folder), load(folder, views="mirror")
    raw = networks.network(networks.CLIP)
    pixels = torch.from_numpy(np.stack([plain.preprocess(picture) for picture in PICTURES]))
    with torch.inference_mode():
        hidden = [raw.vision_model(pixel_values=each).pooler_output for each in (pixels, pixels.flip(-1))]
        first, second = (unit((each @ raw.visual_projection.weight.T).numpy()) for each in hidden)
    np.testing.assert_allclose(embed(both), unit(first + second), atol=1e-5)
    assert both.encodes_text
    np.testing.assert_array_equal(both.encode_text(["a cat"]), plain.encode_text(["a cat"]))


def test_a_picture_and_its_mirror_image_have_one_embedding(dinov2):
    others = [picture[:, ::-1].copy() for picture in PICTURES]
    both, plain = load(dinov2, pooling="layers", views="mirror"), load(dinov2, pooling="layers")
    np.testing.assert_allclose(embed(both), embed(both, others), atol=1e-4)
    assert (embed(plain) * embed(plain, others)).sum(axis=1).max() < 0.999


def test_single_pictures_batches_and_none(dinov2):
    both = load(dinov2, pooling="layers", views="mirror")
    many = [noise(40, 40, seed=i) for i in range(20)]
    together = embed(both, many)
    np.testing.assert_allclose(together[[0, 19]], [embed(both, [many[i]])[0] for i in (0, 19)], atol=1e-5)
    assert both.encode([]).shape == (0, 96)


def test_the_fingerprint_says_it_and_others_stay_as_they_were(dinov2):
    plain, both = (load(dinov2, pooling="layers", views=views).fingerprint for views in (None, "mirror"))
    assert both.as_dict() == plain.as_dict() | {"pooling": "layers+mirror"}
    assert set(plain.as_dict()) == {"weights_sha256", "pooling", "processor", "processor_parameters", "dimension"}
    assert plain.pooling == "layers"
    assert plain.digest != both.digest


def test_what_was_measured_of_a_network_holds_for_both_and_speed_is_told_in_pictures(dinov2, tmp_path, monkeypatch):
    monkeypatch.setattr("service.adapters.encoder_start.cpu_flags", lambda: frozenset({"amx_bf16"}))
    plain = load(dinov2)
    key = key_of(plain.fingerprint.weights_sha256, configuration_sha256(dinov2), "", "cpu", torch.get_num_threads())
    trials = (FormTrial(form="float32", images_per_s=10.0, agreement=1.0), FormTrial(form="x", note="is not installed"))
    write_kept(tmp_path / f"{key}.json", Kept(32, trials, complete=True))
    one, two = (TransformersEncoder(dinov2, device="cpu", views=views, kept_in=tmp_path) for views in (None, "mirror"))
    assert list(one.trials) == list(trials)
    assert [(each.images_per_s, each.note) for each in two.trials] == [(5.0, ""), (None, "is not installed")]
    assert {path.name for path in tmp_path.iterdir()} == {f"{key}.json", f"{key}.float32.operations.json"}
