"""The registry: what a person has dropped, so that it does not come back when the same folder is handed over again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from service.records import Dropped


class DroppedRegistry(Protocol):
    """Dropped pictures by example id. None of them is an example: the moment it is stored again it is not dropped."""

    def drop_examples(self, catalogue_id: str, example_ids: Sequence[str]) -> None:
        """As `delete_examples`; the picture and all labels that each had are remembered, in the same transaction.

        Raises CatalogueNotFound when the catalogue is gone.
        """
        ...

    def dropped(self, catalogue_id: str, example_ids: Sequence[str] | None = None) -> list[Dropped]:
        """Those of the ids, where given, else all; by example id."""
        ...

    def dropped_page(self, catalogue_id: str, after: str | None, limit: int) -> list[Dropped]:
        """At most `limit` of them behind the example id `after`, by example id."""
        ...

    def take_back(self, catalogue_id: str, example_ids: Sequence[str]) -> None:
        """Forget that they were dropped. Unknown ids are passed over."""
        ...

    def rename_dropped(self, catalogue_id: str, label: str, new: str) -> None:
        """What was dropped under the label counts as dropped under another one too."""
        ...

    def add_dropped(self, catalogue_id: str, dropped: Sequence[Dropped]) -> None:
        """Rows as they are, for an import; those of examples that are there are passed over.

        Raises CatalogueNotFound when the catalogue is gone.
        """
        ...
