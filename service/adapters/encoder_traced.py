"""A network as the list of its operations, which runs without `transformers` and without the network's own code.

`torch.export` writes the operations down once; kept are their names and arguments as JSON, and for each tensor its name
in the folder's weights, whose hash is the fingerprint's: no tensor is kept. A later process carries the operations out
one after the other, those of PyTorch's `aten` and a few of Python's on numbers; nothing else can stand in the file.
Importing transformers takes two seconds, loading a program by `torch.export.load` 1.6 s, this 0.1 s.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from service.adapters.encoder_forms import AUTOCAST, Pass, eager_pass, unit_rows
from service.adapters.encoder_operations import filled, of_torch, operation_name, steps_of, writes, written
from service.adapters.encoder_pooling import Network, pooled
from service.adapters.encoder_specification import Pooling
from service.adapters.encoder_tensors import in_folder, named_in_folder
from service.adapters.encoder_trials import write_whole
from service.core.model import Float32Array

if TYPE_CHECKING:
    import torch

# Two runs of the same operations differ by no more.
_TOLERANCE = 1e-5
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Traced:
    """What a file holds: `program`, JSON values, or why there is none, `cannot`.

    The program's `expected` is the row of the first picture that it was made with.
    """

    program: Mapping[str, Any] | None = None
    cannot: str = ""


def traced_file(kept: Path, form: str) -> Path:
    """Where the operations of a network in an eager form are: beside the trials."""
    return kept.with_suffix(f".{form.replace(' ', '-')}.operations.json")


def read_traced(path: Path) -> Traced | None:
    """What was kept; None where nothing was, or what cannot be read (it is made anew)."""
    try:
        value = json.loads(path.read_text("utf-8"))
        found = Traced(value["program"], value["cannot"])
    except FileNotFoundError:
        return None
    except Exception as error:  # noqa: BLE001 -- whatever a damaged file raises
        logger.warning("the network kept in %s cannot be read (%s)", path, error)
        return None
    return found if found.cannot or found.program is not None else None


def keep_traced(network: Network, pooling: Pooling, form: str, folder: Path, samples: Float32Array, path: Path) -> None:
    """Write the network's operations down, or why that cannot be done; whole or not at all.

    Args:
        network: on the CPU, as `in_form` gave it.
        pooling: of its output.
        form: an eager one.
        folder: that it was loaded from.
        samples: (n, 3, h, w), two pictures or more; only pictures of this size can go through what is kept.
        path: of the file.
    """
    try:
        text = json.dumps(asdict(Traced(_program(network, pooling, form, folder, samples))))
    except (OSError, MemoryError) as error:  # may go another time
        logger.warning("the network of %s is not kept (%s)", folder, error)
        return
    except Exception as error:  # noqa: BLE001 -- torch.export raises errors of many kinds
        lines = str(error).strip().splitlines()
        cannot = lines[0][:200] if lines else type(error).__name__
        logger.info("each process loads %s anew, for it cannot be kept (%s)", folder, cannot)
        text = json.dumps(asdict(Traced(cannot=cannot)))
    write_whole(path, text)


def traced_pass(program: Mapping[str, Any], form: str, folder: Path) -> Pass:
    """The pass of a program on the folder's tensors: as many pictures as one likes, of the samples' size.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: what was kept is no such program, or of another folder.
    """
    import torch

    dtype, shape = of_torch("dtype", program["dtype"]), tuple(program["input"])
    tensors = in_folder(folder, program["tensors"], dtype)
    output = int(program["output"])
    steps = steps_of(program["steps"], len(tensors) + 1, output)

    def run(pictures: Float32Array) -> Float32Array:
        if pictures.shape[1:] != shape:
            raise ValueError(f"pictures of {pictures.shape[1:]} go through a network that was kept for {shape}")
        mixed = torch.autocast("cpu", dtype=torch.bfloat16) if form == AUTOCAST else nullcontext()
        with torch.inference_mode(), mixed:
            results: list[Any] = [*tensors, torch.from_numpy(pictures).to(dtype)]
            for step in steps:
                results.append(step.run(*filled(step.arguments, results), **filled(step.options, results)))
                for place in step.last_use_of:
                    results[place] = None  # as much memory as the network itself takes
            return unit_rows(results[output])

    return run


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


def _program(network: Network, pooling: Pooling, form: str, folder: Path, samples: Float32Array) -> dict[str, Any]:
    """As JSON values. Raises ValueError for what cannot be written so, or gives other rows than the network."""
    import torch

    example = torch.from_numpy(samples).to(network.dtype)
    with torch.no_grad():
        exported = torch.export.export(
            whole(network, pooling), (example,), dynamic_shapes=({0: torch.export.Dim("pictures", min=1)},)
        )
    if any(node.op == "call_function" and writes(node.target) for node in exported.graph_module.graph.nodes):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch of itself
            exported = exported.run_decompositions({})  # operations in place become those that write to nothing
    graph = exported.graph_module.graph
    asserts = torch.ops.aten._assert_tensor_metadata.default  # noqa: SLF001 -- an operation's name
    for node in graph.find_nodes(op="call_function", target=asserts):
        graph.erase_node(node)  # under autocast types are others than the ones that were written down
    tensors = _tensors(exported)
    *_, pictures = graph.find_nodes(op="placeholder")
    (output,) = graph.output_node().args[0]
    places = {node: place for place, node in enumerate([*tensors, pictures])}
    steps = []
    for node in graph.nodes:
        if node.op == "call_function":
            places[node] = len(places)
            steps.append([operation_name(node.target), written(node.args, places), written(node.kwargs, places)])
    program = {
        "input": list(samples.shape[1:]),
        "dtype": str(network.dtype).removeprefix("torch."),
        "tensors": named_in_folder(folder, list(tensors.values()), network.dtype),
        "steps": steps,
        "output": places[output],
    }
    exact = eager_pass(network, pooling, torch.device("cpu"), form)
    _check(traced_pass(program, form, folder), exact, samples)
    return {**program, "expected": exact(samples[:1])[0].tolist()}


def _tensors(exported: Any) -> dict[Any, torch.Tensor]:  # noqa: ANN401 -- torch's, imported late
    """What the operations take beside the pictures, by the graph's node; what they do not look at is left out."""
    from torch.export.graph_signature import InputKind

    held = {**exported.state_dict, **exported.constants}
    nodes = {node.name: node for node in exported.graph_module.graph.find_nodes(op="placeholder")}
    found = {}
    for one in exported.graph_signature.input_specs[:-1]:
        if one.kind not in (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR):
            raise ValueError(f"the network takes {one.arg.name}, which is no tensor")
        if nodes[one.arg.name].users:
            found[nodes[one.arg.name]] = held[one.target].detach()
    return found


def _check(run: Pass, exact: Pass, samples: Float32Array) -> None:
    for pictures in (samples[:1], samples):
        apart = float(np.abs(run(pictures) - exact(pictures)).max())
        if not apart <= _TOLERANCE:
            raise ValueError(f"what was traced gives other embeddings (by {apart:.2g}) for {len(pictures)} pictures")
