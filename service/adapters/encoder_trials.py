"""Which form of a network is the fastest here: measured, judged by agreement with float32, and kept with the versions.

Measured is in turn (A B A B), so that what else the machine does meanwhile hits all forms alike; the median counts.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import re
import statistics
import time
import uuid
from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from service.adapters.encoder_forms import EAGER, FLOAT32, Pass
from service.adapters.encoder_specification import Pooling
from service.core.model import Float32Array
from service.ports import FormTrial, PixelArray

logger = logging.getLogger(__name__)

AGREEMENT = 0.999
"""Lowest cosine that a picture's embedding may have to its embedding in float32."""
GAIN = 1.05
"""float32 is left only for what is clearly faster: within the noise of so short a measurement the exact form stays."""
ROUNDS = 3
MADE_GAIN = 1.2
"""The same for what was compiled or is of another runtime: while it computes no other thread of the process runs."""
_RUNTIMES = ("torch", "transformers", "numpy", "pillow", "onnxruntime", "openvino")
# Own code that what is kept was made by: pooling and arithmetic stand in the operations.
_OWN = tuple(
    f"encoder_{name}.py"
    for name in ("forms", "loading", "operations", "pooling", "preprocessing", "start", "tensors", "traced", "trials")
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a later process would otherwise have to load a folder for.

    Attributes:
        pooling: the one in use, which the family chose where none was asked for.
        processor: name of the image processor's class.
        processor_parameters: what it does, as JSON values.
        encodes_text: there is a text tower, and a tokenizer.
        direct: pictures are prepared without the processor, to the same numbers (`encoder_preprocessing`).
    """

    pooling: Pooling
    processor: str
    processor_parameters: Mapping[str, Any]
    encodes_text: bool
    direct: bool


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of a network on this machine.

    Attributes:
        dimension: width of its embeddings.
        trials: what was measured, float32 first; empty where there is nothing to choose from.
        complete: the forms that take long to make (compiled, other runtimes) were tried, too.
        facts: of the folder; None where nothing but trials was kept.
    """

    dimension: int
    trials: tuple[FormTrial, ...]
    complete: bool = False
    facts: Facts | None = None


def measured(passes: Mapping[str, Pass], samples: Float32Array, rounds: int = ROUNDS) -> tuple[FormTrial, ...]:
    """A trial for each pass; the first is float32, which all others are compared with.

    Args:
        passes: by form, float32 first.
        samples: (n, 3, h, w), real pictures.
        rounds: timed passes of each form, after one that warms it up.
    """
    exact: Float32Array | None = None
    cosines: dict[str, float] = {}
    failed: dict[str, str] = {}
    for form, run in passes.items():
        try:
            rows = run(samples)
        except Exception as error:
            if exact is None:
                raise
            failed[form] = f"fails: {_first_line(error)}"
            continue
        exact = rows if exact is None else exact
        cosines[form] = float((rows * exact).sum(axis=1).min())
    seconds: dict[str, list[float]] = {form: [] for form in cosines}
    for _ in range(rounds):
        for form, times in seconds.items():
            started = time.perf_counter()
            passes[form](samples)
            times.append(time.perf_counter() - started)
    return tuple(
        FormTrial(form=form, note=failed[form])
        if form in failed
        else FormTrial(form=form, images_per_s=len(samples) / statistics.median(seconds[form]), agreement=cosines[form])
        for form in passes
    )


def fastest(trials: Sequence[FormTrial], among: Container[str] | None = None) -> str:
    """The form to run: the fastest that agrees with float32; float32 itself where none is clearly faster.

    What was compiled has to be clearly faster than what PyTorch has ready. `among` are the forms that may be taken; all
    where it is left out.
    """
    speeds = {
        one.form: one.images_per_s
        for one in trials
        if one.images_per_s is not None and (one.agreement or 0.0) >= AGREEMENT and (among is None or one.form in among)
    }
    if FLOAT32 not in speeds:
        return FLOAT32
    ready = _ahead({form: speed for form, speed in speeds.items() if form in EAGER}, FLOAT32, GAIN)
    return _ahead(speeds, ready, MADE_GAIN)


def _ahead(speeds: Mapping[str, float], plain: str, gain: float) -> str:
    best = max(speeds, key=speeds.__getitem__)
    return best if speeds[best] > gain * speeds[plain] else plain


def key_of(weights_sha256: str, configuration_sha256: str, pooling: str, device: str, threads: int) -> str:
    """Names what a measurement holds for: the network, the device, the processor, its threads and the versions.

    `pooling` is the one that was asked for, empty where the family chooses.
    """
    facts = {
        "weights": weights_sha256,
        "configuration": configuration_sha256,
        "pooling": pooling,
        "device": device,
        "threads": threads,
        "processor": processor_name(),
        "forms": EAGER,
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in _RUNTIMES},
        "code": [hashlib.sha256(Path(__file__).with_name(name).read_bytes()).hexdigest() for name in _OWN],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def read_kept(path: Path) -> Kept | None:
    """What was kept; None where nothing was, or what cannot be used (it is measured anew)."""
    try:
        return _kept(json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return None
    except Exception as error:  # noqa: BLE001 -- whatever a damaged file raises
        logger.warning("the measurement in %s cannot be used (%s) and is made anew", path, error)
        return None


def write_kept(path: Path, kept: Kept) -> None:
    """Keep it, whole or not at all. Where the folder cannot be written this is said, and it is measured each time."""
    write_whole(path, json.dumps(asdict(kept), indent=1) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all; where that cannot be done it is said."""
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(text, "utf-8")
        unfinished.replace(path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        logger.warning("%s cannot be kept (%s), so every process makes it anew", path, error)


def processor_name() -> str:
    """As Linux tells it; the machine's architecture elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", errors="replace")
    except OSError:
        return platform.machine()
    names = re.search(r"^model name\s*:\s*(.*)$", text, re.MULTILINE)
    flags = re.search(r"^flags\s*:\s*(.*)$", text, re.MULTILINE)
    told = hashlib.sha256(flags[1].encode()).hexdigest()[:8] if flags else ""
    return f"{names[1] if names else platform.machine()} {told} {os.cpu_count()}"


def photographs() -> list[PixelArray]:
    """Sixteen pieces of two photographs that scikit-learn carries, uint8 (h, w, 3): pictures, where noise is none."""
    from sklearn.datasets import load_sample_images

    pieces: list[PixelArray] = []
    for picture in load_sample_images().images:
        rows = np.array_split(np.asarray(picture, dtype=np.uint8), 2, axis=0)
        pieces.extend(piece for row in rows for piece in np.array_split(row, 4, axis=1))
    return pieces


def _kept(value: Mapping[str, Any]) -> Kept:
    trials = tuple(FormTrial(**one) for one in value["trials"])
    for one in trials:
        float(one.images_per_s or 0.0), float(one.agreement or 0.0)
    facts = None if value["facts"] is None else Facts(**value["facts"])
    return Kept(int(value["dimension"]), trials, complete=bool(value["complete"]), facts=facts)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
