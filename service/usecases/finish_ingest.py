"""The end of a job of pictures. Of an ingest job: conflicts, splits, provisional references, the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from service.errors import JobFailed, NotFound
from service.records import FINAL_STATES, Catalogue, Example, ExampleState, Item, ItemState, Job, JobKind, JobState
from service.usecases import provisional
from service.usecases.classify_results import answers_report, forget_answered
from service.usecases.context import Context, example_id_of
from service.usecases.forgetting import forget_pictures
from service.usecases.job_control import cancel_waiting
from service.usecases.job_view import overall_images_per_s
from service.usecases.jobs import end_job
from service.usecases.leases import kept_lease
from service.usecases.log_context import log_ids
from service.usecases.lone_points import forget_points_of
from service.usecases.splitting import align_payloads, assign_open_splits, batches, splits_lease


def finish_ingest(context: Context, job_id: str) -> None:
    """Close an ingest or classify job whose items are all settled; nothing before, afterwards, or for one that is gone.

    Every step may be repeated: a finisher that dies leaves the rest to the next one.

    Raises:
        LeaseHeld: somebody else is finishing this job, or another one of the same catalogue. Try again.
        Unavailable: an outside system does not answer. Try again.
    """
    found = _unfinished(context, job_id)
    if found is None:
        return
    ids = {"tenant": found.tenant, "job": job_id}
    with log_ids(ids), kept_lease(context, f"job:{job_id}", context.limits.job_lease_s) as lease:
        job = _finishable(context, job_id)
        if job is None:
            return
        report = answers_report(context, job) if job.kind is JobKind.CLASSIFY else _stored(context, job)
        lease.check()
        if job.kind is JobKind.CLASSIFY:
            forget_answered(context, job)  # before the end: nobody comes back to a job that has ended
        end_job(context, job.id, report)


def _stored(context: Context, job: Job) -> dict[str, Any]:
    """What is to be done once all pictures are examples; the report."""
    catalogue = context.registry.catalogue_by_id(job.catalogue_id)
    context.registry.mark_conflicts(job.id)
    if catalogue.fingerprint is not None:
        _settle_examples(context, catalogue)
        forget_points_of(context, catalogue, job)
        _forget_skipped(context, catalogue, job)
    return _report(context, catalogue, job)


def ingest_report(context: Context, job_id: str) -> dict[str, Any]:
    """What `holotype ingest` prints: {job, stored, duplicate, conflict, skipped, failed, images_per_s, errors, ...}.

    `errors` lists what failed, `conflicts` one picture under several labels, `left_out` what was dropped before.

    Raises:
        NotFound: no such job.
        JobFailed: it failed, or is not finished.
    """
    job = context.registry.job(job_id)
    if job.result is None:
        raise JobFailed(job.error or f"job {job_id} is not finished: {job.done} of {job.total} pictures", job=job_id)
    return dict(job.result)


def _unfinished(context: Context, job_id: str) -> Job | None:
    """The job, when it may be for this call to finish it."""
    try:
        job = context.registry.job(job_id)
    except NotFound:
        return None
    if job.state in FINAL_STATES or job.state is JobState.OPENING:
        return None
    return job if job.cancelled_at is not None or job.done == job.total else None


def _finishable(context: Context, job_id: str) -> Job | None:
    """The job, when all its items are settled and nobody has finished it; items that wait in vain are cancelled."""
    job = _unfinished(context, job_id)
    if job is None:
        return None
    cancel_waiting(context, job)
    return None if context.registry.item_counts(job_id).get(ItemState.PENDING, 0) else job


def _settle_examples(context: Context, catalogue: Catalogue) -> None:
    """Splits in rows and payloads, nothing in conflict flagged, new classes served."""
    with kept_lease(context, splits_lease(catalogue), context.limits.job_lease_s):
        assign_open_splits(context, catalogue)
        align_payloads(context, catalogue)
    held = context.registry.examples(catalogue.id, state=ExampleState.CONFLICT)
    ids = [one.id for one in held]
    with provisional.going(context, catalogue, ids, labels={one.label for one in held}):
        provisional.unflag(context, catalogue, ids)


def _forget_skipped(context: Context, catalogue: Catalogue, job: Job) -> None:
    """The bytes of pictures that were dropped before came along with the others, and nothing shows them."""
    for some in batches(context.registry.items(job.id, [ItemState.SKIPPED])):
        forget_pictures(context, catalogue, [item.picture for item in some])


def _report(context: Context, catalogue: Catalogue, job: Job) -> dict[str, Any]:
    counts = context.registry.item_counts(job.id)
    items = context.registry.items(job.id, [ItemState.FAILED, ItemState.CONFLICT, ItemState.SKIPPED])
    report: dict[str, Any] = {"job": job.id}
    for state in (ItemState.STORED, ItemState.DUPLICATE, ItemState.CONFLICT, ItemState.SKIPPED, ItemState.FAILED):
        report[state.value] = counts.get(state, 0)
    if job.cancelled_at is not None:
        report["cancelled"] = counts.get(ItemState.CANCELLED, 0)
    report["images_per_s"] = round(overall_images_per_s(job, counts, context.clock()) or 0.0, 2)
    report["errors"] = [
        {"path": item.source, "reason": item.reason or "unknown"} for item in items if item.state is ItemState.FAILED
    ]
    held = [item for item in items if item.state is ItemState.CONFLICT]
    report["conflicts"] = _conflicts(held, _examples_of(context, job.catalogue_id, held))
    report["left_out"] = [
        {
            "id": example_id_of(catalogue, item.content_hash, item.crop),
            "path": item.source,
            "reason": item.reason or "unknown",
        }
        for item in items
        if item.state is ItemState.SKIPPED
    ]
    return report


def _examples_of(context: Context, catalogue_id: str, items: Sequence[Item]) -> Mapping[str, Example]:
    """By id."""
    return context.registry.examples_by_id(catalogue_id, sorted({item.example_id for item in items if item.example_id}))


def _conflicts(items: Sequence[Item], examples: Mapping[str, Example]) -> list[dict[str, Any]]:
    """One entry a picture: its example's id (for relabel and drop), every path it came by, the labels in question."""
    by_example: dict[str | None, list[Item]] = {}
    for item in items:
        by_example.setdefault(item.example_id, []).append(item)
    listed = []
    for example_id, same in by_example.items():
        example = None if example_id is None else examples.get(example_id)
        paths = [item.source for item in same] + ([example.source] if example else [])
        labels = {item.label for item in same} | set(example.conflict_labels if example else ())
        listed.append(
            {
                "id": example_id,
                "paths": sorted(set(paths)),
                "labels": sorted(labels),
            }
        )
    return listed
