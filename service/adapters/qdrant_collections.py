"""Qdrant collections as Holotype needs them: made whole, checked when found, and the server's version."""

from __future__ import annotations

import re

from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from service.adapters import vector_common as common
from service.adapters.qdrant_retry import Caller
from service.errors import Unavailable

OLDEST_SERVER = (1, 17)
"""The first version with inserts that leave alone what is there, and payload indexes without HNSW links."""

FULL_SCAN_KB = 40_000
"""Searches over fewer vectors than this are exact scans: 26 000 points of 384 floats. Flagged sets stay far below."""


def check_version(client: QdrantClient, call: Caller) -> None:
    """Raises Unavailable when the server does not answer or is older than OLDEST_SERVER."""
    version = call(client.info).version
    numbers = re.match(r"v?(\d+)\.(\d+)", version)
    if not numbers or (int(numbers[1]), int(numbers[2])) < OLDEST_SERVER:
        oldest = ".".join(map(str, OLDEST_SERVER))
        raise Unavailable(
            f"Qdrant at {call.place} is version {version}; Holotype needs {oldest} or newer: update the server",
            version=version,
        )


def open_collection(client: QdrantClient, call: Caller, collection: str, dimension: int) -> int:
    """Make the collection and its payload indexes, as far as they are not there; its width d.

    Indexes are looked for every time, so a process that was killed between the two is made good by the next one.
    """
    if not call(client.collection_exists, collection):
        call(_create, client, collection, dimension)
    info = call(client.get_collection, collection)
    for key in common.INDEXED_KEYS:
        if key not in info.payload_schema:
            call(client.create_payload_index, collection, key, _index(key), wait=True)
    return width_of(info)


def width_of(info: models.CollectionInfo) -> int:
    """The width of a collection's embeddings."""
    vectors = info.config.params.vectors
    if not isinstance(vectors, dict) or "embedding" not in vectors:
        raise Unavailable("a Qdrant collection of Holotype's name has no vector named embedding; it is not Holotype's")
    return vectors["embedding"].size


def _create(client: QdrantClient, collection: str, dimension: int) -> None:
    """One graph a tenant instead of one for all (m=0, payload_m=16), and small sets scanned exactly."""
    vectors = {
        str(name): models.VectorParams(size=dimension, distance=models.Distance.COSINE) for name in common.VECTORS
    }
    hnsw = models.HnswConfigDiff(m=0, payload_m=16, full_scan_threshold=FULL_SCAN_KB)
    try:
        client.create_collection(collection, vectors_config=vectors, hnsw_config=hnsw)
    except UnexpectedResponse as error:
        # Two workers may make it at the same time; an answer that got lost makes a second try find it there too.
        if error.status_code != 409 and not client.collection_exists(collection):
            raise


def _index(key: str) -> models.KeywordIndexParams:
    """HNSW links serve large sets alone, a whole catalogue's; flagged sets are scanned."""
    return models.KeywordIndexParams(
        type=models.KeywordIndexType.KEYWORD,
        is_tenant=True if key == "tenant" else None,
        enable_hnsw=key in common.OWNER_KEYS,
    )
