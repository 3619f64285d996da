"""What became of labels and examples since a selection was measured: it was chosen, and figures told, without that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from service.records import Selection
from service.usecases.context import Context

AS_OF = "as_of"
"""Name of the figure that says when the examples of a selection were read (seconds since 1970)."""


@dataclass(frozen=True, slots=True)
class Changed:
    """Examples that have another label than when a selection's examples were read, what was undone is none; new ones.

    Attributes:
        since: when those were read, seconds since 1970.
        moves: how many were relabelled by (label then, label now).
        added: how many came, by the label that they have now.
        new: those of these labels that no other example has.
    """

    since: float
    moves: Mapping[tuple[str, str], int]
    added: Mapping[str, int] = field(default_factory=dict)
    new: frozenset[str] = frozenset()

    def into(self) -> Counter[str]:
        """How many came, by the label that they have now."""
        return self._by(1)

    def out_of(self) -> Counter[str]:
        """How many left, by the label that they had."""
        return self._by(0)

    def as_dict(self) -> dict[str, Any]:
        """JSON: `{since, relabelled, into: {label: n}, out_of: {label: n}, added: {label: n}, new_classes}`."""
        return {
            "since": self.since,
            "relabelled": sum(self.moves.values()),
            "into": dict(sorted(self.into().items())),
            "out_of": dict(sorted(self.out_of().items())),
            "added": dict(sorted(self.added.items())),
            "new_classes": sorted(self.new),
        }

    def _by(self, place: int) -> Counter[str]:
        found: Counter[str] = Counter()
        for labels, number in self.moves.items():
            found[labels[place]] += number
        return found


def read_at(selection: Selection) -> float:
    """When the selection's examples were read, seconds since 1970: before the search, which may take minutes."""
    return float(selection.figures.get(AS_OF, selection.created_at))


def changed_since(context: Context, selection: Selection) -> Changed | None:
    """The relabellings and new examples that the selection knows nothing of; None without any."""
    catalogue_id, since = selection.catalogue_id, read_at(selection)
    moves = context.registry.relabelled_counts(catalogue_id, since)
    added = context.registry.added_counts(catalogue_id, since)
    if not moves and not added:
        return None
    every = context.registry.example_counts(catalogue_id, sorted(added))[1] if added else {}
    return Changed(since, moves, added, frozenset(label for label, count in added.items() if every[label] == count))


def moved_since(context: Context, catalogue_id: str, since: float) -> Changed | None:
    """The relabellings since a time, seconds since 1970; None without any."""
    moves = context.registry.relabelled_counts(catalogue_id, since)
    return Changed(since, moves) if moves else None
