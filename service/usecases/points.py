"""What a point holds beside its embedding, from an item that becomes an example or from the row that it became."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.core.stored_embedding import StoredEmbedding
from service.ports import Point
from service.records import Example, ExampleState, Item

CONFLICT_SPLIT = "conflict"
"""Payload split of an example in conflict: no query asks for it."""


def point_of(example: Example, stored: StoredEmbedding) -> Point:
    """The point of a row, as the row says; without flags, and without a centrality."""
    return Point(example.id, stored.embedding, payload_of(example, payload_split(example), stored, example.created_at))


def payload_split(example: Example) -> str:
    """The payload's split for an example's row."""
    return CONFLICT_SPLIT if example.state is ExampleState.CONFLICT else example.split.value


def payload_of(source: Item | Example, split: str, outcome: StoredEmbedding, created_at: float) -> dict[str, Any]:
    """The payload of a new point; `created_at` in seconds since 1970."""
    return {
        "label": source.label,
        "split": split,
        "content_hash": source.content_hash,
        "source": source.source,
        "width_px": outcome.width_px,
        "height_px": outcome.height_px,
        "created_at": created_at,
        "centrality": None,
    } | _where_given({"crop": source.crop, "metadata": dict(source.metadata)})


def _where_given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}
