import numpy as np
import pytest
import torch

from service.adapters.encoder_forms import EAGER, eager_pass, in_form
from service.adapters.encoder_traced import keep_traced, load_traced, traced_file
from tests.adapters import networks

SAMPLES = np.random.default_rng(0).normal(size=(4, 3, 32, 32)).astype(np.float32)


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
    network = in_form(networks.network(config), form)
    path = tmp_path / "forms" / "x.safetensors"
    keep_traced(network, pooling, form, SAMPLES, path)
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    exact, run = eager_pass(network, pooling, torch.device("cpu"), form), load_traced(path, form)
    for count in (1, 2, 4, 7):
        pictures = np.resize(SAMPLES[::-1], (count, 3, 32, 32))
        np.testing.assert_allclose(run(pictures), exact(pictures), atol=1e-6)


def test_what_gives_other_rows_is_not_kept(tmp_path):
    class Counting(torch.nn.Module):
        """Its answer hangs on how often it was asked, which no list of operations knows."""

        def __init__(self):
            super().__init__()
            self.network, self.config, self.dtype, self.asked = network, network.config, network.dtype, 0

        def forward(self, pixel_values):
            self.asked += 1
            output = self.network(pixel_values=pixel_values)
            output.last_hidden_state = output.last_hidden_state + torch.arange(32) * self.asked
            return output

    network = networks.network(networks.VIT)
    path = tmp_path / "x.safetensors"
    with pytest.raises(ValueError, match="gives other embeddings"):
        keep_traced(Counting().eval(), "class_token", "float32", SAMPLES, path)
    assert not list(tmp_path.iterdir())


def test_the_file_lies_beside_the_trials(tmp_path):
    assert traced_file(tmp_path / "k.json", "bfloat16 autocast") == tmp_path / "k.bfloat16-autocast.traced.safetensors"
