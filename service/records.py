"""The rows that the registry keeps, as frozen values. What they mean is in the glossary of the README."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Literal

from service.core.crop import picture_name

Slot = Literal["a", "b"]
SLOTS: tuple[Slot, Slot] = ("a", "b")


class Split(StrEnum):
    """What an example is for. UNASSIGNED until the ingest job ends; HELD while in conflict."""

    SUPPORT = "support"
    TUNING = "tuning"
    HOLDOUT = "holdout"
    UNASSIGNED = "unassigned"


class JobKind(StrEnum):
    """What a job does."""

    INGEST = "ingest"
    OPTIMISE = "optimise"
    CLASSIFY = "classify"


class JobState(StrEnum):
    """OPENING: its items are still being written; nothing of it was accepted yet. PAUSED: waits for a person.

    DONE, FAILED and CANCELLED are final.
    """

    OPENING = "opening"
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL_STATES = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)
"""What a job does not leave any more."""

KINDS_OF_ITEMS = (JobKind.INGEST, JobKind.CLASSIFY)
"""Kinds of jobs that work through items, so that their progress is counted in pictures."""


class ItemState(StrEnum):
    """PENDING is the only state that is not final. ANSWERED is what a picture of a classify job becomes."""

    PENDING = "pending"
    STORED = "stored"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    FAILED = "failed"
    ANSWERED = "answered"
    CANCELLED = "cancelled"


class ExampleState(StrEnum):
    """CONFLICT: one picture under two labels; used by nothing until somebody decides."""

    ACTIVE = "active"
    CONFLICT = "conflict"


class SelectionState(StrEnum):
    """WRITING until its flags are verified; then ACTIVE, RETIRED or FAILED."""

    WRITING = "writing"
    ACTIVE = "active"
    RETIRED = "retired"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What makes two encoders' embeddings comparable. Where the weights came from and the precision are not part.

    Attributes:
        weights_sha256: hash of the weights, 64 hex digits.
        pooling: "class_token", "mean", "clip_projection" or "pixel".
        processor: class name of the image processor.
        processor_parameters: its parameters, JSON values.
        dimension: width d of the embeddings.
    """

    weights_sha256: str
    pooling: str
    processor: str
    processor_parameters: Mapping[str, Any]
    dimension: int

    def as_dict(self) -> dict[str, Any]:
        """JSON-serialisable form; `Fingerprint(**value)` reads it back."""
        return {**asdict(self), "processor_parameters": dict(self.processor_parameters)}

    @property
    def digest(self) -> str:
        """First 16 hex digits of the sha256 of the canonical JSON form."""
        canonical = json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @property
    def collection(self) -> str:
        """Name of the vector store's collection for this encoder."""
        return f"holotype-{self.digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """A tenant's named set of classes, on one encoder. `fingerprint` is None until the first picture is encoded."""

    id: str
    tenant: str
    name: str
    encoder: str
    fingerprint: Fingerprint | None
    active_selection: str | None
    created_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A unit of work that a user sees. `stage`, `done`, `total` feed a progress bar; `result` is set at the end.

    `heard_at` is when pictures were last added to it (seconds since 1970), None before the first. `cancelled_at` is
    when somebody asked for its end: it becomes CANCELLED when what is being worked on has ended. `pace` is its working
    time (`core.pace`), `retried_as` the id of the job that tries its failed pictures again.
    """

    id: str
    tenant: str
    catalogue_id: str
    kind: JobKind
    state: JobState
    parameters: Mapping[str, Any]
    stage: str
    done: int
    total: int
    result: Mapping[str, Any] | None
    error: str | None
    created_at: float
    started_at: float | None = None
    finished_at: float | None = None
    heard_at: float | None = None
    cancelled_at: float | None = None
    pace: Mapping[str, Any] | None = None
    retried_as: str | None = None
    forget_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewItem:
    """One picture handed to an ingest or classify job; its bytes are in the blob store already.

    `failure` is set when the picture was refused before it was queued (unreadable file): the item is born FAILED.
    `content_hash` is empty for such a one, and for one that the worker has to fetch from its source, a URL, first.
    `crop` is the part of the picture that counts (`core.crop`), "" for all of it.
    """

    source: str
    content_hash: str
    label: str
    split: Split
    failure: str | None = None
    crop: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A picture of a job, with what became of it. `id` is unique over all jobs; `result` is a classify job's answer.

    `crop` is the part of the picture that counts (`core.crop`), "" for all of it.
    """

    id: int
    job_id: str
    source: str
    content_hash: str
    label: str
    split: Split
    state: ItemState
    reason: str | None
    example_id: str | None
    crop: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    result: Mapping[str, Any] | None = None

    @property
    def picture(self) -> str:
        """What is to be embedded: the content hash, with the crop where there is one."""
        return picture_name(self.content_hash, self.crop)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedItem:
    """An item whose embedding is in the vector store (or was there already)."""

    item_id: int
    example_id: str
    width_px: int
    height_px: int
    perceptual_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredItem:
    """An item of a classify job that was answered. `result` is the answer, JSON-serialisable."""

    item_id: int
    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedItem:
    """An item that cannot be used, and why."""

    item_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """A claimed piece of an ingest or classify job. `attempt` counts from 1."""

    job_id: str
    number: int
    attempt: int
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Settlement:
    """What settling a chunk brought to light.

    Attributes:
        conflicts: examples that are in conflict now: unflag them at once.
        job_settled: True when no item of the job is pending any more.
    """

    conflicts: tuple[str, ...]
    job_settled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One labelled, embedded image.

    `conflict_labels` are the labels it was handed over under (in conflict), `settled_labels` those that a person
    decided against. `metadata` is the user's own: short texts by name, to filter a search by. `crop` is the part of the
    picture that it shows (`core.crop`), "" for all of it; its size and perceptual hash are those of that part.
    """

    id: str
    catalogue_id: str
    label: str
    split: Split
    state: ExampleState
    content_hash: str
    source: str
    width_px: int
    height_px: int
    perceptual_hash: str
    created_at: float
    conflict_labels: tuple[str, ...] = ()
    settled_labels: tuple[str, ...] = ()
    crop: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def picture(self) -> str:
        """What it shows: the content hash, with the crop where there is one."""
        return picture_name(self.content_hash, self.crop)


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionMember:
    """A reference of a selection. `centrality` in the space that the selection thresholds; None when provisional."""

    example_id: str
    label: str
    centrality: float | None
    provisional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """An immutable, versioned reference set (its provisional members and its state aside).

    Attributes:
        slot: where its flags and projections are.
        recipe: how references were chosen and how votes are counted; JSON, read by `core.recipe.Recipe`.
        head_blob: key of the stored head, None for the identity.
        figures: the evaluation that goes with it, JSON.
    """

    id: str
    catalogue_id: str
    slot: Slot
    state: SelectionState
    created_at: float
    fingerprint_digest: str
    recipe: Mapping[str, Any]
    head_blob: str | None
    thresholds: Mapping[str, float]
    split_hash: str
    seed: int
    why: str
    measured_on: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    retired_at: float | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """A finished trial of a parameter search: JSON parameters and the objective (higher is better)."""

    parameters: Mapping[str, Any]
    value: float


class Scope(StrEnum):
    """What a key may do: READ asks, WRITE changes, ADMIN rules over tenants and keys. None contains another."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """What a tenant may use; None means as much as there is.

    Attributes:
        catalogues: catalogues at once.
        examples: stored examples over all catalogues.
        requests_per_minute: HTTP requests a minute over all its keys.
        inflight_items: pictures handed over but not settled yet, over all jobs.
    """

    catalogues: int | None = None
    examples: int | None = None
    requests_per_minute: int | None = None
    inflight_items: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a tenant uses (or asks for) of what `Quotas` limit; names as there.

    `unsealed_items` are pictures of jobs that are open for more: they may become examples, but wait for no worker yet.
    """

    catalogues: int = 0
    examples: int = 0
    inflight_items: int = 0
    unsealed_items: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A customer: owns keys, quotas and catalogues; sees nothing of any other."""

    name: str
    created_at: float
    quotas: Quotas


@dataclass(frozen=True, slots=True, kw_only=True)
class RememberedRequest:
    """A request that a client may send again: what it was (hex sha256) and was answered, None while at work."""

    request_sha256: str
    answer: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A credential of a tenant. Only the sha256 of its secret is kept (hex).

    Works while `revoked_at` is None and `expires_at` is None or in the future. `replaced_by` is the id of the key that a
    rotation made in its place.
    """

    id: str
    tenant: str
    name: str
    secret_sha256: str
    scopes: tuple[Scope, ...]
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    replaced_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """Where a tenant wants to be told of finished jobs. `secret` signs what is sent."""

    id: str
    tenant: str
    url: str
    secret: str
    events: tuple[str, ...]
    created_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message to one webhook: tried until it is delivered or given up.

    Attributes:
        id: of the message; a receiver knows by it what it has seen already.
        attempt: how often it was tried.
        next_at: when it is due (again); None once it is delivered or given up.
        delivered_at: when the receiver took it.
        error: what the last try came to, None for none or a success.
    """

    id: str
    webhook_id: str
    tenant: str
    job_id: str
    event: str
    payload: Mapping[str, Any]
    attempt: int
    next_at: float | None
    delivered_at: float | None
    error: str | None
    created_at: float
