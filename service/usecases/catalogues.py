"""Catalogues: make, list, show, delete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.errors import InvalidInput, quoted
from service.records import FINAL_STATES, Catalogue, ExampleState, JobKind, JobState, Split
from service.usecases.context import Context, head_key, partition_of, references_key, report_key, uploaded_prefix
from service.usecases.deleted import forget_all_deleted
from service.usecases.derived import forget_derived
from service.usecases.example_pages import example_pages
from service.usecases.forgetting import forget_pictures
from service.usecases.jobs import end_job
from service.usecases.labels import checked_name
from service.usecases.relabelled import changed_since


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """An example that waits for a decision: its id (for relabel and drop), where it came from, the labels it has."""

    id: str
    source: str
    labels: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON-serialisable form."""
        return {"id": self.id, "source": self.source, "labels": list(self.labels)}


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueSummary:
    """What a person wants to know of a catalogue.

    Attributes:
        name: its name.
        encoder: the specification of its encoder.
        examples: number of active examples by split, all four splits.
        labels: number of active examples by label.
        conflicts: the examples that wait for a decision, by source.
        active_selection: id of the selection that serves, None before the first optimisation.
        references: number of references of that selection, 0 without one (then all support examples answer).
        changed: how many examples came or were relabelled since it was measured (`relabelled.Changed`); None for none.
    """

    name: str
    encoder: str
    examples: dict[str, int]
    labels: dict[str, int]
    conflicts: tuple[Conflict, ...]
    active_selection: str | None
    references: int
    changed: Mapping[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON-serialisable form."""
        return {
            "name": self.name,
            "encoder": self.encoder,
            "examples": self.examples,
            "labels": self.labels,
            "conflicts": [conflict.as_dict() for conflict in self.conflicts],
            "active_selection": self.active_selection,
            "references": self.references,
            "changed": None if self.changed is None else dict(self.changed),
        }


def create_catalogue(
    context: Context, tenant: str, name: str, encoder: str, allowed: Sequence[str] | None = None
) -> Catalogue:
    """Make an empty catalogue on one encoder, which stays.

    Args:
        context: the wired ports.
        tenant: whose it is.
        name: its name.
        encoder: its encoder's specification.
        allowed: specifications that may be asked for; None where any may.

    Raises:
        InvalidInput: the name or the encoder cannot be used.
        AlreadyExists: the tenant has a catalogue of that name.
        QuotaExceeded: the tenant may have no more of them.
    """
    checked_name(tenant, "tenant")
    checked_name(name)
    check_allowed(encoder, allowed)
    context.encoders.check(encoder)
    context.registry.ensure_tenant(tenant)
    return context.registry.create_catalogue(tenant, name, encoder)


def check_allowed(encoder: str, allowed: Sequence[str] | None) -> None:
    """Raises InvalidInput for an encoder that is not among those, before anything looks for it on disk or network.

    One that is listed by its name alone may be asked for with any pooling and views.
    """
    if allowed is None or any(_covers(one, encoder) for one in allowed):
        return
    raise InvalidInput(
        f"the encoder {quoted(encoder)} is not allowed here; allowed are {', '.join(allowed)} (whoever runs the server "
        "sets HOLOTYPE_ENCODERS)",
        encoder=encoder,
        allowed=list(allowed),
    )


def _covers(listed: str, encoder: str) -> bool:
    (may, _, options), (name, _, asked) = listed.partition("?"), encoder.partition("?")
    return listed == name or (may == name and sorted(options.split("&")) == sorted(asked.split("&")))


def list_catalogues(context: Context, tenant: str) -> list[CatalogueSummary]:
    """The tenant's catalogues, by name. Raises TenantNotFound."""
    context.registry.tenant(tenant)
    return [_summary(context, catalogue) for catalogue in context.registry.catalogues(tenant)]


def catalogues_page(context: Context, tenant: str, after: str | None, limit: int) -> list[CatalogueSummary]:
    """At most `limit` of the tenant's catalogues behind the name `after`, by name; only they are counted."""
    rows = context.registry.catalogues(tenant)
    behind = [one for one in rows if after is None or one.name > after]
    return [_summary(context, catalogue) for catalogue in behind[:limit]]


def show_catalogue(context: Context, tenant: str, name: str) -> CatalogueSummary:
    """Raises CatalogueNotFound."""
    return _summary(context, context.registry.catalogue(tenant, name))


def delete_catalogue(context: Context, tenant: str, name: str) -> None:
    """Delete its points, rows, heads and reports, and the bytes that no other catalogue of the tenant needs.

    Broken off in the middle it may be asked again: the catalogue's own row goes last.

    Raises:
        CatalogueNotFound: the tenant has none of that name.
        Unavailable: an outside system does not answer.
    """
    remove_catalogue(context, context.registry.catalogue(tenant, name))


def remove_catalogue(context: Context, catalogue: Catalogue) -> None:
    """The same for a catalogue that was found already. Raises Unavailable."""
    name = catalogue.name
    jobs = context.registry.jobs(list(JobState), catalogue.id)
    for job in jobs:
        if job.state not in FINAL_STATES:
            end_job(context, job.id, None, f"catalogue {name!r} was deleted")
    _delete_points(context, catalogue)
    # Failed items have no example, but may have bytes.
    handed_over = {item.picture for job in jobs for item in context.registry.items(job.id) if item.content_hash}
    for batch in example_pages(context.registry, catalogue):
        context.registry.delete_examples(catalogue.id, [example.id for example in batch])
    forget_all_deleted(context, catalogue)
    forget_pictures(context, catalogue, sorted(handed_over))
    for job in jobs:
        if job.kind is JobKind.CLASSIFY:
            context.blobs.delete(context.blobs.keys(uploaded_prefix(job)))
    for selection in context.registry.selections(catalogue.id):
        keys = (head_key, references_key, report_key)
        context.blobs.delete([key(catalogue.tenant, selection.id) for key in keys])
    forget_derived(context, catalogue)
    context.registry.delete_catalogue(catalogue.id)
    _delete_points(context, catalogue)  # of a worker that was in the middle of a chunk


def _delete_points(context: Context, catalogue: Catalogue) -> None:
    if catalogue.fingerprint is None:
        return
    context.store.delete_partition(partition_of(catalogue))


def _summary(context: Context, catalogue: Catalogue) -> CatalogueSummary:
    by_split, by_label = context.registry.example_counts(catalogue.id)
    active = catalogue.active_selection
    changed = None if active is None else changed_since(context, context.registry.selection(catalogue.id, active))
    return CatalogueSummary(
        name=catalogue.name,
        encoder=catalogue.encoder,
        examples={split.value: by_split.get(split, 0) for split in Split},
        labels=dict(sorted(by_label.items())),
        conflicts=_conflicts(context, catalogue),
        active_selection=active,
        references=0 if active is None else sum(context.registry.member_counts(active).values()),
        changed=None if changed is None else changed.as_dict(),
    )


def _conflicts(context: Context, catalogue: Catalogue) -> tuple[Conflict, ...]:
    held = context.registry.examples(catalogue.id, state=ExampleState.CONFLICT)
    found = [Conflict(id=one.id, source=one.source, labels=tuple(sorted(one.conflict_labels))) for one in held]
    return tuple(sorted(found, key=lambda conflict: (conflict.source, conflict.id)))
