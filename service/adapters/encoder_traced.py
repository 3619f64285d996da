"""A network as the list of its operations, which runs without `transformers` and without the network's own code.

`torch.export` writes the operations down once; kept is one safetensors file, the tensors in the order in which they are
taken and, in its metadata, the operations as the Python that `torch.fx` makes of a graph. A later process needs PyTorch
alone: importing transformers takes it two seconds, and loading a program by `torch.export.load` 1.6 s, this 0.02 s.
The file is code: it lies in the data directory, as what was compiled does, and must be written by nobody else.
"""

from __future__ import annotations

import math
import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from service.adapters.encoder_forms import AUTOCAST, Pass, eager_pass, unit_rows
from service.adapters.encoder_pooling import Network, pooled
from service.adapters.encoder_specification import Pooling
from service.core.model import Float32Array

# Of one picture and of several: two runs of the same operations differ by no more.
_TOLERANCE = 1e-5


def traced_file(kept: Path, form: str) -> Path:
    """Where a network traced in an eager form is: beside the trials."""
    return kept.with_suffix(f".{form.replace(' ', '-')}.traced.safetensors")


def whole(network: Network, pooling: Pooling) -> Any:  # noqa: ANN401 -- a module; torch is imported late
    """Network and pooling as one module, which is what exporting takes."""
    import torch

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            return pooled(self.network, pooling, pictures)

    return Whole().eval()


def keep_traced(network: Network, pooling: Pooling, form: str, samples: Float32Array, path: Path) -> None:
    """Write the network's operations down, whole or not at all.

    Args:
        network: on the CPU, as `in_form` gave it.
        pooling: of its output.
        form: an eager one.
        samples: (n, 3, h, w), two pictures or more; only pictures of this size can go through what is kept.
        path: of the file.

    Raises:
        ValueError: it cannot be written as operations and tensors alone, or gives other rows than the network.
        Exception: whatever `torch.export` raises for a network that it cannot follow.
    """
    import torch
    from safetensors.torch import save_file

    example = torch.from_numpy(samples).to(network.dtype)
    with torch.no_grad():
        exported = torch.export.export(
            whole(network, pooling), (example,), dynamic_shapes=({0: torch.export.Dim("pictures", min=1)},)
        )
    graph = exported.graph_module.graph
    asserts = torch.ops.aten._assert_tensor_metadata.default  # noqa: SLF001 -- an operation's name
    for node in graph.find_nodes(op="call_function", target=asserts):
        graph.erase_node(node)  # under autocast types are others than the ones that were written down
    tensors = {f"{place:05}": one for place, one in enumerate(_tensors(exported))}
    code = {"forward": graph.python_code("self").src, "dtype": str(network.dtype).removeprefix("torch.")}
    unfinished = path.with_name(f".{os.getpid()}.{path.name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        save_file(tensors, unfinished, metadata=code)
        _check(load_traced(unfinished, form), eager_pass(network, pooling, torch.device("cpu"), form), samples)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def load_traced(path: Path, form: str) -> Pass:
    """The pass of a network that was kept in that form: as many pictures as one likes, of the samples' size.

    Raises whatever reading or running a damaged file raises.
    """
    import torch
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        code = file.metadata()
        tensors = [file.get_tensor(name) for name in sorted(file.keys())]
    names: dict[str, Any] = {"torch": torch, "device": torch.device, "inf": math.inf, "nan": math.nan}
    exec(compile(code["forward"], str(path), "exec"), names)  # noqa: S102 -- the file is ours, as what was compiled is
    forward, dtype = names["forward"], getattr(torch, code["dtype"])

    def run(pictures: Float32Array) -> Float32Array:
        mixed = torch.autocast("cpu", dtype=torch.bfloat16) if form == AUTOCAST else nullcontext()
        with torch.inference_mode(), mixed:
            (rows,) = forward(None, *tensors, torch.from_numpy(pictures).to(dtype))
            return unit_rows(rows)

    return run


def _tensors(exported: Any) -> list[Any]:  # noqa: ANN401 -- torch's, imported late
    """What the operations take before the pictures, in order, each with memory of its own."""
    from torch.export.graph_signature import InputKind

    held = {**exported.state_dict, **exported.constants}
    found = []
    for one in exported.graph_signature.input_specs[:-1]:
        if one.kind not in (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR):
            raise ValueError(f"the network takes {one.arg.name}, which is no tensor")
        found.append(held[one.target].detach().clone().contiguous())
    return found


def _check(run: Pass, exact: Pass, samples: Float32Array) -> None:
    for pictures in (samples[:1], samples):
        apart = float(np.abs(run(pictures) - exact(pictures)).max())
        if not apart <= _TOLERANCE:
            raise ValueError(f"what was traced gives other embeddings (by {apart:.2g}) for {len(pictures)} pictures")
