"""Selections as a person sees them, and the names under which the vector store knows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import BoundedSemaphore
from typing import Any, TypeVar
from uuid import uuid4

from service.core.projection import Head
from service.core.recipe import Recipe
from service.errors import LeaseHeld
from service.ports import VectorName
from service.records import Catalogue, Selection, Slot
from service.usecases.context import Context
from service.usecases.leases import KeptLease, kept_lease

T = TypeVar("T")

CHUNK_POINTS = 500
"""Points a call to the store: a server applies payload changes in small steps anyway, and requests stay small."""

LEASE_PATIENCE_S = 60.0
"""How long to wait for somebody else who is publishing; the wait for a slot to rest is part of that time."""
LEASE_POLL_S = 0.2
MOST_WAITING = 16
"""Threads of one process that wait for publishing leases. A server has 40 threads for all requests of all tenants: the
others must not wait because someone deletes a hundred pictures of a catalogue that is being published to."""
_WAITING = BoundedSemaphore(MOST_WAITING)


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionSummary:
    """A selection, with the number of references that it serves (or served) with, and whether it serves now."""

    selection: Selection
    references: int
    active: bool

    def as_dict(self) -> dict[str, Any]:
        """JSON of `holotype selections`; recipe and figures as they are stored."""
        one = self.selection
        return {
            "selection": one.id,
            "activated": self.active,
            "state": one.state.value,
            "why": one.why,
            "references": self.references,
            "head": one.recipe.get("head", "none"),
            "strategy": one.recipe.get("strategy", "all"),
            "recipe": dict(one.recipe),
            "seed": one.seed,
            "created_at": one.created_at,
            "figures": dict(one.figures),
            "measured_on": one.measured_on,
        }


def summary_of(context: Context, catalogue: Catalogue, selection: Selection) -> SelectionSummary:
    """The selection with its references counted; `catalogue` says which one serves."""
    return SelectionSummary(
        selection=selection,
        references=sum(context.registry.member_counts(selection.id).values()),
        active=catalogue.active_selection == selection.id,
    )


def selection_summary(context: Context, catalogue: Catalogue, selection: Selection) -> dict[str, Any]:
    """The JSON of `holotype optimise` and of `holotype selections`."""
    return summary_of(context, catalogue, selection).as_dict()


def list_selections(context: Context, tenant: str, name: str) -> list[SelectionSummary]:
    """All selections of a catalogue, newest first. Raises CatalogueNotFound."""
    catalogue = context.registry.catalogue(tenant, name)
    return [summary_of(context, catalogue, selection) for selection in context.registry.selections(catalogue.id)]


def flagged(slot: Slot, selection_id: str) -> dict[str, str]:
    """The filter that finds a selection's references."""
    return {f"selection_{slot}": selection_id}


def projection_of(slot: Slot) -> VectorName:
    """The named vector that holds a slot's projections."""
    return "projection_a" if slot == "a" else "projection_b"


def head_of(context: Context, selection: Selection) -> Head | None:
    """The selection's head; None for the identity."""
    if selection.head_blob is None:
        return None
    return Head.from_bytes(context.blobs.get(selection.head_blob))


def recipe_of(selection: Selection) -> Recipe:
    """The selection's recipe."""
    return Recipe.from_dict(selection.recipe)


def chunked(rows: Sequence[T], size: int = CHUNK_POINTS) -> Iterator[Sequence[T]]:
    """The rows in pieces of at most `size`."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


@contextmanager
def publishing_lease(
    context: Context, catalogue: Catalogue, sleep: Callable[[float], None], patience_s: float = LEASE_PATIENCE_S
) -> Iterator[KeptLease]:
    """The one right to write flags of the catalogue, waited for. Raises LeaseHeld when the wait was in vain.

    The owner is made unique: two threads of one process must not both be let in. Not for nesting, for the same reason.
    """
    once = replace(context, owner=f"{context.owner}/{uuid4().hex[:8]}")
    name = f"catalogue:{catalogue.id}"
    _wait_for(once, name, sleep, patience_s)
    with kept_lease(once, name, context.limits.job_lease_s) as lease:
        yield lease


def _wait_for(context: Context, name: str, sleep: Callable[[float], None], patience_s: float) -> None:
    """Until the lease is taken or patience is over; not at all where MOST_WAITING threads of this process do."""
    if _taken(context, name) or not _WAITING.acquire(blocking=False):
        return
    try:
        for _ in range(round(patience_s / LEASE_POLL_S)):
            sleep(LEASE_POLL_S)
            if _taken(context, name):
                return
    finally:
        _WAITING.release()


def _taken(context: Context, name: str) -> bool:
    try:
        context.registry.take_lease(name, context.owner, context.limits.job_lease_s)
    except LeaseHeld:
        return False
    return True
