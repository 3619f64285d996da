"""What an encoder begins with: loaded by `transformers` and tried out, or what an earlier process has kept of that.

The first process on a machine loads the folder, measures the forms that PyTorch has ready and keeps what it found: the
trials, facts of the folder, and the network as a list of its operations. Later ones need neither the folder's code nor
`transformers`, of whose import nearly all of their start would consist.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from service.adapters.encoder_devices import cpu_flags
from service.adapters.encoder_forms import (
    EAGER,
    FLOAT32,
    Pass,
    eager_forms,
    eager_pass,
    eager_passes,
    in_form,
    stacked,
)
from service.adapters.encoder_loading import (
    configuration_sha256,
    load_network,
    load_processor,
    load_tokenizer,
    processor_parameters,
)
from service.adapters.encoder_pooling import Network, resolve_pooling
from service.adapters.encoder_preprocessing import Preprocessing, by_processor, direct, direct_if_same, one_size
from service.adapters.encoder_specification import Pooling
from service.adapters.encoder_text import TextTower
from service.adapters.encoder_traced import keep_traced, read_traced, traced_file, traced_pass
from service.adapters.encoder_trials import Facts, Kept, fastest, measured, photographs, write_kept
from service.adapters.weights_hash import weights_sha256
from service.core.model import Float32Array
from service.errors import InvalidInput

if TYPE_CHECKING:
    import torch
    from transformers import BaseImageProcessor, PreTrainedTokenizerBase

# Pictures, and timed passes, of the short measurement at the first start on a machine.
_QUICK_SAMPLES, _QUICK_ROUNDS = 8, 2
# Between two runs of the same operations on the same machine.
_APART = 1e-3

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Identity:
    """Hashes over a folder's weights and its configuration: all that an encoder depends on."""

    weights_sha256: str
    configuration_sha256: str


def identity_of(folder: Path) -> Identity:
    """Raises InvalidInput where the folder cannot be read."""
    return Identity(weights_sha256(folder), configuration_sha256(folder))


@dataclass(frozen=True, slots=True)
class Start:
    """What an encoder begins with.

    Attributes:
        run: the pass, in `form`.
        form: one that PyTorch has ready.
        kept: what is known of the network here, facts among it.
        facts: of the folder.
        preprocessing: from pixels to what the network is given.
        words: its text tower, where it has one.
    """

    run: Pass
    form: str
    kept: Kept
    facts: Facts
    preprocessing: Preprocessing
    words: TextTower | None


def start_from_kept(folder: Path, path: Path, kept: Kept | None, identity: Identity) -> Start | None:
    """What an earlier process has kept, on a CPU; None where there is not all of it, or where it cannot be used."""
    if kept is None or kept.facts is None or not kept.facts.direct:
        return None
    form = fastest(kept.trials, among=EAGER)
    place = traced_file(path, form)
    traced = read_traced(place)
    if traced is None or traced.program is None:
        return None
    try:
        preprocessing = Preprocessing(direct(kept.facts.processor_parameters), kept.facts.processor_parameters)
        run = _checked(traced.program, form, folder, preprocessing, kept.dimension)
    except (OSError, MemoryError) as error:  # says nothing of what was kept
        logger.warning("the network kept in %s cannot be used now (%s)", place, error)
        return None
    except Exception as error:  # noqa: BLE001 -- whatever a damaged file raises
        logger.warning("the network kept in %s cannot be used (%s) and is made anew", place, error)
        with suppress(OSError):
            place.unlink()
        return None
    words = TextTower(_later(folder, form, identity)) if kept.facts.encodes_text else None
    return Start(run, form, kept, kept.facts, preprocessing, words)


def _checked(program: Mapping[str, Any], form: str, folder: Path, preprocessing: Preprocessing, dimension: int) -> Pass:
    """The program's pass. Raises ValueError where it gives the plain picture another row than it was kept with."""
    run = traced_pass(program, form, folder)
    row, expected = run(stacked([preprocessing.plain_sample()])), np.asarray(program["expected"], dtype=np.float32)
    if row.shape != (1, dimension) or expected.shape != (dimension,) or not np.abs(row - expected).max() <= _APART:
        raise ValueError("it gives a plain picture another embedding than the network did")
    return run


def start_from_folder(
    folder: Path, asked: Pooling | None, device: torch.device, precision: str, path: Path | None, known: Kept | None
) -> Start:
    """Load the folder, try the forms unless that was done here before, and keep what is not kept yet.

    Args:
        folder: of `transformers`.
        asked: the pooling; None for the family's own.
        device: where the network runs.
        precision: "auto", or the form that was asked for.
        path: where to keep what is found; None keeps nothing.
        known: what is kept there.

    Raises:
        InvalidInput: the folder cannot be loaded, or its network cannot do what is asked or serve as an encoder.
    """
    network = load_network(folder).to(device)
    pooling = resolve_pooling(network, asked)
    processor = load_processor(folder)
    speaks = pooling == "clip_projection" and hasattr(network, "get_text_features")
    tokenizer = load_tokenizer(folder) if speaks else None
    try:
        preprocessing, same = _preprocessing(processor)
        facts = Facts(pooling, type(processor).__name__, preprocessing.parameters, tokenizer is not None, same)
        forms = eager_forms(device, cpu_flags()) if precision == "auto" else (precision,)
        dimension = _dimension(folder, eager_pass(network, pooling, device, FLOAT32), preprocessing)
        kept = replace(known or _tried(network, preprocessing, device, forms, facts), dimension=dimension, facts=facts)
        form = fastest(kept.trials, among=EAGER) if precision == "auto" else precision
        chosen = in_form(network, form)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InvalidInput(
            f"the network in {folder} fails on a picture from its image processor ({error}): use another encoder"
        ) from error
    if path is not None:
        if kept != known:
            write_kept(path, kept)
        if device.type == "cpu" and same and one_size(preprocessing):
            _keep(chosen, pooling, form, folder, preprocessing, traced_file(path, form))
    words = None if tokenizer is None else TextTower(lambda: (chosen, tokenizer))
    return Start(eager_pass(chosen, pooling, device, form), form, kept, facts, preprocessing, words)


def _preprocessing(processor: BaseImageProcessor) -> tuple[Preprocessing, bool]:
    """The processor's, or the direct way where that is the same."""
    parameters = processor_parameters(processor)
    make = by_processor(processor)
    preprocessing = Preprocessing(make, parameters)
    without = direct_if_same(make, parameters, preprocessing.input_size)
    return (preprocessing, False) if without is None else (Preprocessing(without, parameters), True)


def _keep(
    network: Network, pooling: Pooling, form: str, folder: Path, preprocessing: Preprocessing, path: Path
) -> None:
    """Unless that was done, or tried, before, or cannot be written."""
    if path.parent.is_dir() and os.access(path.parent, os.W_OK) and read_traced(path) is None:
        pictures = [preprocessing.plain_sample(), *samples(preprocessing)[:3]]
        keep_traced(network, pooling, form, folder, stacked(pictures), path)


def samples(preprocessing: Preprocessing) -> Float32Array:
    """Sixteen pieces of photographs as the network wants them."""
    return stacked([preprocessing(piece) for piece in photographs()])


def _tried(
    network: Network, preprocessing: Preprocessing, device: torch.device, forms: Sequence[str], facts: Facts
) -> Kept:
    """A short trial of the forms that PyTorch has ready, where there are several; the width is not looked at."""
    if len(forms) < 2:
        return Kept(0, ())
    passes = eager_passes(network, facts.pooling, device, tuple(forms))
    return Kept(0, measured(passes, samples(preprocessing)[::2][:_QUICK_SAMPLES], _QUICK_ROUNDS))


def _dimension(folder: Path, run: Pass, preprocessing: Preprocessing) -> int:
    """The embeddings' width. Networks that draw random numbers (masked autoencoders) are found out and refused."""
    sample = preprocessing.plain_sample()
    twice = run(stacked([sample, sample]))
    if float(twice[0] @ twice[1]) < 0.999:
        raise InvalidInput(
            f"the network in {folder} gives the same picture two embeddings"
            f" (cosine {float(twice[0] @ twice[1]):.3f}): it cannot serve as an encoder"
        )
    return int(twice.shape[1])


def _later(folder: Path, form: str, identity: Identity) -> Callable[[], tuple[Network, PreTrainedTokenizerBase]]:
    """Loads the text tower of the folder, which must be the one that the pictures' network was kept from."""

    def load() -> tuple[Network, PreTrainedTokenizerBase]:
        tokenizer, network = load_tokenizer(folder), load_network(folder)
        if tokenizer is None or identity != identity_of(folder):
            raise InvalidInput(f"{folder} is another encoder than when this process began: start it again")
        return in_form(network, form), tokenizer

    return load
