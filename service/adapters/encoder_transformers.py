"""Image (and text) networks through `transformers`, from a local folder.

PyTorch and transformers are imported when the first network is loaded: importing them takes seconds, and a command
that encodes nothing must not wait for that. Nothing here sets PyTorch's threads: OMP_NUM_THREADS does.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from service.adapters.encoder_devices import cpu_flags, describe_device, resolve_device
from service.adapters.encoder_fitting import padded
from service.adapters.encoder_forms import EAGER, FLOAT32, Pass, eager_forms, eager_pass, eager_passes, in_form, stacked
from service.adapters.encoder_loading import (
    import_frameworks,
    load_network,
    load_processor,
    load_tokenizer,
    processor_parameters,
)
from service.adapters.encoder_pooling import Network, projected, resolve_pooling
from service.adapters.encoder_running import Compiling, Improving, Running
from service.adapters.encoder_specification import Pooling, Views
from service.adapters.encoder_trials import Kept, fastest, key_of, measured, photographs, read_kept, write_kept
from service.adapters.encoder_views import passes_of, viewed
from service.adapters.encoder_workshop import Order
from service.adapters.weights_hash import weights_sha256
from service.core.model import Float32Array
from service.core.vectors import normalised
from service.errors import InvalidInput
from service.ports import Fit, FormTrial, PixelArray
from service.records import Fingerprint

# Larger batches are no faster on a CPU and take more memory.
_BATCH = {"cpu": 16, "mps": 32, "cuda": 64}
_TEXT_BATCH = 64
# Pictures, and timed passes, of the short measurement at the first start on a machine.
_QUICK_SAMPLES, _QUICK_ROUNDS = 8, 2
_SAMPLE_EDGE_PX = 256
# An edge that no picture has: nothing is reduced while decoding when the processor itself does not resize.
_NO_REDUCTION_PX = 1_000_000
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
            compiling: whether faster forms may be made in the background ("auto": for many pictures); CPU only.

        Raises:
            InvalidInput: the folder cannot be loaded, or the device, pooling or precision cannot be had.
        """
        if precision not in PRECISIONS:
            raise InvalidInput(f"precision {precision!r} is unknown: give one of {', '.join(PRECISIONS)}")
        weights = weights_sha256(folder)  # first: what is wrong with the files shows before seconds of imports
        import_frameworks()
        self._torch_device = resolve_device(device)
        self._device = describe_device(self._torch_device)
        self._folder = folder
        network = load_network(folder).to(self._torch_device)
        self._pooling = resolve_pooling(network, pooling)
        self._processor = load_processor(folder)
        self._parameters = processor_parameters(self._processor)
        has_text = self._pooling == "clip_projection" and hasattr(network, "get_text_features")
        self._tokenizer = load_tokenizer(folder) if has_text else None
        self._text_lock = threading.Lock()
        try:
            self._input_size = self._plain_sample().shape[1:]
            self._network, self._running = self._chosen(network, precision, weights, kept_in, compiling)
        except (ValueError, TypeError, RuntimeError) as error:
            raise InvalidInput(
                f"the network in {folder} fails on a picture from its image processor ({error}): use another encoder"
            ) from error
        self._passes = passes_of(views)
        self._embed = viewed(self._running, views, self._pooling)
        self._fingerprint = Fingerprint(
            weights_sha256=weights,
            pooling=self._pooling if views is None else f"{self._pooling}+{views}",
            processor=type(self._processor).__name__,
            processor_parameters=self._parameters,
            dimension=self._running.kept.dimension,
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
        size = self._parameters.get("size")
        if not self._parameters.get("do_resize") or not isinstance(size, dict):
            return _NO_REDUCTION_PX
        return max((int(edge) for edge in size.values() if edge), default=_NO_REDUCTION_PX)

    @property
    def encodes_text(self) -> bool:
        return self._tokenizer is not None

    def preprocess(self, pixels: PixelArray, fit: Fit = "own") -> Float32Array:
        """uint8 (h, w, 3) to float32 (3, H, W), by the folder's own image processor.

        With another fit than its own all pixels are resized, by the same processor, to the size that it would make of
        a square picture, and nothing is cut off; a border has its mean colour, which becomes 0.
        """
        otherwise: dict[str, Any] = {}
        if fit != "own":
            height, width = self._input_size
            if fit == "pad":
                pixels = padded(pixels, width, height, self._mean_colour())
            if self._parameters.get("do_resize"):
                otherwise["size"] = {"height": height, "width": width}
            if self._parameters.get("do_center_crop"):
                otherwise["do_center_crop"] = False
        # The channels' place is named because it would be guessed wrong for pictures three pixels high.
        made = self._processor(images=pixels, input_data_format="channels_last", return_tensors="np", **otherwise)
        return np.ascontiguousarray(made["pixel_values"][0], dtype=np.float32)

    def encode(self, inputs: Sequence[Float32Array]) -> Float32Array:
        """Preprocessed pictures to float32 (n, d), unit rows; their shapes may differ."""
        if not inputs:
            return np.zeros((0, self.fingerprint.dimension), dtype=np.float32)
        rows = [self._embed(stacked(batch)) for batch in self._batches(inputs)]
        return normalised(np.concatenate(rows))

    def encode_text(self, texts: Sequence[str]) -> Float32Array:
        """Texts to float32 (n, d), unit rows, in the pictures' space; what exceeds the network's length is cut off."""
        if self._tokenizer is None:
            raise InvalidInput(
                f"the encoder in {self._folder} cannot embed text ({len(texts)} given):"
                " use a CLIP encoder with its tokenizer, without '?pooling='"
            )
        if not texts:
            return np.zeros((0, self.fingerprint.dimension), dtype=np.float32)
        starts = range(0, len(texts), _TEXT_BATCH)
        return normalised(np.concatenate([self._encode_texts(list(texts[i : i + _TEXT_BATCH])) for i in starts]))

    def _encode_texts(self, texts: list[str]) -> Float32Array:
        import torch

        assert self._tokenizer is not None  # noqa: S101 - encode_text looked
        length = min(self._tokenizer.model_max_length, self._network.config.text_config.max_position_embeddings)
        # SigLIP was trained on texts of full length; CLIP's attention mask makes padding harmless.
        tokens = self._tokenizer(texts, padding="max_length", truncation=True, max_length=length, return_tensors="pt")
        with self._text_lock, torch.inference_mode():
            rows = projected(self._network.get_text_features(**tokens.to(self._torch_device)))
            array: Float32Array = rows.float().cpu().numpy()
            return array

    def _batches(self, inputs: Sequence[Float32Array]) -> Iterator[list[Float32Array]]:
        size = _BATCH[self._torch_device.type]
        for _, run in groupby(inputs, key=lambda each: each.shape):
            same = list(run)
            yield from (same[i : i + size] for i in range(0, len(same), size))

    def _mean_colour(self) -> list[int]:
        mean = self._parameters.get("image_mean") if self._parameters.get("do_normalize") else None
        shares = mean if isinstance(mean, list) and len(mean) == 3 else [0.5, 0.5, 0.5]
        return [min(255, max(0, round(255 * float(share)))) for share in shares]

    def _plain_sample(self) -> Float32Array:
        return self.preprocess(np.full((_SAMPLE_EDGE_PX, _SAMPLE_EDGE_PX, 3), 127, dtype=np.uint8))

    def _samples(self) -> Float32Array:
        return stacked([self.preprocess(piece) for piece in photographs()])

    def _chosen(
        self, network: Network, precision: str, weights: str, kept_in: Path | None, compiling: Compiling
    ) -> tuple[Network, Running]:
        """The network in its form, and how it runs; measured unless that was done here before."""
        import torch

        forms = eager_forms(self._torch_device, cpu_flags()) if precision == "auto" else (precision,)
        path = None
        if kept_in is not None and precision == "auto":
            key = key_of(weights, self._pooling, self._device, self._input_size, torch.get_num_threads())
            path = kept_in / f"{key}.json"
        kept = None if path is None else read_kept(path)
        if kept is None:
            kept = self._measured(network, forms if len(forms) > 1 else ())
            if path is not None:
                write_kept(path, kept)
        form = fastest(kept.trials, among=EAGER) if precision == "auto" else precision
        chosen = in_form(network, form)
        improving = None
        if path is not None and self._torch_device.type == "cpu" and compiling != "never":
            order = Order(
                folder=str(self._folder),
                pooling=self._pooling,
                precision="float32",
                forms=forms,
                samples="",
                kept=str(path),
                dimension=kept.dimension,
            )
            improving = Improving(order, self._samples, compiling)
        run = eager_pass(chosen, self._pooling, self._torch_device, form)
        return chosen, Running(run, form, kept, improving)

    def _measured(self, network: Network, forms: tuple[str, ...]) -> Kept:
        """The embeddings' width, and a short trial of the forms that PyTorch has ready."""
        exact = eager_pass(network, self._pooling, self._torch_device, FLOAT32)
        dimension = self._try_out(exact)
        if not forms:
            return Kept(dimension, ())
        passes = eager_passes(network, self._pooling, self._torch_device, forms)
        return Kept(dimension, measured(passes, self._samples()[::2][:_QUICK_SAMPLES], _QUICK_ROUNDS))

    def _try_out(self, run: Pass) -> int:
        """The embeddings' width. Networks that draw random numbers (masked autoencoders) are found out and refused."""
        sample = self._plain_sample()
        twice = run(stacked([sample, sample]))
        if float(twice[0] @ twice[1]) < 0.999:
            raise InvalidInput(
                f"the network in {self._folder} gives the same picture two embeddings"
                f" (cosine {float(twice[0] @ twice[1]):.3f}): it cannot serve as an encoder"
            )
        return int(twice.shape[1])
