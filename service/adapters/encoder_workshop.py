"""Makes and tries the forms of a network that take long to make, in a process of its own beside the service.

A network is compiled ahead of time (`torch.export`, AOTInductor) into one file with any number of pictures a pass, so
that nothing is ever compiled again: not for another batch, not in another process. ONNX Runtime and OpenVINO are tried
where they are installed, on one ONNX graph. All forms are measured in turn, and the table is kept with the versions.

The process is started by `encoder_background` at low priority: python -m service.adapters.encoder_workshop JSON
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np

from service.adapters.encoder_forms import (
    BFLOAT16,
    FLOAT32,
    Pass,
    Precision,
    eager_pass,
    eager_passes,
    in_form,
    precision_of,
)
from service.adapters.encoder_pooling import Network
from service.adapters.encoder_specification import Pooling
from service.adapters.encoder_traced import whole
from service.adapters.encoder_trials import Kept, measured, read_kept, write_kept
from service.core.model import Float32Array
from service.core.vectors import normalised
from service.ports import FormTrial

logger = logging.getLogger(__name__)

EAGER_ATTENTION = "float32 without SDPA"
ONNX = "float32 onnxruntime"
OPENVINO = "bfloat16 openvino"
COMPILED = {"float32": "float32 compiled", "bfloat16": "bfloat16 compiled"}
MOST_PICTURES = 64
"""Of a pass of a compiled network. A single one goes uncompiled: a network for one picture is another graph."""
NEEDS_COMPILER = "no C++ compiler (g++ or clang++) is installed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be made: a network, the precision that is compiled, and where results are kept.

    `samples` is a .npy file of real pictures, float32 (n, 3, h, w); `kept` the file of trials.
    """

    folder: str
    pooling: Pooling
    precision: Precision
    forms: tuple[str, ...]
    samples: str
    kept: str
    dimension: int

    def to_json(self) -> str:
        """For the command line of the process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Order:
        """Back again."""
        value = json.loads(text)
        return cls(**value | {"forms": tuple(value["forms"])})


def has_compiler() -> bool:
    """Whether a network can be compiled here."""
    return any(map(shutil.which, (os.environ.get("CXX", "g++"), "g++", "clang++")))


def made_file(kept: Path, form: str) -> Path:
    """Where a made form is: beside the trials."""
    return kept.with_suffix(f".{precision_of(form)}.pt2" if form in COMPILED.values() else ".onnx")


def load_made(kept: Path, form: str) -> Pass:
    """The pass of a form that was made before. Raises whatever its runtime raises where it cannot be loaded."""
    return _LOADERS[form](made_file(kept, form))


def work(order: Order) -> Kept:
    """Make every form that can be made here, try all of them in turn, keep the table."""
    import torch

    from service.adapters.encoder_loading import load_network

    kept = Path(order.kept)
    samples: Float32Array = np.load(order.samples, allow_pickle=False)
    network = load_network(Path(order.folder))
    device = torch.device("cpu")
    passes = dict(eager_passes(network, order.pooling, device, order.forms))
    notes: dict[str, str] = {}
    makers: dict[str, Callable[[], Pass]] = {
        EAGER_ATTENTION: lambda: _without_sdpa(order, device),
        COMPILED[order.precision]: lambda: _compiled(network, order, samples),
        ONNX: lambda: onnx_form(network, order, samples),
        OPENVINO: lambda: _openvino(network, order, samples),
    }
    for form, make in makers.items():
        try:
            passes[form] = make()
        except Exception as error:  # noqa: BLE001 -- whatever a compiler or a runtime raises is a line of the table
            notes[form] = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
    trials = (*measured(passes, samples), *(FormTrial(form=form, note=note) for form, note in notes.items()))
    result = replace(read_kept(kept) or Kept(order.dimension, ()), trials=trials, complete=True)
    write_kept(kept, result)
    return result


def _without_sdpa(order: Order, device: Any) -> Pass:  # noqa: ANN401 -- a torch.device, imported late
    from service.adapters.encoder_loading import load_network

    network = load_network(Path(order.folder))
    network.set_attn_implementation("eager")
    return eager_pass(network, order.pooling, device, FLOAT32)


def _compiled(network: Network, order: Order, samples: Float32Array) -> Pass:
    import torch
    from torch._inductor import aoti_compile_and_package

    if not has_compiler():
        raise RuntimeError(NEEDS_COMPILER)
    form = COMPILED[order.precision]
    path = made_file(Path(order.kept), form)
    unfinished = path.with_name(f".{os.getpid()}.{path.name}")
    precise = in_form(network, BFLOAT16 if order.precision == "bfloat16" else FLOAT32)
    example = torch.from_numpy(samples).to(precise.dtype)
    pictures = torch.export.Dim("pictures", min=2, max=MOST_PICTURES)
    with torch.no_grad():
        exported = torch.export.export(whole(precise, order.pooling), (example,), dynamic_shapes=({0: pictures},))
        aoti_compile_and_package(exported, package_path=str(unfinished), inductor_configs={"freezing": True})
    unfinished.replace(path)
    return load_made(Path(order.kept), form)


def _load_compiled(path: Path) -> Pass:
    import torch
    from torch._inductor import aoti_load_package

    package = aoti_load_package(str(path))
    dtype = torch.bfloat16 if f".{BFLOAT16}." in path.name else torch.float32

    def run(pictures: Float32Array) -> Float32Array:
        with torch.no_grad():
            rows = package(torch.from_numpy(pictures).to(dtype))
            return cast("Float32Array", torch.nn.functional.normalize(rows.float(), dim=1).numpy())

    return run


def _exported_onnx(network: Network, order: Order, samples: Float32Array) -> None:
    """The network as an ONNX graph with any number of pictures, unless it is there."""
    import torch

    path = made_file(Path(order.kept), ONNX)
    if path.is_file():
        return
    unfinished = path.with_name(f".{os.getpid()}.{path.name}")
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter without `onnxscript` is told to be the old one, and to trace
        torch.onnx.export(
            whole(network, order.pooling),
            (torch.from_numpy(samples[:2]),),
            str(unfinished),
            input_names=["pictures"],
            output_names=["rows"],
            dynamic_axes={"pictures": {0: "n"}, "rows": {0: "n"}},
            dynamo=False,
        )
    unfinished.replace(path)


def onnx_form(network: Network, order: Order, samples: Float32Array) -> Pass:
    """ONNX Runtime's pass, on the graph beside the trials. Raises RuntimeError where it is not installed."""
    _require("onnxruntime")
    _exported_onnx(network, order, samples)
    return load_made(Path(order.kept), ONNX)


def _load_onnx(path: Path) -> Pass:
    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(pictures: Float32Array) -> Float32Array:
        return normalised(np.asarray(session.run(["rows"], {"pictures": pictures})[0], dtype=np.float32))

    return run


def _openvino(network: Network, order: Order, samples: Float32Array) -> Pass:
    _require("openvino")
    _exported_onnx(network, order, samples)
    return load_made(Path(order.kept), OPENVINO)


def _load_openvino(path: Path) -> Pass:
    import openvino
    import torch

    hints = {"INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    compiled = openvino.Core().compile_model(str(path), "CPU", hints)

    def run(pictures: Float32Array) -> Float32Array:
        return normalised(np.asarray(compiled(pictures)[0], dtype=np.float32))

    return run


def _require(package: str) -> None:
    if find_spec(package) is None:
        raise RuntimeError(f"{package} is not installed")


_LOADERS: dict[str, Callable[[Path], Pass]] = {
    **dict.fromkeys(COMPILED.values(), _load_compiled),
    ONNX: _load_onnx,
    OPENVINO: _load_openvino,
}


if __name__ == "__main__":
    os.nice(10)  # who asks for answers goes first
    work(Order.from_json(sys.argv[1]))
