"""Writing a selection into a slot, so that no query ever sees half of it.

A slot is a payload key and a named vector: `selection_a` with `projection_a`, `selection_b` with `projection_b`. The
key's value is the selection's id, so what an interrupted writer leaves behind never matches another selection's
filter.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from service.core.reference_set import ReferenceSet
from service.errors import PublishIncomplete
from service.ports import Partition
from service.records import Example, ExampleState, Selection, SelectionMember, Slot, Split
from service.usecases.context import Context
from service.usecases.missing_points import fetch_whole
from service.usecases.references import References, joined
from service.usecases.relabelled import read_at
from service.usecases.selections import chunked, flagged

SLOT_REST_S = 5.0
"""A slot is left alone for so long after its selection retired: queries that read the pointer just before are still
searching it, and take some hundredths of a second. One that hangs for longer (the vector client waits up to 30 s for a
server, and tries again) finds the pointer moved when it is over, and is asked once more."""

VERIFY_ROUNDS = 3
"""Comparisons before giving up: examples may be dropped or come into conflict between writing and comparing."""


def idle_slot(context: Context, catalogue_id: str, active_selection: str | None) -> Slot:
    """The slot that the active selection does not use."""
    if active_selection is None:
        return "a"
    return "b" if context.registry.selection(catalogue_id, active_selection).slot == "a" else "a"


def let_rest(
    context: Context, catalogue_id: str, slot: Slot, sleep: Callable[[float], None], besides: str | None = None
) -> None:
    """Wait until every selection of the slot (but `besides`) has been retired for SLOT_REST_S."""
    retired = [
        selection.retired_at
        for selection in context.registry.selections(catalogue_id)
        if selection.slot == slot and selection.retired_at is not None and selection.id != besides
    ]
    remaining = max(retired, default=0.0) + SLOT_REST_S - context.clock()
    if remaining > 0:
        # Never more than the rest itself: another machine's clock may be ahead of ours.
        sleep(min(remaining, SLOT_REST_S))


def write_flags(
    context: Context, partition: Partition, slot: Slot, selection_id: str, references: ReferenceSet
) -> None:
    """Flags and projections of the references, in chunks, idempotent.

    A flag of another selection goes first: were the writer to die between the new projection and the new flag, the
    point would stand under that selection with a projection that is not its own. Points that carry this selection's
    flag are never without it, so this may run on the slot that serves.
    """
    if not references.ids:
        return
    carrying = set(context.store.ids(partition, flagged(slot, selection_id)))
    for rows in chunked(range(len(references))):
        ids = [references.ids[row] for row in rows]
        context.store.unflag(partition, slot, [example_id for example_id in ids if example_id not in carrying])
        context.store.flag(partition, slot, selection_id, ids, references.projections[rows[0] : rows[-1] + 1])


def add_provisional_to(
    context: Context,
    partition: Partition,
    selection: Selection,
    references: References,
    without: Collection[str] = frozenset(),
) -> list[str]:
    """Give the selection provisional members, in its slot, where labels lack references; the ids that were added.

    A label that has provisional references gets those that came since, and the pull of all of them is renewed. What was
    chosen, relabelled and is back under its label is a chosen reference again, and those that stood in for it go. The
    examples `without` are about to go: a label that would have no other reference gets some before.
    """
    astray = context.registry.members_astray(selection.id)
    back = references.chosen({one: label for one, label in astray.items() if one not in without})
    members = _chosen_again(context, partition, selection, references, back)
    staying = [member for member in members if member.example_id not in without]
    candidates = provisional_candidates(context, selection, staying, without)
    if not without:
        members = _needed(context, partition, selection, members, candidates)
    present = {member.example_id for member in members}
    # Only what the store holds can answer, so it is asked before members are written.
    new = {
        label: [example_id for example_id in references.provisional(label, ids).ids if example_id not in present]
        for label, ids in candidates.items()
        if not present.issuperset(ids)
    }
    taken = _taken_as_provisional(context, selection, new)
    growing = {label: ids for label, ids in new.items() if not taken.isdisjoint(ids)}
    _tell_labels(context, partition, {one: label for label, ids in growing.items() for one in ids if one in taken})
    own = [[one for one in candidates[label] if one in present or one in taken] for label in growing]
    anew = joined([references.provisional(label, ids) for label, ids in zip(growing, own, strict=True)])
    write_flags(context, partition, selection.slot, selection.id, anew)
    return [*(example_id for example_id in back if example_id in present), *sorted(taken)]


def _needed(
    context: Context,
    partition: Partition,
    selection: Selection,
    members: Sequence[SelectionMember],
    candidates: Mapping[str, Sequence[str]],
) -> list[SelectionMember]:
    """The members without those that stood in for chosen ones which are there.

    A drop or relabelling that was undone or broken off left them, and no figure was measured with them.
    """
    chosen = {member.label for member in members if not member.provisional}
    idle = {
        member.example_id
        for member in members
        if member.provisional and member.label in chosen and member.example_id not in candidates.get(member.label, ())
    }
    if idle:
        context.registry.remove_provisional(selection.id, sorted(idle))
        for ids in chunked(sorted(idle)):
            context.store.unflag(partition, selection.slot, ids)
    return [member for member in members if member.example_id not in idle]


def _chosen_again(
    context: Context, partition: Partition, selection: Selection, references: References, ids: Sequence[str]
) -> list[SelectionMember]:
    """The members, with these among them; those have their own flags and projections again."""
    rows = context.registry.examples_by_id(selection.catalogue_id, ids).values()
    again = [SelectionMember(example_id=row.id, label=row.label, centrality=None) for row in rows]
    if again:
        context.registry.add_members(selection.id, again)
    members = context.registry.members(selection.id)
    if again:
        own = [member for member in members if member.example_id in ids and not member.provisional]
        write_flags(context, partition, selection.slot, selection.id, references.of(own))
    return members


def _taken_as_provisional(context: Context, selection: Selection, ids: Mapping[str, Sequence[str]]) -> set[str]:
    """Add provisional members, ids by label; those that are members now: an example dropped meanwhile is not."""
    members = [
        SelectionMember(example_id=one, label=label, centrality=None, provisional=True)
        for label, some in ids.items()
        for one in some
    ]
    if not members:
        return set()
    context.registry.add_members(selection.id, members)
    now = {member.example_id for member in context.registry.members(selection.id)}
    return now.intersection(member.example_id for member in members)


def _tell_labels(context: Context, partition: Partition, labels: Mapping[str, str]) -> None:
    """Answers are read from payloads: of what was relabelled a moment ago, or by one who died, they may be behind."""
    for ids in chunked(sorted(labels)):
        context.store.set_payload(partition, {example_id: {"label": labels[example_id]} for example_id in ids})


def provisional_candidates(
    context: Context,
    selection: Selection,
    members: Sequence[SelectionMember],
    without: Collection[str] = frozenset(),
) -> Mapping[str, list[str]]:
    """Ids of the examples that no optimisation chose and that answer all the same, by label; none of `without`.

    Of a label without a chosen reference they are its support examples; where it has none, all that have a split (an
    ingest job that still runs gives none). Of a label with chosen references, the support examples that were
    relabelled to it since: it was chosen without them, and they may look like nothing that it has.
    """
    catalogue_id = selection.catalogue_id
    chosen = {member.label for member in members if not member.provisional}
    # Labels are counted by the database; rows are read of those alone that lack references.
    lacking = [label for label in context.registry.example_counts(catalogue_id)[1] if label not in chosen]
    by_label: dict[str, list[Example]] = {}
    for example in context.registry.examples(catalogue_id, state=ExampleState.ACTIVE, labels=lacking):
        if example.split is not Split.UNASSIGNED and example.id not in without:
            by_label.setdefault(example.label, []).append(example)
    found = {}
    for label in sorted(by_label):
        support = [example.id for example in by_label[label] if example.split is Split.SUPPORT]
        found[label] = sorted(support or [example.id for example in by_label[label]])
    moved = _moved_in(context, selection, {one.example_id: one.label for one in members if not one.provisional})
    return found | {label: [one for one in ids if one not in without] for label, ids in moved.items()}


def _moved_in(context: Context, selection: Selection, chosen: Mapping[str, str]) -> dict[str, list[str]]:
    """Support examples that were relabelled to a label of `chosen` (example id to label) and are none of them."""
    labels = set(chosen.values())
    found: dict[str, list[str]] = {}
    for example in context.registry.relabelled_examples(selection.catalogue_id, read_at(selection)):
        if example.split is Split.SUPPORT and example.label in labels and example.id not in chosen:
            found.setdefault(example.label, []).append(example.id)
    return found


def holds_whole(context: Context, partition: Partition, slot: Slot, selection_id: str) -> bool:
    """Does the slot hold every reference of the selection, and nothing else under its id?"""
    members = {member.example_id for member in context.registry.members(selection_id)}
    return bool(members) and members == set(context.store.ids(partition, flagged(slot, selection_id)))


def mend_flags(
    context: Context, partition: Partition, selection: Selection, references: References
) -> tuple[set[str], set[str]]:
    """Compare flags with members once and repair both ways: (ids that lacked their flag, ids with one too many).

    The store is read first: whatever was dropped in between is then a surplus at worst, which the next comparison
    finds.
    """
    found = set(context.store.ids(partition, flagged(selection.slot, selection.id)))
    members = context.registry.members(selection.id)
    wanted = {member.example_id for member in members}
    lacking, surplus = wanted - found, found - wanted
    for ids in chunked(sorted(surplus)):
        context.store.unflag(partition, selection.slot, ids)
    labels = {member.label for member in members if member.provisional and member.example_id in lacking}
    anew = [m for m in members if (m.label in labels if m.provisional else m.example_id in lacking)]
    write_flags(context, partition, selection.slot, selection.id, references.of(anew))
    return lacking, surplus


def verify_flags(context: Context, partition: Partition, selection: Selection, references: References) -> None:
    """Bring flags and members to agree exactly, every label with a reference.

    Raises PublishIncomplete when they still disagree after VERIFY_ROUNDS comparisons, or nothing is left to serve.
    """
    catalogue = context.registry.catalogue_by_id(selection.catalogue_id)
    for _ in range(VERIFY_ROUNDS):
        lacking, surplus = mend_flags(context, partition, selection, references)
        added = add_provisional_to(context, partition, selection, references)
        if not (lacking or surplus or added) and context.registry.members(selection.id):
            return
        # A drop that was broken off has taken points, which cannot be flagged, and left their rows.
        fetch_whole(context, catalogue, [*context.registry.examples_by_id(catalogue.id, sorted(lacking)).values()])
    raise PublishIncomplete(
        f"selection {selection.id} was not activated: in slot {selection.slot} {len(lacking)} references lack their "
        f"flag, {len(surplus)} points have one too many and {len(added)} came too late; what served before "
        "still serves. Run the command again",
        selection=selection.id,
        lacking=sorted(lacking)[:20],
        surplus=sorted(surplus)[:20],
    )
