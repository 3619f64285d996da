"""The map of a catalogue: its examples in two dimensions, as what serves sees them."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock

import numpy as np

from service.core.layout import laid_out, stratified
from service.errors import NotFound
from service.records import Catalogue, Example, Selection
from service.usecases.context import Context, partition_of
from service.usecases.derived import map_key, map_keys
from service.usecases.references import fetched
from service.usecases.selections import head_of

SEED = 0
FORM = 1
"""Of what is kept: raised when maps are laid out anew, so that old ones are not met."""
MOST_PLACES = 2000
"""Two thousand take about four seconds on one core, three thousand fourteen."""
MOST_KEPT = 4
"""Maps kept of a catalogue: one is used at a time, another after a change of selection or size."""

Places = Mapping[str, tuple[float, float]]

_laying = Lock()
"""One map is laid out at a time: who asks for the same one meanwhile waits, and finds it kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An example and where it lies, -1..1 both."""

    example: Example
    reference: bool
    x: float
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueMap:
    """The places, by example id; `total` active examples there are; `head` of the selection whose space is shown."""

    places: tuple[Place, ...]
    total: int
    selection: str | None
    head: str


def catalogue_map(context: Context, tenant: str, name: str, limit: int) -> CatalogueMap:
    """Places of the active examples, or of a stratified sample of `limit` where there are more.

    Laid out once for a selection and a set of examples, then kept: labels, splits and references are always as they
    are now. An empty catalogue has an empty map.

    Raises:
        CatalogueNotFound: there is none.
        Unavailable: an outside system does not answer.
    """
    catalogue = context.registry.catalogue(tenant, name)
    labels = context.registry.example_labels(catalogue.id)
    active = catalogue.active_selection
    selection = None if active is None else context.registry.selection(catalogue.id, active)
    ids = stratified(labels, min(limit, MOST_PLACES), SEED)
    places = _places(context, catalogue, selection, ids) if ids else {}
    there = context.registry.examples_by_id(catalogue.id, list(places))
    if len(there) < len(places):  # dropped while they were laid out: nothing of them stays
        context.blobs.delete(map_keys(context, catalogue))
    members = {} if active is None else context.registry.members_among(active, list(places))
    return CatalogueMap(
        places=tuple(
            Place(example=there[one], reference=one in members, x=x, y=y)
            for one, (x, y) in places.items()
            if one in there
        ),
        total=len(labels),
        selection=active,
        head="none" if selection is None or selection.head_blob is None else str(selection.recipe.get("head", "none")),
    )


def _places(context: Context, catalogue: Catalogue, selection: Selection | None, ids: Sequence[str]) -> Places:
    key = map_key(catalogue, _digest(catalogue, selection, ids))
    kept = _kept(context, key)
    if kept is not None:
        return kept
    with _laying:
        kept = _kept(context, key)
        if kept is not None:
            return kept
        places = _laid(context, catalogue, selection, ids)
        if len(places) == len(ids):  # pictures whose points are still on their way shall have their place tomorrow
            _keep(context, catalogue, key, places)
        return places


def _digest(catalogue: Catalogue, selection: Selection | None, ids: Sequence[str]) -> str:
    digest = hashlib.sha256(f"{FORM}\0{'' if selection is None else selection.id}\0{SEED}".encode())
    digest.update(b"" if catalogue.fingerprint is None else catalogue.fingerprint.digest.encode())
    for one in ids:
        digest.update(f"\n{one}".encode())
    return digest.hexdigest()[:32]


def _laid(context: Context, catalogue: Catalogue, selection: Selection | None, ids: Sequence[str]) -> Places:
    if catalogue.fingerprint is None:
        return {}
    found, embeddings = fetched(context, partition_of(catalogue), ids)
    head = None if selection is None else head_of(context, selection)
    rows = embeddings if head is None or not found else head.project(embeddings)
    places = laid_out(rows, SEED)
    return {one: (float(x), float(y)) for one, (x, y) in zip(found, places[: len(found)], strict=True)}


def _kept(context: Context, key: str) -> Places | None:
    """None where it is not there, or was torn."""
    with suppress(NotFound, ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile):
        with np.load(io.BytesIO(context.blobs.get(key)), allow_pickle=False) as arrays:
            ids, places = arrays["ids"].tolist(), arrays["places"].tolist()
        return {str(one): (x, y) for one, (x, y) in zip(ids, places, strict=True)}
    return None


def _keep(context: Context, catalogue: Catalogue, key: str, places: Places) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, ids=np.array(list(places)), places=np.array(list(places.values()), dtype=np.float32).reshape(-1, 2)
    )
    others = [one for one in map_keys(context, catalogue) if one != key]
    if len(others) >= MOST_KEPT:
        context.blobs.delete(others)
    context.blobs.put(key, buffer.getvalue())
