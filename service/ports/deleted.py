"""The registry: examples that were deleted, until their bytes are gone too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from service.records import Deleted


class DeletedRegistry(Protocol):
    """Noted in the transaction that deletes the rows: whoever dies before the bytes are gone leaves word of it."""

    def deleted(self, limit: int, catalogue_id: str | None = None) -> list[Deleted]:
        """At most `limit` of those that are noted, of one catalogue where given."""
        ...

    def forgot_deleted(self, catalogue_id: str, example_ids: Sequence[str]) -> None:
        """Their bytes are gone: nothing is noted of them any more. Unknown ids are passed over."""
        ...
