"""Points without a row: what a worker inserted whose chunk was then buried, cancelled or done by somebody else.

A point is written before its row. Where the row never comes (the worker was killed or stood still in between, and the
picture was given up, cancelled or dropped meanwhile) the point would stay, and could answer. So would one that somebody
brought back in just the moment between the going of a dropped example's point and that of its row.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import chain

from service.ports import Point
from service.records import Catalogue, ItemState, Job, JobKind, JobState
from service.usecases.context import Context, example_id_of, partition_of
from service.usecases.selections import chunked

logger = logging.getLogger(__name__)

UNFINISHED = (JobState.OPENING, JobState.QUEUED, JobState.RUNNING, JobState.PAUSED)
NOT_STORED = (ItemState.FAILED, ItemState.CANCELLED, ItemState.SKIPPED)
PAGE = 500
"""Pictures of a job that are read at a time."""

OWN_KEYS = frozenset({"tenant", "catalogue", "selection_a", "selection_b"})
"""Payload keys that the store writes itself."""


def forget_points_of(context: Context, catalogue: Catalogue, job: Job) -> int:
    """Delete lone points of the job's pictures that were not stored; how many.

    Raises:
        Unavailable: the store or the registry does not answer. It may be done again.
    """
    if catalogue.fingerprint is None:
        return 0
    return sum(
        forget_lone_points(context, catalogue, ids) for ids in _ids_of_items(context, catalogue, job, NOT_STORED)
    )


def forget_returned_points(context: Context, catalogue: Catalogue, ids: Sequence[str]) -> int:
    """The same as `forget_lone_points` for examples whose points and rows have just gone: mostly, none has come back.

    Raises:
        Unavailable: the store or the registry does not answer. It may be done again.
    """
    if catalogue.fingerprint is None:
        return 0
    back = context.store.fetch(partition_of(catalogue), ids, with_embeddings=False).ids
    return forget_lone_points(context, catalogue, back) if back else 0


def forget_lone_points(context: Context, catalogue: Catalogue, ids: Sequence[str]) -> int:
    """Delete those of the points that have no row, and that no unfinished job will give one; how many.

    A picture that is handed over again in just this moment meets the point before it goes, and gives it a row
    afterwards: rows are looked for once more then, and such a point is put back.

    Raises:
        Unavailable: the store or the registry does not answer. It may be done again.
    """
    partition, gone = partition_of(catalogue), 0
    for some in chunked(lone_points(context, catalogue, ids)):
        points = context.store.fetch(partition, some)
        if points.embeddings is None or not points.ids:
            continue
        context.store.delete(partition, points.ids)
        lone = set(lone_points(context, catalogue, points.ids))
        back = [
            Point(example_id, embedding, {key: value for key, value in payload.items() if key not in OWN_KEYS})
            for example_id, embedding, payload in zip(points.ids, points.embeddings, points.payloads, strict=True)
            if example_id not in lone
        ]
        context.store.insert(partition, back)
        gone += len(lone)
    if gone:
        logger.info("%d points of catalogue %s had no row and were deleted", gone, catalogue.name)
    return gone


def lone_points(context: Context, catalogue: Catalogue, ids: Sequence[str]) -> list[str]:
    """Ids that neither a row nor a waiting picture has. Pictures before rows: none is missed that becomes a row."""
    candidates = set(ids) - _with_row(context, catalogue, ids)
    if not candidates:
        return []
    jobs = context.registry.jobs(list(UNFINISHED), catalogue.id)
    waiting = (
        _ids_of_items(context, catalogue, job, [ItemState.PENDING]) for job in jobs if job.kind is JobKind.INGEST
    )
    for awaited in chain.from_iterable(waiting):
        candidates.difference_update(awaited)
    return sorted(candidates - _with_row(context, catalogue, sorted(candidates)))


def _with_row(context: Context, catalogue: Catalogue, ids: Sequence[str]) -> set[str]:
    return {found for some in chunked(ids) for found in context.registry.examples_by_id(catalogue.id, some)}


def _ids_of_items(context: Context, catalogue: Catalogue, job: Job, states: Sequence[ItemState]) -> Iterator[list[str]]:
    """Example ids that the job's pictures in these states have or would have, some at a time."""
    after = None
    while page := context.registry.items_page(job.id, states=states, after=after, limit=PAGE):
        yield [example_id_of(catalogue, item.content_hash, item.crop) for item in page if item.content_hash]
        after = page[-1].id
