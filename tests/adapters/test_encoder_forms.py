import copy

import numpy as np
import pytest
import torch

from service.adapters.encoder_forms import (
    AUTOCAST,
    BFLOAT16,
    EAGER,
    FLOAT32,
    PLAIN,
    _plain_attention,
    eager_forms,
    eager_pass,
    eager_passes,
    in_form,
    on_device,
    precision_of,
)
from service.adapters.encoder_pooling import projected
from tests.adapters import networks

CPU = torch.device("cpu")
PICTURES = np.random.default_rng(0).normal(size=(3, 3, 32, 32)).astype(np.float32)


@pytest.fixture(scope="module")
def network():
    return networks.network(networks.VIT).requires_grad_(requires_grad=False)


def test_bfloat16_is_tried_where_something_computes_in_it(monkeypatch):
    assert eager_forms(CPU, frozenset({"avx2", "avx512f"})) == (FLOAT32,)
    assert eager_forms(CPU, frozenset({"amx_bf16"})) == eager_forms(CPU, frozenset({"avx512_bf16"})) == EAGER
    assert eager_forms(torch.device("mps"), frozenset({"avx512_bf16"})) == (FLOAT32,)
    for capable, forms in ((True, (FLOAT32, BFLOAT16, AUTOCAST)), (False, (FLOAT32,))):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, found=capable: found)
        assert eager_forms(torch.device("cuda", 0), frozenset()) == forms


def test_the_precision_of_a_form():
    assert [precision_of(one) for one in (FLOAT32, "float32 compiled", "float32 onnxruntime")] == ["float32"] * 3
    assert [precision_of(one) for one in (BFLOAT16, AUTOCAST, PLAIN, "bfloat16 compiled")] == ["bfloat16"] * 4


def test_only_bfloat16_needs_other_weights_and_the_given_ones_stay(network):
    before = copy.deepcopy(network.state_dict())
    assert in_form(network, FLOAT32) is in_form(network, AUTOCAST) is network
    assert in_form(network, BFLOAT16).dtype == in_form(network, PLAIN).dtype == torch.bfloat16
    assert all(torch.equal(weights, before[name]) for name, weights in network.state_dict().items())


def test_every_form_gives_the_same_unit_rows(network):
    rows = {form: run(PICTURES) for form, run in eager_passes(network, "class_token", CPU, EAGER).items()}
    with torch.inference_mode():
        hidden = network(pixel_values=torch.from_numpy(PICTURES)).last_hidden_state[:, 0]
    exact = torch.nn.functional.normalize(hidden, dim=1).numpy()
    np.testing.assert_allclose(rows[FLOAT32], exact, atol=1e-6)
    for form in (BFLOAT16, AUTOCAST, PLAIN):
        assert rows[form].dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(rows[form], axis=1), 1, rtol=1e-5)
        assert (rows[form] * exact).sum(axis=1).min() > 0.999
        assert not np.array_equal(rows[form], exact), f"{form} computed in float32"


@pytest.mark.parametrize(
    ("config", "pooling"),
    [(networks.DINOV2, "layers"), (networks.CLIP, "clip_projection"), (networks.SIGLIP, "clip_projection")],
)
def test_plain_attention_is_the_fused_one_and_of_pictures_alone(config, pooling):
    exact = networks.network(config)
    fused, plain = in_form(exact, BFLOAT16), in_form(exact, PLAIN)
    rows = [eager_pass(one, pooling, CPU, form)(PICTURES) for one, form in ((fused, BFLOAT16), (plain, PLAIN))]
    assert not np.array_equal(*rows), "both were fused"
    assert (rows[0] * rows[1]).sum(axis=1).min() > 0.999
    assert exact.config._attn_implementation != "plain"
    if pooling == "clip_projection":
        tokens = torch.tensor([[512, 5, 6, 7, 513]])
        texts = [projected(one.get_text_features(input_ids=tokens)) for one in (fused, plain)]
        assert torch.equal(*texts)


def test_plain_attention_does_not_pass_over_a_mask():
    query = torch.ones(1, 2, 3, 4)
    with pytest.raises(ValueError, match="no mask"):
        _plain_attention(None, query, query, query, torch.ones(1, 1, 3, 3))


def test_autocast_ends_with_the_pass(network):
    eager_pass(network, "class_token", CPU, AUTOCAST)(PICTURES)
    assert not torch.is_autocast_enabled("cpu")


def test_to_a_gpu_pictures_go_from_pinned_memory(monkeypatch):
    """The calls that a GPU would see; there is none here to make them."""
    asked = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: asked.append("pinned") or self)
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *args, **options: asked.append((args, options)) or self)
    on_device(PICTURES, torch.device("cuda", 0))
    assert asked == ["pinned", ((torch.device("cuda", 0),), {"non_blocking": True})]
    asked.clear()
    on_device(PICTURES, CPU)
    assert asked == [((CPU,), {})]
