"""The vector store."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from service.core.model import Float32Array, Neighbour
from service.errors import InvalidInput, quoted
from service.records import Slot

VectorName = Literal["embedding", "projection_a", "projection_b"]

METADATA_PREFIX = "metadata."
"""Begins a condition on the user's own metadata: `{"metadata.lot": "17"}`."""

_METADATA_KEY = re.compile(r"[A-Za-z0-9_-]{1,50}")


def checked_metadata_key(key: object) -> str:
    """The key. Raises InvalidInput unless it is text of 1 to 50 letters, digits, '_' and '-'."""
    if not isinstance(key, str) or not _METADATA_KEY.fullmatch(key):
        shown = quoted(key) if isinstance(key, str) else repr(key)
        raise InvalidInput(
            f"{shown} cannot be a metadata key: use 1 to 50 of the characters A-Z, a-z, 0-9, '_' and '-'", key=shown
        )
    return key


@dataclass(frozen=True, slots=True)
class Partition:
    """The one place of the store that a call may see: a tenant's catalogue within an encoder's collection."""

    collection: str
    tenant: str
    catalogue: str

    def __post_init__(self) -> None:
        if not (self.collection and self.tenant and self.catalogue):
            raise ValueError(f"a partition needs collection, tenant and catalogue, got {self!r}")


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """One example as the store keeps it. `payload` lacks tenant and catalogue: the store adds them."""

    id: str
    embedding: Float32Array
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class StoredPoints:
    """Points read back. `embeddings` is (n, d), None when not asked for; `payloads` carry tenant and catalogue too."""

    ids: tuple[str, ...]
    embeddings: Float32Array | None
    payloads: tuple[Mapping[str, Any], ...]


class VectorStore(Protocol):
    """Embeddings with payloads.

    Payload keys that are indexed, all keywords: tenant, catalogue, label, split, selection_a, selection_b. Others:
    content_hash (the registry finds examples by it), source, width_px, height_px, created_at, centrality, and metadata:
    a mapping of the user's own names (1 to 50 letters, digits, '_' and '-') to texts, whose entries are indexed too; a
    new one replaces it whole.

    `where` maps indexed keys to the one value they must have; `metadata.<name>` asks for that entry. Every method adds
    tenant and catalogue of the partition. Ids that are not in the partition are left untouched, silently. Embeddings
    must be float32, finite, of unit length and of the collection's width, else InvalidInput. Outages raise Unavailable.
    """

    def ping(self) -> None:
        """Does it answer? Raises Unavailable."""
        ...

    def open_collection(self, collection: str, dimension: int) -> None:
        """Create with all payload indexes, or check the width. Idempotent. Raises EncoderMismatch on another width."""
        ...

    def insert(self, partition: Partition, points: Sequence[Point]) -> None:
        """Write points that are not there; one that is there keeps its payload, flags and vectors."""
        ...

    def set_payload(self, partition: Partition, payloads: Mapping[str, Mapping[str, Any]]) -> None:
        """Merge, for each id, these keys into its payload."""
        ...

    def flag(
        self, partition: Partition, slot: Slot, selection_id: str, ids: Sequence[str], projections: Float32Array
    ) -> None:
        """Write `selection_{slot}` = selection_id and `projection_{slot}` (n, k <= d; zero-padded to d) of the ids."""
        ...

    def unflag(self, partition: Partition, slot: Slot, ids: Sequence[str]) -> None:
        """Remove `selection_{slot}` of the ids."""
        ...

    def delete(self, partition: Partition, ids: Sequence[str]) -> None: ...

    def delete_partition(self, partition: Partition) -> None: ...

    def ids(self, partition: Partition, where: Mapping[str, str]) -> list[str]:
        """Ids of all matching points, sorted: exact."""
        ...

    def fetch(self, partition: Partition, ids: Sequence[str], with_embeddings: bool = True) -> StoredPoints:
        """Points by id, in the order asked; ids that are not there are left out."""
        ...

    def nearest(
        self, partition: Partition, using: VectorName, queries: Float32Array, where: Mapping[str, str], limit: int
    ) -> list[list[Neighbour]]:
        """For each query (q, k <= d; zero-padded) the `limit` most similar matching points, nearest first."""
        ...

    def nearest_per_label(
        self,
        partition: Partition,
        using: VectorName,
        queries: Float32Array,
        where: Mapping[str, str],
        per_label: int,
        labels: int,
    ) -> list[list[Neighbour]]:
        """For each query, the matching points from which the `labels` best classes can be told exactly.

        A class's score is the mean of its `per_label` best similarities (of all, where it has fewer). The answer holds,
        for each of the `labels` best classes by that score, its `per_label` best points, nearest first, and maybe more.
        """
        ...

    def close(self) -> None:
        """Flush and let go. No other call may follow."""
        ...
