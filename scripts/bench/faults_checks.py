"""What has to hold once the system is at rest: every accepted picture once, points = rows = blobs, flags = members."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from scripts.bench.faults_machine import Machine
from scripts.bench.faults_tenants import Tenant
from service.core.crop import hash_and_crop
from service.errors import NotFound
from service.records import FINAL_STATES, KINDS_OF_ITEMS, SLOTS, Catalogue, Example, ItemState, Job, JobKind, JobState
from service.usecases.claimed import KILLER
from service.usecases.context import Context, partition_of
from service.usecases.points import payload_split

ENDS_WELL = {
    JobKind.INGEST: {ItemState.STORED, ItemState.DUPLICATE, ItemState.CONFLICT},
    JobKind.CLASSIFY: {ItemState.ANSWERED},
}


@dataclass(slots=True)
class Findings:
    """Sentences about what does not hold, by kind; `unrest` is what may still come to rest."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    unrest: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any((self.lost, self.doubled, self.torn, self.orphans, self.unrest))

    def kinds(self) -> Mapping[str, list[str]]:
        """By the names of the figures."""
        return {name: getattr(self, name) for name in ("lost", "doubled", "torn", "orphans", "unrest")}


def examine(context: Context, machine: Machine, tenants: Iterable[Tenant]) -> Findings:
    """Everything, once. Raises Unavailable while a part of the system is down."""
    found = Findings()
    found.unrest += [f"{name} has ended by itself" for name in machine.processes.ended()]
    found.orphans += machine.processes.left_behind()
    for tenant in tenants:
        for catalogue in context.registry.catalogues(tenant.name):
            _Catalogue(context, tenant, catalogue, found).examine()
    return found


class _Catalogue:
    """One catalogue, compared."""

    def __init__(self, context: Context, tenant: Tenant, catalogue: Catalogue, found: Findings) -> None:
        self._context, self._tenant, self._catalogue, self._found = context, tenant, catalogue, found
        self._name = tenant.name
        self._jobs = context.registry.jobs(list(JobState), catalogue.id)

    def examine(self) -> None:
        unfinished = [job for job in self._jobs if job.state not in FINAL_STATES]
        self._found.unrest += [f"{self._name}: {job.kind} job {job.id} is {job.state}" for job in unfinished]
        for job in self._jobs:
            if job.state is JobState.DONE and job.kind in KINDS_OF_ITEMS:
                self._items(job)
        self._accepted()
        rows = {example.id: example for example in self._context.registry.examples(self._catalogue.id)}
        self._rows(rows)
        points = self._points(rows)
        self._flags(points)
        self._blobs(rows)

    def _items(self, job: Job) -> None:
        counts = self._context.registry.item_counts(job.id)
        if sum(counts.values()) != job.total or job.done != job.total:
            self._found.lost.append(f"{self._name}: job {job.id} is done with {job.done} of {job.total}, rows {counts}")
        wrong = [state for state in counts if state not in ENDS_WELL.get(job.kind, set())]
        failed = self._context.registry.items(job.id, wrong) if wrong else []
        lost = [item for item in failed if item.content_hash not in self._tenant.poison or item.reason != KILLER]
        if lost:
            told = [f"{item.source}: {item.state} {item.reason}" for item in lost[:3]]
            self._found.lost.append(f"{self._name}: job {job.id} is done with {len(lost)} lost: {told}")

    def _accepted(self) -> None:
        jobs = {job.id: job for job in self._jobs}
        for accepted in list(self._tenant.accepted):
            job = jobs.get(accepted.job)
            if job is None:
                self._found.lost.append(f"{self._name}: accepted job {accepted.job} is gone")
            elif accepted.pictures and job.total != accepted.pictures:
                kind = self._found.lost if job.total < accepted.pictures else self._found.doubled
                kind.append(f"{self._name}: job {job.id} took {accepted.pictures} pictures and has {job.total}")

    def _rows(self, rows: Mapping[str, Example]) -> None:
        expected = dict(self._tenant.expected)
        held = Counter(example.content_hash for example in rows.values())
        labels = {example.content_hash: example.label for example in rows.values()}
        self._found.doubled += [f"{self._name}: {count} rows of {one}" for one, count in held.items() if count > 1]
        self._found.lost += [
            f"{self._name}: no row of accepted picture {one}" for one in sorted(set(expected) - set(held))
        ]
        self._found.orphans += [
            f"{self._name}: row of {one}, which nobody has" for one in sorted(set(held) - set(expected))
        ]
        self._found.lost += [
            f"{self._name}: {one} is {labels[one]}, should be {label}"
            for one, label in expected.items()
            if labels.get(one, label) != label
        ]
        self._found.unrest += [
            f"{self._name}: {row.id} has no split" for row in rows.values() if row.split == "unassigned"
        ]

    def _points(self, rows: Mapping[str, Example]) -> Mapping[str, Mapping[str, Any]]:
        partition = partition_of(self._catalogue)
        ids = self._context.store.ids(partition, {})
        found = self._context.store.fetch(partition, ids, with_embeddings=False)
        points = dict(zip(found.ids, found.payloads, strict=True))
        self._found.doubled += [f"{self._name}: point {one} twice" for one, count in Counter(ids).items() if count > 1]
        self._found.lost += [f"{self._name}: no point of row {one}" for one in sorted(set(rows) - set(points))]
        self._found.orphans += [f"{self._name}: no row of point {one}" for one in sorted(set(points) - set(rows))]
        for one in sorted(set(points) & set(rows)):
            wanted = {
                "label": rows[one].label,
                "split": payload_split(rows[one]),
                "content_hash": rows[one].content_hash,
            }
            differing = {key: points[one].get(key) for key, value in wanted.items() if points[one].get(key) != value}
            if differing:
                self._found.torn.append(f"{self._name}: point {one} says {differing}, its row {wanted}")
        return points

    def _flags(self, points: Mapping[str, Mapping[str, Any]]) -> None:
        """Flags of both slots: none without its selection, and of what serves exactly the members'."""
        registry = self._context.registry
        active = registry.catalogue_by_id(self._catalogue.id).active_selection
        selections = {one.id: one for one in registry.selections(self._catalogue.id)}
        for slot in SLOTS:
            held = {one: payload.get(f"selection_{slot}") for one, payload in points.items()}
            for one, selection_id in held.items():
                if selection_id is not None and selection_id not in selections:
                    self._found.orphans.append(f"{self._name}: point {one} is flagged by {selection_id}, which is none")
            if active is not None and selections[active].slot == slot:
                flagged = {one for one, selection_id in held.items() if selection_id == active}
                members = {member.example_id for member in registry.members(active)}
                if flagged != members:
                    lacking, more = sorted(members - flagged), sorted(flagged - members)
                    self._found.torn.append(
                        f"{self._name}: selection {active} lacks flags of {lacking}, has {more} more"
                    )
        writing = [one.id for one in selections.values() if one.state == "writing"]
        self._found.unrest += [f"{self._name}: selection {one} is being written" for one in writing]

    def _blobs(self, rows: Mapping[str, Example]) -> None:
        blobs, tenant = self._context.blobs, self._catalogue.tenant
        needed = {example.content_hash for example in rows.values()}
        kept = self._kept()
        held = {key.rsplit("/", 1)[1]: key for key in blobs.keys(f"{tenant}/images/")}
        self._found.lost += [f"{self._name}: no bytes of {one}" for one in sorted(needed - set(held))]
        self._found.orphans += [
            f"{self._name}: bytes of {one}, which no row needs" for one in sorted(set(held) - needed - kept)
        ]
        for content_hash in sorted(needed & set(held)):
            try:
                if hashlib.sha256(blobs.get(held[content_hash])).hexdigest() != content_hash:
                    self._found.lost.append(f"{self._name}: the bytes of {content_hash} are not its own")
            except NotFound:
                self._found.unrest.append(f"{self._name}: the bytes of {content_hash} went while they were read")
        pictures = {example.picture for example in rows.values()}
        cached = {key.rsplit("/", 1)[1].removesuffix(".npz"): key for key in blobs.keys(f"{tenant}/embeddings/")}
        self._found.orphans += [
            f"{self._name}: cached embedding of {one}, which no row needs"
            for one in sorted(set(cached) - pictures)
            if hash_and_crop(one)[0] not in kept
        ]
        self._found.orphans += [f"{self._name}: {key}, of an answered job" for key in blobs.keys(f"{tenant}/uploads/")]

    def _kept(self) -> set[str]:
        """Pictures of jobs that did not end well: their bytes are kept for a day, to be tried again."""
        ended = [job for job in self._jobs if job.kind is JobKind.INGEST and job.state is not JobState.DONE]
        items = (item for job in ended for item in self._context.registry.items(job.id))
        return {item.content_hash for item in items} | self._tenant.poison
