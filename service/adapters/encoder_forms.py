"""The forms in which a network can run here without being compiled: its precisions, by PyTorch itself.

A form is a name and a pass: float32 pictures (n, 3, h, w) to float32 (n, d), unit rows. What compiling and other
runtimes add is in `encoder_workshop`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Literal

import numpy as np

from service.adapters.encoder_pooling import Network, pooled
from service.adapters.encoder_specification import Pooling
from service.core.model import Float32Array

if TYPE_CHECKING:
    import torch

Pass = Callable[[Float32Array], Float32Array]
Precision = Literal["float32", "bfloat16"]

FLOAT32 = "float32"
BFLOAT16 = "bfloat16"
AUTOCAST = "bfloat16 autocast"
PLAIN = "bfloat16 plain attention"
"""PyTorch's fused attention is made for long sequences and matrix units: of a few hundred tokens, on a processor
without such a unit, its products one after the other take two thirds of the time."""
EAGER = (FLOAT32, BFLOAT16, AUTOCAST, PLAIN)
_BF16_FLAGS = frozenset({"amx_bf16", "avx512_bf16"})


def precision_of(form: str) -> Precision:
    """What a form computes in."""
    return "bfloat16" if "bfloat16" in form else "float32"


def eager_forms(device: torch.device, flags: frozenset[str]) -> tuple[str, ...]:
    """Forms worth a trial on a device, float32 first; `flags` are the processor's.

    Where nothing computes in bfloat16 it is emulated, and measuring that would only cost time.
    """
    import torch

    if device.type == "cuda":
        able = torch.cuda.is_bf16_supported(including_emulation=False)
        return tuple(form for form in EAGER if form != PLAIN) if able else (FLOAT32,)
    return EAGER if device.type == "cpu" and flags & _BF16_FLAGS else (FLOAT32,)


def in_form(network: Network, form: str) -> Network:
    """The network as an eager form wants it; the one given, which is in float32, stays as it was."""
    import torch

    if form not in (BFLOAT16, PLAIN):
        return network
    made = copy.deepcopy(network).to(torch.bfloat16)
    if form == PLAIN:
        _attend_plainly(made.vision_model if hasattr(made, "get_image_features") else made)
    return made


def _attend_plainly(tower: Network) -> None:
    """Of pictures alone: a text's mask would not be seen."""
    from transformers import AttentionInterface

    AttentionInterface.register("plain", _plain_attention)
    tower.set_attn_implementation("plain")


def _plain_attention(
    _module: object,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **_: object,
) -> tuple[torch.Tensor, None]:
    """(n, heads, tokens, d) each to (n, tokens, heads, d). Raises ValueError where there is a mask."""
    import torch

    if attention_mask is not None:
        raise ValueError("plain attention takes no mask")
    scaled = query * (query.shape[-1] ** -0.5 if scaling is None else scaling)  # fewer numbers than their products
    weights = torch.softmax(scaled.contiguous() @ key.contiguous().transpose(2, 3), dim=-1)
    return (weights @ value.contiguous()).transpose(1, 2).contiguous(), None


def eager_pass(network: Network, pooling: Pooling, device: torch.device, form: str) -> Pass:
    """The form's pass. `network` is on `device`, as `in_form` gave it."""
    import torch

    def run(pictures: Float32Array) -> Float32Array:
        mixed = torch.autocast(device.type, dtype=torch.bfloat16) if form == AUTOCAST else nullcontext()
        with torch.inference_mode(), mixed:
            rows = pooled(network, pooling, on_device(pictures, device).to(network.dtype))
            return unit_rows(rows)

    return run


def on_device(pictures: Float32Array, device: torch.device) -> torch.Tensor:
    """The pictures there. To a GPU they go from pinned memory, so that copying them does not wait for its work."""
    import torch

    here = torch.from_numpy(pictures)
    return here.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else here.to(device)


def unit_rows(rows: torch.Tensor) -> Float32Array:
    """float32 (n, d) of length 1 as NumPy's."""
    import torch

    array: Float32Array = torch.nn.functional.normalize(rows.float(), dim=1).cpu().numpy()
    return array


def eager_passes(
    network: Network, pooling: Pooling, device: torch.device, forms: tuple[str, ...]
) -> Mapping[str, Pass]:
    """A pass for each form, in order."""
    return {form: eager_pass(in_form(network, form), pooling, device, form) for form in forms}


def stacked(inputs: list[Float32Array]) -> Float32Array:
    """Pictures of one shape as one array."""
    return np.ascontiguousarray(np.stack(inputs), dtype=np.float32)
