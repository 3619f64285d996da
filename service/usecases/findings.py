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


_ORDER = (
    FindingKind.BLANK,
    FindingKind.SMALL,
    FindingKind.CONFLICT,
    FindingKind.CROSS_LABEL,
    FindingKind.LEAK,
    FindingKind.DUPLICATE,
    FindingKind.LABEL,
    FindingKind.OUTLIER,
)
"""Of findings about pictures, the most decisive first: what shows nothing has no label to speak of, two labels of one
picture are settled before it is called a copy, and a copy goes whatever its label."""


class Decision(StrEnum):
    """What a person may do about it; the names of the commands."""

    KEEP = "keep"
    RELABEL = "relabel"
    DROP = "drop"


class Advice(StrEnum):
    """What is suggested: a decision where the evidence is strong, else a look at the picture."""

    KEEP = "keep"
    RELABEL = "relabel"
    DROP = "drop"
    LOOK = "look"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that may be wrong.

    Attributes:
        kind: which.
        labels: the classes that it is about; of a suspected label the given one, then the likely one.
        example: the picture that the decision is for; None where a class is meant.
        others: pictures that are evidence.
        numbers: the figures behind it.
        suggested: the decision that the numbers speak for, or to look.
        why: a sentence.
    """

    kind: FindingKind
    labels: tuple[str, ...]
    example: Example | None = None
    others: tuple[Example, ...] = ()
    numbers: Mapping[str, float | int] = field(default_factory=dict)
    suggested: Advice
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


About = tuple[FindingKind, str | None, Sequence[str]]
"""What a finding is about: its kind, the id of its example, and the ids of the pictures that are evidence."""


def decisive(found: Sequence[About]) -> list[bool]:
    """Which of the findings to list, so that a person gets one decision for each picture: those of its first kind.

    The evidence of a `cross-label` finding is settled with it; one whose evidence is to go all the same is none.
    Findings about classes are listed.
    """
    first: dict[str, int] = {}
    listed = [one is None for _, one, _ in found]
    for rank, ranked in enumerate(_ORDER):
        for place, (kind, one, others) in enumerate(found):
            if one is None or kind is not ranked or first.get(one, rank) < rank:
                continue
            pair = others if kind is FindingKind.CROSS_LABEL else ()
            if pair and all(first.get(other, rank) < rank for other in pair):
                continue
            listed[place] = True
            for each in (one, *pair):
                first.setdefault(each, rank)
    return listed


def kinds_by_example(findings: Sequence[Finding]) -> dict[str, list[str]]:
    """The kinds that are listed for each example, in the order listed."""
    kinds: dict[str, list[str]] = {}
    for finding in findings:
        if finding.example is not None:
            known = kinds.setdefault(finding.example.id, [])
            if finding.kind.value not in known:
                known.append(finding.kind.value)
    return kinds
