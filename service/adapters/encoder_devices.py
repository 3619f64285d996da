"""Where a network runs. Nothing falls back in silence: an absent device is an error."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from service.errors import InvalidInput, counted

if TYPE_CHECKING:
    import torch


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
