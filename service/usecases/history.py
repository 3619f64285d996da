"""The history of a catalogue's selections: page by page, one in full, two compared, and the way back."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.errors import NothingToServe
from service.records import Selection, SelectionMember, SelectionState
from service.usecases.browsing import SeenExample
from service.usecases.context import Context
from service.usecases.evaluate import evaluation_of, report_data
from service.usecases.labels import label_asked_for
from service.usecases.publish import activate
from service.usecases.selections import SelectionSummary, summary_of

Pair = tuple[Any, Any]
"""What stands in this selection, and in the other; None where there is nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionInFull:
    """A selection with its references counted: by label, and those that no optimisation chose."""

    summary: SelectionSummary
    references: Mapping[str, int]
    provisional: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelDiff:
    """A class's references: ids of those that only one of two selections has, and how many both have."""

    label: str
    only_this: tuple[str, ...]
    only_other: tuple[str, ...]
    both: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionDiff:
    """Two selections side by side.

    Attributes:
        this, other: the two.
        references: of labels whose references differ, by label.
        thresholds: of labels whose thresholds differ.
        recipe: fields that differ.
        figures: all figures that are numbers.
    """

    this: SelectionSummary
    other: SelectionSummary
    references: tuple[LabelDiff, ...]
    thresholds: Mapping[str, Pair]
    recipe: Mapping[str, Pair]
    figures: Mapping[str, Pair]


def selections_page(context: Context, tenant: str, name: str, after: str | None, limit: int) -> list[SelectionSummary]:
    """At most `limit` selections older than the one with the id `after`, newest first.

    Raises CatalogueNotFound; SelectionNotFound where `after` is none of the catalogue's.
    """
    catalogue = context.registry.catalogue(tenant, name)
    found = context.registry.selections_page(catalogue.id, after, limit)
    return [summary_of(context, catalogue, selection) for selection in found]


def show_selection(context: Context, tenant: str, name: str, selection_id: str) -> SelectionInFull:
    """Raises CatalogueNotFound, SelectionNotFound."""
    catalogue = context.registry.catalogue(tenant, name)
    selection = context.registry.selection(catalogue.id, selection_id)
    return SelectionInFull(
        summary=summary_of(context, catalogue, selection),
        references=dict(sorted(context.registry.member_counts(selection.id).items())),
        provisional=sum(member.provisional for member in context.registry.members(selection.id)),
    )


def selection_members(
    context: Context, tenant: str, name: str, selection_id: str, after: str | None, limit: int, label: str | None
) -> list[SeenExample]:
    """At most `limit` references of a selection behind the example id `after`, by id; of one class, where asked.

    Raises CatalogueNotFound, SelectionNotFound; InvalidInput where the label cannot be one.
    """
    catalogue = context.registry.catalogue(tenant, name)
    selection = context.registry.selection(catalogue.id, selection_id)
    checked = None if label is None else label_asked_for(label)
    members = context.registry.members_page(selection.id, after, limit, label=checked)
    there = context.registry.examples_by_id(catalogue.id, [member.example_id for member in members])
    return [SeenExample(example=there[one.example_id], reference=one) for one in members if one.example_id in there]


def diff_selections(context: Context, tenant: str, name: str, selection_id: str, other_id: str) -> SelectionDiff:
    """Raises CatalogueNotFound, SelectionNotFound."""
    catalogue = context.registry.catalogue(tenant, name)
    this, other = (context.registry.selection(catalogue.id, one) for one in (selection_id, other_id))
    return SelectionDiff(
        this=summary_of(context, catalogue, this),
        other=summary_of(context, catalogue, other),
        references=_references(*(context.registry.members(one.id) for one in (this, other))),
        thresholds=_differing(this.thresholds, other.thresholds),
        recipe=_differing(this.recipe, other.recipe),
        figures=_side_by_side(*({**one.figures} for one in (this, other))),
    )


def roll_back(
    context: Context, tenant: str, name: str, sleep: Callable[[float], None] = time.sleep
) -> SelectionSummary:
    """Let the selection serve again that served before the one that does now.

    What was left behind is then the former one: rolling back twice leads back to where it began.

    Raises:
        CatalogueNotFound: there is none.
        NothingToServe: no selection served before.
        PublishIncomplete, LeaseHeld, EncoderMismatch: as for `activate`.
    """
    catalogue = context.registry.catalogue(tenant, name)
    former = _former(context.registry.selections(catalogue.id))
    if former is None:
        raise NothingToServe(
            f"no selection of catalogue {name!r} served before the one that serves now: there is nothing to go back to",
            catalogue=name,
        )
    return activate(context, tenant, name, former.id, sleep)


def selection_report(context: Context, tenant: str, name: str, selection_id: str) -> dict[str, Any]:
    """The data of a selection's report page, whether it serves or not. Raises CatalogueNotFound, SelectionNotFound."""
    catalogue = context.registry.catalogue(tenant, name)
    selection = context.registry.selection(catalogue.id, selection_id)
    return report_data(context, tenant, name, evaluation_of(context, selection))


def _former(selections: list[Selection]) -> Selection | None:
    """The one that retired last; `selections` are newest first."""
    retired = [one for one in selections if one.state is SelectionState.RETIRED]
    return max(retired, key=lambda one: one.retired_at or 0.0, default=None)


def _references(this: Sequence[SelectionMember], other: Sequence[SelectionMember]) -> tuple[LabelDiff, ...]:
    ours, theirs = _ids_by_label(this), _ids_by_label(other)
    return tuple(
        LabelDiff(
            label=label,
            only_this=tuple(sorted(ours[label] - theirs[label])),
            only_other=tuple(sorted(theirs[label] - ours[label])),
            both=len(ours[label] & theirs[label]),
        )
        for label in sorted({*ours, *theirs})
        if ours[label] != theirs[label]
    )


def _ids_by_label(members: Sequence[SelectionMember]) -> defaultdict[str, set[str]]:
    ids: defaultdict[str, set[str]] = defaultdict(set)
    for member in members:
        ids[member.label].add(member.example_id)
    return ids


def _differing(this: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Pair]:
    names = sorted({*this, *other})
    return {name: (this.get(name), other.get(name)) for name in names if this.get(name) != other.get(name)}


def _side_by_side(this: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Pair]:
    """All that are numbers in either."""
    names = sorted(name for name in {*this, *other} if _is_number(this.get(name)) or _is_number(other.get(name)))
    return {name: (this.get(name), other.get(name)) for name in names}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
