"""Pictures that are asked about, not kept: bytes to embeddings, decoded in threads, encoded in batches."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from service.core.crop import hash_and_crop, picture_name
from service.core.model import Float32Array
from service.core.stored_embedding import StoredEmbedding
from service.core.vectors import checked_embeddings
from service.errors import EncoderMismatch, ImageRejected, InvalidInput
from service.ports import Encoder
from service.records import Catalogue
from service.usecases.context import Context, embedding_key
from service.usecases.encoding import cached_embedding, seen
from service.usecases.selections import chunked


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """What became of pictures.

    Attributes:
        embeddings: float32 (n, d), unit rows, of the usable ones in order.
        rows: for each picture its row of `embeddings`, or the sentence that says why it has none.
    """

    embeddings: Float32Array
    rows: tuple[int | str, ...]


def encoder_of(context: Context, catalogue: Catalogue) -> Encoder:
    """The catalogue's encoder. Raises EncoderMismatch when it is not the one that the examples met."""
    encoder = context.encoders.load(catalogue.encoder)
    stored = catalogue.fingerprint
    if stored is not None and encoder.fingerprint.digest != stored.digest:
        raise EncoderMismatch(
            f"catalogue {catalogue.name!r} was embedded with {stored.as_dict()}, {catalogue.encoder!r} is now "
            f"{encoder.fingerprint.as_dict()}: use the encoder that the catalogue was made with, or a new catalogue",
            stored=stored.as_dict(),
            given=encoder.fingerprint.as_dict(),
        )
    return encoder


def read_pictures(
    context: Context,
    encoder: Encoder,
    tenant: str,
    pictures: Sequence[bytes],
    crops: Sequence[str] | None = None,
) -> Read:
    """Decode and encode, `chunk_images` at a time. A picture that cannot be used leaves the others unharmed.

    What one of the tenant's catalogues holds, embedded by this encoder, is not encoded again: its records say which
    pictures these are, so that the blobs are only asked for what is likely there. Nothing is written.

    `crops` says for each picture what of it counts (`core.crop`), "" for all of it.
    """
    rows: list[int | str] = []
    blocks: list[Float32Array] = []
    used = 0
    asked = list(zip(pictures, crops or [""] * len(pictures), strict=True))
    with ThreadPoolExecutor(context.limits.decode_threads, thread_name_prefix="decode") as pool:
        for batch in chunked(asked, context.limits.chunk_images):
            names = [picture_name(hashlib.sha256(data).hexdigest(), crop) for data, crop in batch]
            known = context.registry.pictures_in_use(tenant, [hash_and_crop(name)[0] for name in names])
            keys = [embedding_key(tenant, encoder.fingerprint.digest, one) if one in known else None for one in names]
            found = list(pool.map(partial(_found, context, encoder), batch, keys))
            blocks.append(_embeddings(encoder, [one for one in found if not isinstance(one, str)]))
            for one in found:
                rows.append(one if isinstance(one, str) else used)
                used += not isinstance(one, str)
    empty = np.zeros((0, encoder.fingerprint.dimension), dtype=np.float32)
    return Read(np.concatenate([empty, *blocks]), tuple(rows))


def _found(
    context: Context, encoder: Encoder, picture: tuple[bytes, str], key: str | None
) -> StoredEmbedding | Float32Array | str:
    """A picture's embedding where the cache has it under the key, else the network's input, or why there is none."""
    stored = None if key is None else cached_embedding(context, key, encoder.fingerprint.dimension)
    if stored is not None:
        return stored
    try:
        with context.decoding:
            return seen(context, encoder, *picture)[1]
    except ImageRejected as error:
        return error.message


def _embeddings(encoder: Encoder, found: Sequence[StoredEmbedding | Float32Array]) -> Float32Array:
    """float32 (n, d), in order; what is no embedding yet goes through the network."""
    rows = np.zeros((len(found), encoder.fingerprint.dimension), dtype=np.float32)
    fresh = [place for place, one in enumerate(found) if not isinstance(one, StoredEmbedding)]
    for place, one in enumerate(found):
        if isinstance(one, StoredEmbedding):
            rows[place] = one.embedding
    inputs = [one for one in found if not isinstance(one, StoredEmbedding)]
    if inputs:
        rows[fresh] = _checked(encoder, encoder.encode(inputs))
    return rows


def _checked(encoder: Encoder, embeddings: Float32Array) -> Float32Array:
    try:
        return checked_embeddings(embeddings, encoder.fingerprint.dimension)
    except InvalidInput as error:
        raise InvalidInput(f"the encoder gave unusable embeddings: {error.message}", **error.details) from error
