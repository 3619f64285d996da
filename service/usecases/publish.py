"""Selections made visible: published, activated again, kept in step with the examples.

Steps of a publication, all under the catalogue's lease: (1) take the lease; (2) choose the idle slot, let it rest,
store head and references, write the selection's row and members, state WRITING; (3) write flags and projections by
ids; (4) flags and members must agree exactly, every label with a reference; (5) one transaction moves the pointer.
Queries read the pointer before and after they search. (6) The slot left behind rests before it is written again:
queries may be in flight. (7) Members in the registry are the truth, flags are an index: `reconcile` mends them.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

import numpy as np

from service.core.model import Float32Array
from service.core.projection import Head
from service.core.reference_set import ReferenceSet
from service.core.vectors import checked_embeddings
from service.errors import EncoderMismatch, HolotypeError, NothingToServe, SelectionNotFound
from service.records import Catalogue, ExampleState, Selection, SelectionMember, SelectionState, Slot
from service.usecases.context import Context, head_key, partition_of, references_key, report_key
from service.usecases.leases import KeptLease
from service.usecases.log_context import log_ids
from service.usecases.reconcile import reconcile
from service.usecases.references import References
from service.usecases.selections import (
    SelectionSummary,
    list_selections,
    publishing_lease,
    summary_of,
)
from service.usecases.slots import (
    holds_whole,
    idle_slot,
    let_rest,
    verify_flags,
)

__all__ = [
    "Draft",
    "SelectionSummary",
    "activate",
    "activate_in",
    "list_selections",
    "publish",
    "reconcile",
]

logger = logging.getLogger(__name__)

Sleep = Callable[[float], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Draft:
    """A chosen reference set that nobody sees yet.

    Attributes:
        recipe: how it was made, `core.recipe.Recipe.as_dict()`.
        head: maps embeddings (n, d) to projections (n, k); None for the identity.
        members: the r references.
        projections: float32 (r, k), k <= d, unit rows in the order of `members`, pulled already.
        thresholds: label to the largest centrality of its references.
        split_hash, seed, why, measured_on, figures: as in `records.Selection`.
        report: what the report shows beyond the figures, JSON.
    """

    recipe: Mapping[str, Any]
    head: Head | None
    members: tuple[SelectionMember, ...]
    projections: Float32Array
    thresholds: Mapping[str, float]
    split_hash: str
    seed: int
    why: str
    measured_on: str
    figures: Mapping[str, Any]
    report: Mapping[str, Any] = field(default_factory=dict)


def publish(
    context: Context, catalogue: Catalogue, draft: Draft, selection_id: str | None = None, sleep: Sleep = time.sleep
) -> Selection:
    """Write the draft into the idle slot, verify it and let it serve.

    Members whose example was dropped, relabelled or came into conflict meanwhile are left out. With the id of a
    selection that is there already nothing is published twice: one that served is returned, one that was interrupted
    is finished.

    Raises:
        PublishIncomplete: flags and members do not agree; what served before still serves.
        NothingToServe: no member is left.
        LeaseHeld: somebody else is publishing, for longer than is waited for.
        InvalidInput: projections are not unit rows, one a member.
    """
    checked_embeddings(draft.projections)
    with publishing_lease(context, catalogue, sleep) as lease:
        current = context.registry.catalogue_by_id(catalogue.id)
        selection = _known(context, current, selection_id)
        if selection is not None and selection.state in (SelectionState.ACTIVE, SelectionState.RETIRED):
            return selection
        slot = idle_slot(context, current.id, current.active_selection)
        let_rest(context, current.id, slot, sleep)
        if selection is None:
            selection = _open(context, current, draft, selection_id or str(uuid4()), slot)
        try:
            return _serve(context, current, replace(selection, slot=slot), lease)
        except BaseException:
            _mark_failed(context, current, selection.id)
            raise


def activate(
    context: Context, tenant: str, name: str, selection_id: str, sleep: Sleep = time.sleep
) -> SelectionSummary:
    """Let a former selection serve again: the pointer moves where its slot still holds it whole, else it is rewritten.

    Labels that came after it get provisional references before it serves. Raises SelectionNotFound, CatalogueNotFound,
    PublishIncomplete, LeaseHeld, EncoderMismatch.
    """
    return activate_in(context, context.registry.catalogue(tenant, name), selection_id, sleep)


def activate_in(
    context: Context, catalogue: Catalogue, selection_id: str, sleep: Sleep = time.sleep
) -> SelectionSummary:
    """The same for a catalogue that was found already."""
    context.registry.selection(catalogue.id, selection_id)
    with publishing_lease(context, catalogue, sleep) as lease:
        current = context.registry.catalogue_by_id(catalogue.id)
        selection = context.registry.selection(current.id, selection_id)
        _check_encoder(current, selection)
        if current.active_selection != selection_id:
            idle = idle_slot(context, current.id, current.active_selection)
            in_place = selection.slot == idle and holds_whole(context, partition_of(current), idle, selection_id)
            let_rest(context, current.id, idle, sleep, besides=selection_id if in_place else None)
            selection = _serve(context, current, replace(selection, slot=idle), lease)
        return summary_of(context, context.registry.catalogue_by_id(current.id), selection)


def _known(context: Context, catalogue: Catalogue, selection_id: str | None) -> Selection | None:
    if selection_id is None:
        return None
    with suppress(SelectionNotFound):
        return context.registry.selection(catalogue.id, selection_id)
    return None


def _open(context: Context, catalogue: Catalogue, draft: Draft, selection_id: str, slot: Slot) -> Selection:
    """Store head, references and report, then the row with its members. Blobs first: a row always has them."""
    references, members = _still_valid(context, catalogue, draft)
    key = None if draft.head is None else head_key(catalogue.tenant, selection_id)
    if draft.head is not None and key is not None:
        context.blobs.put(key, draft.head.to_bytes())
    context.blobs.put(references_key(catalogue.tenant, selection_id), references.to_bytes())
    context.blobs.put(report_key(catalogue.tenant, selection_id), json.dumps(dict(draft.report)).encode())
    context.blobs.flush()
    selection = Selection(
        id=selection_id,
        catalogue_id=catalogue.id,
        slot=slot,
        state=SelectionState.WRITING,
        created_at=context.clock(),
        fingerprint_digest="" if catalogue.fingerprint is None else catalogue.fingerprint.digest,
        recipe=draft.recipe,
        head_blob=key,
        thresholds=draft.thresholds,
        split_hash=draft.split_hash,
        seed=draft.seed,
        why=draft.why,
        measured_on=draft.measured_on,
        figures=draft.figures,
    )
    context.registry.open_selection(selection, members)
    return selection


def _still_valid(context: Context, catalogue: Catalogue, draft: Draft) -> tuple[ReferenceSet, list[SelectionMember]]:
    """The draft without members whose example was dropped, relabelled or came into conflict since it was made."""
    active = context.registry.examples(
        catalogue.id, state=ExampleState.ACTIVE, labels=[member.label for member in draft.members]
    )
    labels = {example.id: example.label for example in active}
    members = [member for member in draft.members if labels.get(member.example_id) == member.label]
    if not members:
        raise NothingToServe(
            f"none of the {len(draft.members)} chosen references is left in catalogue {catalogue.name!r}: they were "
            "dropped, relabelled or came into conflict meanwhile; optimise again",
            catalogue=catalogue.name,
        )
    everything = ReferenceSet(
        tuple(member.example_id for member in draft.members),
        tuple(member.label for member in draft.members),
        np.asarray(draft.projections, dtype=np.float32),
    )
    return everything.take(member.example_id for member in members), members


def _serve(context: Context, catalogue: Catalogue, selection: Selection, lease: KeptLease) -> Selection:
    """Flags, verification, pointer. `selection.slot` is the idle slot, rested."""
    lease.check()
    verify_flags(context, partition_of(catalogue), selection, References(context, catalogue, selection))
    context.registry.activate_selection(catalogue.id, selection.id, selection.slot, lease=lease.name, owner=lease.owner)
    with log_ids({"tenant": catalogue.tenant, "selection": selection.id}):
        logger.info("catalogue %r answers by another selection", catalogue.name)
    return context.registry.selection(catalogue.id, selection.id)


def _mark_failed(context: Context, catalogue: Catalogue, selection_id: str) -> None:
    """Say that the publication was interrupted, if that can be said; `reconcile` says it otherwise."""
    with suppress(HolotypeError):
        if context.registry.catalogue_by_id(catalogue.id).active_selection != selection_id:
            context.registry.set_selection_state(selection_id, SelectionState.FAILED)


def _check_encoder(catalogue: Catalogue, selection: Selection) -> None:
    stored = "" if catalogue.fingerprint is None else catalogue.fingerprint.digest
    if selection.fingerprint_digest != stored:
        raise EncoderMismatch(
            f"selection {selection.id} was made with encoder {selection.fingerprint_digest or 'none'}, "
            f"the catalogue's pictures with {stored or 'none'}",
            selection=selection.fingerprint_digest,
            catalogue=stored,
        )
