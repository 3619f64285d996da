"""The load figures as rows: on the terminal and in the README the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from service.adapters.batched_encoders import LARGEST_CPU

COLUMNS = ("clients", "ingest", "answers/s", "bare/s", "of bare", "p50 ms", "p95 ms", "p99 ms", "ingested/s")
QUANTILES = ("p50_ms", "p95_ms", "p99_ms")


def batch_of(clients: int) -> int:
    """The batch that so many clients can fill, one picture each."""
    return min(clients, LARGEST_CPU)


def bare_name(prefix: str) -> str:
    """Name of the figure of the bare forward pass around the row of that prefix."""
    return f"{prefix}.bare_per_s"


def rows(figures: Mapping[str, float], clients: Sequence[int]) -> list[tuple[str, ...]]:
    """A row a number of clients, alone and beside an ingest; the ratio is to the bare pass around that row."""
    return [
        _row(figures, state, count, beside)
        for state, beside in (("idle", "no"), ("ingest", "yes"))
        for count in clients
    ]


def _row(figures: Mapping[str, float], state: str, clients: int, beside: str) -> tuple[str, ...]:
    prefix = f"{state}.clients{clients}"
    rate, bare = figures[f"{prefix}.requests_per_s"], figures[bare_name(prefix)]
    ingested = figures.get(f"{prefix}.ingested_per_s")
    return (
        str(clients),
        beside,
        f"{rate:.1f}",
        f"{bare:.1f}",
        f"{rate / bare:.2f}",
        *(f"{figures[f'{prefix}.{name}']:.0f}" for name in QUANTILES),
        "" if ingested is None else f"{ingested:.1f}",
    )


def written(result: Mapping[str, Any], clients: Sequence[int]) -> str:
    """The README's section: on what, the rows."""
    figures, machine, versions = result["figures"], result["machine"], result["versions"]
    told = (
        f"{result['encoder']}, {result['seconds']:.0f} s a row; {machine['cores']} cores of {machine['processor']}, "
        f"which the clients use, too; torch {versions['torch']}. bare/s: pictures a second of the forward pass alone, "
        "right before and after the row, on all cores, in batches of as many as there are clients, at most "
        f"{batch_of(max(clients))}; decoding and preprocessing take {figures['bare.prepare_ms']:.1f} ms a picture on "
        "one core and are part of each answer."
    )
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---:" * len(COLUMNS) + "|"]
    return "\n".join([told, "", *lines, *("| " + " | ".join(row) + " |" for row in rows(figures, clients))])
