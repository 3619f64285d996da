"""Image (and text) networks through `transformers`, from a local folder.

PyTorch and transformers are imported when the first network is loaded: importing them takes seconds, and a command
that encodes nothing must not wait for that. Nothing here sets PyTorch's threads: OMP_NUM_THREADS does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np

from service.adapters.encoder_devices import cpu_flags, describe_device, resolve_device
from service.adapters.encoder_forms import eager_forms, stacked
from service.adapters.encoder_loading import collector_at_rest
from service.adapters.encoder_running import Compiling, Improving, Running
from service.adapters.encoder_specification import Pooling, Views
from service.adapters.encoder_start import Start, identity_of, samples, start_from_folder, start_from_kept
from service.adapters.encoder_trials import key_of, read_kept
from service.adapters.encoder_views import passes_of, viewed
from service.adapters.encoder_workshop import Order, has_compiler
from service.core.model import Float32Array
from service.core.vectors import normalised
from service.errors import InvalidInput
from service.ports import Fit, FormTrial, PixelArray
from service.records import Fingerprint

# Larger batches are no faster on a CPU and take more memory.
_BATCH = {"cpu": 16, "mps": 32, "cuda": 64}
MATRIX_UNIT = "amx_bf16"
PRECISIONS = ("auto", "float32", "bfloat16")


class TransformersEncoder:
    """`ports.Encoder` on a `transformers` folder. Thread-safe: preprocessing side by side, forward passes in turn."""

    def __init__(
        self,
        folder: Path,
        *,
        pooling: Pooling | None = None,
        views: Views | None = None,
        device: str = "auto",
        precision: str = "auto",
        kept_in: Path | None = None,
        compiling: Compiling = "never",
    ) -> None:
        """Load the network, in the form that is the fastest here.

        Args:
            folder: config.json, preprocessor_config.json, *.safetensors, for text also a tokenizer.
            pooling: None for the family's own.
            views: "mirror" for embeddings of pictures and their mirror images, None for pictures alone.
            device: "auto", "cpu", "mps", "cuda", "cuda:N".
            precision: "float32", "bfloat16", or "auto": whatever is fastest and agrees with float32.
            kept_in: folder where measurements and compiled networks are kept; None measures each time.
            compiling: whether faster forms may be made in the background; CPU only. "auto": for many pictures, and
                where the processor has a matrix unit that PyTorch alone leaves half idle.

        Raises:
            InvalidInput: the folder cannot be loaded, or the device, pooling or precision cannot be had.
        """
        if precision not in PRECISIONS:
            raise InvalidInput(f"precision {precision!r} is unknown: give one of {', '.join(PRECISIONS)}")
        identity = identity_of(folder)  # first: what is wrong with the files shows before seconds of imports
        with collector_at_rest():
            import torch
        self._torch_device = resolve_device(device)
        self._device = describe_device(self._torch_device)
        self._folder = folder
        path = known = start = None
        if kept_in is not None and precision == "auto":
            facts = (identity.weights_sha256, identity.configuration_sha256, pooling or "", self._device)
            path = kept_in / f"{key_of(*facts, torch.get_num_threads())}.json"
            known = read_kept(path)
            if self._torch_device.type == "cpu":
                start = start_from_kept(folder, path, known, identity)
        start = start or start_from_folder(folder, pooling, self._torch_device, precision, path, known)
        self._preprocessing, self._words = start.preprocessing, start.words
        self._running = Running(start.run, start.form, start.kept, self._improving(start, path, compiling))
        self._passes = passes_of(views)
        self._embed = viewed(self._running, views, start.facts.pooling)
        self._fingerprint = Fingerprint(
            weights_sha256=identity.weights_sha256,
            pooling=start.facts.pooling if views is None else f"{start.facts.pooling}+{views}",
            processor=start.facts.processor,
            processor_parameters=start.facts.processor_parameters,
            dimension=start.kept.dimension,
        )
        if compiling == "always":
            self.expect(0)

    @property
    def fingerprint(self) -> Fingerprint:
        return self._fingerprint

    @property
    def device(self) -> str:
        return self._device

    @property
    def precision(self) -> str:
        return self._running.precision

    @property
    def form(self) -> str:
        return self._running.form

    @property
    def trials(self) -> Sequence[FormTrial]:
        kept = self._running.kept.trials  # of single passes
        return [replace(one, images_per_s=one.images_per_s and one.images_per_s / self._passes) for one in kept]

    def expect(self, pictures: int) -> None:
        self._running.expect(pictures * self._passes)

    def join(self, timeout_s: float | None = None) -> None:
        """Wait for the faster form that `expect` began to make or load."""
        self._running.join(timeout_s)

    @property
    def shortest_edge_px(self) -> int:
        return self._preprocessing.shortest_edge_px

    @property
    def encodes_text(self) -> bool:
        return self._words is not None

    def preprocess(self, pixels: PixelArray, fit: Fit = "own") -> Float32Array:
        """uint8 (h, w, 3) to float32 (3, H, W), as the folder's own image processor does it (`Preprocessing`)."""
        return self._preprocessing(pixels, fit)

    def encode(self, inputs: Sequence[Float32Array]) -> Float32Array:
        """Preprocessed pictures to float32 (n, d), unit rows; their shapes may differ."""
        if not inputs:
            return np.zeros((0, self.fingerprint.dimension), dtype=np.float32)
        rows = [self._embed(stacked(batch)) for batch in self._batches(inputs)]
        return normalised(np.concatenate(rows))

    def encode_text(self, texts: Sequence[str]) -> Float32Array:
        """Texts to float32 (n, d), unit rows, in the pictures' space; what exceeds the network's length is cut off."""
        if self._words is None:
            raise InvalidInput(
                f"the encoder in {self._folder} cannot embed text ({len(texts)} given):"
                " use a CLIP encoder with its tokenizer, without '?pooling='"
            )
        return self._words(texts) if texts else np.zeros((0, self.fingerprint.dimension), dtype=np.float32)

    def _batches(self, inputs: Sequence[Float32Array]) -> Iterator[list[Float32Array]]:
        size = _BATCH[self._torch_device.type]
        for _, run in groupby(inputs, key=lambda each: each.shape):
            same = list(run)
            yield from (same[i : i + size] for i in range(0, len(same), size))

    def _improving(self, start: Start, path: Path | None, compiling: Compiling) -> Improving | None:
        """What a faster form takes to be made; None where none is."""
        if path is None or self._torch_device.type != "cpu" or compiling == "never":
            return None
        if compiling == "auto" and not (MATRIX_UNIT in cpu_flags() and has_compiler()):
            return None
        order = Order(
            folder=str(self._folder),
            pooling=start.facts.pooling,
            precision="float32",
            forms=eager_forms(self._torch_device, cpu_flags()),
            samples="",
            kept=str(path),
            dimension=start.kept.dimension,
        )
        return Improving(order, lambda: samples(start.preprocessing), compiling)
