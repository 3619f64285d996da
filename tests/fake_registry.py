"""The registry in dictionaries: everything that `ports.Registry` promises, in one process, with a lock instead of
transactions. Written by hand, so that a use case's test reads rows as plain attributes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from service.core.crop import hash_and_crop
from service.errors import AlreadyExists, ExampleNotFound, LeaseHeld, SelectionNotFound
from service.records import (
    AnsweredItem,
    Chunk,
    Deleted,
    Dropped,
    EmbeddedItem,
    Example,
    ExampleState,
    FailedItem,
    Item,
    ItemState,
    JobState,
    Relabelling,
    Selection,
    SelectionMember,
    SelectionState,
    Settlement,
    Slot,
    Split,
    Trial,
)
from tests.fake_control import FakeControl
from tests.fake_deleted import FakeDeleted
from tests.fake_imports import FakeImports
from tests.fake_jobs import FINISHED, ChunkRow, JobRow, locked
from tests.fake_measures import FakeMeasures
from tests.fake_prompts import FakePrompts


class FakeChunks(FakeControl):
    @locked
    def claim_chunk(self, job_id: str, number: int, owner: str, lease_seconds: float) -> Chunk | None:
        row = self.job_rows.get(job_id)
        chunk = row.chunks.get(number) if row is not None else None
        if row is None or chunk is None or chunk.settled or not self._workable(row):
            return None
        if chunk.lease_until > self.clock() and chunk.owner != owner:
            return None
        chunk.owner, chunk.lease_until, chunk.attempt = owner, self.clock() + lease_seconds, chunk.attempt + 1
        if row.job.state is JobState.QUEUED:
            self._run(row)
        return Chunk(job_id, number, chunk.attempt, tuple(self._pending(row, chunk)))

    @locked
    def release_chunk(self, chunk: Chunk, owner: str) -> None:
        row = self._row(chunk.job_id).chunks.get(chunk.number)
        if row is not None and not row.settled and row.owner == owner and row.attempt == chunk.attempt:
            row.owner, row.lease_until, row.attempt = None, 0.0, row.attempt - 1

    @locked
    def record_fetched(self, chunk: Chunk, owner: str, fetched: Mapping[int, str], lease_seconds: float) -> None:
        row = self.job_rows.get(chunk.job_id)
        held = row.chunks.get(chunk.number) if row is not None else None
        if row is None or held is None or held.owner != owner:
            raise LeaseHeld(f"chunk {chunk.number} of job {chunk.job_id} went to somebody else")
        if not held.settled:
            held.lease_until = self.clock() + lease_seconds
            for item in self._pending(row, held):
                self._change(row, item.id, content_hash=fetched.get(item.id, item.content_hash))

    @locked
    def settle_chunk(
        self,
        chunk: Chunk,
        owner: str,
        embedded: Sequence[EmbeddedItem],
        failed: Sequence[FailedItem],
        answered: Sequence[AnsweredItem] = (),
    ) -> Settlement:
        row = self.job_rows.get(chunk.job_id)
        held = row.chunks.get(chunk.number) if row is not None else None
        if row is None or held is None or held.owner != owner:
            raise LeaseHeld(f"chunk {chunk.number} of job {chunk.job_id} went to somebody else")
        pending = {item.id: item for item in self._pending(row, held)}
        for lost in failed:
            if lost.item_id in pending:
                self._change(row, lost.item_id, state=lost.state, reason=lost.reason)
        for one in answered:
            if one.item_id in pending:
                self._change(row, one.item_id, state=ItemState.ANSWERED, result=one.result)
        for done in embedded:
            gone = self.dropped_rows.get((row.job.catalogue_id, done.example_id))
            if done.item_id in pending and (gone is None or pending[done.item_id].label not in gone.labels):
                state = self._settle_item(row.job.catalogue_id, pending[done.item_id], done)
                self._change(row, done.item_id, state=state, example_id=done.example_id)
        held.settled = not self._pending(row, held)
        held.lease_until = 0.0
        touched = {item.example_id for item in row.items if item.id in held.item_ids and item.example_id}
        conflicts = [
            example_id
            for example_id in sorted(touched)
            if self.example_rows[row.job.catalogue_id, example_id].state is ExampleState.CONFLICT
        ]
        job_settled = all(item.state is not ItemState.PENDING for item in row.items)
        return Settlement(conflicts=tuple(conflicts), job_settled=job_settled)

    @locked
    def split_chunk(self, chunk: Chunk) -> list[int]:
        row = self._row(chunk.job_id)
        held = row.chunks.get(chunk.number)
        if held is None or held.settled:
            return []
        if len(held.item_ids) == 1:
            held.owner, held.lease_until = None, 0.0
            return [chunk.number]
        first = max(row.chunks) + 1
        numbers = list(range(first, first + len(held.item_ids)))
        row.chunks |= {number: ChunkRow([item_id]) for number, item_id in zip(numbers, held.item_ids, strict=True)}
        del row.chunks[chunk.number]
        return numbers

    @locked
    def open_chunks(self, limit: int | None = None) -> list[tuple[str, int]]:
        return [
            (job_id, number)
            for job_id, row in self.job_rows.items()
            for number, chunk in sorted(row.chunks.items())
            if self._workable(row) and not chunk.settled and chunk.lease_until <= self.clock()
        ][:limit]

    @staticmethod
    def _workable(row: JobRow) -> bool:
        return row.job.state in (JobState.QUEUED, JobState.RUNNING) and row.job.cancelled_at is None

    def _pending(self, row: JobRow, chunk: ChunkRow) -> list[Item]:
        return [item for item in row.items if item.id in chunk.item_ids and item.state is ItemState.PENDING]

    def _settle_item(self, catalogue_id: str, item: Item, done: EmbeddedItem) -> ItemState:
        key = (catalogue_id, done.example_id)
        known = self.example_rows.get(key)
        if known is None:
            values = {name: getattr(done, name) for name in ("width_px", "height_px", "perceptual_hash")}
            values |= {
                name: getattr(item, name) for name in ("label", "split", "content_hash", "crop", "source", "metadata")
            }
            self.example_rows[key] = Example(
                id=done.example_id,
                catalogue_id=catalogue_id,
                state=ExampleState.ACTIVE,
                created_at=self.clock(),
                settled_labels=gone.labels if (gone := self.dropped_rows.pop(key, None)) else (),
                **values,
            )
            return ItemState.STORED
        if known.state is ExampleState.ACTIVE and item.label in (known.label, *known.settled_labels):
            return ItemState.DUPLICATE
        labels = dict.fromkeys((*(known.conflict_labels or (known.label,)), item.label))
        self.example_rows[key] = replace(known, state=ExampleState.CONFLICT, conflict_labels=tuple(labels))
        return ItemState.CONFLICT


class FakeExamples(FakeChunks):
    @locked
    def examples(
        self,
        catalogue_id: str,
        split: Split | None = None,
        state: ExampleState | None = None,
        labels: Sequence[str] | None = None,
    ) -> list[Example]:
        found = [
            one
            for one in self.example_rows.values()
            if one.catalogue_id == catalogue_id
            and split in (None, one.split)
            and state in (None, one.state)
            and (labels is None or one.label in labels)
        ]
        return sorted(found, key=lambda one: one.id)

    @locked
    def example(self, catalogue_id: str, example_id: str) -> Example:
        if (catalogue_id, example_id) not in self.example_rows:
            raise ExampleNotFound(f"the catalogue has no example {example_id!r}")
        return self.example_rows[catalogue_id, example_id]

    @locked
    def examples_by_hash(self, catalogue_id: str, content_hashes: Sequence[str]) -> dict[str, Example]:
        wanted = set(content_hashes)
        return {one.content_hash: one for one in self.examples(catalogue_id) if one.content_hash in wanted}

    @locked
    def example_counts(
        self, catalogue_id: str, labels: Sequence[str] | None = None
    ) -> tuple[dict[Split, int], dict[str, int]]:
        active = self.examples(catalogue_id, state=ExampleState.ACTIVE, labels=labels)
        return Counter(one.split for one in active), Counter(one.label for one in active)

    @locked
    def set_splits(self, catalogue_id: str, splits: Mapping[str, Split]) -> None:
        for example_id, split in splits.items():
            if (catalogue_id, example_id) in self.example_rows:
                key = (catalogue_id, example_id)
                self.example_rows[key] = replace(self.example_rows[key], split=split)

    @locked
    def relabel_example(self, catalogue_id: str, example_id: str, label: str, split: Split) -> Example:
        former = self.example(catalogue_id, example_id)
        settled = {*former.settled_labels, *former.conflict_labels, former.label} - {label}
        changed = replace(former, label=label, split=split, state=ExampleState.ACTIVE, conflict_labels=())
        changed = replace(changed, settled_labels=tuple(sorted(settled)))
        self.example_rows[catalogue_id, example_id] = changed
        if label != former.label:
            self.kept_rows.pop((catalogue_id, example_id), None)
            self.relabelled_rows.setdefault((catalogue_id, example_id), []).append(
                Relabelling(former.label, self.clock())
            )
        return changed

    @locked
    def keep_findings(self, catalogue_id: str, kept: Mapping[str, Sequence[str]]) -> None:
        for example_id, kinds in kept.items():
            if kinds and (catalogue_id, example_id) in self.example_rows:
                self.kept_rows.setdefault((catalogue_id, example_id), set()).update(kinds)

    @locked
    def kept_findings(self, catalogue_id: str) -> dict[str, frozenset[str]]:
        rows = self.kept_rows.items()
        return {example_id: frozenset(kinds) for (owner, example_id), kinds in rows if owner == catalogue_id}

    @locked
    def delete_examples(self, catalogue_id: str, example_ids: Sequence[str]) -> None:
        for example_id in example_ids:
            if (gone := self.example_rows.pop((catalogue_id, example_id), None)) is not None:
                self.deleted_rows[catalogue_id, example_id] = Deleted(catalogue_id, example_id, gone.picture)
            self.kept_rows.pop((catalogue_id, example_id), None)
            self.relabelled_rows.pop((catalogue_id, example_id), None)
            for one in self.selections(catalogue_id):
                self.member_rows[one.id].pop(example_id, None)

    @locked
    def drop_examples(self, catalogue_id: str, example_ids: Sequence[str]) -> None:
        self.catalogue_by_id(catalogue_id)
        for key in [(catalogue_id, example_id) for example_id in example_ids]:
            if (one := self.example_rows.get(key)) is not None:
                labels = {one.label, *one.conflict_labels, *one.settled_labels}
                self.dropped_rows[key] = Dropped(one.id, one.picture, tuple(sorted(labels)))
        self.delete_examples(catalogue_id, example_ids)

    @locked
    def pictures_in_use(self, tenant: str, content_hashes: Sequence[str]) -> set[str]:
        own = {one.id for one in self.rows.values() if one.tenant == tenant}
        used = {one.picture for one in self.example_rows.values() if one.catalogue_id in own}
        for row in self.job_rows.values():
            if row.job.tenant == tenant and row.job.state not in FINISHED:
                used |= {item.picture for item in row.items if item.state is ItemState.PENDING}
        return {name for name in used if hash_and_crop(name)[0] in content_hashes}

    @locked
    def selections(self, catalogue_id: str) -> list[Selection]:
        found = [one for one in self.selection_rows.values() if one.catalogue_id == catalogue_id]
        found.reverse()
        return sorted(found, key=lambda one: -one.created_at)


class FakeRegistry(FakePrompts, FakeMeasures, FakeImports, FakeDeleted, FakeExamples):
    @locked
    def open_selection(self, selection: Selection, members: Sequence[SelectionMember]) -> None:
        self.catalogue_by_id(selection.catalogue_id)
        if selection.id in self.selection_rows:
            raise AlreadyExists(f"there is a selection {selection.id} already")
        self.selection_rows[selection.id] = replace(selection, state=SelectionState.WRITING)
        self.member_rows[selection.id] = {}
        self.add_members(selection.id, members)

    @locked
    def activate_selection(
        self, catalogue_id: str, selection_id: str, slot: Slot, *, lease: str | None = None, owner: str = ""
    ) -> None:
        if lease is not None and self.leases.get(lease, ("", 0.0))[0] != owner:
            raise LeaseHeld(f"the lease {lease!r} is another's now", lease=lease)
        self.selection(catalogue_id, selection_id)
        for one in self.selections(catalogue_id):
            if one.state is SelectionState.ACTIVE and one.id != selection_id:
                self.set_selection_state(one.id, SelectionState.RETIRED)
        active = replace(self.selection_rows[selection_id], state=SelectionState.ACTIVE, slot=slot, retired_at=None)
        self.selection_rows[selection_id] = active
        self.rows[catalogue_id] = replace(self.rows[catalogue_id], active_selection=selection_id)

    @locked
    def set_selection_state(self, selection_id: str, state: SelectionState) -> None:
        if selection_id not in self.selection_rows:
            raise SelectionNotFound(f"there is no selection {selection_id}")
        changed = replace(self.selection_rows[selection_id], state=state)
        if state is SelectionState.RETIRED:
            changed = replace(changed, retired_at=self.clock())
        self.selection_rows[selection_id] = changed

    @locked
    def selection(self, catalogue_id: str, selection_id: str) -> Selection:
        found = self.selection_rows.get(selection_id)
        if found is None or found.catalogue_id != catalogue_id:
            raise SelectionNotFound(f"the catalogue has no selection {selection_id!r}")
        return found

    @locked
    def members(self, selection_id: str) -> list[SelectionMember]:
        if selection_id not in self.selection_rows:
            return []
        catalogue_id = self.selection_rows[selection_id].catalogue_id
        return [
            member
            for _, member in sorted(self.member_rows[selection_id].items())
            if (example := self.example_rows.get((catalogue_id, member.example_id))) is not None
            and example.state is ExampleState.ACTIVE
            and example.label == member.label
        ]

    @locked
    def member_counts(self, selection_id: str) -> dict[str, int]:
        return dict(Counter(member.label for member in self.members(selection_id)))

    @locked
    def remove_provisional(self, selection_id: str, example_ids: Sequence[str]) -> None:
        rows = self.member_rows.get(selection_id, {})
        for one in [one for one in example_ids if one in rows and rows[one].provisional]:
            del rows[one]

    @locked
    def members_astray(self, selection_id: str) -> dict[str, str]:
        if selection_id not in self.selection_rows:
            return {}
        catalogue_id = self.selection_rows[selection_id].catalogue_id
        return {
            example_id: example.label
            for example_id, member in self.member_rows[selection_id].items()
            if (example := self.example_rows.get((catalogue_id, example_id))) is not None
            and example.state is ExampleState.ACTIVE
            and example.label != member.label
        }

    @locked
    def add_members(self, selection_id: str, members: Sequence[SelectionMember]) -> None:
        if selection_id not in self.selection_rows:
            raise SelectionNotFound(f"there is no selection {selection_id}")
        for member in members:
            known = self.member_rows[selection_id].get(member.example_id)
            if known is None or known.label != member.label:
                self.member_rows[selection_id][member.example_id] = member

    @locked
    def trials(self, study: str) -> list[Trial]:
        return list(self.trial_rows.get(study, []))

    @locked
    def add_trial(self, study: str, trial: Trial) -> None:
        self.trial_rows.setdefault(study, []).append(trial)
