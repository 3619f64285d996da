"""The registry: whether it answers, and the few numbers over all tenants that operators watch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits for a group of workers: how many pieces of work, and since when the oldest, None without any."""

    waiting: int
    oldest_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """Numbers over all tenants; times in seconds since 1970.

    Attributes:
        backlogs: by queue; of "embed" chunks that nobody works on, of "optimise" and "finetune" jobs that were not
            begun, of "maintenance" webhook messages that are due.
        examples: stored.
        selections: how many catalogues have an active selection.
        oldest_selection_at, newest_selection_at: when the oldest and the newest of those were made, None without any.
    """

    backlogs: Mapping[str, Backlog]
    examples: int
    selections: int
    oldest_selection_at: float | None
    newest_selection_at: float | None


class TelemetryRegistry(Protocol):
    """What /readyz and /metrics ask."""

    def ping(self) -> None:
        """Does it answer? Raises Unavailable."""
        ...

    def measures(self) -> Measures:
        """As of now."""
        ...
