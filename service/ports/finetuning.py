"""Fine-tuning an encoder's last blocks on labelled pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from service.core.model import Float32Array, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class TrainingPictures:
    """What is learnt from, and what says when to stop.

    Attributes:
        inputs: the encoder's own inputs of the pictures with the given numbers; asked for a batch at a time, so that
            the pictures of a whole catalogue never are in memory at once.
        codes: int64 (n,), the class of each picture.
        learnt: int64 (m,), numbers of those that are learnt from.
        watched: int64 (w,), numbers of those on which training stops; may be empty.
    """

    inputs: Callable[[Sequence[int]], list[Float32Array]]
    codes: IntArray
    learnt: IntArray
    watched: IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """How much is trained: the last `blocks` of the network, `epochs` over the pictures at most."""

    blocks: int
    epochs: int
    batch: int
    learning_rate: float
    seed: int


@dataclass(frozen=True, slots=True)
class Finetuned:
    """What came of it.

    Attributes:
        folder: the new encoder, as `transformers` loads it; None where no epoch was better than none.
        encoder: its specification.
        epochs: how many were trained.
        best_epoch: the one that was kept, from 1; 0 where none was better.
        watched: share of the watched pictures nearest to their own class's mean, before and after each epoch.
    """

    folder: Path | None
    encoder: str | None
    epochs: int
    best_epoch: int
    watched: tuple[float, ...]


class EncoderFinetuner(Protocol):
    """Trains a copy of an encoder; the encoder itself never changes."""

    def check(self, specification: str) -> None:
        """Cheap check, nothing loaded. Raises InvalidInput for an encoder that has nothing to train."""
        ...

    def finetune(
        self,
        specification: str,
        pictures: TrainingPictures,
        plan: TrainingPlan,
        on_batch: Callable[[int, int], None],
    ) -> Finetuned:
        """Train, and write the best epoch's network to a folder of its own, whole or not at all.

        `on_batch` is called with (batches done, batches at most); what it raises ends the training.
        Deterministic for a seed on one kind of device. Raises InvalidInput where the network has no blocks to train, or
        fewer than were asked for.
        """
        ...
