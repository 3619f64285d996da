"""Words through the text tower of a CLIP-like network, into the space of its pictures."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from service.adapters.encoder_pooling import Network, projected
from service.core.model import Float32Array
from service.core.vectors import normalised

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_BATCH = 64


class TextTower:
    """Callable: texts to float32 (n, d), unit rows; what exceeds the network's length is cut off. Thread-safe."""

    def __init__(self, load: Callable[[], tuple[Network, PreTrainedTokenizerBase]]) -> None:
        """`load` gives network and tokenizer when the first text comes: most processes encode pictures alone."""
        self._load = load
        self._loaded: tuple[Network, PreTrainedTokenizerBase] | None = None
        self._lock = threading.Lock()

    def __call__(self, texts: Sequence[str]) -> Float32Array:
        """One text or more."""
        with self._lock:
            if self._loaded is None:
                self._loaded = self._load()
            network, tokenizer = self._loaded
            starts = range(0, len(texts), _BATCH)
            return normalised(np.concatenate([_rows(network, tokenizer, texts[i : i + _BATCH]) for i in starts]))


def _rows(network: Network, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> Float32Array:
    import torch

    length = min(tokenizer.model_max_length, network.config.text_config.max_position_embeddings)
    # SigLIP was trained on texts of full length; CLIP's attention mask makes padding harmless.
    tokens = tokenizer(list(texts), padding="max_length", truncation=True, max_length=length, return_tensors="pt")
    with torch.inference_mode():
        rows = projected(network.get_text_features(**tokens.to(network.device)))
        array: Float32Array = rows.float().cpu().numpy()
        return array
