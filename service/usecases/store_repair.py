"""Mending what a comparison found: points and stored embeddings from each other, payloads and flags from rows.

What nothing can be made from stays as it is: the bytes of a picture, or a selection's head and references.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from service.core.stored_embedding import StoredEmbedding
from service.errors import HolotypeError, InvalidInput, LeaseHeld, NotFound, Unavailable
from service.ports import Point
from service.records import SLOTS, Catalogue, Example
from service.usecases.context import Context, embedding_key, partition_of
from service.usecases.encoding import embeddings_of
from service.usecases.lone_points import forget_lone_points
from service.usecases.missing_points import points_of, put_back
from service.usecases.points import point_of
from service.usecases.reconcile import reconcile
from service.usecases.selections import chunked, publishing_lease
from service.usecases.splitting import batches
from service.usecases.store_comparison import differing, unknown_flags, usable
from service.usecases.store_findings import Findings, StoreFinding

logger = logging.getLogger(__name__)


def repair(context: Context, catalogue: Catalogue, found: Findings) -> None:
    """Mend what can be mended of one catalogue; to be compared again afterwards. May be broken off and done again.

    Raises:
        Unavailable: an outside system does not answer.
    """
    if catalogue.fingerprint is None:
        return
    for ids in chunked(sorted(set(found.of(StoreFinding.EMBEDDING_MISSING)))):
        _store_embeddings(context, catalogue, _rows(context, catalogue, ids))
    wrong = found.of(StoreFinding.EMBEDDING)
    for ids in chunked(sorted({*found.of(StoreFinding.POINT_MISSING), *wrong})):
        _put_points(context, catalogue, _rows(context, catalogue, ids), anew=set(wrong))
    for ids in chunked(sorted(set(found.of(StoreFinding.PAYLOAD)))):
        _set_payloads(context, catalogue, ids)
    forget_lone_points(context, catalogue, found.of(StoreFinding.POINT_WITHOUT_ROW))
    _mend_flags(context, catalogue)


def _rows(context: Context, catalogue: Catalogue, ids: Sequence[str]) -> list[Example]:
    return list(context.registry.examples_by_id(catalogue.id, ids).values())


def _store_embeddings(context: Context, catalogue: Catalogue, rows: Sequence[Example]) -> None:
    """From the points, where they are usable; `_put_points` encodes the others anew, where there are bytes."""
    digest = "" if catalogue.fingerprint is None else catalogue.fingerprint.digest
    points = context.store.fetch(partition_of(catalogue), [row.id for row in rows])
    by_id = {row.id: row for row in rows}
    for example_id, embedding in zip(points.ids, () if points.embeddings is None else points.embeddings, strict=True):
        row = by_id.pop(example_id)
        if usable(embedding):
            stored = StoredEmbedding(embedding, row.width_px, row.height_px, row.perceptual_hash)
            context.blobs.put(embedding_key(catalogue.tenant, digest, row.picture), stored.to_bytes())
    context.blobs.flush()


def _put_points(context: Context, catalogue: Catalogue, rows: Sequence[Example], anew: set[str]) -> None:
    """Points of rows from their stored embeddings, else from their bytes; those of `anew` are deleted first."""
    points = points_of(context, catalogue, rows)
    made = {point.id for point in points}
    points += _encoded(context, catalogue, [row for row in rows if row.id not in made])
    partition = partition_of(catalogue)
    for some in batches(points):
        context.store.delete(partition, [point.id for point in some if point.id in anew])
        put_back(context, catalogue, some)


def _set_payloads(context: Context, catalogue: Catalogue, ids: Sequence[str]) -> None:
    partition = partition_of(catalogue)
    points = context.store.fetch(partition, ids, with_embeddings=False)
    rows = context.registry.examples_by_id(catalogue.id, points.ids)
    payloads = {
        example_id: differing(rows[example_id], payload)
        for example_id, payload in zip(points.ids, points.payloads, strict=True)
        if example_id in rows
    }
    context.store.set_payload(partition, payloads)


def _encoded(context: Context, catalogue: Catalogue, rows: Sequence[Example]) -> list[Point]:
    """What has no stored embedding is encoded once more; what cannot be is left to the next comparison to tell."""
    if not rows:
        return []
    try:
        encoder = context.encoders.load(catalogue.encoder)
    except InvalidInput as error:
        logger.warning("encoder %s cannot be loaded: %s", catalogue.encoder, error)
        return []
    if encoder.fingerprint != catalogue.fingerprint:
        logger.warning("encoder %s is not the one that catalogue %s was made with", catalogue.encoder, catalogue.name)
        return []
    outcomes = embeddings_of(context, encoder, catalogue.tenant, [row.picture for row in rows])
    found = ((row, outcomes[row.picture]) for row in rows)
    return [point_of(row, stored) for row, stored in found if isinstance(stored, StoredEmbedding)]


def _mend_flags(context: Context, catalogue: Catalogue) -> None:
    """Flags of selections that are none go; those of what serves become its members'."""
    partition = partition_of(catalogue)
    try:
        with publishing_lease(context, catalogue, time.sleep):
            unknown = unknown_flags(context, catalogue, partition)
            for slot in SLOTS:
                context.store.unflag(partition, slot, unknown[slot])
        reconcile(context, catalogue)
    except Unavailable:
        raise
    except (LeaseHeld, NotFound, InvalidInput) as error:
        logger.warning("flags of catalogue %s were not mended: %s", catalogue.name, _sentence(error))


def _sentence(error: HolotypeError) -> str:
    return error.message
