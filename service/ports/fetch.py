"""Fetching pictures from URLs that users give."""

from __future__ import annotations

from typing import Protocol


class PictureFetcher(Protocol):
    """Fetches from the open internet alone, whatever URL, name server or redirect say. Safe for several threads."""

    def check(self, url: str) -> None:
        """Cheap, nothing is called. Raises InvalidInput, a sentence, for a URL that is never fetched."""
        ...

    def fetch(self, url: str) -> bytes:
        """The bytes behind the URL. Raises InvalidInput with the reason, a sentence, for all that can go wrong."""
        ...
