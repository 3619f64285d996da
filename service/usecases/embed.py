"""One chunk of an ingest job: embeddings into the vector store, examples into the registry.

The order makes a crash harmless at any point: point first (its id hangs on the content and the crop alone, an existing
one stays as it is), then one transaction that writes examples, items and chunk. Whoever does the chunk again meets what
is there.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from service.core.stored_embedding import StoredEmbedding
from service.errors import EncoderMismatch, InvalidInput, LeaseHeld, NotFound
from service.ports import Encoder, Point
from service.records import Catalogue, Chunk, EmbeddedItem, Example, FailedItem, Item, Job
from service.usecases import provisional
from service.usecases.claimed import end_whole_job, finish_if_settled, given_back, lost_too_often
from service.usecases.context import Context, example_id_of, partition_of
from service.usecases.dropped import undropped_chunk
from service.usecases.encoding import embeddings_of
from service.usecases.fetching import fetched_chunk
from service.usecases.lone_points import forget_lone_points
from service.usecases.points import CONFLICT_SPLIT, payload_of, point_of

logger = logging.getLogger(__name__)

EMBEDDING = "embedding"
"""Name of the stage, for the progress bar."""


def embed_claimed(context: Context, chunk: Chunk) -> None:
    """Embed a chunk that this owner has claimed; does nothing when its job is gone.

    Raises:
        Unavailable: an outside system does not answer. The chunk is given back and the attempt not counted.
    """
    with given_back(context, chunk):
        if not lost_too_often(context, chunk):
            _work(context, context.registry.job(chunk.job_id), chunk)


def _work(context: Context, job: Job, chunk: Chunk) -> None:
    if job.stage != EMBEDDING:
        context.registry.set_progress(job.id, EMBEDDING, job.done, job.total)
    catalogue = context.registry.catalogue_by_id(job.catalogue_id)
    try:
        encoder = _open_encoder(context, catalogue)
    except (EncoderMismatch, InvalidInput) as error:
        end_whole_job(context, job, chunk, error.message)
        return
    encoder.expect(job.total - job.done)
    fetched, failed = fetched_chunk(context, job, chunk)
    wanted, skipped = undropped_chunk(context, catalogue, fetched)
    _embed(context, replace(catalogue, fingerprint=encoder.fingerprint), encoder, wanted, [*failed, *skipped])


def _open_encoder(context: Context, catalogue: Catalogue) -> Encoder:
    """The catalogue's encoder, its fingerprint pinned and its collection there.

    Raises:
        EncoderMismatch: the weights (or the preprocessing) are not those that the catalogue was begun with.
        InvalidInput: there is no such encoder.
    """
    encoder = context.encoders.load(catalogue.encoder)
    if catalogue.fingerprint is None:
        # The collection first: a catalogue with a fingerprint always has one, whatever is asked of it.
        context.store.open_collection(encoder.fingerprint.collection, encoder.fingerprint.dimension)
    context.registry.pin_fingerprint(catalogue.id, encoder.fingerprint)
    context.store.open_collection(encoder.fingerprint.collection, encoder.fingerprint.dimension)
    return encoder


def _embed(
    context: Context, catalogue: Catalogue, encoder: Encoder, chunk: Chunk, left_out: Sequence[FailedItem]
) -> None:
    """The chunk's pictures; `left_out` are those of the claimed chunk that could not be fetched, or were dropped."""
    ids = {_id_of(catalogue, item) for item in chunk.items}
    known = context.registry.examples_by_id(catalogue.id, sorted(ids))
    lost = _without_point(context, catalogue, list(known.values()))
    fresh = [item for item in chunk.items if _id_of(catalogue, item) not in known]
    wanted = [item.picture for item in fresh] + [example.picture for example in lost]
    outcomes = embeddings_of(context, encoder, catalogue.tenant, wanted)
    points = _points(context, catalogue, fresh, outcomes) + _points_again(lost, outcomes)
    if points:
        context.store.insert(partition_of(catalogue), points)
    embedded, failed = _settled(catalogue, chunk.items, known, outcomes)
    _settle(context, catalogue, chunk, embedded, [*failed, *left_out])


def _id_of(catalogue: Catalogue, item: Item) -> str:
    return example_id_of(catalogue, item.content_hash, item.crop)


def _without_point(context: Context, catalogue: Catalogue, known: Sequence[Example]) -> list[Example]:
    """Known examples that the vector store has lost, so that handing the picture over again brings the point back."""
    if not known:
        return []
    found = context.store.fetch(partition_of(catalogue), [example.id for example in known], with_embeddings=False)
    there = set(found.ids)
    return [example for example in known if example.id not in there]


def _points_again(examples: Sequence[Example], outcomes: Mapping[str, StoredEmbedding | str]) -> list[Point]:
    """The points of rows, as the rows say. Their flags, where they were references, come back when the job ends."""
    points = []
    for example in examples:
        outcome = outcomes[example.picture]
        if isinstance(outcome, str):
            logger.warning("the point of example %s is missing and cannot be made again: %s", example.id, outcome)
            continue
        points.append(point_of(example, outcome))
    return points


def _points(
    context: Context, catalogue: Catalogue, items: Sequence[Item], outcomes: Mapping[str, StoredEmbedding | str]
) -> list[Point]:
    """A point for each new picture; of one that is twice in the chunk, the first item's (settling sees the others)."""
    points: dict[str, Point] = {}
    for item in items:
        outcome, example_id = outcomes[item.picture], _id_of(catalogue, item)
        if isinstance(outcome, str) or example_id in points:
            continue
        payload = payload_of(item, item.split.value, outcome, context.clock())
        points[example_id] = Point(example_id, outcome.embedding, payload)
    return list(points.values())


def _settled(
    catalogue: Catalogue,
    items: Sequence[Item],
    known: Mapping[str, Example],
    outcomes: Mapping[str, StoredEmbedding | str],
) -> tuple[list[EmbeddedItem], list[FailedItem]]:
    """What becomes of each item. Known ones pass as embedded: the registry tells duplicate from conflict."""
    embedded, failed = [], []
    for item in items:
        example_id = _id_of(catalogue, item)
        found = known.get(example_id) or outcomes[item.picture]
        if isinstance(found, str):
            failed.append(FailedItem(item_id=item.id, reason=found))
            continue
        embedded.append(
            EmbeddedItem(
                item_id=item.id,
                example_id=example_id,
                width_px=found.width_px,
                height_px=found.height_px,
                perceptual_hash=found.perceptual_hash,
            )
        )
    return embedded, failed


def _settle(
    context: Context, catalogue: Catalogue, chunk: Chunk, embedded: list[EmbeddedItem], failed: list[FailedItem]
) -> None:
    """Make it so; what is in conflict now answers nothing from here on (the end of the job looks at all again)."""
    try:
        settlement = context.registry.settle_chunk(chunk, context.owner, embedded, failed)
    except (LeaseHeld, NotFound):
        # This worker was held up: its pictures may have been given up or dropped meanwhile, and the catalogue deleted.
        forget_lone_points(context, catalogue, [item.example_id for item in embedded])
        raise
    if settlement.conflicts:
        provisional.unflag(context, catalogue, settlement.conflicts)
        held = {example_id: {"split": CONFLICT_SPLIT} for example_id in settlement.conflicts}
        context.store.set_payload(partition_of(catalogue), held)
    finish_if_settled(context, chunk, settlement)
