"""Loads what a `transformers` folder holds, in silence, or says in a sentence what is wrong with it.

PyTorch and transformers are imported inside the functions, since that takes seconds.
"""

from __future__ import annotations

import gc
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.adapters.encoder_pooling import Network
from service.errors import HolotypeError, InvalidInput

if TYPE_CHECKING:
    from transformers import BaseImageProcessor, PreTrainedTokenizerBase

_TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "vocab.txt", "spiece.model")
_CONFIGURATION_FILES = (
    *("config.json", "preprocessor_config.json", "processor_config.json", "image_processor_config.json"),
    *("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "merges.txt", *_TOKENIZER_FILES),
)
# Weights that a checkpoint may lack because nothing here reads them; any other missing one would be random numbers.
_UNUSED_WEIGHTS = ("pooler.", "embeddings.mask_token")
# Keys of a processor's dictionary that say who wrote it, not what it does.
_BOOKKEEPING = frozenset(
    {"image_processor_type", "feature_extractor_type", "processor_class", "name_or_path", "auto_map"}
)


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """For imports of PyTorch and transformers: the collector rests, since millions of objects come that stay.

    It takes a sixth less time, and later each full pass of the collector passes over them instead of holding up who
    waits for an answer.
    """
    rested = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if rested:
            gc.enable()


def load_network(folder: Path) -> Network:
    """The network in float32 on the CPU, in evaluation mode, with SDPA attention where the family has it.

    Only safetensors weights; code that a repository brings along is never run.
    Raises InvalidInput when the folder cannot be loaded or lacks weights.
    """
    with collector_at_rest():
        import torch
        from transformers import AutoModel, modeling_utils  # noqa: F401 -- the second is what takes the time

    silence()
    with _explained(folder, "network"):
        network, report = AutoModel.from_pretrained(
            folder,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
    missing = sorted(name for name in report["missing_keys"] if not name.startswith(_UNUSED_WEIGHTS))
    if missing:
        raise InvalidInput(
            f"the weights in {folder} lack {len(missing)} tensors of a {network.config.model_type!r} network,"
            f" e.g. {missing[0]}: they belong to another kind of network"
        )
    return network.eval().requires_grad_(requires_grad=False)


def load_processor(folder: Path) -> BaseImageProcessor:
    """The image processor with its Pillow backend, which needs no torchvision and gives the same pixels everywhere.

    Raises InvalidInput when there is none.
    """
    from transformers import AutoImageProcessor

    silence()
    with _explained(folder, "image processor"):
        processor: BaseImageProcessor = AutoImageProcessor.from_pretrained(  # type: ignore[no-untyped-call]
            folder, backend="pil", trust_remote_code=False, local_files_only=True
        )
    return processor


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase | None:
    """The tokenizer, None when the folder has none. Raises InvalidInput when it has one that cannot be loaded."""
    if not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        return None
    from transformers import AutoTokenizer

    silence()
    with _explained(folder, "tokenizer"):
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
    return tokenizer


def configuration_sha256(folder: Path) -> str:
    """64 hex digits over the files of a folder that are no weights and say what loading it gives.

    With the weights' hash it names all that an encoder depends on. Raises InvalidInput when one cannot be read.
    """
    whole = hashlib.sha256()
    try:
        for name in _CONFIGURATION_FILES:
            path = folder / name
            if path.is_file():
                whole.update(json.dumps([name, hashlib.sha256(path.read_bytes()).hexdigest()]).encode())
    except OSError as error:
        raise InvalidInput(f"{folder} cannot be read ({error}): copy the encoder's folder again") from error
    return whole.hexdigest()


def processor_parameters(processor: BaseImageProcessor) -> dict[str, Any]:
    """What a processor does, as JSON values.

    Parameters that are None are left out: one that a later transformers release adds, unused, changes no fingerprint.
    """
    plain = json.loads(json.dumps(processor.to_dict(), default=str))
    return {
        name: value
        for name, value in sorted(plain.items())
        if value is not None and name not in _BOOKKEEPING and not name.startswith("_")
    }


def silence() -> None:
    """Keep transformers' progress bars and notes off the terminal: standard error has our own progress bars."""
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]


@contextmanager
def _explained(folder: Path, what: str) -> Iterator[None]:
    try:
        yield
    except (HolotypeError, MemoryError):
        raise
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise InvalidInput(
            f"the {what} in {folder} cannot be loaded ({reason[0] if reason else type(error).__name__}):"
            " give a folder that transformers can load"
        ) from error
