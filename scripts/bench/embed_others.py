"""What an ingest is compared with: other ways to run the same network, and what the processor's products allow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from service.adapters.encoder_forms import Pass
from service.adapters.encoder_loading import load_network
from service.adapters.encoder_pooling import pooled, resolve_pooling
from service.adapters.encoder_specification import parse_specification
from service.adapters.encoder_trials import photographs
from service.ports import Encoder

BATCH = 16
SQUARE = 2048
"""Rows and columns of the matrices whose product shows what the processor can do: larger ones are no faster."""


def plain_loop(folder: Path) -> Callable[[Sequence[Path]], None]:
    """Image processor and network of `transformers`, float32, SDPA, a batch after the other."""
    import torch
    from transformers import AutoImageProcessor, AutoModel

    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    network = AutoModel.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="sdpa", use_safetensors=True
    ).eval()

    def run(paths: Sequence[Path]) -> None:
        for start in range(0, len(paths), BATCH):
            pictures = [Image.open(path).convert("RGB") for path in paths[start : start + BATCH]]
            with torch.inference_mode():
                network(**processor(images=pictures, return_tensors="pt"))

    return run


def onnx_pass(folder: Path, specification: str, encoder: Encoder, scratch: Path) -> Pass:
    """ONNX Runtime's float32 pass on the encoder's weights, exported here; it sees one view of a picture."""
    from service.adapters.encoder_workshop import Order, onnx_form

    samples = np.stack([encoder.preprocess(one) for one in photographs()[:2]])
    network = load_network(folder)
    pooling = resolve_pooling(network, parse_specification(specification).pooling)
    order = Order(
        folder=str(folder), pooling=pooling, precision="float32", forms=(), samples="",
        kept=str(scratch / "onnx.json"), dimension=encoder.fingerprint.dimension,
    )  # fmt: skip
    return onnx_form(network, order, samples)


def product(precision: str) -> Callable[[int], object]:
    """A product of two large matrices in "float32" or "bfloat16"."""
    import torch

    one, other = (torch.randn(SQUARE, SQUARE).to(getattr(torch, precision)) for _ in range(2))
    return lambda _: one @ other


def product_operations() -> float:
    """Additions and multiplications of one such product."""
    return 2.0 * SQUARE**3


def picture_operations(folder: Path, specification: str, shape: Sequence[int]) -> float:
    """Additions and multiplications in the products of one picture's forward pass; `shape` is (3, h, w)."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    network = load_network(folder)
    network.set_attn_implementation("eager")  # whose products are counted; the fused one is not
    pooling = resolve_pooling(network, parse_specification(specification).pooling)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        pooled(network, pooling, torch.zeros(1, *shape))
    return float(counter.get_total_flops())
