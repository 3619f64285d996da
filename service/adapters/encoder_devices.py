"""Where a network runs and in which precision. Nothing falls back in silence: an absent device is an error."""

from __future__ import annotations

import copy
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from service.adapters.encoder_pooling import Network
from service.errors import InvalidInput, counted

if TYPE_CHECKING:
    import torch

Precision = Literal["float32", "bfloat16"]
PRECISIONS = ("auto", "float32", "bfloat16")
AGREEMENT = 0.999
# bfloat16 must be clearly faster: within the noise of so short a measurement the exact form is preferred.
_GAIN = 1.1
_REPETITIONS = 3
_BF16_FLAGS = frozenset({"amx_bf16", "avx512_bf16"})

Forward = Callable[[Network], "torch.Tensor"]


def resolve_device(name: str) -> torch.device:
    """The device for "auto" (cuda, else mps, else cpu), "cpu", "mps", "cuda" or "cuda:N".

    Raises InvalidInput for an unknown name and for a device that this machine, or this build of PyTorch, does not have.
    """
    import torch

    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name):
        raise InvalidInput(f"device {name!r} is unknown: give auto, cpu, mps, cuda or cuda:N")
    cuda_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        name = "cuda" if cuda_devices else "mps" if torch.backends.mps.is_available() else "cpu"
    if name.startswith("cuda"):
        number = int(name.partition(":")[2] or 0)
        if number >= cuda_devices:
            raise InvalidInput(
                f"device {name!r} is not here: PyTorch {torch.__version__} sees {counted(cuda_devices, 'CUDA device')}"
            )
        return torch.device("cuda", number)
    if name == "mps" and not torch.backends.mps.is_available():
        raise InvalidInput(f"device 'mps' is not here: PyTorch {torch.__version__} sees no Apple GPU; give cpu or auto")
    return torch.device(name)


def describe_device(device: torch.device) -> str:
    """For people: "cpu", "mps", "cuda:0 (NVIDIA L4)"."""
    import torch

    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def cpu_flags() -> frozenset[str]:
    """The processor's feature flags as Linux lists them; empty elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", errors="replace")
    except OSError:
        return frozenset()
    found = re.search(r"^flags\s*:\s*(.*)$", text, re.MULTILINE)
    return frozenset(found[1].split()) if found else frozenset()


def in_precision(
    network: Network, device: torch.device, precision: str, forward: Forward, flags: frozenset[str]
) -> tuple[Network, Precision]:
    """The network in the asked-for precision, or for "auto" in the one that suits the device.

    "auto" is bfloat16 on CUDA devices that compute in it, float32 elsewhere. Only where the CPU's `flags` promise
    bfloat16 arithmetic are both timed: it is taken if it is faster by a tenth and embeddings agree (cosine >= 0.999).

    Args:
        network: in float32, on `device`.
        device: where it is.
        precision: "auto", "float32" or "bfloat16".
        forward: embeds a sample batch with a given network: float32 (n, d), unit rows.
        flags: `cpu_flags()`.
    """
    import torch

    if precision not in PRECISIONS:
        raise InvalidInput(f"precision {precision!r} is unknown: give one of {', '.join(PRECISIONS)}")
    if precision == "auto" and device.type == "cuda":
        precision = "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    if precision == "bfloat16":
        return network.to(torch.bfloat16), "bfloat16"
    if precision == "auto" and device.type == "cpu" and flags & _BF16_FLAGS:
        halved = copy.deepcopy(network).to(torch.bfloat16)
        if _pays(network, halved, forward):
            return halved, "bfloat16"
    return network, "float32"


def _pays(exact: Network, halved: Network, forward: Forward) -> bool:
    cosines = (forward(exact) * forward(halved)).sum(dim=1)  # also warms both up
    if not bool((cosines >= AGREEMENT).all()):
        return False
    return _seconds(exact, forward) > _GAIN * _seconds(halved, forward)


def _seconds(network: Network, forward: Forward) -> float:
    """Shortest of a few forward passes: the one that other work on the machine disturbed least."""
    times = []
    for _ in range(_REPETITIONS):
        started = time.perf_counter()
        forward(network)
        times.append(time.perf_counter() - started)
    return min(times)
