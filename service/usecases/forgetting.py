"""Deleting the bytes and cached embeddings of pictures that no catalogue needs any more."""

from __future__ import annotations

from collections.abc import Iterable

from service.records import Catalogue
from service.usecases.context import THUMBNAIL_EDGES_PX, Context, embedding_key, image_key, thumbnail_key


def forget_pictures(context: Context, catalogue: Catalogue, content_hashes: Iterable[str]) -> int:
    """Delete what only this catalogue needed of pictures that are no longer its examples; returns how many keys went.

    Bytes and thumbnails stay while another catalogue of the tenant or an unfinished job needs them. The cached
    embeddings of this catalogue's encoder go as well, unless the bytes stay and another catalogue of the tenant has the
    same encoder.
    Other tenants' bytes have other keys and are never met.

    Raises:
        Unavailable: the registry or the blob store does not answer.
    """
    tenant = catalogue.tenant
    digests = {
        one.fingerprint.digest
        for one in context.registry.catalogues(tenant)
        if one.fingerprint is not None and one.id != catalogue.id
    }
    own = catalogue.fingerprint.digest if catalogue.fingerprint is not None else None
    hashes = list(dict.fromkeys(content_hashes))
    used = context.registry.hashes_in_use(tenant, hashes)
    keys: list[str] = []
    for content_hash in hashes:
        gone = set() if own is None or own in digests else {own}
        if content_hash not in used:
            keys.append(image_key(tenant, content_hash))
            keys.extend(thumbnail_key(tenant, edge_px, content_hash) for edge_px in THUMBNAIL_EDGES_PX)
            gone = digests if own is None else digests | {own}
        keys.extend(embedding_key(tenant, digest, content_hash) for digest in sorted(gone))
    if keys:
        context.blobs.delete(keys)
    return len(keys)
