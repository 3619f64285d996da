"""The registry: what export and import of a whole catalogue need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from service.records import Catalogue, Example, Fingerprint, Relabelling

IMPORTING = "."
"""Names of catalogues that are being imported start with it, which no name that a person gives does."""


class ArchiveRegistry(Protocol):
    """Catalogues that are being imported are in no list and found by no name until `finish_import`."""

    def open_import(
        self,
        catalogue_id: str,
        tenant: str,
        encoder: str,
        fingerprint: Fingerprint | None,
        pictures: int,
        *,
        without_pictures: bool = False,
    ) -> Catalogue:
        """A catalogue of this id that nobody sees yet; `pictures` are to come, some `without_pictures`' bytes.

        Raises QuotaExceeded.
        """
        ...

    def add_examples(self, catalogue_id: str, examples: Sequence[Example]) -> None:
        """Rows as they are. Raises CatalogueNotFound when the catalogue is gone, QuotaExceeded."""
        ...

    def relabellings(self, catalogue_id: str) -> dict[str, list[Relabelling]]:
        """Of each example that was ever relabelled, by its id, each time, the first first."""
        ...

    def add_relabellings(self, catalogue_id: str, of_examples: Mapping[str, Sequence[Relabelling]]) -> None:
        """Those of examples that `add_examples` has added."""
        ...

    def finish_import(self, catalogue_id: str, name: str, lease: str, owner: str) -> None:
        """One transaction: the catalogue gets its name, and is seen from here on.

        Raises AlreadyExists when the tenant has one of that name, CatalogueNotFound when it is gone, LeaseHeld when
        the owner does not hold the lease any more.
        """
        ...

    def imports(self) -> list[Catalogue]:
        """Catalogues of every tenant that are being imported, or were when their process died."""
        ...
