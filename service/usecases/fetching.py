"""Pictures that are named by URLs: their bytes, before they are embedded.

What was fetched is written down at once, with its hash: a chunk that is done again (a worker vanished, an outage) has
the same pictures as before, whatever the URLs answer by then. Only one whose bytes are gone is fetched anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from service.errors import InvalidInput
from service.records import Chunk, FailedItem, Item, Job
from service.usecases.context import Context, bytes_key
from service.usecases.splitting import batches

AT_ONCE = 4
"""Pictures that are fetched side by side; the lease of their chunk begins anew after each such batch."""

SWITCHED_OFF = "pictures by URL are switched off on the worker: HOLOTYPE_URL_INGEST=true switches them on there"


def fetched_chunk(context: Context, job: Job, chunk: Chunk) -> tuple[Chunk, list[FailedItem]]:
    """The chunk with the pictures whose bytes are stored, and those that could not be fetched, with the reason.

    Raises:
        LeaseHeld: the chunk went to somebody else.
        Unavailable: the registry or the blob store does not answer.
    """
    if not job.parameters.get("fetches"):
        return chunk, []
    key_of = bytes_key(job)
    missing = [
        item for item in chunk.items if not item.content_hash or not context.blobs.exists(key_of(item.content_hash))
    ]
    hashes: dict[int, str] = {}
    reasons: dict[int, str] = {}
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="fetch") as pool:
        for batch in batches(missing, AT_ONCE):
            outcomes = dict(
                zip([item.id for item in batch], pool.map(lambda item: _fetched(context, item), batch), strict=True)
            )
            fetched = _stored(context, job, outcomes)
            context.registry.record_fetched(chunk, context.owner, fetched, context.limits.chunk_lease_s)
            hashes |= fetched
            reasons |= {item_id: reason for item_id, reason in outcomes.items() if isinstance(reason, str)}
    items = tuple(
        replace(item, content_hash=hashes.get(item.id, item.content_hash))
        for item in chunk.items
        if item.id not in reasons
    )
    failed = [FailedItem(item_id=item_id, reason=reason) for item_id, reason in reasons.items()]
    return replace(chunk, items=items), failed


def _fetched(context: Context, item: Item) -> bytes | str:
    """Its bytes, or why there are none."""
    if context.fetcher is None:
        return SWITCHED_OFF
    try:
        return context.fetcher.fetch(item.source)
    except InvalidInput as error:
        return error.message


def _stored(context: Context, job: Job, outcomes: Mapping[int, bytes | str]) -> dict[int, str]:
    """Content hashes of the bytes that came, by item id, once the bytes are in the blob store."""
    key_of = bytes_key(job)
    hashes = {}
    for item_id, data in outcomes.items():
        if isinstance(data, str):
            continue
        content_hash = hashlib.sha256(data).hexdigest()
        context.blobs.put(key_of(content_hash), data)
        hashes[item_id] = content_hash
    context.blobs.flush()
    return hashes
