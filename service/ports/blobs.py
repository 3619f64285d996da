"""Bytes by key."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class BlobStore(Protocol):
    """Bytes by key. Keys start with the tenant: `{tenant}/images/...`, `{tenant}/embeddings/...` and so on."""

    def ping(self) -> None:
        """Does it answer? Raises Unavailable."""
        ...

    def put(self, key: str, data: bytes) -> None:
        """Write whole or not at all; an existing key is replaced."""
        ...

    def flush(self) -> None:
        """What was put before survives a power cut. To be called before a row says that it is there."""
        ...

    def get(self, key: str) -> bytes:
        """Raises NotFound."""
        ...

    def exists(self, key: str) -> bool: ...

    def delete(self, keys: Iterable[str]) -> None:
        """Missing keys are fine."""
        ...

    def keys(self, prefix: str) -> list[str]:
        """All keys that start with the prefix, sorted."""
        ...
