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
EAGER = (FLOAT32, BFLOAT16, AUTOCAST)
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
        return EAGER if torch.cuda.is_bf16_supported(including_emulation=False) else (FLOAT32,)
    return EAGER if device.type == "cpu" and flags & _BF16_FLAGS else (FLOAT32,)


def in_form(network: Network, form: str) -> Network:
    """The network as an eager form wants it; the one given, which is in float32, stays as it was."""
    import torch

    return copy.deepcopy(network).to(torch.bfloat16) if form == BFLOAT16 else network


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
