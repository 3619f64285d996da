"""What goes on answering while examples come and go: provisional references, and stand-ins for what is taken out.

All under the catalogue's publishing lease: what serves changes only there. A catalogue without a selection answers by
its support examples as they are, and takes none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

from service.records import SLOTS, Catalogue, Selection
from service.usecases.context import Context, partition_of
from service.usecases.references import References
from service.usecases.selections import chunked, publishing_lease
from service.usecases.slots import add_provisional_to, mend_flags, write_flags

Sleep = Callable[[float], None]


def add_provisional(context: Context, catalogue: Catalogue, sleep: Sleep = time.sleep) -> int:
    """Let labels without a reference, and what was relabelled, answer through the active selection; how many came.

    Flags are compared with members on the way: an example that was relabelled or dropped while somebody else was
    publishing may have been flagged by them. Without an active selection there is nothing to do: support examples
    answer directly. Raises LeaseHeld.
    """
    if _active(context, catalogue) is None:
        return 0
    with publishing_lease(context, catalogue, sleep):
        return _answering_by_all(context, catalogue)


@contextmanager
def going(
    context: Context,
    catalogue: Catalogue,
    example_ids: Collection[str],
    sleep: Sleep = time.sleep,
    labels: Collection[str] = (),
) -> Iterator[None]:
    """For a block in which these examples stop to answer, at least under their labels of before.

    What serves never lacks a class that has other examples: where the last references of a label go, others are there
    before. Nobody publishes meanwhile, or the selection that just came could be the one that stands on them. After the
    block the labels answer as `add_provisional` has it. `labels` are some that have lost references already. Raises
    LeaseHeld, with nothing changed where a selection serves.
    """
    if _active(context, catalogue) is None:
        yield
        add_provisional(context, catalogue, sleep)
        return
    leaving = frozenset(example_ids)
    with publishing_lease(context, catalogue, sleep) as lease:
        shrinking = _stand_ins(context, catalogue, leaving) | set(labels)
        lease.check()
        yield
        _answering_by_all(context, catalogue)
        _project_anew(context, catalogue, shrinking)


def _stand_ins(context: Context, catalogue: Catalogue, leaving: frozenset[str]) -> set[str]:
    """Labels that would lose their last reference have others; returns the labels that lose provisional ones."""
    selection = _active(context, catalogue)
    members = [] if selection is None else context.registry.members(selection.id)
    going_members = [one for one in members if one.example_id in leaving]
    if selection is not None and going_members:
        references = References(context, catalogue, selection)
        add_provisional_to(context, partition_of(catalogue), selection, references, leaving)
    return {one.label for one in going_members if one.provisional}


def _project_anew(context: Context, catalogue: Catalogue, labels: Collection[str]) -> None:
    """Provisional references are pulled to the mean of those that their label has; some of these labels' are gone."""
    selection = _active(context, catalogue)
    if selection is None or not labels:
        return
    members = [one for one in context.registry.members(selection.id) if one.provisional and one.label in labels]
    references = References(context, catalogue, selection).of(members)
    write_flags(context, partition_of(catalogue), selection.slot, selection.id, references)


def _answering_by_all(context: Context, catalogue: Catalogue) -> int:
    """Flags of the active selection mended, and every label answers; how many examples came to do so."""
    selection = _active(context, catalogue)
    if selection is None:
        return 0
    references = References(context, catalogue, selection)
    mend_flags(context, partition_of(catalogue), selection, references)
    return len(add_provisional_to(context, partition_of(catalogue), selection, references))


def _active(context: Context, catalogue: Catalogue) -> Selection | None:
    active = context.registry.catalogue_by_id(catalogue.id).active_selection
    return None if active is None else context.registry.selection(catalogue.id, active)


def unflag(context: Context, catalogue: Catalogue, example_ids: Sequence[str]) -> None:
    """Take the examples out of both slots at once: nothing may answer with them any more."""
    if catalogue.fingerprint is None:
        return
    partition = partition_of(catalogue)
    for ids in chunked(example_ids):
        for slot in SLOTS:
            context.store.unflag(partition, slot, ids)
