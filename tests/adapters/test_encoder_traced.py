import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from service.adapters.encoder_forms import EAGER, eager_pass, in_form
from service.adapters.encoder_loading import load_network
from service.adapters.encoder_traced import Traced, keep_traced, read_traced, traced_file, traced_pass
from tests.adapters import networks

SAMPLES = np.random.default_rng(0).normal(size=(4, 3, 32, 32)).astype(np.float32)


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    return networks.write_folder(tmp_path_factory.mktemp("vit"), networks.VIT)


@pytest.fixture
def kept(vit, tmp_path):
    """The folder and what was kept of it."""
    path = tmp_path / "x.json"
    keep_traced(load_network(vit), "class_token", "float32", vit, SAMPLES, path)
    return vit, read_traced(path).program


@pytest.mark.parametrize(
    ("config", "pooling", "form"),
    [
        *((networks.VIT, "class_token", form) for form in EAGER),
        (networks.DINOV2, "layers", "float32"),
        (networks.DINOV2_REGISTERS, "mean", "float32"),
        (networks.RESNET, "mean", "float32"),
        (networks.CLIP, "clip_projection", "float32"),
        (networks.SIGLIP, "clip_projection", "float32"),
    ],
)
def test_any_number_of_pictures_has_the_network_s_rows(tmp_path, config, pooling, form):
    folder = networks.write_folder(tmp_path / "folder", config)
    network = in_form(load_network(folder), form)
    path = tmp_path / "forms" / "x.json"
    keep_traced(network, pooling, form, folder, SAMPLES, path)
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    assert path.stat().st_size < 100_000, "the tensors stay where they are"
    run = traced_pass(read_traced(path).program, form, folder)
    exact = eager_pass(network, pooling, torch.device("cpu"), form)
    for count in (1, 2, 4, 7):
        pictures = np.resize(SAMPLES[::-1], (count, 3, 32, 32))
        np.testing.assert_allclose(run(pictures), exact(pictures), atol=1e-6)


def test_pictures_of_another_size_are_refused(kept):
    folder, program = kept
    with pytest.raises(ValueError, match=r"\(3, 40, 32\) go through a network that was kept for \(3, 32, 32\)"):
        traced_pass(program, "float32", folder)(np.zeros((2, 3, 40, 32), dtype=np.float32))


def test_what_gives_other_rows_is_not_kept_and_the_reason_is(vit, tmp_path):
    class Counting(torch.nn.Module):
        """Its answer hangs on how often it was asked, which no list of operations knows."""

        def __init__(self):
            super().__init__()
            self.network = load_network(vit)
            self.config, self.dtype, self.asked = self.network.config, self.network.dtype, 0

        def forward(self, pixel_values):
            self.asked += 1
            output = self.network(pixel_values=pixel_values)
            output.last_hidden_state = output.last_hidden_state + torch.arange(32) * self.asked
            return output

    path = tmp_path / "x.json"
    keep_traced(Counting().eval(), "class_token", "float32", vit, SAMPLES, path)
    found = read_traced(path)
    assert found.program is None
    assert "gives other embeddings" in found.cannot


def test_tensors_that_the_folder_does_not_hold_are_not_kept(vit, tmp_path):
    network = load_network(vit)
    with torch.no_grad():
        next(one for one in network.parameters() if one.numel() > 4096).add_(1)
    path = tmp_path / "x.json"
    keep_traced(network, "class_token", "float32", vit, SAMPLES, path)
    assert "that is not in" in read_traced(path).cannot


def test_the_folder_s_own_tensors_are_used(kept, tmp_path):
    """So the fingerprint, a hash over them, speaks of what runs."""
    folder, program = kept
    other = tmp_path / "other"
    other.mkdir()
    tensors = load_file(folder / "model.safetensors")
    save_file({name: one * 1.5 for name, one in tensors.items()}, other / "model.safetensors")
    ours, theirs = (traced_pass(program, "float32", one)(SAMPLES) for one in (folder, other))
    assert (ours * theirs).sum(axis=1).max() < 0.999
    save_file({name: one for name, one in tensors.items() if "layernorm" not in name}, other / "model.safetensors")
    with pytest.raises(KeyError):
        traced_pass(program, "float32", other)


@pytest.mark.parametrize(
    "name",
    [
        *("aten.from_file.default", "aten.mul_.Scalar", "aten.copy_.default", "aten.add", "aten.nosuch.default"),
        *("builtins.exec", "python.exec", "aten.__class__", "prim.load", "os"),
    ],
)
def test_nothing_but_operations_can_be_called(kept, name):
    folder, program = kept
    (_, *rest), *others = program["steps"]
    with pytest.raises((TypeError, AttributeError, ValueError)):
        traced_pass({**program, "steps": [[name, *rest], *others]}, "float32", folder)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"program": {}}', "\x00"])
def test_what_cannot_be_read_is_said(tmp_path, caplog, text):
    path = tmp_path / "x.json"
    assert read_traced(path) is None
    assert not caplog.records
    path.write_text(text)
    assert read_traced(path) is None
    assert "cannot be read" in caplog.text
    path.write_text(json.dumps({"program": None, "cannot": ""}))
    assert read_traced(path) is None
    path.write_text("[" * 100_000)
    assert read_traced(path) is None
    path.write_text(json.dumps({"program": None, "cannot": "x"}))
    assert read_traced(path) == Traced(None, "x")


def test_the_file_lies_beside_the_trials(tmp_path):
    assert traced_file(tmp_path / "k.json", "bfloat16 autocast") == tmp_path / "k.bfloat16-autocast.operations.json"


def test_what_hinders_for_a_while_is_not_kept(vit, tmp_path, monkeypatch, caplog):
    def full(*args, **kwargs):
        raise MemoryError("no room")

    monkeypatch.setattr(torch.export, "export", full)
    keep_traced(load_network(vit), "class_token", "float32", vit, SAMPLES, tmp_path / "x.json")
    assert not list(tmp_path.iterdir())
    assert "no room" in caplog.text


def test_a_folder_that_changes_meanwhile_does_not_change_the_network(kept, tmp_path):
    folder, program = kept
    other = shutil.copytree(folder, tmp_path / "other")
    run = traced_pass(program, "float32", other)
    before = run(SAMPLES)
    with (other / "model.safetensors").open("r+b") as file:
        file.seek(-4096, 2)
        file.write(bytes(4096))
    np.testing.assert_array_equal(run(SAMPLES), before)
