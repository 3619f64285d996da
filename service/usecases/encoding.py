"""Pictures to embeddings: decoding runs in threads ahead of the forward pass, and nothing is encoded twice."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from service.core.model import Float32Array
from service.core.stored_embedding import StoredEmbedding
from service.core.vectors import UNIT_TOLERANCE
from service.errors import ImageRejected, InvalidInput, NotFound, Unavailable
from service.ports import Encoder
from service.usecases.context import Context, embedding_key, image_key

logger = logging.getLogger(__name__)

PARTS = 2
"""A chunk goes through the network in this many batches: while one is there, the threads decode the next."""


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    """A picture ready for the network; its pixels are let go of."""

    network_input: Float32Array
    width_px: int
    height_px: int
    perceptual_hash: str


def embeddings_of(
    context: Context,
    encoder: Encoder,
    tenant: str,
    content_hashes: Sequence[str],
    *,
    key_of: Callable[[str], str] | None = None,
    keep: bool = True,
) -> Mapping[str, StoredEmbedding | str]:
    """For each content hash its embedding, or a sentence that says why there is none.

    What the tenant's cache holds is not encoded again; what is encoded goes into it. At most one chunk's network inputs
    are in memory, and as many decoded pictures as there are threads.

    Args:
        context: the ports.
        encoder: makes the embeddings.
        tenant: whose cache it is.
        content_hashes: of the pictures; each is encoded once.
        key_of: blob key of a picture's bytes by its hash; that of the tenant's pictures when left out.
        keep: False reads the cache only, for pictures that nobody stores.

    Raises:
        Unavailable: the blob store does not answer.
    """
    digest, dimension = encoder.fingerprint.digest, encoder.fingerprint.dimension
    outcomes: dict[str, StoredEmbedding | str] = {}
    missing: list[str] = []
    for content_hash in dict.fromkeys(content_hashes):
        cached = _cached(context, embedding_key(tenant, digest, content_hash), dimension)
        if cached is None:
            missing.append(content_hash)
        else:
            outcomes[content_hash] = cached
    if missing:
        outcomes.update(_encoded(context, encoder, key_of or partial(image_key, tenant), missing))
    for content_hash in missing if keep else ():
        outcome = outcomes[content_hash]
        if isinstance(outcome, StoredEmbedding):
            context.blobs.put(embedding_key(tenant, digest, content_hash), outcome.to_bytes())
    return outcomes


def _cached(context: Context, key: str, dimension: int) -> StoredEmbedding | None:
    """The cached embedding; None when there is none, or none that can be used (it is then written anew)."""
    try:
        return StoredEmbedding.from_bytes(context.blobs.get(key), dimension)
    except NotFound:
        return None
    except InvalidInput as error:
        logger.warning("the cached embedding %s is made anew: %s", key, error)
        return None


def _encoded(
    context: Context, encoder: Encoder, key_of: Callable[[str], str], content_hashes: Sequence[str]
) -> dict[str, StoredEmbedding | str]:
    """Decode in threads, encode in parts."""
    outcomes: dict[str, StoredEmbedding | str] = {}
    pool = ThreadPoolExecutor(context.limits.decode_threads, thread_name_prefix="decode")
    try:
        waiting = [(one, pool.submit(_prepare, context, encoder, key_of(one))) for one in content_hashes]
        part = -(-len(waiting) // PARTS)
        for start in range(0, len(waiting), part):
            ready: dict[str, _Prepared] = {}
            for content_hash, future in waiting[start : start + part]:
                prepared = _outcome(context, encoder, key_of(content_hash), future)
                if isinstance(prepared, str):
                    outcomes[content_hash] = prepared
                else:
                    ready[content_hash] = prepared
            outcomes.update(_forward(encoder, ready))
            waiting[start : start + part] = [(one, Future()) for one, _ in waiting[start : start + part]]  # lets go
    finally:
        pool.shutdown(cancel_futures=True)
    return outcomes


def _prepare(context: Context, encoder: Encoder, key: str) -> _Prepared | str:
    """Bytes to network input; a sentence when the picture cannot be used."""
    try:
        data = context.blobs.get(key)
    except NotFound:
        return "its bytes are no longer stored (they were dropped meanwhile): ingest it again"
    try:
        decoded = context.decoder.decode(data, encoder.shortest_edge_px)
    except ImageRejected as error:
        return error.message
    network_input = encoder.preprocess(decoded.pixels)
    return _Prepared(network_input, decoded.width_px, decoded.height_px, decoded.perceptual_hash)


def _outcome(context: Context, encoder: Encoder, key: str, future: Future[_Prepared | str]) -> _Prepared | str:
    """What a thread made of a picture. One that failed unforeseen (memory ran short, say) is tried once more, alone."""
    try:
        return future.result()
    except Unavailable:
        raise
    except Exception:
        logger.exception("decoding %s failed, trying it alone", key)
    try:
        return _prepare(context, encoder, key)
    except Unavailable:
        raise
    except Exception as error:  # one picture must not take its neighbours along, whatever it does to the decoder
        logger.exception("decoding %s failed again", key)
        return f"decoding it failed twice ({type(error).__name__}: {error}): open it and save it anew as JPEG or PNG"


def _forward(encoder: Encoder, ready: Mapping[str, _Prepared]) -> dict[str, StoredEmbedding | str]:
    """One pass through the network. A row that is not finite and of unit length fails alone."""
    if not ready:
        return {}
    rows = np.asarray(encoder.encode([one.network_input for one in ready.values()]), dtype=np.float32)
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
    outcomes: dict[str, StoredEmbedding | str] = {}
    for (content_hash, one), row, length in zip(ready.items(), rows, lengths, strict=True):
        if abs(length - 1) <= UNIT_TOLERANCE:
            outcomes[content_hash] = StoredEmbedding(row, one.width_px, one.height_px, one.perceptual_hash)
        else:
            outcomes[content_hash] = f"the encoder gave an embedding of length {length:.3g} for it; 1 is needed"
    return outcomes
