"""Rows for the registry's tests, and the steps from one to the next."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Sequence

from service.errors import HolotypeError
from service.ports import Registry
from service.records import (
    ApiKey,
    Catalogue,
    Chunk,
    EmbeddedItem,
    Item,
    JobKind,
    NewItem,
    Scope,
    Selection,
    SelectionMember,
    SelectionState,
    Settlement,
    Split,
)


class Clock:
    """Time that stands still until it is moved; seconds."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def picture(name: str, label: str = "owl", *, split: Split = Split.UNASSIGNED, failure: str | None = None) -> NewItem:
    """An item whose bytes are its name; the same name is the same picture."""
    content_hash = hashlib.sha256(name.encode()).hexdigest()
    return NewItem(source=f"{label}/{name}.jpg", content_hash=content_hash, label=label, split=split, failure=failure)


def sealed(registry: Registry, catalogue: Catalogue, pictures: Sequence[NewItem], chunk_size: int = 32) -> str:
    """Id of an ingest job that is ready to be worked on."""
    job = registry.open_job(catalogue, JobKind.INGEST, {})
    registry.add_items(job.id, pictures)
    registry.seal_job(job.id, chunk_size)
    return job.id


def example_id(catalogue: Catalogue, content_hash: str) -> str:
    return str(uuid.uuid5(uuid.UUID(catalogue.id), content_hash))


def embedded(catalogue: Catalogue, item: Item) -> EmbeddedItem:
    return EmbeddedItem(
        item_id=item.id,
        example_id=example_id(catalogue, item.content_hash),
        width_px=640,
        height_px=480,
        perceptual_hash="0123456789abcdef",
    )


def claimed(registry: Registry, job_id: str, number: int = 0, owner: str = "worker") -> Chunk:
    chunk = registry.claim_chunk(job_id, number, owner, 60)
    assert chunk is not None
    return chunk


def settled(registry: Registry, catalogue: Catalogue, chunk: Chunk, owner: str = "worker") -> Settlement:
    """Settle the chunk with all its items embedded."""
    return registry.settle_chunk(chunk, owner, [embedded(catalogue, item) for item in chunk.items], [])


def ingested(registry: Registry, catalogue: Catalogue, pictures: Sequence[NewItem]) -> str:
    """Id of a job in which all pictures were embedded."""
    job_id = sealed(registry, catalogue, pictures)
    for _, number in registry.open_chunks():
        settled(registry, catalogue, claimed(registry, job_id, number))
    return job_id


def selection_of(catalogue: Catalogue, *, created_at: float = 1.0) -> Selection:
    return Selection(
        id=str(uuid.uuid4()),
        catalogue_id=catalogue.id,
        slot="a",
        state=SelectionState.WRITING,
        created_at=created_at,
        fingerprint_digest="0123456789abcdef",
        recipe={"head": "lda", "shrinkage": 0.5},
        head_blob="tenant/heads/x.npz",
        thresholds={"owl": 0.25, "rook": float("inf")},
        split_hash="abc",
        seed=7,
        why="it passed the gate",
        measured_on="holdout",
        figures={"accuracy": 0.9, "interval": [0.8, 0.95]},
    )


def members_of(examples: Sequence[tuple[str, str]], *, provisional: bool = False) -> list[SelectionMember]:
    """Members from (example id, label)."""
    return [
        SelectionMember(example_id=id_, label=label, centrality=None if provisional else 0.5, provisional=provisional)
        for id_, label in examples
    ]


def key_of(tenant: str, id_: str, *scopes: Scope, made: float = 1.0, ends: float | None = None) -> ApiKey:
    return ApiKey(
        id=id_,
        tenant=tenant,
        name=f"key {id_}",
        secret_sha256="ab" * 32,
        scopes=scopes or (Scope.READ,),
        created_at=made,
        expires_at=ends,
        revoked_at=None,
    )


def outcome(work: Callable[[], object]) -> HolotypeError | None:
    """The error that the work raised on purpose, None for none."""
    try:
        work()
    except HolotypeError as error:
        return error
    return None
