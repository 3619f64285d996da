"""One chunk of a classify job: its pictures are answered, and nothing of them is stored.

An answer is written once, in the transaction that settles the chunk. Whoever does a chunk again, because a worker
vanished before that, answers its pictures anew: by the selection that is active then, which each answer names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from service.core.stored_embedding import StoredEmbedding
from service.errors import EncoderMismatch, InvalidInput, NothingToServe
from service.records import AnsweredItem, Catalogue, Chunk, FailedItem, Item, Job
from service.usecases.claimed import end_whole_job, finish_if_settled, given_back, lost_too_often
from service.usecases.classify import answers_of
from service.usecases.context import Context, bytes_key, partition_of
from service.usecases.encoding import embeddings_of
from service.usecases.fetching import fetched_chunk
from service.usecases.reading import encoder_of
from service.usecases.resolver import Resolver

ANSWERING = "answering"
"""Name of the stage, for the progress bar."""


def answer_claimed(context: Context, chunk: Chunk) -> None:
    """Answer the pictures of a chunk that this worker has claimed. Safe to repeat.

    Raises:
        Unavailable: an outside system does not answer. The chunk is given back and the attempt not counted.
    """
    with given_back(context, chunk):
        if not lost_too_often(context, chunk):
            _work(context, context.registry.job(chunk.job_id), chunk)


def _work(context: Context, job: Job, chunk: Chunk) -> None:
    if job.stage != ANSWERING:
        context.registry.set_progress(job.id, ANSWERING, job.done, job.total)
    catalogue = context.registry.catalogue_by_id(job.catalogue_id)
    fetched, failed = fetched_chunk(context, job, chunk)
    try:
        answered, unreadable = _answered(context, job, catalogue, fetched.items)
    except (EncoderMismatch, InvalidInput, NothingToServe) as error:
        end_whole_job(context, job, chunk, error.message)
        return
    settlement = context.registry.settle_chunk(chunk, context.owner, [], [*failed, *unreadable], answered)
    finish_if_settled(context, chunk, settlement)


def _answered(
    context: Context, job: Job, catalogue: Catalogue, items: Sequence[Item]
) -> tuple[list[AnsweredItem], list[FailedItem]]:
    partition_of(catalogue)
    encoder = encoder_of(context, catalogue)
    hashes = [item.content_hash for item in items]
    outcomes = embeddings_of(context, encoder, job.tenant, hashes, key_of=bytes_key(job), keep=False)
    usable, embeddings, failed = _sorted_out(items, outcomes)
    if not usable:
        return [], failed
    answers = answers_of(
        context,
        catalogue,
        encoder,
        Resolver(context),
        [item.source for item in usable],
        np.stack(embeddings),
        top=job.parameters["top"],
        max_error=job.parameters["max_error"],
    )
    results = [answer.as_dict() for answer in answers]
    return [AnsweredItem(item_id=item.id, result=one) for item, one in zip(usable, results, strict=True)], failed


def _sorted_out(
    items: Sequence[Item], outcomes: Mapping[str, StoredEmbedding | str]
) -> tuple[list[Item], list[np.ndarray], list[FailedItem]]:
    """Items with an embedding, their embeddings, and the others with their reasons."""
    usable, embeddings, failed = [], [], []
    for item in items:
        outcome = outcomes[item.content_hash]
        if isinstance(outcome, str):
            failed.append(FailedItem(item_id=item.id, reason=outcome))
        else:
            usable.append(item)
            embeddings.append(outcome.embedding)
    return usable, embeddings, failed
