"""Jobs, the pictures that they work through, and the pieces that workers claim."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from service.core.crop import picture_name
from service.records.catalogues import Split


class JobKind(StrEnum):
    """What a job does."""

    INGEST = "ingest"
    OPTIMISE = "optimise"
    CLASSIFY = "classify"
    FINETUNE = "finetune"


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
    """PENDING is the only state that is not final.

    ANSWERED is what a picture of a classify job becomes, SKIPPED one that was dropped by a person before.
    """

    PENDING = "pending"
    STORED = "stored"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    SKIPPED = "skipped"
    FAILED = "failed"
    ANSWERED = "answered"
    CANCELLED = "cancelled"


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
    """An item that cannot be used, and why. `state` may be SKIPPED."""

    item_id: int
    reason: str
    state: ItemState = ItemState.FAILED


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
