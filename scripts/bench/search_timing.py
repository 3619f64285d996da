"""Timing of several ways to do the same, turn and turn about, and how something grows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

TURNS = 4
TURN_S = 0.25
"""Seconds that a way is asked in its turn; once at least."""


def in_turns(ways: Mapping[str, Callable[[], object]]) -> dict[str, np.ndarray]:
    """Seconds of every call of every way: A B A B, after one call of each that does not count."""
    waits: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for _ in range(TURNS):
        for name, way in ways.items():
            until = time.perf_counter() + TURN_S
            while True:
                began = time.perf_counter()
                way()
                ended = time.perf_counter()
                waits[name].append(ended - began)
                if ended > until:
                    break
    return {name: np.array(found) for name, found in waits.items()}


def quantiles(waits_s: np.ndarray, batch: int) -> dict[str, float]:
    """Milliseconds of a call, and queries a second at its median."""
    p50, p95, p99 = (1000 * float(np.quantile(waits_s, q)) for q in (0.5, 0.95, 0.99))
    return {"p50_ms": p50, "p95_ms": p95, "p99_ms": p99, "per_s": 1000 * batch / p50}


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Slope of the straight line through both logarithms: 0 where nothing grows, 1 where it grows in proportion."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])
