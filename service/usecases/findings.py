"""What may be wrong with a catalogue, as a person sees it: each finding with its evidence and a one-word decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from service.records import Example


class FindingKind(StrEnum):
    """Of examples, then of classes; the order in which they are listed."""

    CONFLICT = "conflict"
    LABEL = "label"
    CROSS_LABEL = "cross-label"
    LEAK = "leak"
    DUPLICATE = "duplicate"
    OUTLIER = "outlier"
    SMALL = "small"
    BLANK = "blank"
    THIN = "thin"
    ALIKE = "alike"


class Decision(StrEnum):
    """What a person may do about it; the names of the commands."""

    KEEP = "keep"
    RELABEL = "relabel"
    DROP = "drop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that may be wrong.

    Attributes:
        kind: which.
        labels: the classes that it is about; of a suspected label the given one, then the likely one.
        example: the picture that the decision is for; None where a class is meant.
        others: pictures that are evidence.
        numbers: the figures behind it.
        suggested: the decision that the numbers speak for.
        why: a sentence.
    """

    kind: FindingKind
    labels: tuple[str, ...]
    example: Example | None = None
    others: tuple[Example, ...] = ()
    numbers: Mapping[str, float | int] = field(default_factory=dict)
    suggested: Decision
    why: str

    def as_dict(self) -> dict[str, Any]:
        """JSON of one line of `holotype hygiene`."""
        return {
            "kind": self.kind.value,
            "labels": list(self.labels),
            "example": None if self.example is None else shown(self.example),
            "others": [shown(one) for one in self.others],
            "numbers": dict(self.numbers),
            "suggested": self.suggested.value,
            "why": self.why,
        }


def shown(example: Example) -> dict[str, str]:
    """An example as evidence."""
    return {"id": example.id, "label": example.label, "split": example.split.value, "source": example.source}


def accepted(finding: Finding, kept: Mapping[str, frozenset[str]]) -> bool:
    """Has a person kept the finding's example in spite of it? Findings about classes stay as long as they hold."""
    return finding.example is not None and finding.kind.value in kept.get(finding.example.id, frozenset())


def kinds_by_example(findings: Sequence[Finding]) -> dict[str, list[str]]:
    """The kinds that are listed for each example, in the order listed."""
    kinds: dict[str, list[str]] = {}
    for finding in findings:
        if finding.example is not None:
            known = kinds.setdefault(finding.example.id, [])
            if finding.kind.value not in known:
                known.append(finding.kind.value)
    return kinds
