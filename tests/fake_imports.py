"""Catalogues that are being imported, in dictionaries; the rest is in `fake_registry`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from service.errors import AlreadyExists, CatalogueNotFound, LeaseHeld
from service.ports.archives import IMPORTING
from service.records import Catalogue, Example, Fingerprint, Relabelling
from tests.fake_jobs import FakeJobs, locked


class FakeImports(FakeJobs):
    @locked
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
        self.rows[catalogue_id] = Catalogue(
            id=catalogue_id,
            tenant=tenant,
            name=f"{IMPORTING}{catalogue_id}",
            encoder=encoder,
            fingerprint=fingerprint,
            active_selection=None,
            created_at=self.clock(),
            without_pictures=without_pictures,
        )
        return self.rows[catalogue_id]

    @locked
    def add_examples(self, catalogue_id: str, examples: Sequence[Example]) -> None:
        self.catalogue_by_id(catalogue_id)
        self.example_rows |= {(catalogue_id, one.id): one for one in examples}

    @locked
    def relabellings(self, catalogue_id: str) -> dict[str, list[Relabelling]]:
        return {id_: list(several) for (of, id_), several in self.relabelled_rows.items() if of == catalogue_id}

    @locked
    def add_relabellings(self, catalogue_id: str, of_examples: Mapping[str, Sequence[Relabelling]]) -> None:
        self.relabelled_rows |= {(catalogue_id, id_): list(several) for id_, several in of_examples.items()}

    @locked
    def finish_import(self, catalogue_id: str, name: str, lease: str, owner: str) -> None:
        holder, until = self.leases.get(lease, ("", 0.0))
        if holder != owner or until <= self.clock():
            raise LeaseHeld(f"the lease {lease!r} ran out")
        one = self.catalogue_by_id(catalogue_id)
        if any((other.tenant, other.name) == (one.tenant, name) for other in self.rows.values()):
            raise AlreadyExists(f"there is a catalogue {name!r} already")
        self.rows[catalogue_id] = replace(one, name=name)

    @locked
    def imports(self) -> list[Catalogue]:
        return [one for one in self.rows.values() if one.name.startswith(IMPORTING)]

    def ping(self) -> None:
        """In memory: it answers."""

    @locked
    def catalogue(self, tenant: str, name: str) -> Catalogue:
        if name.startswith(IMPORTING):
            raise CatalogueNotFound(f"there is no catalogue {name!r}")
        return super().catalogue(tenant, name)

    @locked
    def catalogues(self, tenant: str) -> list[Catalogue]:
        return [one for one in super().catalogues(tenant) if not one.name.startswith(IMPORTING)]

    @locked
    def all_catalogues(self) -> list[Catalogue]:
        return [one for one in super().all_catalogues() if not one.name.startswith(IMPORTING)]
