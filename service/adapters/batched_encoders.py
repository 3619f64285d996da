"""An EncoderProvider whose encoders share forward passes between concurrent calls: micro-batching.

A picture's embedding does not depend on what it shares a pass with, up to rounding: a BLAS sums in another order for
another batch size. In float32 the components agree within 1e-5; bit for bit is not promised.

Calls go to one of two views: the provider's own, for who waits for an answer, and `bulk()`, for work that can wait.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from service.adapters.shared_passes import Kind, SharedPasses
from service.core.model import Float32Array
from service.ports import Encoder, EncoderProvider, Fit, FormTrial, PixelArray
from service.records import Fingerprint

LARGEST_CPU, LARGEST = 16, 64
"""Inputs a pass. On a CPU larger batches are no faster, and the first of them would wait for the last."""
LARGEST_BULK_CPU, LARGEST_BULK = 4, 32
"""Of work that can wait: who asks meanwhile waits for one such pass."""


class BatchedEncoders:
    """Another provider, whose encoders may be called from many threads at once for the price of few passes."""

    def __init__(self, encoders: EncoderProvider) -> None:
        self._encoders = encoders
        self._passes: dict[Encoder, SharedPasses] = {}
        self._lock = threading.Lock()
        self._closed = False

    def check(self, specification: str) -> None:
        self._encoders.check(specification)

    def load(self, specification: str) -> Encoder:
        return self._view(specification, bulk=False)

    def bulk(self) -> EncoderProvider:
        """The same encoders for work that can wait: it gives way to calls through this provider."""
        return _Bulk(self)

    def close(self) -> None:
        """Calls that wait, and later ones, raise Unavailable."""
        with self._lock:
            self._closed = True
            passes = list(self._passes.values())
        for one in passes:
            one.close()

    def _view(self, specification: str, *, bulk: bool) -> Encoder:
        encoder = self._encoders.load(specification)
        with self._lock:
            if encoder not in self._passes:
                self._passes[encoder] = _passes_of(encoder)
                if self._closed:
                    self._passes[encoder].close()
            return _BatchedEncoder(encoder, self._passes[encoder], bulk=bulk)


class _Bulk:
    """The view of a provider whose encoders' calls can wait."""

    def __init__(self, encoders: BatchedEncoders) -> None:
        self._encoders = encoders

    def check(self, specification: str) -> None:
        self._encoders.check(specification)

    def load(self, specification: str) -> Encoder:
        return self._encoders._view(specification, bulk=True)  # noqa: SLF001 -- a part of it


class _BatchedEncoder:
    """`ports.Encoder`: another one, with shared passes."""

    def __init__(self, encoder: Encoder, passes: SharedPasses, *, bulk: bool) -> None:
        self._encoder = encoder
        self._passes = passes
        self._bulk = bulk

    @property
    def fingerprint(self) -> Fingerprint:
        return self._encoder.fingerprint

    @property
    def device(self) -> str:
        return self._encoder.device

    @property
    def precision(self) -> str:
        return self._encoder.precision

    @property
    def form(self) -> str:
        return self._encoder.form

    @property
    def trials(self) -> Sequence[FormTrial]:
        return self._encoder.trials

    def expect(self, pictures: int) -> None:
        self._encoder.expect(pictures)

    @property
    def shortest_edge_px(self) -> int:
        return self._encoder.shortest_edge_px

    @property
    def encodes_text(self) -> bool:
        return self._encoder.encodes_text

    def preprocess(self, pixels: PixelArray, fit: Fit = "own") -> Float32Array:
        return self._encoder.preprocess(pixels, fit)

    def encode(self, inputs: Sequence[Float32Array]) -> Float32Array:
        if not inputs:
            return self._encoder.encode(inputs)
        return self._passes.ask("pictures", inputs, bulk=self._bulk)

    def encode_text(self, texts: Sequence[str]) -> Float32Array:
        if not texts or not self._encoder.encodes_text:
            return self._encoder.encode_text(texts)
        return self._passes.ask("texts", texts, bulk=self._bulk)


def _passes_of(encoder: Encoder) -> SharedPasses:
    def run(kind: Kind, inputs: Sequence[Any]) -> Float32Array:
        return encoder.encode(inputs) if kind == "pictures" else encoder.encode_text(inputs)

    on_cpu = encoder.device.startswith("cpu")
    return SharedPasses(
        run,
        largest=LARGEST_CPU if on_cpu else LARGEST,
        largest_bulk=LARGEST_BULK_CPU if on_cpu else LARGEST_BULK,
    )
