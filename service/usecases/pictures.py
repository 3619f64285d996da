"""The picture behind an example: its bytes as they were handed over, and thumbnails of what it shows of them."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass

from service.core.crop import Box, Crop
from service.errors import ImageRejected, NotFound
from service.records import Example
from service.usecases.context import THUMBNAIL_EDGES_PX, Context, image_key, thumbnail_key
from service.usecases.dropped import example_there

JPEG, PNG, WEBP = "image/jpeg", "image/png", "image/webp"

DRAWN_AT_ONCE = 4
"""Thumbnails made side by side: a picture of 40 megapixels takes 120 MB while it is made small."""

_TAGGED = re.compile("[@,]")
_drawing = threading.BoundedSemaphore(DRAWN_AT_ONCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Bytes to be shown.

    Attributes:
        tag: changes when the bytes would; made of hexadecimal digits, letters and hyphens.
        media_type: told by the bytes themselves.
        file_name: the last part of where the picture came from.
        data: None where whoever asks has what the tag names.
    """

    tag: str
    media_type: str
    file_name: str
    data: bytes | None


def original(context: Context, tenant: str, name: str, example_id: str, has: Callable[[str], bool]) -> Picture:
    """The bytes as they were handed over. `has` says whether the asker has what a tag names: then nothing is read.

    Raises:
        CatalogueNotFound, ExampleNotFound: there is none.
        NotFound: the bytes are gone, or are no JPEG, PNG or WebP.
        Unavailable: the blob store does not answer.
    """
    example = _example(context, tenant, name, example_id)
    file_name = _file_name(example)
    if has(example.content_hash):
        return Picture(tag=example.content_hash, media_type=JPEG, file_name=file_name, data=None)
    data = _bytes(context, tenant, example)
    media_type = media_type_of(data)
    if media_type is None:
        raise NotFound(f"what is stored of example {example.id} is no JPEG, PNG or WebP", example=example.id)
    return Picture(tag=example.content_hash, media_type=media_type, file_name=file_name, data=data)


def thumbnail(
    context: Context, tenant: str, name: str, example_id: str, edge_px: int, has: Callable[[str], bool]
) -> Picture:
    """A JPEG of the size of THUMBNAIL_EDGES_PX that is next to `edge_px`, not below it; made once, then kept.

    Raises:
        CatalogueNotFound, ExampleNotFound: there is none.
        NotFound: the bytes are gone, or cannot be decoded any more.
        Unavailable: the blob store does not answer.
    """
    example = _example(context, tenant, name, example_id)
    edge = next((one for one in THUMBNAIL_EDGES_PX if one >= edge_px), THUMBNAIL_EDGES_PX[-1])
    tag = f"{_TAGGED.sub('-', example.picture)}-{edge}"
    data = None if has(tag) else _small(context, tenant, example, edge)
    return Picture(tag=tag, media_type=JPEG, file_name=f"{_file_name(example)}.jpg", data=data)


def media_type_of(data: bytes) -> str | None:
    """What the first bytes say they are; None for anything but JPEG, PNG and WebP."""
    if data.startswith(b"\xff\xd8\xff"):
        return JPEG
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    return WEBP if data.startswith(b"RIFF") and data[8:12] == b"WEBP" else None


def _small(context: Context, tenant: str, example: Example, edge_px: int) -> bytes:
    key = thumbnail_key(tenant, edge_px, example.picture)
    try:
        return context.blobs.get(key)
    except NotFound:
        data = _bytes(context, tenant, example)
    with _drawing:
        try:
            small = context.decoder.thumbnail(data, edge_px, _box(example))
        except ImageRejected as error:
            raise NotFound(
                f"what is stored of example {example.id} cannot be shown: {error.message}", example=example.id
            ) from error
    context.blobs.put(key, small)
    if example.picture not in context.registry.pictures_in_use(tenant, [example.content_hash]):
        context.blobs.delete([key])  # dropped meanwhile: nothing of it stays
    return small


def _example(context: Context, tenant: str, name: str, example_id: str) -> Example:
    return example_there(context, context.registry.catalogue(tenant, name), example_id)


def _bytes(context: Context, tenant: str, example: Example) -> bytes:
    try:
        return context.blobs.get(image_key(tenant, example.content_hash))
    except NotFound:
        raise NotFound(
            f"the bytes of example {example.id} are gone: ingest the same picture again", example=example.id
        ) from None


def _box(example: Example) -> Box | None:
    crop = Crop.parse(example.crop)
    return None if crop is None else crop.box


def _file_name(example: Example) -> str:
    return example.source.replace("\\", "/").rstrip("/").rpartition("/")[2] or "picture"
