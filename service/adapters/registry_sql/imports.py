"""Catalogues that are being imported: nobody sees them until they are whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from service.adapters.registry_sql.catalogues import catalogue_of, is_whole, keep_catalogue, no_catalogue
from service.adapters.registry_sql.database import Part, reading, writing
from service.adapters.registry_sql.schema import catalogues, examples, leases, relabelled
from service.adapters.registry_sql.usage import keep_within_quotas
from service.errors import AlreadyExists, LeaseHeld, quoted
from service.ports.archives import IMPORTING
from service.records import Catalogue, Example, Fingerprint, Relabelling, Usage

_COLUMNS = [field.name for field in fields(Example)]


class Imports(Part):
    """Implements `ports.ArchiveRegistry`."""

    @writing
    def open_import(
        self,
        connection: Connection,
        catalogue_id: str,
        tenant: str,
        encoder: str,
        fingerprint: Fingerprint | None,
        pictures: int,
        *,
        without_pictures: bool = False,
    ) -> Catalogue:
        keep_within_quotas(connection, tenant, Usage(catalogues=1, examples=pictures))
        row: dict[str, Any] = {
            "id": catalogue_id,
            "tenant": tenant,
            "name": f"{IMPORTING}{catalogue_id}",
            "encoder": encoder,
            "without_pictures": without_pictures,
        }
        row |= {"fingerprint": None if fingerprint is None else fingerprint.as_dict(), "created_at": self.clock()}
        return catalogue_of(connection.execute(insert(catalogues).returning(catalogues), row).one())

    @writing
    def add_examples(self, connection: Connection, catalogue_id: str, examples: Sequence[Example]) -> None:
        keep_catalogue(connection, catalogue_id)
        owner = connection.execute(select(catalogues.c.tenant).where(catalogues.c.id == catalogue_id)).scalar_one()
        keep_within_quotas(connection, owner, Usage(examples=len(examples)))
        if examples:
            connection.execute(_insert, [{name: getattr(one, name) for name in _COLUMNS} for one in examples])

    @reading
    def relabellings(self, connection: Connection, catalogue_id: str) -> dict[str, list[Relabelling]]:
        columns = select(relabelled.c.example_id, relabelled.c.former, relabelled.c.at).order_by(relabelled.c.at)
        by_example: defaultdict[str, list[Relabelling]] = defaultdict(list)
        for example_id, *one in connection.execute(columns.where(relabelled.c.catalogue_id == catalogue_id)):
            by_example[example_id].append(Relabelling(*one))
        return dict(by_example)

    @writing
    def add_relabellings(
        self, connection: Connection, catalogue_id: str, of_examples: Mapping[str, Sequence[Relabelling]]
    ) -> None:
        rows = [
            {"catalogue_id": catalogue_id, "example_id": example_id, "former": one.former, "at": one.at}
            for example_id, several in of_examples.items()
            for one in several
        ]
        if rows:
            connection.execute(insert(relabelled), rows)

    @writing
    def finish_import(self, connection: Connection, catalogue_id: str, name: str, lease: str, owner: str) -> None:
        """The lease's row is locked, so whoever sweeps up after a process that seems dead comes before or after."""
        held = select(leases.c.name).where(leases.c.name == lease, leases.c.owner == owner)
        if connection.execute(held.where(leases.c.expires_at > self.clock()).with_for_update()).first() is None:
            raise LeaseHeld(f"the import was held up so long that its lease {lease!r} ran out: import again")
        named = update(catalogues).where(catalogues.c.id == catalogue_id).values(name=name)
        try:
            changed = connection.execute(named).rowcount
        except IntegrityError as error:
            raise AlreadyExists(f"there is a catalogue {quoted(name)} already", catalogue=name) from error
        if not changed:
            raise no_catalogue(catalogue_id)

    @reading
    def imports(self, connection: Connection) -> list[Catalogue]:
        found = select(catalogues).where(~is_whole()).order_by(catalogues.c.created_at, catalogues.c.id)
        return [catalogue_of(row) for row in connection.execute(found)]


_insert = insert(examples)
