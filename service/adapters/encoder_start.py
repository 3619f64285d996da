"""What an encoder begins with: loaded by `transformers` and tried out, or what an earlier process has kept of that.

The first process on a machine loads the folder, measures the forms that PyTorch has ready and keeps what it found: the
trials, facts of the folder, and the network as a list of its operations. Later ones need neither the folder's code nor
`transformers`, of whose import nearly all of their start would consist.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

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
    load_network,
    load_processor,
    load_tokenizer,
    processor_parameters,
)
from service.adapters.encoder_pooling import Network, resolve_pooling
from service.adapters.encoder_preprocessing import Preprocessing, by_processor, direct, direct_if_same
from service.adapters.encoder_specification import Pooling
from service.adapters.encoder_text import TextTower
from service.adapters.encoder_traced import keep_traced, load_traced, traced_file
from service.adapters.encoder_trials import Facts, Kept, fastest, measured, photographs, read_kept, write_kept
from service.core.model import Float32Array
from service.errors import InvalidInput

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

# Pictures, and timed passes, of the short measurement at the first start on a machine.
_QUICK_SAMPLES, _QUICK_ROUNDS = 8, 2

logger = logging.getLogger(__name__)


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


def start_from_kept(folder: Path, path: Path) -> Start | None:
    """What an earlier process has kept, on a CPU; None where there is not all of it, or where it cannot be used."""
    kept = read_kept(path)
    if kept is None or kept.facts is None or not kept.facts.direct:
        return None
    form = fastest(kept.trials, among=EAGER)
    traced = traced_file(path, form)
    if not traced.is_file():
        return None
    try:
        run = load_traced(traced, form)
        preprocessing = Preprocessing(direct(kept.facts.processor_parameters), kept.facts.processor_parameters)
        run(stacked([preprocessing.plain_sample()]))
    except Exception as error:  # noqa: BLE001 -- whatever a damaged file raises: the folder is whole
        logger.warning("the network kept in %s cannot be used (%s) and is made anew", traced, error)
        path.unlink(missing_ok=True)
        return None
    words = TextTower(_later(folder, form)) if kept.facts.encodes_text else None
    return Start(run, form, kept, kept.facts, preprocessing, words)


def start_from_folder(
    folder: Path, asked: Pooling | None, device: torch.device, precision: str, path: Path | None
) -> Start:
    """Load the folder, and try the forms unless that was done here before.

    Args:
        folder: of `transformers`.
        asked: the pooling; None for the family's own.
        device: where the network runs.
        precision: "auto", or the form that was asked for.
        path: where to keep what is found; None keeps nothing.

    Raises:
        InvalidInput: the folder cannot be loaded, or its network cannot do what is asked or serve as an encoder.
    """
    network = load_network(folder).to(device)
    pooling = resolve_pooling(network, asked)
    processor = load_processor(folder)
    parameters = processor_parameters(processor)
    speaks = pooling == "clip_projection" and hasattr(network, "get_text_features")
    tokenizer = load_tokenizer(folder) if speaks else None
    try:
        make = by_processor(processor)
        preprocessing = Preprocessing(make, parameters)
        without = direct_if_same(make, parameters, preprocessing.input_size)
        if without is not None:
            preprocessing = Preprocessing(without, parameters)
        forms = eager_forms(device, cpu_flags()) if precision == "auto" else (precision,)
        known = None if path is None else read_kept(path)
        facts = Facts(pooling, type(processor).__name__, parameters, tokenizer is not None, without is not None)
        kept = known or _measured(folder, network, preprocessing, device, forms if len(forms) > 1 else (), facts)
        form = fastest(kept.trials, among=EAGER) if precision == "auto" else precision
        chosen = in_form(network, form)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InvalidInput(
            f"the network in {folder} fails on a picture from its image processor ({error}): use another encoder"
        ) from error
    if path is not None and known is None:
        if facts.direct and device.type == "cpu":
            _trace(folder, chosen, pooling, form, preprocessing, traced_file(path, form))
        write_kept(path, kept)
    words = None if tokenizer is None else TextTower(lambda: (chosen, tokenizer))
    return Start(eager_pass(chosen, pooling, device, form), form, kept, facts, preprocessing, words)


def samples(preprocessing: Preprocessing) -> Float32Array:
    """Sixteen pieces of photographs as the network wants them."""
    return stacked([preprocessing(piece) for piece in photographs()])


def _measured(
    folder: Path,
    network: Network,
    preprocessing: Preprocessing,
    device: torch.device,
    forms: Sequence[str],
    facts: Facts,
) -> Kept:
    """The embeddings' width, and a short trial of the forms that PyTorch has ready."""
    dimension = _dimension(folder, eager_pass(network, facts.pooling, device, FLOAT32), preprocessing)
    if not forms:
        return Kept(dimension, (), facts=facts)
    passes = eager_passes(network, facts.pooling, device, tuple(forms))
    trials = measured(passes, samples(preprocessing)[::2][:_QUICK_SAMPLES], _QUICK_ROUNDS)
    return Kept(dimension, trials, facts=facts)


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


def _trace(
    folder: Path, network: Network, pooling: Pooling, form: str, preprocessing: Preprocessing, path: Path
) -> None:
    try:
        keep_traced(network, pooling, form, samples(preprocessing)[:4], path)
    except Exception as error:  # noqa: BLE001 -- torch.export raises errors of many kinds
        reason = str(error).strip().splitlines()
        logger.info("each process loads %s anew, for it cannot be kept (%s)", folder, reason[0] if reason else error)


def _later(folder: Path, form: str) -> Callable[[], tuple[Network, PreTrainedTokenizerBase]]:
    def load() -> tuple[Network, PreTrainedTokenizerBase]:
        tokenizer = load_tokenizer(folder)
        if tokenizer is None:
            raise InvalidInput(f"the tokenizer of {folder} is gone: copy the encoder's folder again")
        return in_form(load_network(folder), form), tokenizer

    return load
