"""Pictures to embeddings: decoding runs in threads ahead of the forward pass, and nothing is encoded twice."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np

from service.core.crop import Crop, hash_and_crop
from service.core.model import Float32Array
from service.core.stored_embedding import StoredEmbedding
from service.core.vectors import UNIT_TOLERANCE
from service.errors import ImageRejected, InvalidInput, NotFound, Unavailable
from service.ports import DecodedImage, Encoder
from service.usecases.context import Context, embedding_key, image_key
from service.usecases.splitting import batches

logger = logging.getLogger(__name__)

PARTS = 2
"""A chunk goes through the network in so many batches: while one is there, the threads decode the next. More of them
would be smaller, and a picture in a batch of four takes a third longer than in one of sixteen."""


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
    pictures: Sequence[str],
    *,
    key_of: Callable[[str], str] | None = None,
    keep: bool = True,
) -> Mapping[str, StoredEmbedding | str]:
    """For each picture its embedding, or a sentence that says why there is none.

    What the tenant's cache holds is not encoded again; what is encoded goes into it. At most one chunk's network inputs
    are in memory, and as many decoded pictures as there are threads.

    Args:
        context: the ports.
        encoder: makes the embeddings.
        tenant: whose cache it is.
        pictures: content hashes, with a crop where only a part counts (`core.crop.picture_name`); each is encoded once.
        key_of: blob key of a picture's bytes by its hash; that of the tenant's pictures when left out.
        keep: False reads the cache only, for pictures that nobody stores.

    Raises:
        Unavailable: the blob store does not answer.
    """
    digest, dimension = encoder.fingerprint.digest, encoder.fingerprint.dimension
    outcomes: dict[str, StoredEmbedding | str] = {}
    missing: list[str] = []
    for name in dict.fromkeys(pictures):
        cached = cached_embedding(context, embedding_key(tenant, digest, name), dimension)
        if cached is None:
            missing.append(name)
        else:
            outcomes[name] = cached
    if missing:
        outcomes.update(_encoded(context, encoder, key_of or partial(image_key, tenant), missing))
    for name in missing if keep else ():
        outcome = outcomes[name]
        if isinstance(outcome, StoredEmbedding):
            context.blobs.put(embedding_key(tenant, digest, name), outcome.to_bytes())
    return outcomes


def cached_embedding(context: Context, key: str, dimension: int) -> StoredEmbedding | None:
    """The cached embedding; None when there is none, or none that can be used (it is then written anew)."""
    try:
        return StoredEmbedding.from_bytes(context.blobs.get(key), dimension)
    except NotFound:
        return None
    except InvalidInput as error:
        logger.warning("the cached embedding %s is made anew: %s", key, error)
        return None


def _encoded(
    context: Context, encoder: Encoder, key_of: Callable[[str], str], pictures: Sequence[str]
) -> dict[str, StoredEmbedding | str]:
    """Decode in threads, encode in parts."""
    outcomes: dict[str, StoredEmbedding | str] = {}
    coming: dict[str, Future[_Prepared | str]] = {}
    with _decoders(context) as threads:
        try:
            for name in pictures:
                coming[name] = threads.submit(_prepare, context, encoder, key_of, name)
            for part in batches(pictures, -(-len(pictures) // PARTS)):
                ready: dict[str, _Prepared] = {}
                for name in part:
                    prepared = _outcome(context, encoder, key_of, name, coming.pop(name))
                    if isinstance(prepared, str):
                        outcomes[name] = prepared
                    else:
                        ready[name] = prepared
                outcomes.update(_forward(encoder, ready))
        finally:
            for future in coming.values():
                future.cancel()
    return outcomes


@contextmanager
def _decoders(context: Context) -> Iterator[Executor]:
    """The threads that chunks share, or some for this one alone."""
    if context.decoders is not None:
        yield context.decoders
        return
    with ThreadPoolExecutor(context.limits.decode_threads, thread_name_prefix="decode") as threads:
        yield threads


def _prepare(context: Context, encoder: Encoder, key_of: Callable[[str], str], name: str) -> _Prepared | str:
    """Bytes to network input; a sentence when the picture cannot be used."""
    content_hash, crop = hash_and_crop(name)
    try:
        data = context.blobs.get(key_of(content_hash))
    except NotFound:
        return "its bytes are no longer stored (they were dropped meanwhile): ingest it again"
    try:
        decoded, network_input = seen(context, encoder, data, crop)
    except ImageRejected as error:
        return error.message
    return _Prepared(network_input, decoded.width_px, decoded.height_px, decoded.perceptual_hash)


def _outcome(
    context: Context, encoder: Encoder, key_of: Callable[[str], str], name: str, future: Future[_Prepared | str]
) -> _Prepared | str:
    """What a thread made of a picture. One that failed unforeseen (memory ran short, say) is tried once more, alone."""
    try:
        return future.result()
    except Unavailable:
        raise
    except Exception:
        logger.exception("decoding %s failed, trying it alone", name)
    try:
        return _prepare(context, encoder, key_of, name)
    except Unavailable:
        raise
    except Exception as error:  # one picture must not take its neighbours along, whatever it does to the decoder
        logger.exception("decoding %s failed again", name)
        return f"decoding it failed twice ({type(error).__name__}: {error}): open it and save it anew as JPEG or PNG"


def seen(context: Context, encoder: Encoder, data: bytes, crop: str) -> tuple[DecodedImage, Float32Array]:
    """A picture, or what a crop shows of it, decoded and as the encoder's input. Raises ImageRejected.

    Of a crop nothing is cut off, as an encoder's own centre crop would do: whoever gave it said what counts.
    """
    part = Crop.parse(crop)
    if part is None:
        decoded = context.decoder.decode(data, encoder.shortest_edge_px)
        return decoded, encoder.preprocess(decoded.pixels)
    decoded = context.decoder.decode(data, encoder.shortest_edge_px, part.box)
    return decoded, encoder.preprocess(decoded.pixels, "pad" if part.keep_aspect else "stretch")


def _forward(encoder: Encoder, ready: Mapping[str, _Prepared]) -> dict[str, StoredEmbedding | str]:
    """One pass through the network. A row that is not finite and of unit length fails alone."""
    if not ready:
        return {}
    rows = np.asarray(encoder.encode([one.network_input for one in ready.values()]), dtype=np.float32)
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
    outcomes: dict[str, StoredEmbedding | str] = {}
    for (name, one), row, length in zip(ready.items(), rows, lengths, strict=True):
        if abs(length - 1) <= UNIT_TOLERANCE:
            outcomes[name] = StoredEmbedding(row, one.width_px, one.height_px, one.perceptual_hash)
        else:
            outcomes[name] = f"the encoder gave an embedding of length {length:.3g} for it; 1 is needed"
    return outcomes
