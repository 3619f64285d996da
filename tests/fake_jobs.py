"""Catalogues, leases and jobs of the registry in dictionaries; the rest is in `fake_registry`."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from service.errors import (
    AlreadyExists,
    CatalogueNotFound,
    EncoderMismatch,
    InvalidInput,
    LeaseHeld,
    NotFound,
)
from service.records import (
    FINAL_STATES,
    Catalogue,
    Deleted,
    Dropped,
    Example,
    ExampleState,
    Fingerprint,
    Item,
    ItemState,
    Job,
    JobKind,
    JobState,
    NewItem,
    Relabelling,
    Selection,
    SelectionMember,
    Trial,
    Usage,
)
from service.usecases.quotas import pictures_asked
from tests.fake_tenants import FakeTenants, locked

FINISHED = FINAL_STATES
OF_ITEMS = (JobKind.INGEST, JobKind.CLASSIFY)


@dataclass
class ChunkRow:
    item_ids: list[int]
    owner: str | None = None
    lease_until: float = 0.0
    attempt: int = 0
    settled: bool = False


@dataclass
class JobRow:
    job: Job
    items: list[Item] = field(default_factory=list)
    chunks: dict[int, ChunkRow] = field(default_factory=dict)


class FakeCatalogues(FakeTenants):
    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self.rows: dict[str, Catalogue] = {}
        self.leases: dict[str, tuple[str, float]] = {}
        self.job_rows: dict[str, JobRow] = {}
        self.example_rows: dict[tuple[str, str], Example] = {}
        self.selection_rows: dict[str, Selection] = {}
        self.member_rows: dict[str, dict[str, SelectionMember]] = {}
        self.kept_rows: dict[tuple[str, str], set[str]] = {}
        self.relabelled_rows: dict[tuple[str, str], list[Relabelling]] = {}
        self.dropped_rows: dict[tuple[str, str], Dropped] = {}
        self.deleted_rows: dict[tuple[str, str], Deleted] = {}
        self.trial_rows: dict[str, list[Trial]] = {}
        self.closed = False

    def close(self) -> None:
        self.closed = True

    @locked
    def create_catalogue(self, tenant: str, name: str, encoder: str) -> Catalogue:
        if any((one.tenant, one.name) == (tenant, name) for one in self.rows.values()):
            raise AlreadyExists(f"there is a catalogue {name!r} already")
        self.keep_within_quotas(tenant, Usage(catalogues=1))
        made = Catalogue(
            id=str(uuid.uuid4()),
            tenant=tenant,
            name=name,
            encoder=encoder,
            fingerprint=None,
            active_selection=None,
            created_at=self.clock(),
        )
        self.rows[made.id] = made
        return made

    @locked
    def catalogue(self, tenant: str, name: str) -> Catalogue:
        for one in self.rows.values():
            if (one.tenant, one.name) == (tenant, name):
                return one
        raise CatalogueNotFound(f"there is no catalogue {name!r}")

    @locked
    def catalogue_by_id(self, catalogue_id: str) -> Catalogue:
        if catalogue_id not in self.rows:
            raise CatalogueNotFound(f"the catalogue {catalogue_id} is not there any more")
        return self.rows[catalogue_id]

    @locked
    def catalogues(self, tenant: str) -> list[Catalogue]:
        return sorted((one for one in self.rows.values() if one.tenant == tenant), key=lambda one: one.name)

    @locked
    def all_catalogues(self) -> list[Catalogue]:
        return sorted(self.rows.values(), key=lambda one: (one.tenant, one.name))

    @locked
    def pin_fingerprint(self, catalogue_id: str, fingerprint: Fingerprint) -> None:
        stored = self.catalogue_by_id(catalogue_id).fingerprint
        if stored is None:
            self.rows[catalogue_id] = replace(self.rows[catalogue_id], fingerprint=fingerprint)
        elif stored.digest != fingerprint.digest:
            raise EncoderMismatch(f"stored {stored.as_dict()}, given {fingerprint.as_dict()}")

    @locked
    def delete_catalogue(self, catalogue_id: str) -> None:
        jobs = {key for key, row in self.job_rows.items() if row.job.catalogue_id == catalogue_id}
        for name in [name for name in self.leases if any(key in name for key in {catalogue_id, *jobs})]:
            del self.leases[name]
        for study in [study for study in self.trial_rows if any(key in study for key in {catalogue_id, *jobs})]:
            del self.trial_rows[study]
        for key in jobs:
            del self.job_rows[key]
        for key in [key for key in self.example_rows if key[0] == catalogue_id]:
            del self.example_rows[key]
            self.kept_rows.pop(key, None)
            self.relabelled_rows.pop(key, None)
        for rows in (self.dropped_rows, self.deleted_rows):
            for key in [key for key in rows if key[0] == catalogue_id]:
                del rows[key]
        for one in [one for one in self.selection_rows.values() if one.catalogue_id == catalogue_id]:
            del self.selection_rows[one.id]
            self.member_rows.pop(one.id, None)
        self.rows.pop(catalogue_id, None)

    @locked
    def take_lease(self, name: str, owner: str, seconds: float) -> None:
        holder, until = self.leases.get(name, (owner, 0.0))
        if holder != owner and until > self.clock():
            raise LeaseHeld(f"{holder} works on {name!r}", lease=name)
        self.leases[name] = (owner, self.clock() + seconds)

    @locked
    def renew_lease(self, name: str, owner: str, seconds: float) -> None:
        if self.leases.get(name, ("", 0.0))[0] != owner:
            raise LeaseHeld(f"the lease {name!r} is another's now", lease=name)
        self.leases[name] = (owner, self.clock() + seconds)

    @locked
    def release_lease(self, name: str, owner: str) -> None:
        if self.leases.get(name, ("", 0.0))[0] == owner:
            del self.leases[name]

    @locked
    def expire_leases(self) -> None:
        self.leases.clear()
        for row in self.job_rows.values():
            for chunk in row.chunks.values():
                chunk.lease_until = 0.0


class FakeJobs(FakeCatalogues):
    @locked
    def open_job(self, catalogue: Catalogue, kind: JobKind, parameters: Mapping[str, Any]) -> Job:
        self.catalogue_by_id(catalogue.id)
        values = {"id": str(uuid.uuid4()), "tenant": catalogue.tenant, "catalogue_id": catalogue.id, "kind": kind}
        values |= {"state": JobState.OPENING, "parameters": dict(parameters), "stage": "", "done": 0, "total": 0}
        job = Job(**values, result=None, error=None, created_at=self.clock())
        self.job_rows[job.id] = JobRow(job)
        return job

    @locked
    def add_items(self, job_id: str, items: Sequence[NewItem], *, once: bool = False) -> int:
        row = self._row(job_id)
        if row.job.state is not JobState.OPENING:
            raise InvalidInput(f"job {job_id} is {row.job.state}")
        known = {(item.source, item.content_hash, item.crop, item.label) for item in row.items}
        fresh = [new for new in items if not once or (new.source, new.content_hash, new.crop, new.label) not in known]
        pictures = sum(new.failure is None for new in fresh)
        unsealed = bool(row.job.parameters.get("open"))
        self.keep_within_quotas(row.job.tenant, pictures_asked(pictures, row.job.kind, unsealed=unsealed))
        row.job = replace(row.job, heard_at=self.clock())
        added = 0
        for new in items:
            if once and (new.source, new.content_hash, new.crop, new.label) in known:
                continue
            known.add((new.source, new.content_hash, new.crop, new.label))
            added += 1
            values = {key: value for key, value in asdict(new).items() if key != "failure"}
            state = ItemState.PENDING if new.failure is None else ItemState.FAILED
            row.items.append(
                Item(
                    id=1 + sum(len(one.items) for one in self.job_rows.values()),
                    job_id=job_id,
                    **values,
                    state=state,
                    reason=new.failure,
                    example_id=None,
                )
            )
        return added

    @locked
    def seal_job(self, job_id: str, chunk_size: int) -> int:
        row = self._row(job_id)
        if row.job.state is JobState.OPENING:
            self.keep_sealed_within_quotas(job_id)
            pending = [item.id for item in row.items if item.state is ItemState.PENDING]
            cuts = range(0, len(pending), chunk_size)
            row.chunks = {n: ChunkRow(pending[start : start + chunk_size]) for n, start in enumerate(cuts)}
            row.job = replace(row.job, state=JobState.QUEUED)
        return len(row.chunks)

    @locked
    def job(self, job_id: str) -> Job:
        row = self._row(job_id)
        if row.job.kind not in OF_ITEMS:
            return row.job
        pending = sum(item.state is ItemState.PENDING for item in row.items)
        return replace(row.job, done=len(row.items) - pending, total=len(row.items))

    @locked
    def jobs(self, states: Sequence[JobState], catalogue_id: str | None = None) -> list[Job]:
        found = [self.job(job_id) for job_id in self.job_rows]
        return [one for one in found if one.state in states and catalogue_id in (None, one.catalogue_id)]

    @locked
    def items(self, job_id: str, states: Sequence[ItemState] | None = None) -> list[Item]:
        found = self.job_rows[job_id].items if job_id in self.job_rows else []
        return [item for item in found if states is None or item.state in states]

    @locked
    def item_counts(self, job_id: str) -> dict[ItemState, int]:
        return Counter(item.state for item in self.items(job_id))

    @locked
    def mark_conflicts(self, job_id: str) -> None:
        row = self._row(job_id)
        for item in row.items:
            example = self.example_rows.get((row.job.catalogue_id, item.example_id or ""))
            settled = item.state in (ItemState.STORED, ItemState.DUPLICATE)
            if settled and example is not None and example.state is ExampleState.CONFLICT:
                self._change(row, item.id, state=ItemState.CONFLICT)

    def _row(self, job_id: str) -> JobRow:
        if job_id not in self.job_rows:
            raise NotFound(f"there is no job {job_id}")
        return self.job_rows[job_id]

    @staticmethod
    def _change(row: JobRow, item_id: int, **values: Any) -> None:
        row.items = [replace(item, **values) if item.id == item_id else item for item in row.items]
