"""Selections, their references, and the trials of the searches that chose them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

Slot = Literal["a", "b"]
SLOTS: tuple[Slot, Slot] = ("a", "b")


class SelectionState(StrEnum):
    """WRITING until its flags are verified; then ACTIVE, RETIRED or FAILED."""

    WRITING = "writing"
    ACTIVE = "active"
    RETIRED = "retired"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionMember:
    """A reference of a selection. `centrality` in the space that the selection thresholds; None when provisional."""

    example_id: str
    label: str
    centrality: float | None
    provisional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """An immutable, versioned reference set (its provisional members and its state aside).

    Attributes:
        slot: where its flags and projections are.
        recipe: how references were chosen and how votes are counted; JSON, read by `core.recipe.Recipe`.
        head_blob: key of the stored head, None for the identity.
        figures: the evaluation that goes with it, JSON.
    """

    id: str
    catalogue_id: str
    slot: Slot
    state: SelectionState
    created_at: float
    fingerprint_digest: str
    recipe: Mapping[str, Any]
    head_blob: str | None
    thresholds: Mapping[str, float]
    split_hash: str
    seed: int
    why: str
    measured_on: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    retired_at: float | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """A finished trial of a parameter search: JSON parameters and the objective (higher is better)."""

    parameters: Mapping[str, Any]
    value: float
