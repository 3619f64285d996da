"""The reconciler: the registry is the truth, the vector store's payloads are an index of it, mended on drift."""

from __future__ import annotations

import time

from service.errors import LeaseHeld
from service.ports import Partition
from service.records import Catalogue, Selection, SelectionState
from service.usecases.context import Context, partition_of
from service.usecases.lone_points import forget_lone_points
from service.usecases.missing_points import bring_back_points
from service.usecases.references import References
from service.usecases.selections import chunked, publishing_lease
from service.usecases.slots import add_provisional_to, mend_flags
from service.usecases.splitting import align_payloads


def reconcile(context: Context, catalogue: Catalogue, *, whole: bool = True) -> int:
    """Mend payload splits, points without rows and rows without points, flags of what serves; how many were repaired.

    All but the last are of every example; without `whole` only the selection's references are looked at. While somebody
    publishes, flags are left to them. Selections left half written by a process that died become FAILED.
    """
    if catalogue.fingerprint is None:
        return 0
    repairs = _compare_all(context, catalogue) if whole else 0
    try:
        with publishing_lease(context, catalogue, time.sleep, patience_s=0):
            current = context.registry.catalogue_by_id(catalogue.id)
            _bury_interrupted(context, current)
            return repairs + _mend_active(context, current)
    except LeaseHeld:
        return repairs


def _compare_all(context: Context, catalogue: Catalogue) -> int:
    """Every point with its row, and the other way round. A store that lost the collection gets it again, too."""
    if catalogue.fingerprint is not None:
        context.store.open_collection(catalogue.fingerprint.collection, catalogue.fingerprint.dimension)
    stored = context.store.ids(partition_of(catalogue), {})
    lone = forget_lone_points(context, catalogue, stored)
    return align_payloads(context, catalogue) + lone + bring_back_points(context, catalogue, stored)


def _mend_active(context: Context, catalogue: Catalogue) -> int:
    """Flags, labels and provisional references of the active selection."""
    if catalogue.active_selection is None:
        return 0
    partition = partition_of(catalogue)
    selection = context.registry.selection(catalogue.id, catalogue.active_selection)
    references = References(context, catalogue, selection)
    relabelled = _mend_labels(context, partition, selection)
    lacking, surplus = mend_flags(context, partition, selection, references)
    return relabelled + len(lacking) + len(surplus) + len(add_provisional_to(context, partition, selection, references))


def _mend_labels(context: Context, partition: Partition, selection: Selection) -> int:
    """Answers are read from the payload's label: the references' must be the registry's."""
    labels = {member.example_id: member.label for member in context.registry.members(selection.id)}
    wrong = {}
    for ids in chunked(list(labels)):
        points = context.store.fetch(partition, ids, with_embeddings=False)
        for example_id, payload in zip(points.ids, points.payloads, strict=True):
            if payload.get("label") != labels[example_id]:
                wrong[example_id] = {"label": labels[example_id]}
    for ids in chunked(list(wrong)):
        context.store.set_payload(partition, {example_id: wrong[example_id] for example_id in ids})
    return len(wrong)


def _bury_interrupted(context: Context, catalogue: Catalogue) -> None:
    """Under the lease nobody is publishing: a selection that is still being written lost its writer."""
    for selection in context.registry.selections(catalogue.id):
        if selection.state is SelectionState.WRITING:
            context.registry.set_selection_state(selection.id, SelectionState.FAILED)
