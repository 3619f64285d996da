"""What came of a classify job: its report, its answers one by one, and the bytes that it leaves behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from service.errors import InvalidInput, WrongState
from service.records import FINAL_STATES, Item, ItemState, Job, JobKind
from service.usecases.context import Context, uploaded_prefix
from service.usecases.job_view import overall_images_per_s
from service.usecases.jobs import tenant_job
from service.usecases.splitting import BATCH

SETTLED = (ItemState.ANSWERED, ItemState.FAILED, ItemState.CANCELLED)
NOT_DONE = (ItemState.PENDING, ItemState.FAILED, ItemState.CANCELLED)
MOST_ERRORS = 1000
"""Failed pictures that the report lists; the results name all."""


def answers_report(context: Context, job: Job) -> dict[str, Any]:
    """The job's result: {job, answered, failed, rejected, rejected_share, labels, selections, images_per_s, errors}.

    `labels` counts the labels that were given, `selections` which selection gave how many ("none" before any
    optimisation), `rejected_share` is of the answered ones, None where there are none.
    """
    labels: Counter[str] = Counter()
    selections: Counter[str] = Counter()
    rejected = answered = 0
    for item in _items(context, job.id, [ItemState.ANSWERED]):
        result = item.result or {}
        answered += 1
        selections[result.get("selection") or "none"] += 1
        if result.get("label") is None:
            rejected += 1
        else:
            labels[result["label"]] += 1
    errors = context.registry.items_page(job.id, states=[ItemState.FAILED], limit=MOST_ERRORS)
    counts = context.registry.item_counts(job.id)
    rate = overall_images_per_s(job, counts, context.clock())
    return {
        "job": job.id,
        "answered": answered,
        "failed": counts.get(ItemState.FAILED, 0),
        "rejected": rejected,
        "rejected_share": round(rejected / answered, 4) if answered else None,
        "labels": dict(labels.most_common()),
        "selections": dict(selections.most_common()),
        "images_per_s": None if rate is None else round(rate, 2),
        "errors": [{"path": item.source, "reason": item.reason or "unknown"} for item in errors],
    }


def job_results(context: Context, tenant: str, job_id: str, *, partial: bool) -> tuple[Job, Iterator[Item]]:
    """The job, and its settled pictures in the order they were handed over, read a page at a time.

    Raises:
        NotFound: the tenant has no such job.
        InvalidInput: it is no classify job.
        WrongState: it is not finished, and `partial` was not asked for.
    """
    job = tenant_job(context, tenant, job_id)
    if job.kind is not JobKind.CLASSIFY:
        raise InvalidInput(f"job {job_id} is an {job.kind} job: only classify jobs have answers", job=job_id)
    if job.state not in FINAL_STATES and not partial:
        raise WrongState(
            f"job {job_id} is {job.state}, {job.done} of {job.total} pictures are done: wait for its end, or ask for "
            "what there is with partial=true",
            job=job_id,
            state=job.state.value,
        )
    return job, _items(context, job.id, SETTLED)


def forget_answered(context: Context, job: Job) -> None:
    """Delete all bytes of a job but those of pictures that failed or were cancelled: they are kept, to be tried again.

    Also those that no row tells of: of a request that was broken off, and came again.

    Raises:
        Unavailable: an outside system does not answer.
    """
    _forget_but(context, job, {item.content_hash for item in _items(context, job.id, NOT_DONE)})


def forget_uploads(context: Context, job: Job) -> None:
    """Delete the bytes that are left, those too that were kept for another try, unless another job tries them.

    Raises:
        Unavailable: an outside system does not answer.
    """
    if job.retried_as is None:
        _forget_but(context, job, set())
    else:
        forget_answered(context, job)


def _forget_but(context: Context, job: Job, needed: set[str]) -> None:
    keys = context.blobs.keys(uploaded_prefix(job))
    gone = iter([key for key in keys if key.rpartition("/")[2] not in needed])
    while batch := list(islice(gone, BATCH)):
        context.blobs.delete(batch)


def _items(context: Context, job_id: str, states: Sequence[ItemState]) -> Iterator[Item]:
    after = None
    while page := context.registry.items_page(job_id, states=states, after=after, limit=BATCH):
        yield from page
        after = page[-1].id
