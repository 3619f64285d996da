"""What the use cases ask of the outside world: one Protocol a system, and the messages of the queue.

Every adapter of a port passes the same contract suite (tests/contracts). Names of tenants are arguments that cannot be
left out: a `Partition` for the vector store, a key prefix for blobs, a catalogue row found by tenant for the registry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from service.core.model import Float32Array, Neighbour
from service.records import (
    Catalogue,
    Chunk,
    EmbeddedItem,
    Example,
    FailedItem,
    Fingerprint,
    Item,
    ItemState,
    Job,
    JobKind,
    JobState,
    NewItem,
    Selection,
    SelectionMember,
    SelectionState,
    Settlement,
    Slot,
    Split,
    Trial,
)

PixelArray = NDArray[np.uint8]
VectorName = Literal["embedding", "projection_a", "projection_b"]

# ---------------------------------------------------------------------------------------------------------- messages


@dataclass(frozen=True, slots=True)
class EmbedChunk:
    """Embed one chunk of an ingest job. Queue "embed"."""

    job_id: str
    chunk: int


@dataclass(frozen=True, slots=True)
class FinishIngest:
    """All chunks are settled: assign splits, close the job. Queue "maintenance"."""

    job_id: str


@dataclass(frozen=True, slots=True)
class RunOptimise:
    """Run an optimise job. Queue "optimise"."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Sweep:
    """Enqueue again what was lost; repair drifted flags. Queue "maintenance"."""


Message = EmbedChunk | FinishIngest | RunOptimise | Sweep

QUEUES: Mapping[type[Message], str] = {
    EmbedChunk: "embed",
    FinishIngest: "maintenance",
    RunOptimise: "optimise",
    Sweep: "maintenance",
}
"""Which group of workers a message goes to."""


class JobQueue(Protocol):
    """Hands messages to workers. A hint only: the registry is the truth, so a lost or doubled message is harmless."""

    def enqueue(self, message: Message) -> None:
        """Raises Unavailable when the broker cannot be reached after retries."""
        ...


# ------------------------------------------------------------------------------------------------------------ images


@dataclass(frozen=True, slots=True, eq=False)
class DecodedImage:
    """A decoded picture.

    Attributes:
        pixels: uint8 (height, width, 3), RGB, upright, transparency on white; may be a reduced size.
        width_px, height_px: size of the whole picture, upright.
        perceptual_hash: 16 hex digits (64 bits); near-duplicates differ in few bits.
    """

    pixels: PixelArray
    width_px: int
    height_px: int
    perceptual_hash: str


class ImageDecoder(Protocol):
    """Turns bytes into pixels, or says why not."""

    def decode(self, data: bytes, shortest_edge_px: int) -> DecodedImage:
        """Decode; JPEG may be reduced while its shorter edge stays at least `shortest_edge_px`.

        Raises ImageRejected with a sentence that a person can act on; never anything else for bad bytes.
        """
        ...


class Encoder(Protocol):
    """A frozen image (and, for CLIP, text) network. Thread-safe; loaded once per process."""

    @property
    def fingerprint(self) -> Fingerprint: ...

    @property
    def device(self) -> str:
        """e.g. "cpu", "cuda:0 (NVIDIA L4)"."""
        ...

    @property
    def precision(self) -> str:
        """e.g. "float32", "bfloat16"."""
        ...

    @property
    def shortest_edge_px(self) -> int:
        """Shorter edge that preprocessing needs: smaller decodes would lose detail."""
        ...

    def preprocess(self, pixels: PixelArray) -> Float32Array:
        """uint8 (h, w, 3) to the network's float32 input. Safe to call from several threads."""
        ...

    def encode(self, inputs: Sequence[Float32Array]) -> Float32Array:
        """Preprocessed inputs to float32 (n, d), unit rows."""
        ...

    @property
    def encodes_text(self) -> bool: ...

    def encode_text(self, texts: Sequence[str]) -> Float32Array:
        """Texts to float32 (n, d), unit rows, in the images' space. Raises InvalidInput where the network has no text."""
        ...


class EncoderProvider(Protocol):
    """Finds encoders by specification: a hub id, a local folder, `packaged:vit-s14`, `pixel`."""

    def check(self, specification: str) -> None:
        """Cheap check, nothing loaded. Raises InvalidInput for what can never be loaded."""
        ...

    def load(self, specification: str) -> Encoder:
        """The encoder, loaded once per process. Raises InvalidInput or Unavailable."""
        ...


# ------------------------------------------------------------------------------------------------------------- bytes


class BlobStore(Protocol):
    """Bytes by key. Keys start with the tenant: `{tenant}/images/{hash}`, `{tenant}/embeddings/...`, `{tenant}/heads/...`."""

    def put(self, key: str, data: bytes) -> None:
        """Write whole or not at all; an existing key is replaced."""
        ...

    def get(self, key: str) -> bytes:
        """Raises NotFound."""
        ...

    def exists(self, key: str) -> bool: ...

    def delete(self, keys: Iterable[str]) -> None:
        """Missing keys are fine."""
        ...

    def keys(self, prefix: str) -> list[str]:
        """All keys that start with the prefix, sorted."""
        ...


# ----------------------------------------------------------------------------------------------------------- vectors


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
    """Points read back. `embeddings` is (n, d) or None when not asked for; `payloads` carry tenant and catalogue too."""

    ids: tuple[str, ...]
    embeddings: Float32Array | None
    payloads: tuple[Mapping[str, Any], ...]


class VectorStore(Protocol):
    """Embeddings with payloads. Payload keys that are indexed, all keywords: tenant, catalogue, label, split,
    content_hash, selection_a, selection_b. Others: source, width_px, height_px, created_at, centrality.

    `where` maps indexed keys to the one value they must have. Every method adds tenant and catalogue of the partition.
    Ids that are not in the partition are left untouched, silently. Embeddings must be float32, finite, of unit length
    and of the collection's width, else InvalidInput. Outages raise Unavailable.
    """

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
        for each of the `labels` best classes by that score, its `per_label` best points; nearest first; it may hold more.
        """
        ...

    def close(self) -> None:
        """Flush and let go. No other call may follow."""
        ...


# ---------------------------------------------------------------------------------------------------------- registry


class CatalogueRegistry(Protocol):
    def create_catalogue(self, tenant: str, name: str, encoder: str) -> Catalogue:
        """Raises AlreadyExists."""
        ...

    def catalogue(self, tenant: str, name: str) -> Catalogue:
        """Raises CatalogueNotFound."""
        ...

    def catalogue_by_id(self, catalogue_id: str) -> Catalogue:
        """Raises CatalogueNotFound. For workers, whose messages carry ids."""
        ...

    def catalogues(self, tenant: str) -> list[Catalogue]:
        """By name."""
        ...

    def all_catalogues(self) -> list[Catalogue]:
        """Of every tenant; for the sweeper."""
        ...

    def pin_fingerprint(self, catalogue_id: str, fingerprint: Fingerprint) -> None:
        """Store on first use; raises EncoderMismatch (both printed) when another one is stored."""
        ...

    def delete_catalogue(self, catalogue_id: str) -> None:
        """All its rows: jobs, items, examples, selections, members, leases."""
        ...

    def take_lease(self, name: str, owner: str, seconds: float) -> None:
        """Take or renew the named lease; raises LeaseHeld while another owner's has not run out."""
        ...

    def release_lease(self, name: str, owner: str) -> None: ...

    def expire_leases(self) -> None:
        """All leases, of chunks too, run out now: for the new sole owner of a data directory."""
        ...


class JobRegistry(Protocol):
    def open_job(self, catalogue: Catalogue, kind: JobKind, parameters: Mapping[str, Any]) -> Job:
        """A new job in state OPENING."""
        ...

    def add_items(self, job_id: str, items: Sequence[NewItem]) -> None: ...

    def seal_job(self, job_id: str, chunk_size: int) -> int:
        """Cut the pending items into chunks, state QUEUED; returns the number of chunks (0 .. that - 1)."""
        ...

    def job(self, job_id: str) -> Job:
        """Raises NotFound. For ingest jobs `done` and `total` count items, for others see set_progress."""
        ...

    def jobs(self, states: Sequence[JobState], catalogue_id: str | None = None) -> list[Job]:
        """Oldest first."""
        ...

    def set_progress(self, job_id: str, stage: str, done: int, total: int) -> None:
        """State becomes RUNNING."""
        ...

    def finish_job(self, job_id: str, result: Mapping[str, Any] | None, error: str | None = None) -> None:
        """DONE with a result, FAILED with an error. A finished job stays as it was finished first."""
        ...

    def items(self, job_id: str, states: Sequence[ItemState] | None = None) -> list[Item]:
        """In the order they were added."""
        ...

    def item_counts(self, job_id: str) -> dict[ItemState, int]: ...

    def claim_chunk(self, job_id: str, number: int, owner: str, lease_seconds: float) -> Chunk | None:
        """Lease a chunk and its PENDING items; None when it is settled, or leased by somebody else. Counts an attempt."""
        ...

    def release_chunk(self, chunk: Chunk, owner: str) -> None:
        """Give back a chunk that could not be worked on (an outage, a shutdown); the attempt is not counted.

        Nothing happens when somebody else has claimed it meanwhile.
        """
        ...

    def settle_chunk(
        self, chunk: Chunk, owner: str, embedded: Sequence[EmbeddedItem], failed: Sequence[FailedItem]
    ) -> Settlement:
        """One transaction: examples, item states, the chunk.

        An embedded item becomes STORED with a new example row; or DUPLICATE when the example is there under the same
        label (or one of its settled labels); or CONFLICT when it is there under another one: the example's state becomes
        CONFLICT with both labels in `conflict_labels`. An item whose example is in conflict already ends CONFLICT too.
        Items no longer PENDING are left alone. Raises LeaseHeld when the lease went to somebody else.
        """
        ...

    def mark_conflicts(self, job_id: str) -> None:
        """Items of the job that are STORED or DUPLICATE, but whose example is in conflict by now, become CONFLICT."""
        ...

    def split_chunk(self, chunk: Chunk) -> list[int]:
        """Replace a chunk by chunks of one item each; their numbers. For finding the picture that kills workers."""
        ...

    def open_chunks(self, limit: int | None = None) -> list[tuple[str, int]]:
        """(job id, chunk number) of every chunk that is neither settled nor leased, of sealed unfinished jobs, oldest first.

        `limit` keeps only the first: a backlog need not be enqueued again as a whole at every sweep.
        """
        ...


class ExampleRegistry(Protocol):
    def examples(self, catalogue_id: str, split: Split | None = None) -> list[Example]:
        """All (of every state), by id."""
        ...

    def example(self, catalogue_id: str, example_id: str) -> Example:
        """Raises ExampleNotFound."""
        ...

    def examples_by_hash(self, catalogue_id: str, content_hashes: Sequence[str]) -> dict[str, Example]:
        """Those that are there, by content hash."""
        ...

    def example_counts(self, catalogue_id: str) -> tuple[dict[Split, int], dict[str, int]]:
        """ACTIVE ones by split and by label."""
        ...

    def set_splits(self, catalogue_id: str, splits: Mapping[str, Split]) -> None: ...

    def relabel_example(self, catalogue_id: str, example_id: str, label: str, split: Split) -> Example:
        """ACTIVE under `label`; the labels it was in conflict about, and its former one, become settled labels."""
        ...

    def delete_examples(self, catalogue_id: str, example_ids: Sequence[str]) -> None:
        """Rows of examples and of selection members; items keep their state."""
        ...

    def hash_in_use(self, tenant: str, content_hash: str) -> bool:
        """Does any catalogue of the tenant, or an unfinished job, still need the bytes?"""
        ...

    def hashes_in_use(self, tenant: str, content_hashes: Sequence[str]) -> set[str]:
        """Those of the hashes for which `hash_in_use` holds, in few queries."""
        ...


class SelectionRegistry(Protocol):
    def open_selection(self, selection: Selection, members: Sequence[SelectionMember]) -> None:
        """Write the row (state WRITING) and its members in one transaction."""
        ...

    def activate_selection(self, catalogue_id: str, selection_id: str, slot: Slot) -> None:
        """One transaction: the pointer moves, the state becomes ACTIVE with this slot, the former one RETIRED."""
        ...

    def set_selection_state(self, selection_id: str, state: SelectionState) -> None: ...

    def selection(self, catalogue_id: str, selection_id: str) -> Selection:
        """Raises SelectionNotFound."""
        ...

    def selections(self, catalogue_id: str) -> list[Selection]:
        """Newest first."""
        ...

    def members(self, selection_id: str) -> list[SelectionMember]:
        """Those whose example is ACTIVE under the member's label, by example id."""
        ...

    def add_members(self, selection_id: str, members: Sequence[SelectionMember]) -> None:
        """Provisional references; ones that are there stay as they are, unless they have another label by now.

        A reference that was relabelled is none any more (`members` leaves it out); it may become one of its new label.
        """
        ...

    def trials(self, study: str) -> list[Trial]:
        """In the order they were added."""
        ...

    def add_trial(self, study: str, trial: Trial) -> None: ...


class Registry(CatalogueRegistry, JobRegistry, ExampleRegistry, SelectionRegistry, Protocol):
    """The records: the truth about everything but pixels and embeddings."""

    def close(self) -> None: ...


# ---------------------------------------------------------------------------------------------------------- searching


@dataclass(frozen=True, slots=True)
class FloatParameter:
    """A real number within [low, high]; `log` for scale parameters."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True, slots=True)
class IntParameter:
    """A whole number within [low, high]."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class ChoiceParameter:
    """One of the given JSON scalars."""

    choices: tuple[str | int | float | bool | None, ...]


Parameter = FloatParameter | IntParameter | ChoiceParameter


class ParameterSearch(Protocol):
    """Bayesian optimisation over a few parameters."""

    def maximise(
        self,
        space: Mapping[str, Parameter],
        objective: Callable[[Mapping[str, Any]], float],
        *,
        trials: int,
        seed: int,
        warm_start: Sequence[Mapping[str, Any]] = (),
        finished: Sequence[Trial] = (),
        on_trial: Callable[[Trial], None] = lambda trial: None,
    ) -> Trial:
        """The best of `trials` trials, `finished` ones included (they are not run again: that is how a study resumes).

        Warm starts are evaluated first and may leave parameters out. Deterministic for a seed and the same arguments.
        """
        ...


# ----------------------------------------------------------------------------------------------------------- reports


class ReportWriter(Protocol):
    """Turns the data of an evaluation into something that a person reads."""

    def write(self, data: Mapping[str, Any], path: Path) -> None:
        """Write one self-contained file, whole or not at all. Raises InvalidInput when `path` cannot be written."""
        ...
