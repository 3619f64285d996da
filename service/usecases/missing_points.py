"""Rows without a point get it again, from the embedding that was stored with the picture.

A store may have lost what it had taken: in a power cut all since its last flush, or whole when its folder is gone. What
was stored beside the picture was on the disk before the row was written, so it is there.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from service.core.stored_embedding import StoredEmbedding
from service.errors import InvalidInput, NotFound
from service.ports import Point, StoredPoints
from service.records import Catalogue, Example
from service.usecases.context import Context, embedding_key, partition_of
from service.usecases.example_pages import example_pages
from service.usecases.lone_points import forget_lone_points
from service.usecases.points import point_of
from service.usecases.selections import chunked

logger = logging.getLogger(__name__)


def read_embedding(context: Context, catalogue: Catalogue, example: Example) -> StoredEmbedding | None:
    """What was stored when the picture was encoded; None where it is gone or cannot be read. Raises Unavailable."""
    if catalogue.fingerprint is None:
        return None
    key = embedding_key(catalogue.tenant, catalogue.fingerprint.digest, example.picture)
    try:
        return StoredEmbedding.from_bytes(context.blobs.get(key), catalogue.fingerprint.dimension)
    except (NotFound, InvalidInput):
        return None


def bring_back_points(context: Context, catalogue: Catalogue, stored: Sequence[str]) -> int:
    """Give a point to every row that has none; how many. Flags are for whoever mends those.

    `stored` are the ids of all points, read before this is called: points are written before their rows, so a row that
    came since is looked for once more. An example that is dropped in just this moment loses its point again.

    Raises:
        Unavailable: an outside system does not answer. It may be done again.
    """
    held = set(stored)
    lacking = (row for page in example_pages(context.registry, catalogue) for row in page if row.id not in held)
    return _bring_back(context, catalogue, list(lacking))


def fetch_whole(context: Context, catalogue: Catalogue, rows: Sequence[Example]) -> StoredPoints:
    """The points of rows with their embeddings, in the rows' order; those that had lost theirs have it again.

    Where points go before rows, as when examples are dropped, that may be broken off in between. What is still lacking
    was dropped meanwhile, or its embedding is gone. Raises Unavailable.
    """
    partition, ids = partition_of(catalogue), [row.id for row in rows]
    found = context.store.fetch(partition, ids)
    if len(found.ids) == len(ids):
        return found
    there = set(found.ids)
    if not _bring_back(context, catalogue, [row for row in rows if row.id not in there]):
        return found
    return context.store.fetch(partition, ids)


def _bring_back(context: Context, catalogue: Catalogue, lacking: Sequence[Example]) -> int:
    partition, back = partition_of(catalogue), 0
    for rows in chunked(lacking):
        there = set(context.store.fetch(partition, [row.id for row in rows], with_embeddings=False).ids)
        back += put_back(
            context, catalogue, points_of(context, catalogue, [one for one in rows if one.id not in there])
        )
    if back:
        logger.warning("%d examples of catalogue %s had lost their points and have them again", back, catalogue.name)
    return back


def put_back(context: Context, catalogue: Catalogue, points: Sequence[Point]) -> int:
    """Insert points of rows that were read before; how many stay.

    A row that went meanwhile takes its point along: seen here, or by whoever drops it, who looks once more afterwards.

    Raises:
        Unavailable: an outside system does not answer. It may be done again.
    """
    ids = [point.id for point in points]
    context.store.insert(partition_of(catalogue), points)
    gone = set(ids) - context.registry.examples_by_id(catalogue.id, ids).keys()
    return len(ids) - forget_lone_points(context, catalogue, sorted(gone))


def points_of(context: Context, catalogue: Catalogue, rows: Sequence[Example]) -> list[Point]:
    """Points of those rows whose stored embedding can be read. Raises Unavailable."""
    found = ((row, read_embedding(context, catalogue, row)) for row in rows)
    return [point_of(row, stored) for row, stored in found if stored is not None]
