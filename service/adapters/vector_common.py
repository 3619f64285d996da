"""What every vector store checks before it writes or asks, and how it shapes what it answers.

The engines are forgiving where Holotype must not be: Qdrant Edge stores NaN silently and never returns it, an
unindexed filter is merely slow, a bool payload matches nothing. So the same checks stand before all of them.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from service.core.model import Float32Array, Neighbour
from service.core.vectors import checked_embeddings
from service.errors import EncoderMismatch, InvalidInput, NotFound
from service.ports import METADATA_PREFIX, Partition, Point, StoredPoints, VectorName, checked_metadata_key
from service.records import SLOTS, Slot

VECTORS: tuple[VectorName, ...] = ("embedding", "projection_a", "projection_b")
OWNER_KEYS = ("tenant", "catalogue")
FLAG_KEYS = ("selection_a", "selection_b")
TEXT_KEYS = ("label", "split")
TERMS_KEY = "metadata_terms"
"""Payload key, the store's own, with a text "key=value" for each entry of `metadata`. One index over these texts finds
any key's value; without one, a filter reads every payload (Edge, 20 000 points: 29 ms a query against 0.14 ms)."""
INDEXED_KEYS = (*OWNER_KEYS, *TEXT_KEYS, *FLAG_KEYS, TERMS_KEY)
NEIGHBOUR_KEYS = ("label", "source")
"""The only payload keys that a search reads back."""

BATCH = 500
"""Points a write, and ids a read: 500 embeddings of 1 536 floats are 16 MB of JSON, half of what a server takes."""

Item = TypeVar("Item")


def batches(items: Sequence[Item], size: int = BATCH) -> Iterator[Sequence[Item]]:
    """The items in pieces of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def selection_key(slot: Slot) -> str:
    """Payload key that holds a slot's selection id. Raises InvalidInput for another slot than a and b."""
    return f"selection_{_checked_slot(slot)}"


def projection_name(slot: Slot) -> VectorName:
    """Name of a slot's vector. Raises InvalidInput for another slot than a and b."""
    return "projection_a" if _checked_slot(slot) == "a" else "projection_b"


def present_ids(ids: Sequence[str]) -> list[str]:
    """The ids that a store can hold at all (UUIDs in their usual spelling), each once, in the order given."""
    return [example_id for example_id in dict.fromkeys(ids) if _is_uuid(example_id)]


def checked_points(points: Sequence[Point], dimension: int) -> tuple[list[Point], Float32Array]:
    """The points, each id once (the first counts, as it would if they came one by one), and their embeddings (n, d).

    Raises InvalidInput for an id that is not a UUID, a payload that cannot be stored, an embedding that is not finite,
    not of unit length or not `dimension` wide.
    """
    unique = list({point.id: point for point in reversed(points)}.values())[::-1]
    for point in unique:
        if not _is_uuid(point.id):
            raise InvalidInput(f"example id {point.id!r} is not a UUID such as {uuid.UUID(int=0)}")
        width = np.shape(point.embedding)
        if width != (dimension,):
            raise InvalidInput(f"the embedding of example {point.id} has shape {width}; ({dimension},) is needed")
    rows = [np.asarray(point.embedding, dtype=np.float32) for point in unique]
    return unique, checked_embeddings(np.stack(rows), dimension)


def checked_rows(values: Float32Array, dimension: int, using: VectorName = "projection_a") -> Float32Array:
    """Queries or projections (n, k <= d) as float32 (n, d), zero-padded: cosines and unit length stay.

    Raises InvalidInput when a row is not finite or not of unit length, when k > d, when an `embedding` is not d wide,
    and for another vector name than those of VECTORS.
    """
    if using not in VECTORS:
        raise InvalidInput(f"there is no vector {using!r}; choose one of {', '.join(VECTORS)}")
    rows = checked_embeddings(values)
    width = rows.shape[1]
    if width > dimension or (using == "embedding" and width != dimension):
        raise InvalidInput(f"rows are {width} wide; the collection's {using} is {dimension} wide")
    return rows if width == dimension else np.pad(rows, ((0, 0), (0, dimension - width)))


def checked_where(where: Mapping[str, str]) -> list[tuple[str, str]]:
    """The conditions as (indexed payload key, value that it must have or hold), `metadata.<key>` as a term.

    Raises InvalidInput for a key not indexed, a key that the partition sets, or a value not text.
    """
    for key, value in where.items():
        if key not in (*TEXT_KEYS, *FLAG_KEYS) and not key.startswith(METADATA_PREFIX):
            known = ", ".join((*TEXT_KEYS, *FLAG_KEYS, f"{METADATA_PREFIX}<key>"))
            raise InvalidInput(f"cannot search by {key!r}; choose among {known}")
        if not isinstance(value, str):
            raise InvalidInput(f"{key} is searched by text, not by {value!r}")
    return [_condition(key, value) for key, value in where.items()]


def _condition(key: str, value: str) -> tuple[str, str]:
    if not key.startswith(METADATA_PREFIX):
        return key, value
    return TERMS_KEY, _term(checked_metadata_key(key.removeprefix(METADATA_PREFIX)), value)


def _term(key: str, value: str) -> str:
    """No key holds "=", so a term can be read in one way only."""
    return f"{key}={value}"


def stored_payload(partition: Partition, point: Point) -> dict[str, Any]:
    """A new point's payload with its owner. Raises InvalidInput as `checked_payload` does, and without a label."""
    payload = checked_payload(point.id, point.payload)
    if "label" not in payload:
        raise InvalidInput(f"example {point.id} has no label in its payload")
    return {**payload, "tenant": partition.tenant, "catalogue": partition.catalogue}


def checked_payload(example_id: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """A plain JSON copy, with the terms of its metadata where it has some.

    Raises InvalidInput for keys that are the store's own, what JSON lacks, and indexed values that are not text.
    """
    reserved = sorted(payload.keys() & {*OWNER_KEYS, *FLAG_KEYS, TERMS_KEY})
    if reserved:
        raise InvalidInput(f"{', '.join(reserved)} of example {example_id} is set by the store, not by a payload")
    for key in TEXT_KEYS:
        if key in payload and not isinstance(payload[key], str):
            raise InvalidInput(f"{key} of example {example_id} is {payload[key]!r}; indexed values must be text")
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(payload), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"the payload of example {example_id} cannot be written as JSON: {error}") from error
    if "metadata" in payload:
        plain[TERMS_KEY] = _terms(example_id, payload["metadata"])
    return plain


def _terms(example_id: str, metadata: object) -> list[str]:
    """The metadata as texts to search by. Raises InvalidInput when it does not map usable keys to texts."""
    if not isinstance(metadata, Mapping) or not all(isinstance(value, str) for value in metadata.values()):
        raise InvalidInput(f"metadata of example {example_id} is {metadata!r}; it must map names to texts")
    return sorted(_term(checked_metadata_key(key), value) for key, value in metadata.items())


def grouped_payloads(payloads: Mapping[str, Mapping[str, Any]]) -> list[tuple[dict[str, Any], list[str]]]:
    """Equal payloads with all their ids: one write instead of many. Raises InvalidInput as `checked_payload` does."""
    groups: dict[str, tuple[dict[str, Any], list[str]]] = {}
    for example_id, payload in payloads.items():
        plain = checked_payload(example_id, payload)
        if plain:
            groups.setdefault(json.dumps(plain, sort_keys=True), (plain, []))[1].append(example_id)
    return list(groups.values())


def checked_flags(
    selection_id: str, ids: Sequence[str], projections: Float32Array, dimension: int
) -> dict[str, list[float]]:
    """Id to zero-padded projection. Raises InvalidInput when they do not go together or a projection is not usable."""
    if not selection_id:
        raise InvalidInput("a selection needs an id")
    if len(ids) != len(projections):
        raise InvalidInput(f"{len(ids)} ids do not go with {len(projections)} projections")
    rows = checked_rows(projections, dimension)
    return dict(zip(ids, rows.tolist(), strict=True))


def checked_limit(name: str, value: int) -> int:
    """The number, when it is at least 1; else InvalidInput."""
    if value < 1:
        raise InvalidInput(f"{name} is {value}; at least 1 is needed")
    return value


def belongs(payload: Mapping[str, Any], partition: Partition) -> bool:
    """Is a point with this payload the partition's own?"""
    return bool(payload.get("tenant") == partition.tenant and payload.get("catalogue") == partition.catalogue)


def check_width(collection: str, stored: int, wanted: int) -> None:
    """Raises EncoderMismatch when a collection's width is not the wanted one."""
    if stored != wanted:
        raise EncoderMismatch(
            f"collection {collection} holds embeddings {stored} wide, this encoder makes them {wanted} wide: "
            f"use the encoder that the collection was made with, or another catalogue",
            collection=collection,
            stored=stored,
            wanted=wanted,
        )


def no_collection(collection: str, place: str) -> NotFound:
    """The error for a collection that was never opened, or whose store was lost."""
    return NotFound(
        f"{place} has no collection {collection}: ingest pictures to make it, or restore the store that had it",
        collection=collection,
    )


def neighbour(example_id: str, payload: Mapping[str, Any], similarity: float) -> Neighbour:
    """A search hit. Rounding may carry a cosine a step of float32 beyond 1; it is brought back."""
    return Neighbour(
        example_id=example_id,
        label=str(payload["label"]),
        similarity=min(1.0, max(-1.0, float(similarity))),
        source=str(payload.get("source", "")),
    )


def nearest_first(neighbours: Sequence[Neighbour]) -> list[Neighbour]:
    """By similarity, then id, so that equal points come in the same order from every store."""
    return sorted(neighbours, key=lambda n: (-n.similarity, n.example_id))


def stored_points(
    asked: Sequence[str],
    found: Mapping[str, tuple[Sequence[float] | None, Mapping[str, Any]]],
    dimension: int,
    *,
    with_embeddings: bool,
) -> StoredPoints:
    """What was found, in the order asked, with embeddings (n, d) or None."""
    ids = tuple(example_id for example_id in asked if example_id in found)
    payloads = tuple({k: v for k, v in found[example_id][1].items() if k != TERMS_KEY} for example_id in ids)
    if not with_embeddings:
        return StoredPoints(ids=ids, embeddings=None, payloads=payloads)
    rows = [found[example_id][0] for example_id in ids]
    embeddings = np.array(rows, dtype=np.float32).reshape(len(ids), dimension)
    return StoredPoints(ids=ids, embeddings=embeddings, payloads=payloads)


def _checked_slot(slot: Slot) -> Slot:
    if slot not in SLOTS:
        raise InvalidInput(f"there is no slot {slot!r}; slots are {' and '.join(SLOTS)}")
    return slot


def _is_uuid(value: str) -> bool:
    try:
        return str(uuid.UUID(value)) == value
    except (ValueError, AttributeError, TypeError):
        return False
