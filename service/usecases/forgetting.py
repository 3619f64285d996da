"""Deleting the bytes and cached embeddings of pictures that no catalogue needs any more."""

from __future__ import annotations

from collections.abc import Iterable

from service.core.crop import hash_and_crop
from service.records import Catalogue
from service.usecases.context import THUMBNAIL_EDGES_PX, Context, embedding_key, image_key, thumbnail_key


def forget_pictures(context: Context, catalogue: Catalogue, pictures: Iterable[str]) -> int:
    """Delete what only this catalogue needed of pictures that are no longer its examples; returns how many keys went.

    Pictures are named as `Example.picture` does. Bytes stay while another example of the tenant or an unfinished job
    needs them, whatever it shows of the picture; thumbnails while one shows the same of it. The cached embeddings of
    this catalogue's encoder go as well, unless the thumbnails stay and another catalogue of the tenant has the same
    encoder.
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
    hashes = {name: hash_and_crop(name)[0] for name in pictures}
    used = context.registry.pictures_in_use(tenant, list(hashes.values()))
    needed = {hash_and_crop(name)[0] for name in used}
    keys = [
        image_key(tenant, content_hash) for content_hash in dict.fromkeys(hashes.values()) if content_hash not in needed
    ]
    for name in hashes:
        gone = set() if own is None or own in digests else {own}
        if name not in used:
            keys.extend(thumbnail_key(tenant, edge_px, name) for edge_px in THUMBNAIL_EDGES_PX)
            gone = digests if own is None else digests | {own}
        keys.extend(embedding_key(tenant, digest, name) for digest in sorted(gone))
    if keys:
        context.blobs.delete(keys)
    return len(keys)
