"""From a network's output to one vector a picture: class token, mean, or CLIP projection, as the family wants it.

`layers` reads more than the last layer, as DINOv2's own linear evaluation does (Oquab et al. 2023): its last layers lie
nearest to what a network was trained for, those in the middle know more of texture and parts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from service.adapters.encoder_specification import Pooling
from service.errors import InvalidInput

if TYPE_CHECKING:
    import torch

Network = Any
"""What transformers loads. Its attributes differ by family, so that no type states what is used here."""

# Families whose sequence starts with a class token: how many tokens precede the patches, registers aside.
_LEADING_TOKENS = {
    "beit": 1,
    "clip_vision_model": 1,
    "data2vec-vision": 1,
    "deit": 2,  # class and distillation token
    "dinov2": 1,
    "dinov2_with_registers": 1,
    "dinov3_vit": 1,
    "vit": 1,
    "vit_msn": 1,
}
# The vision towers of two-tower networks that have a class token; SigLIP's have none.
_TOWER_LEADING_TOKENS = {"clip": 1, "chinese_clip": 1, "metaclip_2": 1, "altclip": 1, "siglip": 0, "siglip2": 0}


MIDDLE = 2 / 3
"""How deep the layer lies whose patches `layers` averages: 8 of 12."""


def resolve_pooling(network: Network, asked: Pooling | None) -> Pooling:
    """The pooling that was asked for, or the family's own. Raises InvalidInput for one that the network cannot do."""
    projects = hasattr(network, "get_image_features")
    family = network.config.model_type
    if asked == "clip_projection" and not projects:
        raise InvalidInput(f"pooling clip_projection needs a CLIP-like network; this one is {family!r}")
    if asked in ("class_token", "layers") and leading_tokens(network) == 0:
        raise InvalidInput(f"pooling {asked}: networks of family {family!r} have no class token; use mean")
    if asked == "layers" and _final_norm(network) is None:
        raise InvalidInput(f"pooling layers: networks of family {family!r} end without a norm; use class_token")
    if asked:
        return asked
    if projects:
        return "clip_projection"
    return "class_token" if leading_tokens(network) else "mean"


def parts_of(pooling: Pooling) -> int:
    """How many embeddings of equal length a pooling puts side by side."""
    return 3 if pooling == "layers" else 1


def leading_tokens(network: Network) -> int:
    """How many tokens come before the patches (or the text's, for families that are not known: none)."""
    config = network.config
    if hasattr(network, "get_image_features"):
        return _TOWER_LEADING_TOKENS.get(config.model_type, 0)
    leading = _LEADING_TOKENS.get(config.model_type, 0)
    return leading + int(getattr(config, "num_register_tokens", 0) or 0) if leading else 0


def pooled(network: Network, pooling: Pooling, pixel_values: torch.Tensor) -> torch.Tensor:
    """One forward pass: (n, 3, h, w) to (n, d), in the network's own precision, not normalised.

    `mean` is over the patches alone: class and register tokens are left out. Maps of convolutional networks
    (n, d, h, w) are averaged over their area.
    """
    if pooling == "clip_projection":
        return projected(network.get_image_features(pixel_values=pixel_values))
    if pooling == "layers":
        return _layers(network, pixel_values)
    tower = network.vision_model if hasattr(network, "get_image_features") else network
    hidden: torch.Tensor = tower(pixel_values=pixel_values).last_hidden_state
    if pooling == "class_token":
        return hidden[:, 0]
    if hidden.ndim == 4:
        return hidden.mean(dim=(2, 3))
    return hidden[:, leading_tokens(network) :].mean(dim=1)


def _layers(network: Network, pixel_values: torch.Tensor) -> torch.Tensor:
    """Class tokens of the last two layers and the patch mean of a middle one, each of unit length, (n, 3 d)."""
    import torch

    norm = _final_norm(network)
    assert norm is not None  # noqa: S101 - resolve_pooling looked
    output = network(pixel_values=pixel_values, output_hidden_states=True)
    states = output.hidden_states  # the patches as they came in, then the output of every layer
    middle = norm(states[round(MIDDLE * (len(states) - 1))])[:, leading_tokens(network) :].float().mean(dim=1)
    parts = [norm(states[-2])[:, 0].float(), output.last_hidden_state[:, 0].float(), middle]
    return torch.nn.functional.normalize(torch.stack(parts, dim=1), dim=2).flatten(1)


def _final_norm(network: Network) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """The layer norm that `last_hidden_state` went through; None where a network has none, or keeps it elsewhere."""
    norm: Callable[[torch.Tensor], torch.Tensor] | None = getattr(network, "layernorm", getattr(network, "norm", None))
    return norm


def projected(features: Any) -> torch.Tensor:  # noqa: ANN401 - a tensor, or in transformers 5 an output object around it
    """The projected features of `get_image_features` and `get_text_features`, float (n, d)."""
    output: torch.Tensor = getattr(features, "pooler_output", features)
    return output
