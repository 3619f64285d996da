"""The queue: its messages, and the port that hands them to workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class EmbedChunk:
    """A token: work on the next open chunk, of whichever tenant is due. Queue "embed".

    It names the chunk that it was sent for, but who was served least recently comes first.
    """

    job_id: str
    chunk: int


@dataclass(frozen=True, slots=True)
class FinishIngest:
    """All chunks are settled: assign splits, close the job. Queue "maintenance"."""

    job_id: str


@dataclass(frozen=True, slots=True)
class RunOptimise:
    """Run an optimise job. Queue "optimise"."""

    job_id: str


@dataclass(frozen=True, slots=True)
class RunFinetune:
    """Run a fine-tuning job. Queue "finetune", for machines with a GPU."""

    job_id: str


@dataclass(frozen=True, slots=True)
class DeliverWebhook:
    """Send a message to a webhook. Queue "maintenance"."""

    delivery_id: str


@dataclass(frozen=True, slots=True)
class Sweep:
    """Enqueue again what was lost; repair drifted flags. Queue "maintenance"."""


Message = EmbedChunk | FinishIngest | RunOptimise | RunFinetune | DeliverWebhook | Sweep

QUEUES: Mapping[type[Message], str] = {
    EmbedChunk: "embed",
    FinishIngest: "maintenance",
    RunOptimise: "optimise",
    RunFinetune: "finetune",
    DeliverWebhook: "maintenance",
    Sweep: "maintenance",
}
"""Which group of workers a message goes to."""


class JobQueue(Protocol):
    """Hands messages to workers. A hint only: the registry is the truth, so a lost or doubled message is harmless."""

    def ping(self) -> None:
        """Does it answer? Raises Unavailable."""
        ...

    def enqueue(self, message: Message) -> None:
        """Raises Unavailable when the broker cannot be reached after retries."""
        ...
