"""Cells of the accuracy benchmark's tables."""

from __future__ import annotations

from collections.abc import Mapping


def percent(value: float | None) -> str:
    """0..1 as per cent with one decimal; nothing for None."""
    return "" if value is None else f"{100 * value:.1f}"


def between(figures: Mapping[str, float], name: str) -> str:
    """An interval in per cent."""
    return f"{percent(figures[f'{name}_low'])} to {percent(figures[f'{name}_high'])}"


def ahead(figures: Mapping[str, float], prefix: str) -> str:
    """Points that Holotype is ahead of a member, with the paired interval."""
    low, high = 100 * figures[f"{prefix}.ahead_low"], 100 * figures[f"{prefix}.ahead_high"]
    return f"{100 * figures[f'{prefix}.ahead']:+.1f} ({low:+.1f} to {high:+.1f})"
