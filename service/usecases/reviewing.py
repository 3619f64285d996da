"""Hygiene as a queue to be worked through: one survey, kept, and decisions that take from it what they settle.

A survey compares all examples with each other and decodes every picture: 2 100 photographs of groceries take 2 s and
4.5 s on two busy cores. That is too long between two key strokes, so a survey is made in the request that first asks
for one (or asks for a new one), kept in the blob store, and from then on lists shrink by what was decided: kept
findings, and those about examples that were relabelled or dropped since. `changed` says that examples are others now.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

from service.errors import InvalidInput
from service.records import Catalogue, Example, ExampleState
from service.usecases import decide, hygiene
from service.usecases.context import Context
from service.usecases.derived import forget_examples, keep_survey, kept_survey, shown_ids
from service.usecases.findings import Decision, FindingKind, decisive
from service.usecases.new_class import new_class

RULES = b"look"
"""Changes with what a survey lists: one that was kept under other rules is out of date."""

_surveying = Lock()
"""One survey is made at a time: who asks for the same one meanwhile waits, and finds it kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What is left to decide.

    Attributes:
        examples: how many the survey looked at, those in conflict included.
        made_at: when it was made, seconds since 1970; None for an empty catalogue, of which there is none.
        changed: examples came, went or were relabelled since: a new survey may find other things.
        counts: findings by kind, all kinds.
        findings: those of the kind asked for, at most as many as asked, the strongest of each kind first; JSON as
            `findings.Finding.as_dict` has it, labels and splits of examples as they were then.
        total: how many there are of that kind.
        accepted: how many are not listed because somebody has kept the example.
        unreadable: ids of examples whose stored bytes are gone or cannot be decoded any more.
    """

    examples: int
    made_at: float | None
    changed: bool
    counts: Mapping[str, int]
    findings: Sequence[Mapping[str, Any]]
    total: int
    accepted: int
    unreadable: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What became of an example.

    Attributes:
        example: as it is now; None where it was dropped, and where that was taken back.
        kept: all kinds that are accepted of it now.
        taken_back: it had been dropped, and is kept out no longer: the next ingest that brings it stores it.
        close: where its label made a class, the known ones whose names are close; else None.
    """

    example: Example | None
    kept: Sequence[str]
    taken_back: bool = False
    close: Sequence[str] | None = None


def review(
    context: Context, tenant: str, name: str, *, kind: FindingKind | None, limit: int, renew: bool = False
) -> Review:
    """What may be wrong with a catalogue and is not decided yet.

    Args:
        context: the ports.
        tenant: whose catalogue.
        name: the catalogue.
        kind: of which kind; None for all.
        limit: findings at most.
        renew: make a new survey where examples changed since the last.

    Raises:
        CatalogueNotFound: there is none.
        PublishIncomplete: an example has no point in the vector store.
        Unavailable: an outside system does not answer.
    """
    catalogue = context.registry.catalogue(tenant, name)
    if catalogue.fingerprint is None:
        return _nothing()
    digest = _digest(context, catalogue)
    survey = _survey(context, catalogue, digest, renew=renew)
    open_ones, accepted = _undecided(context, catalogue, survey["findings"])
    counts = Counter(str(one["kind"]) for one in open_ones)
    listed = [one for one in open_ones if kind is None or one["kind"] == kind.value]
    return Review(
        examples=survey["examples"],
        made_at=survey["made_at"],
        changed=survey["digest"] != digest,
        counts={each.value: counts[each.value] for each in FindingKind},
        findings=listed[:limit],
        total=len(listed),
        accepted=accepted,
        unreadable=survey["unreadable"],
    )


def decide_finding(
    context: Context, tenant: str, name: str, example_id: str, decision: Decision, label: str | None
) -> Decided:
    """Carry out a decision about an example; asked twice, nothing more happens, but a dropped one is not there again.

    What was dropped is passed over by every ingest; `keep` takes that back.

    Raises:
        CatalogueNotFound, ExampleNotFound: there is none.
        InvalidInput: a label is missing, or given for nothing; an example in conflict cannot be kept.
        LeaseHeld: as for `decide.relabel`.
        Unavailable: an outside system does not answer.
    """
    if (label is not None) != (decision is Decision.RELABEL):
        told = "needs a label: say which it has" if label is None else "takes no label: only relabel does"
        raise InvalidInput(f"the decision {decision.value} {told}", decision=decision.value)
    if decision is Decision.DROP:
        decide.drop(context, tenant, name, [example_id], remember=True)
        return Decided(example=None, kept=())
    catalogue = context.registry.catalogue(tenant, name)
    if label is not None:
        close = new_class(context, tenant, name, label)
        changed = decide.relabel(context, tenant, name, example_id, label)
        return Decided(example=changed, kept=_kept(context, catalogue, example_id), close=close)
    if context.registry.dropped(catalogue.id, [example_id]):
        context.registry.take_back(catalogue.id, [example_id])
        return Decided(example=None, kept=(), taken_back=True)
    example = context.registry.example(catalogue.id, example_id)
    survey = kept_survey(context, catalogue)
    found = [] if survey is None else _kinds_listed(survey["findings"], example)
    if found and example.state is ExampleState.ACTIVE:
        context.registry.keep_findings(catalogue.id, {example.id: found})
    else:
        hygiene.keep(context, tenant, name, [example.id])
    return Decided(example=example, kept=_kept(context, catalogue, example.id))


def _nothing() -> Review:
    counts = {kind.value: 0 for kind in FindingKind}
    return Review(
        examples=0, made_at=None, changed=False, counts=counts, findings=(), total=0, accepted=0, unreadable=()
    )


def _survey(context: Context, catalogue: Catalogue, digest: str, *, renew: bool) -> Mapping[str, Any]:
    survey = kept_survey(context, catalogue)
    if survey is not None and (survey["digest"] == digest or not renew):
        return survey
    with _surveying:
        survey = kept_survey(context, catalogue)
        if survey is not None and (survey["digest"] == digest or not renew):
            return survey
        examples = context.registry.examples(catalogue.id)
        findings, unreadable = hygiene.looked_over(context, catalogue, examples, lambda *_: None)
        made: dict[str, Any] = {
            "digest": digest,
            "made_at": context.clock(),
            "examples": len(examples),
            "findings": [one.as_dict() for one in findings],
            "unreadable": unreadable,
        }
        keep_survey(context, catalogue, made)
        _forget_dropped(context, catalogue, made["findings"])
        return made


def _forget_dropped(context: Context, catalogue: Catalogue, findings: Sequence[Mapping[str, Any]]) -> None:
    """Examples that were dropped while the survey was made leave no trace in it."""
    shown = {one for finding in findings for one in shown_ids(finding)}
    gone = shown - context.registry.examples_by_id(catalogue.id, sorted(shown)).keys()
    if gone:
        forget_examples(context, catalogue, gone)


def _digest(context: Context, catalogue: Catalogue) -> str:
    """Of which examples there are, how they are labelled, and by which rules they are looked at."""
    digest = hashlib.sha256(RULES)
    for example_id, label in context.registry.example_labels(catalogue.id).items():
        digest.update(f"{example_id}\0{label}\n".encode())
    return digest.hexdigest()


def _undecided(
    context: Context, catalogue: Catalogue, findings: Sequence[Mapping[str, Any]]
) -> tuple[list[Mapping[str, Any]], int]:
    """Findings that still hold, that nobody has accepted and nothing else outranks, and how many somebody has."""
    there = context.registry.examples_by_id(catalogue.id, [one for finding in findings for one in shown_ids(finding)])
    holding = [one for one in findings if _holds(one, there)]
    kept = context.registry.kept_findings(catalogue.id)
    open_ones = [
        one for one in holding if one["example"] is None or one["kind"] not in kept.get(one["example"]["id"], ())
    ]
    listed = decisive(
        [
            (
                FindingKind(one["kind"]),
                one["example"] and one["example"]["id"],
                [other["id"] for other in one["others"]],
            )
            for one in open_ones
        ]
    )
    return list(itertools.compress(open_ones, listed)), len(holding) - len(open_ones)


def _holds(finding: Mapping[str, Any], there: Mapping[str, Example]) -> bool:
    """Are the examples that it is about as they were? A finding of a class holds until the next survey."""
    one = finding["example"]
    if one is None:
        return True
    if finding["kind"] == FindingKind.CONFLICT.value:
        return one["id"] in there and there[one["id"]].state is ExampleState.CONFLICT
    others = finding["others"]
    return _unchanged(one, there) and (not others or any(_unchanged(other, there) for other in others))


def _unchanged(shown: Mapping[str, Any], there: Mapping[str, Example]) -> bool:
    example = there.get(shown["id"])
    return example is not None and example.state is ExampleState.ACTIVE and example.label == shown["label"]


def _kinds_listed(findings: Sequence[Mapping[str, Any]], example: Example) -> list[str]:
    """Kinds of the findings about the example under the label that it has."""
    about = (one for one in findings if one["example"] is not None and one["example"]["id"] == example.id)
    return list(dict.fromkeys(str(one["kind"]) for one in about if one["example"]["label"] == example.label))


def _kept(context: Context, catalogue: Catalogue, example_id: str) -> list[str]:
    kept = context.registry.kept_findings(catalogue.id).get(example_id, frozenset())
    return [kind.value for kind in FindingKind if kind.value in kept]
