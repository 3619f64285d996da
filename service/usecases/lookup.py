"""Search: the examples of a catalogue that resemble a picture or a text most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from service.core.model import Float32Array, Neighbour
from service.core.vectors import checked_embeddings
from service.errors import InvalidInput, LabelNotFound
from service.ports import METADATA_PREFIX, Encoder
from service.records import Catalogue, Split
from service.usecases.context import Context, partition_of
from service.usecases.hints import to_list_labels
from service.usecases.labels import label_asked_for
from service.usecases.metadata import checked_metadata
from service.usecases.reading import encoder_of, read_pictures

MOST_RESULTS = 1000
NONE: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An example that resembles what was asked for. `split` is "conflict" while its label is contested.

    `metadata` is the user's own.
    """

    id: str
    label: str
    split: str
    similarity: float
    source: str
    metadata: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON of one line of `holotype search`."""
        return {**asdict(self), "metadata": dict(self.metadata)}


def search_by_image(
    context: Context,
    tenant: str,
    name: str,
    picture: bytes,
    *,
    top: int = 10,
    label: str | None = None,
    split: Split | None = None,
    metadata: Mapping[str, object] = NONE,
) -> list[Found]:
    """The `top` examples most similar to a picture, nearest first, by raw embedding.

    Only those of the label, of the split and with all of the metadata, where given.

    Raises:
        CatalogueNotFound: there is none.
        NothingToServe: nothing was embedded yet.
        ImageRejected, EncoderMismatch: as for `classify`.
        LabelNotFound: the catalogue has no class of that label.
        InvalidInput: `top` is out of range, or the metadata is none.
    """
    catalogue = context.registry.catalogue(tenant, name)
    where = _where(context, catalogue, top, label, split, metadata)
    read = read_pictures(context, encoder_of(context, catalogue), catalogue.tenant, [picture])
    if isinstance(read.rows[0], str):
        raise InvalidInput(f"the picture cannot be searched with: {read.rows[0]}")
    return _nearest(context, catalogue, read.embeddings, where, top)


def search_by_text(
    context: Context,
    tenant: str,
    name: str,
    text: str,
    *,
    top: int = 10,
    label: str | None = None,
    split: Split | None = None,
    metadata: Mapping[str, object] = NONE,
) -> list[Found]:
    """The `top` examples most similar to a text, nearest first. Similarities to texts are lower than to pictures.

    Raises:
        CatalogueNotFound: there is none.
        NothingToServe: nothing was embedded yet.
        EncoderMismatch: as for `classify`.
        LabelNotFound: as for `search_by_image`.
        InvalidInput: the encoder knows no text, or as there.
    """
    catalogue = context.registry.catalogue(tenant, name)
    where = _where(context, catalogue, top, label, split, metadata)
    encoder = encoder_of(context, catalogue)
    return _nearest(context, catalogue, _text_embedding(catalogue, encoder, text), where, top)


def _text_embedding(catalogue: Catalogue, encoder: Encoder, text: str) -> Float32Array:
    if not encoder.encodes_text:
        raise InvalidInput(
            f"the encoder {catalogue.encoder!r} of catalogue {catalogue.name!r} knows pictures only: search with "
            "a picture, or make a catalogue with a CLIP encoder",
            encoder=catalogue.encoder,
        )
    if not text.strip():
        raise InvalidInput("the text is empty: say what the pictures show")
    return checked_embeddings(encoder.encode_text([text.strip()]), encoder.fingerprint.dimension)


def _where(
    context: Context,
    catalogue: Catalogue,
    top: int,
    label: str | None,
    split: Split | None,
    metadata: Mapping[str, object],
) -> dict[str, str]:
    """The filter, checked."""
    partition_of(catalogue)
    if not 1 <= top <= MOST_RESULTS:
        raise InvalidInput(f"top is {top}; 1 to {MOST_RESULTS} examples can be asked for", top=top)
    where = {f"{METADATA_PREFIX}{key}": value for key, value in _entries(metadata).items()}
    if split is not None:
        where["split"] = split.value
    if label is None:
        return where
    checked = label_asked_for(label)
    labels = context.registry.example_counts(catalogue.id)[1]
    if not labels.get(checked):
        raise LabelNotFound(
            f"catalogue {catalogue.name!r} has no class {checked!r} among its {len(labels)}: "
            f"{to_list_labels(catalogue.name)} lists them",
            label=checked,
        )
    return {**where, "label": checked}


def _entries(metadata: Mapping[str, object]) -> dict[str, str]:
    """What to look for, as `checked_metadata` keeps it; it leaves out what is empty, which no example has."""
    wanted = checked_metadata(metadata)
    empty = sorted(metadata.keys() - wanted.keys())
    if empty:
        raise InvalidInput(f"metadata {empty[0]!r} is empty: examples are found by an entry that they have")
    return wanted


def _nearest(
    context: Context, catalogue: Catalogue, query: Float32Array, where: dict[str, str], top: int
) -> list[Found]:
    partition = partition_of(catalogue)
    (neighbours,) = context.store.nearest(partition, "embedding", query, where, top)
    points = context.store.fetch(partition, [one.example_id for one in neighbours], with_embeddings=False)
    payloads = dict(zip(points.ids, points.payloads, strict=True))
    return [_found(one, payloads[one.example_id]) for one in neighbours if one.example_id in payloads]


def _found(neighbour: Neighbour, payload: Mapping[str, Any]) -> Found:
    return Found(
        id=neighbour.example_id,
        label=neighbour.label,
        split=str(payload["split"]),
        similarity=float(np.clip(neighbour.similarity, -1.0, 1.0)),
        source=neighbour.source,
        metadata=payload.get("metadata", {}),
    )
