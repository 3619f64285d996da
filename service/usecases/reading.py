"""Pictures that are asked about, not kept: bytes to embeddings, decoded in threads, encoded in batches."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from service.core.model import Float32Array
from service.core.vectors import checked_embeddings
from service.errors import EncoderMismatch, ImageRejected, InvalidInput
from service.ports import Encoder
from service.records import Catalogue
from service.usecases.context import Context
from service.usecases.encoding import seen
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
    context: Context, encoder: Encoder, pictures: Sequence[bytes], crops: Sequence[str] | None = None
) -> Read:
    """Decode and encode, `chunk_images` at a time. A picture that cannot be used leaves the others unharmed.

    `crops` says for each picture what of it counts (`core.crop`), "" for all of it.
    The cache of embeddings is not asked: what is asked about is seldom stored, and a look costs a trip to the blobs.
    """
    rows: list[int | str] = []
    blocks: list[Float32Array] = []
    used = 0

    def prepare(picture: tuple[bytes, str]) -> Float32Array | str:
        try:
            with context.decoding:
                return seen(context, encoder, *picture)[1]
        except ImageRejected as error:
            return error.message

    with ThreadPoolExecutor(context.limits.decode_threads, thread_name_prefix="decode") as pool:
        for batch in chunked(
            list(zip(pictures, crops or [""] * len(pictures), strict=True)), context.limits.chunk_images
        ):
            inputs = list(pool.map(prepare, batch))
            ready = [one for one in inputs if not isinstance(one, str)]
            if ready:
                blocks.append(_checked(encoder, encoder.encode(ready)))
            for one in inputs:
                rows.append(one if isinstance(one, str) else used)
                used += not isinstance(one, str)
    empty = np.zeros((0, encoder.fingerprint.dimension), dtype=np.float32)
    return Read(np.concatenate(blocks) if blocks else empty, tuple(rows))


def _checked(encoder: Encoder, embeddings: Float32Array) -> Float32Array:
    try:
        return checked_embeddings(embeddings, encoder.fingerprint.dimension)
    except InvalidInput as error:
        raise InvalidInput(f"the encoder gave unusable embeddings: {error.message}", **error.details) from error
