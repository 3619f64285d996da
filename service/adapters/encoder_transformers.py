"""Image (and text) networks through `transformers`, from a local folder.

PyTorch and transformers are imported when the first network is loaded: importing them takes seconds, and a command
that encodes nothing must not wait for that. Nothing here sets PyTorch's threads: OMP_NUM_THREADS does.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from service.adapters.encoder_devices import cpu_flags, describe_device, in_precision, resolve_device
from service.adapters.encoder_fitting import padded
from service.adapters.encoder_loading import load_network, load_processor, load_tokenizer, processor_parameters
from service.adapters.encoder_pooling import Network, pooled, projected, resolve_pooling
from service.adapters.encoder_specification import Pooling
from service.adapters.weights_hash import weights_sha256
from service.core.model import Float32Array
from service.core.vectors import normalised
from service.errors import InvalidInput
from service.ports import Fit, PixelArray
from service.records import Fingerprint

if TYPE_CHECKING:
    import torch

# Larger batches are no faster on a CPU and take more memory.
_BATCH = {"cpu": 16, "mps": 32, "cuda": 64}
_TEXT_BATCH = 64
_SAMPLES = 8
_SAMPLE_EDGE_PX = 256
# An edge that no picture has: nothing is reduced while decoding when the processor itself does not resize.
_NO_REDUCTION_PX = 1_000_000


class TransformersEncoder:
    """`ports.Encoder` on a `transformers` folder. Thread-safe: preprocessing side by side, forward passes in turn."""

    def __init__(
        self, folder: Path, *, pooling: Pooling | None = None, device: str = "auto", precision: str = "auto"
    ) -> None:
        """Load the network and try it out on a generated picture.

        Args:
            folder: config.json, preprocessor_config.json, *.safetensors, for text also a tokenizer.
            pooling: None for the family's own.
            device: "auto", "cpu", "mps", "cuda", "cuda:N".
            precision: "auto", "float32", "bfloat16".

        Raises:
            InvalidInput: the folder cannot be loaded, or the device, pooling or precision cannot be had.
        """
        weights = weights_sha256(folder)  # first: what is wrong with the files shows before seconds of imports
        self._torch_device = resolve_device(device)
        self._device = describe_device(self._torch_device)
        self._folder = folder
        self._lock = threading.Lock()
        network = load_network(folder).to(self._torch_device)
        self._pooling = resolve_pooling(network, pooling)
        self._processor = load_processor(folder)
        self._parameters = processor_parameters(self._processor)
        has_text = self._pooling == "clip_projection" and hasattr(network, "get_text_features")
        self._tokenizer = load_tokenizer(folder) if has_text else None
        try:
            samples = self._samples()
            self._input_size = samples[0].shape[1:]
            self._network, self._precision = in_precision(
                network,
                self._torch_device,
                precision,
                lambda candidate: self._forward(candidate, samples),
                cpu_flags(),
            )
            dimension = self._try_out(samples[0])
        except (ValueError, TypeError, RuntimeError) as error:
            raise InvalidInput(
                f"the network in {folder} fails on a picture from its image processor ({error}): use another encoder"
            ) from error
        self._fingerprint = Fingerprint(
            weights_sha256=weights,
            pooling=self._pooling,
            processor=type(self._processor).__name__,
            processor_parameters=self._parameters,
            dimension=dimension,
        )

    @property
    def fingerprint(self) -> Fingerprint:
        return self._fingerprint

    @property
    def device(self) -> str:
        return self._device

    @property
    def precision(self) -> str:
        return self._precision

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
        rows = [self._numpy(self._forward(self._network, batch)) for batch in self._batches(inputs)]
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
        with self._lock, torch.inference_mode():
            return self._numpy(projected(self._network.get_text_features(**tokens.to(self._torch_device))))

    def _batches(self, inputs: Sequence[Float32Array]) -> Iterator[list[Float32Array]]:
        size = _BATCH[self._torch_device.type]
        for _, run in groupby(inputs, key=lambda each: each.shape):
            same = list(run)
            yield from (same[i : i + size] for i in range(0, len(same), size))

    def _forward(self, network: Network, batch: Sequence[Float32Array]) -> torch.Tensor:
        """float32 (n, d), unit rows. One pass at a time: two would only take each other's cores and memory."""
        import torch

        with self._lock, torch.inference_mode():
            pixel_values = torch.from_numpy(np.stack(batch)).to(self._torch_device, network.dtype)
            return torch.nn.functional.normalize(pooled(network, self._pooling, pixel_values).float(), dim=1)

    def _numpy(self, rows: torch.Tensor) -> Float32Array:
        array: Float32Array = rows.float().cpu().numpy()
        return array

    def _mean_colour(self) -> list[int]:
        mean = self._parameters.get("image_mean") if self._parameters.get("do_normalize") else None
        shares = mean if isinstance(mean, list) and len(mean) == 3 else [0.5, 0.5, 0.5]
        return [min(255, max(0, round(255 * float(share)))) for share in shares]

    def _samples(self) -> list[Float32Array]:
        noise = np.random.default_rng(0)
        shape = (_SAMPLE_EDGE_PX, _SAMPLE_EDGE_PX, 3)
        return [self.preprocess(noise.integers(0, 256, shape, dtype=np.uint8)) for _ in range(_SAMPLES)]

    def _try_out(self, sample: Float32Array) -> int:
        """The embeddings' width. Networks that draw random numbers (masked autoencoders) are found out and refused."""
        twice = normalised(self._numpy(self._forward(self._network, [sample, sample])))
        if float(twice[0] @ twice[1]) < 0.999:
            raise InvalidInput(
                f"the network in {self._folder} gives the same picture two embeddings"
                f" (cosine {float(twice[0] @ twice[1]):.3f}): it cannot serve as an encoder"
            )
        return int(twice.shape[1])
