"""The registry: records of catalogues, jobs, examples and selections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from service.ports.archives import ArchiveRegistry
from service.ports.browsing import BrowsingRegistry
from service.ports.deleted import DeletedRegistry
from service.ports.dropped import DroppedRegistry
from service.ports.idempotency import IdempotencyRegistry
from service.ports.job_control import JobControlRegistry
from service.ports.leases import LeaseRegistry
from service.ports.prompts import PromptRegistry
from service.ports.telemetry import TelemetryRegistry
from service.ports.tenants import TenantRegistry
from service.ports.webhooks import WebhookRegistry
from service.records import (
    AnsweredItem,
    Catalogue,
    Chunk,
    EmbeddedItem,
    Example,
    ExampleState,
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


class CatalogueRegistry(Protocol):
    """Catalogues."""

    def create_catalogue(self, tenant: str, name: str, encoder: str) -> Catalogue:
        """Raises AlreadyExists, QuotaExceeded (counted in the same transaction)."""
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


class JobRegistry(JobControlRegistry, Protocol):
    """Jobs, their chunks and their items."""

    def open_job(self, catalogue: Catalogue, kind: JobKind, parameters: Mapping[str, Any]) -> Job:
        """A new job in state OPENING."""
        ...

    def add_items(self, job_id: str, items: Sequence[NewItem], *, once: bool = False) -> int:
        """How many were added. With `once`, none whose source, content hash and label an item of the job has already.

        Raises InvalidInput when the job is sealed already, NotFound when there is none, QuotaExceeded (counted in the
        same transaction) when not all of them fit; then none is added.
        """
        ...

    def seal_job(self, job_id: str, chunk_size: int) -> int:
        """Cut the pending items into chunks, state QUEUED; returns the number of chunks (0 .. that - 1)."""
        ...

    def job(self, job_id: str) -> Job:
        """Raises NotFound. For ingest and classify jobs `done` and `total` count items, for others see set_progress."""
        ...

    def jobs(self, states: Sequence[JobState], catalogue_id: str | None = None) -> list[Job]:
        """Oldest first."""
        ...

    def items(self, job_id: str, states: Sequence[ItemState] | None = None) -> list[Item]:
        """In the order they were added."""
        ...

    def item_counts(self, job_id: str) -> dict[ItemState, int]: ...

    def claim_chunk(self, job_id: str, number: int, owner: str, lease_seconds: float) -> Chunk | None:
        """Lease a chunk and its PENDING items, counting an attempt; None when it is settled or leased by another."""
        ...

    def release_chunk(self, chunk: Chunk, owner: str) -> None:
        """Give back a chunk that could not be worked on (an outage, a shutdown); the attempt is not counted.

        Nothing happens when somebody else has claimed it meanwhile.
        """
        ...

    def record_fetched(self, chunk: Chunk, owner: str, fetched: Mapping[int, str], lease_seconds: float) -> None:
        """Content hashes, by item id, of PENDING items whose bytes were fetched; the chunk's lease begins anew.

        Raises LeaseHeld when the lease went to somebody else.
        """
        ...

    def settle_chunk(
        self,
        chunk: Chunk,
        owner: str,
        embedded: Sequence[EmbeddedItem],
        failed: Sequence[FailedItem],
        answered: Sequence[AnsweredItem] = (),
    ) -> Settlement:
        """One transaction: examples, item states, the chunk.

        An embedded item becomes STORED with a new example row; or DUPLICATE when the example is there under the same
        label (or one of its settled labels); or CONFLICT when it is there under another one: its example becomes
        CONFLICT with both labels in `conflict_labels`. An item whose example is in conflict already ends CONFLICT too.
        An answered item becomes ANSWERED with its result, and is no example. A failed one may be SKIPPED.
        An embedded item whose picture was dropped under its label meanwhile stays PENDING; one that was dropped under
        others alone is stored with those as settled labels, and is dropped no longer.
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
        """(job id, chunk number) of every chunk neither settled nor leased, of sealed unfinished jobs, oldest first.

        `limit` keeps only the first: a backlog need not be enqueued again as a whole at every sweep.
        """
        ...


class ExampleRegistry(Protocol):
    """Examples: label, split and state of every stored picture."""

    def examples(
        self,
        catalogue_id: str,
        split: Split | None = None,
        state: ExampleState | None = None,
        labels: Sequence[str] | None = None,
    ) -> list[Example]:
        """Those of the split, of the state and of the labels, where given; by id."""
        ...

    def example(self, catalogue_id: str, example_id: str) -> Example:
        """Raises ExampleNotFound."""
        ...

    def examples_by_hash(self, catalogue_id: str, content_hashes: Sequence[str]) -> dict[str, Example]:
        """Those that are there, by content hash; of several crops of one picture any."""
        ...

    def example_counts(
        self, catalogue_id: str, labels: Sequence[str] | None = None
    ) -> tuple[dict[Split, int], dict[str, int]]:
        """ACTIVE ones by split and by label; only those of the labels, where given, which reads no others."""
        ...

    def set_splits(self, catalogue_id: str, splits: Mapping[str, Split]) -> None: ...

    def relabel_example(self, catalogue_id: str, example_id: str, label: str, split: Split) -> Example:
        """ACTIVE under `label`; the labels it was in conflict about, and its former one, become settled labels.

        Under another label than before, what was kept about it (`keep_findings`) is forgotten.
        """
        ...

    def keep_findings(self, catalogue_id: str, kept: Mapping[str, Sequence[str]]) -> None:
        """Add, for each example id, kinds of findings that a person accepts. Unknown ids are passed over."""
        ...

    def kept_findings(self, catalogue_id: str) -> dict[str, frozenset[str]]:
        """The accepted kinds by example id; gone with the example."""
        ...

    def delete_examples(self, catalogue_id: str, example_ids: Sequence[str]) -> None:
        """Rows of examples and of selection members; items keep their state. Noted as `deleted`."""
        ...

    def pictures_in_use(self, tenant: str, content_hashes: Sequence[str]) -> set[str]:
        """What of the pictures of these hashes a catalogue of the tenant, or an unfinished job, still needs.

        Names as `core.crop.picture_name` makes them: a hash alone stands for a whole picture, one with a crop for that.
        """
        ...


class SelectionRegistry(Protocol):
    """Selections with their members, and the trials of searches."""

    def open_selection(self, selection: Selection, members: Sequence[SelectionMember]) -> None:
        """Write the row (state WRITING) and its members in one transaction."""
        ...

    def activate_selection(
        self, catalogue_id: str, selection_id: str, slot: Slot, *, lease: str | None = None, owner: str = ""
    ) -> None:
        """One transaction: the pointer moves, the state becomes ACTIVE with this slot, the former one RETIRED.

        With a lease only if the owner is the last who took it, else it raises LeaseHeld: whoever stood still since must
        not move the pointer to a slot that others have written meanwhile.
        """
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

    def member_counts(self, selection_id: str) -> dict[str, int]:
        """How many `members` each label has."""
        ...

    def remove_provisional(self, selection_id: str, example_ids: Sequence[str]) -> None:
        """Take these out of the selection's provisional members; chosen ones stay."""
        ...

    def members_astray(self, selection_id: str) -> dict[str, str]:
        """Example id to label of those that are ACTIVE under another label than they have in the selection."""
        ...

    def add_members(self, selection_id: str, members: Sequence[SelectionMember]) -> None:
        """More references; ones that are there stay as they are, unless they have another label by now.

        A reference that was relabelled is none any more (`members` leaves it out); it may become one of its new label.
        """
        ...

    def trials(self, study: str) -> list[Trial]:
        """In the order they were added."""
        ...

    def add_trial(self, study: str, trial: Trial) -> None: ...


class Registry(
    CatalogueRegistry,
    LeaseRegistry,
    JobRegistry,
    ExampleRegistry,
    DroppedRegistry,
    DeletedRegistry,
    BrowsingRegistry,
    SelectionRegistry,
    TenantRegistry,
    IdempotencyRegistry,
    ArchiveRegistry,
    WebhookRegistry,
    TelemetryRegistry,
    PromptRegistry,
    Protocol,
):
    """The records: the truth about everything but pixels and embeddings."""

    def close(self) -> None: ...
