import json
import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from service.adapters.encoder_transformers import TransformersEncoder
from service.errors import InvalidInput
from tests.adapters import networks
from tests.adapters.pictures import noise

PICTURES = [noise(50, 40, seed=i) for i in range(5)]


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    return networks.write_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def vit_folder(tmp_path_factory):
    return networks.write_folder(tmp_path_factory.mktemp("vit"), networks.VIT)


def load(folder, precision="float32", **options):
    return TransformersEncoder(folder, device="cpu", precision=precision, **options)


def embed(encoder, pictures=PICTURES):
    return encoder.encode([encoder.preprocess(picture) for picture in pictures])


def stacked(encoder, pictures=PICTURES):
    return torch.from_numpy(np.stack([encoder.preprocess(picture) for picture in pictures]))


def unit(rows):
    return torch.nn.functional.normalize(rows, dim=1).numpy()


# --------------------------------------------------------------------------------------------------------------- CLIP


def test_clip_pictures_are_projected(clip_folder):
    encoder = load(clip_folder)
    raw = networks.network(networks.CLIP)
    with torch.inference_mode():
        hidden = raw.vision_model(pixel_values=stacked(encoder)).pooler_output
        expected = unit(hidden @ raw.visual_projection.weight.T)
    found = embed(encoder)
    assert found.dtype == np.float32
    assert found.shape == (5, 24)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)
    assert encoder.fingerprint.pooling == "clip_projection"
    assert encoder.fingerprint.dimension == 24


def test_clip_texts_are_projected_into_the_same_space(clip_folder):
    encoder = load(clip_folder)
    raw = networks.network(networks.CLIP)
    texts = ["a cat", "Dogs"]
    found = encoder.encode_text(texts)
    assert encoder.encodes_text
    assert found.shape == (2, 24)
    assert found.dtype == np.float32
    # by hand: byte tokens between start and end, without any padding
    vocabulary = networks.tokenizer().get_vocab()
    alone = [vocabulary[w] for w in ("<|startoftext|>", "a</w>", "c", "a", "t</w>", "<|endoftext|>")]
    with torch.inference_mode():
        hidden = raw.text_model(input_ids=torch.tensor([alone])).last_hidden_state[:, -1]
        expected = unit(hidden @ raw.text_projection.weight.T)
    np.testing.assert_allclose(found[:1], expected, atol=1e-5)


def test_long_texts_are_cut_and_nothing_gives_nothing(clip_folder):
    encoder = load(clip_folder)
    long = encoder.encode_text(["x" * 500])
    np.testing.assert_allclose(np.linalg.norm(long, axis=1), 1, rtol=1e-6)
    assert encoder.encode_text([]).shape == (0, 24)
    assert encoder.encode([]).shape == (0, 24)


def test_many_texts_are_encoded_as_one_by_one(clip_folder):
    encoder = load(clip_folder)
    texts = [f"picture {i}" for i in range(130)]
    together = encoder.encode_text(texts)
    np.testing.assert_allclose(
        together[[0, 64, 129]], [encoder.encode_text([texts[i]])[0] for i in (0, 64, 129)], atol=1e-5
    )


def test_clip_without_tokenizer_has_no_text(tmp_path):
    networks.write_folder(tmp_path, networks.CLIP)
    encoder = load(tmp_path)
    assert not encoder.encodes_text
    with pytest.raises(InvalidInput, match="cannot embed text"):
        encoder.encode_text(["a cat"])


@pytest.mark.parametrize("pooling", ["class_token", "mean"])
def test_clip_with_another_pooling_uses_its_vision_tower(clip_folder, pooling):
    encoder = load(clip_folder, pooling=pooling)
    raw = networks.network(networks.CLIP)
    with torch.inference_mode():
        hidden = raw.vision_model(pixel_values=stacked(encoder)).last_hidden_state
    expected = hidden[:, 0] if pooling == "class_token" else hidden[:, 1:].mean(dim=1)
    np.testing.assert_allclose(embed(encoder), unit(expected), atol=1e-5)
    assert not encoder.encodes_text


def test_siglip_is_projected_too(tmp_path):
    networks.write_folder(tmp_path, networks.SIGLIP)
    encoder = load(tmp_path)
    raw = networks.network(networks.SIGLIP)
    with torch.inference_mode():
        expected = raw.vision_model(pixel_values=stacked(encoder)).pooler_output
    np.testing.assert_allclose(embed(encoder), unit(expected), atol=1e-5)
    with pytest.raises(InvalidInput, match="no class token; use mean"):
        load(tmp_path, pooling="class_token")


# ------------------------------------------------------------------------------------------------------ other families


@pytest.mark.parametrize(
    ("config", "leading"), [(networks.VIT, 1), (networks.DINOV2, 1), (networks.DINOV2_REGISTERS, 4)]
)
def test_transformers_with_a_class_token(tmp_path, config, leading):
    networks.write_folder(tmp_path, config)
    encoder = load(tmp_path)
    with torch.inference_mode():
        hidden = networks.network(config)(pixel_values=stacked(encoder)).last_hidden_state
    assert hidden.shape[1] == leading + 16
    assert encoder.fingerprint.pooling == "class_token"
    np.testing.assert_allclose(embed(encoder), unit(hidden[:, 0]), atol=1e-5)
    patches = load(tmp_path, pooling="mean")
    np.testing.assert_allclose(embed(patches), unit(hidden[:, leading:].mean(dim=1)), atol=1e-5)


@pytest.mark.parametrize(("config", "leading"), [(networks.DINOV2, 1), (networks.DINOV2_REGISTERS, 4)])
def test_layers_are_two_class_tokens_and_a_patch_mean_of_the_middle(tmp_path, config, leading):
    networks.write_folder(tmp_path, config)
    encoder = load(tmp_path, pooling="layers")
    whole, cut = networks.network(config), networks.network(config)
    cut.encoder.layer = cut.encoder.layer[:-1]  # ends, and is normed, one layer earlier: two thirds of two is one
    with torch.inference_mode():
        last, middle = (each(pixel_values=stacked(encoder)).last_hidden_state for each in (whole, cut))
    parts = [unit(each) for each in (middle[:, 0], last[:, 0], middle[:, leading:].mean(dim=1))]
    np.testing.assert_allclose(embed(encoder), np.concatenate(parts, axis=1) / np.sqrt(3), atol=1e-5)
    assert (encoder.fingerprint.pooling, encoder.fingerprint.dimension) == ("layers", 96)
    assert not np.allclose(parts[0], parts[1], atol=0.1)  # else either layer would do


def test_layers_need_a_class_token_and_a_final_norm(tmp_path, clip_folder):
    with pytest.raises(InvalidInput, match="'clip' end without a norm; use class_token"):
        load(clip_folder, pooling="layers")
    networks.write_folder(tmp_path, networks.RESNET)
    with pytest.raises(InvalidInput, match="no class token; use mean"):
        load(tmp_path, pooling="layers")


def test_convolutional_maps_are_averaged(tmp_path):
    networks.write_folder(tmp_path, networks.RESNET)
    encoder = load(tmp_path)
    with torch.inference_mode():
        hidden = networks.network(networks.RESNET)(pixel_values=stacked(encoder)).last_hidden_state
    assert encoder.fingerprint.pooling == "mean"
    np.testing.assert_allclose(embed(encoder), unit(hidden.mean(dim=(2, 3))), atol=1e-5)


def test_a_network_that_draws_random_numbers_is_refused(tmp_path):
    networks.write_folder(tmp_path, networks.MASKED)
    with pytest.raises(InvalidInput, match="gives the same picture two embeddings"):
        load(tmp_path)


def test_pooling_that_a_network_cannot_do(vit_folder):
    with pytest.raises(InvalidInput, match="needs a CLIP-like network; this one is 'vit'"):
        load(vit_folder, pooling="clip_projection")


# ------------------------------------------------------------------------------------------------------- preprocessing


def test_preprocessing_by_hand(vit_folder):
    encoder = load(vit_folder)
    pixels = noise(networks.EDGE, networks.EDGE)  # no resizing left to do
    made = encoder.preprocess(pixels)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, (pixels.transpose(2, 0, 1) / 255 - 0.5) / 0.5, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (1, 40), (3, 70), (70, 3), (200, 90)])
def test_pictures_of_any_shape(clip_folder, shape):
    encoder = load(clip_folder)
    assert encoder.preprocess(np.zeros((*shape, 3), dtype=np.uint8)).shape == (3, 32, 32)


def test_the_shorter_edge_that_decoding_must_keep(clip_folder, vit_folder, tmp_path):
    assert load(clip_folder).shortest_edge_px == 32
    assert load(vit_folder).shortest_edge_px == 32
    networks.write_folder(tmp_path, networks.VIT, processor={**networks.PROCESSOR, "do_resize": False})
    with pytest.raises(InvalidInput, match="fails on a picture"):
        load(tmp_path)  # 32 x 32 is all that it takes, and nothing brings pictures there


def test_batches_change_nothing_and_threads_agree(vit_folder):
    encoder = load(vit_folder)
    pictures = [noise(30 + i, 40, seed=i) for i in range(40)]
    together = embed(encoder, pictures)
    assert together.shape == (40, 32)
    np.testing.assert_allclose(
        together[[0, 17, 39]], [embed(encoder, [pictures[i]])[0] for i in (0, 17, 39)], atol=1e-5
    )
    with ThreadPoolExecutor(4) as pool:
        alone = list(pool.map(lambda picture: embed(encoder, [picture])[0], pictures))
    np.testing.assert_allclose(alone, together, atol=1e-5)
    assert not np.allclose(together[0], together[1], atol=1e-2)  # the comparison could fail


def test_inputs_of_several_shapes_keep_their_order(tmp_path):
    networks.write_folder(tmp_path, networks.RESNET, processor={**networks.PROCESSOR, "size": {"shortest_edge": 32}})
    encoder = load(tmp_path)
    pictures = [noise(40, 40, seed=1), noise(40, 80, seed=2), noise(80, 40, seed=3), noise(40, 40, seed=4)]
    together = embed(encoder, pictures)
    np.testing.assert_allclose(together, [embed(encoder, [picture])[0] for picture in pictures], atol=1e-5)


# -------------------------------------------------------------------------------------------------------- fingerprints


def test_the_fingerprint_is_stable_however_the_weights_are_stored(tmp_path):
    folders = [tmp_path / name for name in ("first", "again", "sharded")]
    for folder in folders[:2]:
        networks.write_clip(folder)
    networks.write_clip(folders[2])
    (folders[2] / "model.safetensors").unlink()
    networks.network(networks.CLIP).save_pretrained(folders[2], max_shard_size="50KB")
    assert len(list(folders[2].glob("model-*.safetensors"))) > 1
    prints = [load(folder).fingerprint for folder in folders]
    assert prints[0] == prints[1] == prints[2]
    assert len({each.digest for each in prints}) == 1
    assert json.loads(json.dumps(prints[0].as_dict())) == prints[0].as_dict()


def test_the_fingerprint_changes_with_weights_pooling_and_processor(tmp_path):
    base = load(networks.write_clip(tmp_path / "base")).fingerprint
    other_weights = load(networks.write_clip(tmp_path / "weights", seed=1)).fingerprint
    other_pooling = load(tmp_path / "base", pooling="mean").fingerprint
    networks.write_clip(tmp_path / "processor")
    path = tmp_path / "processor" / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "image_mean": [0.1, 0.2, 0.3]}))
    other_processor = load(tmp_path / "processor").fingerprint
    assert len({each.digest for each in (base, other_weights, other_pooling, other_processor)}) == 4
    assert base.weights_sha256 == other_pooling.weights_sha256 == other_processor.weights_sha256
    assert base.weights_sha256 != other_weights.weights_sha256
    assert base.processor == "CLIPImageProcessorPil"
    assert base.processor_parameters["crop_size"] == {"height": 32, "width": 32}
    assert other_processor.processor_parameters["image_mean"] == [0.1, 0.2, 0.3]


# ------------------------------------------------------------------------------------------------------------ refusals


def test_missing_weights_are_not_filled_with_random_numbers(tmp_path):
    networks.write_folder(tmp_path, networks.VIT)
    path = tmp_path / "model.safetensors"
    weights = load_file(path)
    weights.pop("layernorm.weight")
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(InvalidInput, match=r"lack 1 tensors of a 'vit' network, e\.g\. layernorm\.weight"):
        load(tmp_path)


def test_a_missing_pooler_does_not_matter(tmp_path):
    networks.write_folder(tmp_path, networks.VIT)
    path = tmp_path / "model.safetensors"
    weights = {name: tensor for name, tensor in load_file(path).items() if not name.startswith("pooler.")}
    before = embed(load(tmp_path))
    save_file(weights, path, metadata={"format": "pt"})
    np.testing.assert_array_equal(embed(load(tmp_path)), before)


def test_pickled_weights_are_not_opened(tmp_path):
    networks.write_folder(tmp_path, networks.VIT)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(InvalidInput, match="safetensors format only"):
        load(tmp_path)


def test_code_of_a_repository_is_not_run(tmp_path):
    networks.write_folder(tmp_path, networks.VIT)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "evil.py").write_text("raise SystemExit('the code ran')")
    with pytest.raises(InvalidInput, match="cannot be loaded"):
        load(tmp_path)


@pytest.mark.parametrize("broken", ["config.json", "preprocessor_config.json", "model.safetensors"])
def test_a_broken_file_is_a_sentence(tmp_path, broken):
    networks.write_folder(tmp_path, networks.VIT)
    (tmp_path / broken).write_text("{")
    with pytest.raises(InvalidInput) as caught:
        load(tmp_path)
    assert str(tmp_path) in caught.value.message
    assert "\n" not in caught.value.message


def test_a_truncated_weights_file_is_a_sentence(tmp_path):
    networks.write_folder(tmp_path, networks.VIT)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InvalidInput, match="not a whole safetensors file"):
        load(tmp_path)


# ------------------------------------------------------------------------------------------------------------- silence


def test_loading_writes_nothing(clip_folder, tmp_path):
    networks.write_folder(tmp_path, networks.VIT)
    path = tmp_path / "model.safetensors"  # a missing pooler: transformers would print a table about it
    save_file(
        {k: v for k, v in load_file(path).items() if not k.startswith("pooler.")}, path, metadata={"format": "pt"}
    )
    program = (
        "import sys; from pathlib import Path\n"
        "from service.adapters.encoder_transformers import TransformersEncoder as T\n"
        "for folder in sys.argv[1:]:\n    e = T(Path(folder)); e.encodes_text and e.encode_text(['x' * 99])"
    )
    command = [sys.executable, "-c", program, str(clip_folder), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_importing_the_adapters_imports_no_framework():
    program = (
        "import sys, service.adapters.encoders, service.adapters.images\n"
        "print([name for name in ('torch', 'transformers', 'onnx', 'huggingface_hub') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_root_logger_is_left_alone(vit_folder):
    before = logging.getLogger().level, list(logging.getLogger().handlers)
    load(vit_folder)
    assert (logging.getLogger().level, list(logging.getLogger().handlers)) == before


def test_half_precision_agrees(vit_folder):
    exact, halved = load(vit_folder, precision="float32"), load(vit_folder, precision="bfloat16")
    assert (exact.precision, halved.precision) == ("float32", "bfloat16")
    assert exact.fingerprint == halved.fingerprint
    found = embed(halved)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)
    assert (found * embed(exact)).sum(axis=1).min() > 0.99


# --------------------------------------------------------------------------------------------------------------- crops


def test_of_a_crop_nothing_is_cut_off(clip_folder):
    encoder = load(clip_folder)
    pixels = np.zeros((40, 120, 3), dtype=np.uint8)
    pixels[:, :30], pixels[:, 90:] = (255, 0, 0), (0, 0, 255)  # both lie outside of the centre
    own, stretched = encoder.preprocess(pixels), encoder.preprocess(pixels, "stretch")
    assert own.shape == stretched.shape == (3, networks.EDGE, networks.EDGE)
    assert np.ptp(own[0]) < 0.1 * np.ptp(stretched[0])
    red, blue = stretched[0], stretched[2]
    assert red[:, 0].min() == red.max()
    assert blue[:, -1].min() == blue.max()
    assert red[:, 0].min() > red[:, 16].max()


def test_a_kept_aspect_has_a_border_that_the_network_sees_as_nothing(clip_folder, vit_folder):
    pixels = np.full((16, 32, 3), 255, dtype=np.uint8)
    for folder in (clip_folder, vit_folder):
        made = load(folder).preprocess(pixels, "pad")
        assert made.shape == (3, networks.EDGE, networks.EDGE)
        np.testing.assert_allclose(made[:, [0, 6, 25, 31]], 0, atol=0.02)
        assert made[:, 10:22].min() > 0.9


def test_a_square_crop_of_the_input_s_size_is_the_picture_itself(vit_folder):
    pixels = noise(networks.EDGE, networks.EDGE)
    encoder = load(vit_folder)
    for fit in ("stretch", "pad"):
        np.testing.assert_array_equal(encoder.preprocess(pixels, fit), encoder.preprocess(pixels))
