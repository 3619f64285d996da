"""A catalogue's classes as a whole: listed with what they hold, renamed, deleted. Large ones are done in batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.errors import LabelNotFound, counted, quoted
from service.records import Catalogue, Example, ExampleState, Split
from service.usecases import provisional
from service.usecases.context import Context, partition_of
from service.usecases.decide import take_out
from service.usecases.labels import checked_label, label_asked_for
from service.usecases.leases import kept_lease
from service.usecases.points import payload_split
from service.usecases.splitting import (
    BATCH,
    align_payloads,
    assign_open_splits,
    batches,
    splits_lease,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassSummary:
    """A class.

    Attributes:
        label: its name.
        examples: active ones by split, all four splits.
        references: how many of them are references of the active selection, 0 without one.
        conflicts: examples in conflict that were handed over under this label among others.
    """

    label: str
    examples: Mapping[Split, int]
    references: int
    conflicts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Renamed:
    """What a renaming did.

    Attributes:
        label: the name now.
        relabelled: how many examples it changed.
        merged: the class was there before, and holds its own examples too.
        examples: active examples that it has now.
        conflicts: examples in conflict that still carry the former label: they wait for a decision of their own.
    """

    label: str
    relabelled: int
    merged: bool
    examples: int
    conflicts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """What a deletion did: how many examples went, and how many in conflict still carry the label."""

    label: str
    dropped: int
    conflicts: int


def labels_page(context: Context, tenant: str, name: str, after: str | None, limit: int) -> list[ClassSummary]:
    """At most `limit` classes behind the label `after`, by label. Raises CatalogueNotFound."""
    catalogue = context.registry.catalogue(tenant, name)
    active = catalogue.active_selection
    references = {} if active is None else context.registry.member_counts(active)
    conflicts = _conflicts(context, catalogue)
    return [
        ClassSummary(
            label=one.label,
            examples={split: one.splits.get(split, 0) for split in Split},
            references=references.get(one.label, 0),
            conflicts=conflicts[one.label],
        )
        for one in context.registry.labels_page(catalogue.id, after, limit)
    ]


def rename_label(context: Context, tenant: str, name: str, label: str, new: str) -> Renamed:
    """Relabel all active examples of a class; into a class that is there they are merged. Its words go with it.

    Splits stay. Until the next optimisation, for a selection never changes, a new name answers through provisional
    references, a class that was there through its own and those support examples that came. Asked twice, the second
    time finishes what the first did not.

    Raises:
        CatalogueNotFound: there is none.
        LabelNotFound: there is neither a class of the one label nor of the other.
        InvalidInput: one of the labels cannot be one.
        LeaseHeld: splits are being assigned (an ingest job ends); try again.
        Unavailable: an outside system does not answer.
    """
    catalogue = context.registry.catalogue(tenant, name)
    former, wanted = label_asked_for(label), checked_label(new)
    before = context.registry.example_counts(catalogue.id, [former, wanted])[1]
    described = {one.label for one in context.registry.prompts(catalogue.id)}
    if not (before.get(former) or before.get(wanted) or described & {former, wanted}):
        raise _no_label(context, catalogue, former)
    relabelled = 0
    if former != wanted:
        context.registry.rename_prompts(catalogue.id, former, wanted)
        context.registry.rename_dropped(catalogue.id, former, wanted)
        relabelled = _relabel_all(context, catalogue, former, wanted)
        _align(context, catalogue, former, wanted)
        provisional.add_provisional(context, catalogue)
    return Renamed(
        label=wanted,
        relabelled=relabelled,
        merged=former != wanted and bool(before.get(wanted) or wanted in described),
        examples=context.registry.example_counts(catalogue.id, [wanted])[1].get(wanted, 0),
        conflicts=_conflicts(context, catalogue)[former] if former != wanted else 0,
    )


def delete_label(context: Context, tenant: str, name: str, label: str) -> Deleted:
    """Drop all active examples of a class, and its words, for good: points, rows, bytes that nobody else needs.

    Raises:
        CatalogueNotFound: there is none.
        LabelNotFound: there is no class of that label, or no more.
        InvalidInput: the label cannot be one.
        Unavailable: an outside system does not answer.
    """
    catalogue = context.registry.catalogue(tenant, name)
    checked = label_asked_for(label)
    dropped = 0
    while batch := _active(context, catalogue, checked):
        take_out(context, catalogue, batch)
        dropped += len(batch)
    described = context.registry.delete_prompts(catalogue.id, checked)
    if not (dropped or described):
        raise _no_label(context, catalogue, checked)
    provisional.add_provisional(context, catalogue)
    return Deleted(label=checked, dropped=dropped, conflicts=_conflicts(context, catalogue)[checked])


def _active(context: Context, catalogue: Catalogue, label: str) -> list[Example]:
    return context.registry.examples_page(catalogue.id, None, BATCH, label=label, state=ExampleState.ACTIVE)


def _relabel_all(context: Context, catalogue: Catalogue, former: str, wanted: str) -> int:
    """Flags go first: nothing may answer under the former label once its row has the new one."""
    relabelled = 0
    while batch := _active(context, catalogue, former):
        ids = [example.id for example in batch]
        with provisional.going(context, catalogue, ids):
            provisional.unflag(context, catalogue, ids)
            changed = context.registry.relabel_examples(catalogue.id, ids, wanted)
            _write_labels(context, catalogue, changed)
        relabelled += len(changed)
    return relabelled


def _align(context: Context, catalogue: Catalogue, former: str, wanted: str) -> None:
    """Payloads that a broken-off renaming left behind, and splits of examples that have none yet."""
    left = context.store.ids(partition_of(catalogue), {"label": former})
    for ids in batches(left):
        rows = context.registry.examples_by_id(catalogue.id, ids).values()
        _write_labels(context, catalogue, [one for one in rows if one.label != former])
    open_ones = context.registry.examples_page(
        catalogue.id, None, 1, label=wanted, split=Split.UNASSIGNED, state=ExampleState.ACTIVE
    )
    if open_ones:
        with kept_lease(context, splits_lease(catalogue), context.limits.job_lease_s):
            assign_open_splits(context, catalogue)
            align_payloads(context, catalogue)


def _write_labels(context: Context, catalogue: Catalogue, examples: Sequence[Example]) -> None:
    if examples:
        payloads = {one.id: {"label": one.label, "split": payload_split(one)} for one in examples}
        context.store.set_payload(partition_of(catalogue), payloads)


def _conflicts(context: Context, catalogue: Catalogue) -> Counter[str]:
    """How many examples in conflict carry each label."""
    held = context.registry.examples(catalogue.id, state=ExampleState.CONFLICT)
    return Counter(label for example in held for label in example.conflict_labels)


def _no_label(context: Context, catalogue: Catalogue, label: str) -> LabelNotFound:
    waiting = _conflicts(context, catalogue)[label]
    told = f"; {counted(waiting, 'example')} in conflict carry it and wait for a decision" if waiting else ""
    return LabelNotFound(f"the catalogue has no class {quoted(label)}{told}", label=label)
