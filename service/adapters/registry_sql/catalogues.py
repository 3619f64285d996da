"""Catalogues and named leases."""

from __future__ import annotations

import json
import uuid

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, or_, select, update

from service.adapters.registry_sql.database import AnyRow, Part, reading, upsert, writing
from service.adapters.registry_sql.schema import catalogues, chunks, jobs, leases, trials
from service.adapters.registry_sql.usage import keep_within_quotas
from service.errors import AlreadyExists, CatalogueNotFound, EncoderMismatch, LeaseHeld, quoted, there_are
from service.ports.archives import IMPORTING
from service.records import Catalogue, Fingerprint, Usage

RUN_OUT = 0.0
"""A time that is past on every clock."""

MOST_COMPARED = 1000
"""Names of a tenant's catalogues that are looked through for one that a wrong name may mean."""


class Catalogues(Part):
    """Implements `ports.CatalogueRegistry`."""

    @writing
    def create_catalogue(self, connection: Connection, tenant: str, name: str, encoder: str) -> Catalogue:
        row = {"id": str(uuid.uuid4()), "tenant": tenant, "name": name, "encoder": encoder, "created_at": self.clock()}
        known = select(catalogues.c.id).where(catalogues.c.tenant == tenant, catalogues.c.name == name)
        if connection.execute(known).one_or_none() is None:
            keep_within_quotas(connection, tenant, Usage(catalogues=1))
        insert = upsert(connection, catalogues).on_conflict_do_nothing().returning(catalogues)
        inserted = connection.execute(insert, row).one_or_none()
        if inserted is None:
            raise AlreadyExists(f"there is a catalogue {quoted(name)} already", catalogue=name)
        return catalogue_of(inserted)

    @reading
    def catalogue(self, connection: Connection, tenant: str, name: str) -> Catalogue:
        named = (catalogues.c.tenant == tenant, catalogues.c.name == name)
        found = select(catalogues).where(*named, is_whole())
        row = connection.execute(found).one_or_none()
        if row is None:
            own = select(catalogues.c.name).where(catalogues.c.tenant == tenant, is_whole()).order_by(catalogues.c.name)
            others = connection.execute(own.limit(MOST_COMPARED)).scalars().all()
            raise CatalogueNotFound(f"there is no catalogue {quoted(name)}{there_are(name, others)}", catalogue=name)
        return catalogue_of(row)

    @reading
    def catalogue_by_id(self, connection: Connection, catalogue_id: str) -> Catalogue:
        row = connection.execute(select(catalogues).where(catalogues.c.id == catalogue_id)).one_or_none()
        if row is None:
            raise no_catalogue(catalogue_id)
        return catalogue_of(row)

    @reading
    def catalogues(self, connection: Connection, tenant: str) -> list[Catalogue]:
        found = select(catalogues).where(catalogues.c.tenant == tenant, is_whole()).order_by(catalogues.c.name)
        return [catalogue_of(row) for row in connection.execute(found)]

    @reading
    def all_catalogues(self, connection: Connection) -> list[Catalogue]:
        found = select(catalogues).where(is_whole()).order_by(catalogues.c.tenant, catalogues.c.name)
        return [catalogue_of(row) for row in connection.execute(found)]

    @writing
    def pin_fingerprint(self, connection: Connection, catalogue_id: str, fingerprint: Fingerprint) -> None:
        """The row is locked, so of two workers that come first at once one stores and the other compares."""
        found = select(catalogues.c.fingerprint).where(catalogues.c.id == catalogue_id).with_for_update()
        row = connection.execute(found).one_or_none()
        if row is None:
            raise no_catalogue(catalogue_id)
        if row.fingerprint is None:
            pin = update(catalogues).where(catalogues.c.id == catalogue_id)
            connection.execute(pin.values(fingerprint=fingerprint.as_dict()))
            return
        stored = Fingerprint(**row.fingerprint)
        if stored.digest != fingerprint.digest:
            raise _mismatch(stored, fingerprint)

    @writing
    def delete_catalogue(self, connection: Connection, catalogue_id: str) -> None:
        """Foreign keys carry the deletion on; leases and trials are named by whoever made them, with an id inside."""
        connection.execute(select(catalogues.c.id).where(catalogues.c.id == catalogue_id).with_for_update())
        for table, name in ((leases, leases.c.name), (trials, trials.c.study)):
            of_a_job = exists().where(jobs.c.catalogue_id == catalogue_id, name.contains(jobs.c.id))
            connection.execute(delete(table).where(or_(name.contains(catalogue_id), of_a_job)))
        connection.execute(delete(catalogues).where(catalogues.c.id == catalogue_id))

    @writing
    def take_lease(self, connection: Connection, name: str, owner: str, seconds: float) -> None:
        now = self.clock()
        insert = upsert(connection, leases)
        taken = insert.on_conflict_do_update(
            index_elements=[leases.c.name],
            set_={"owner": insert.excluded.owner, "expires_at": insert.excluded.expires_at},
            where=or_(leases.c.expires_at <= now, leases.c.owner == insert.excluded.owner),
        ).returning(leases.c.name)
        if connection.execute(taken, {"name": name, "owner": owner, "expires_at": now + seconds}).first() is None:
            raise _lease_held(connection, name, now)

    @writing
    def renew_lease(self, connection: Connection, name: str, owner: str, seconds: float) -> None:
        held = update(leases).where(leases.c.name == name, leases.c.owner == owner)
        if not connection.execute(held.values(expires_at=self.clock() + seconds)).rowcount:
            raise lease_lost(name)

    @writing
    def release_lease(self, connection: Connection, name: str, owner: str) -> None:
        connection.execute(delete(leases).where(and_(leases.c.name == name, leases.c.owner == owner)))

    @writing
    def expire_leases(self, connection: Connection) -> None:
        connection.execute(delete(leases))
        open_ones = update(chunks).where(~chunks.c.settled, chunks.c.lease_until > RUN_OUT)
        connection.execute(open_ones.values(lease_until=RUN_OUT))


def is_whole() -> ColumnElement[bool]:
    """Not a catalogue that is being imported: those have no name yet that a person could give."""
    return ~catalogues.c.name.startswith(IMPORTING, autoescape=True)


def no_catalogue(catalogue_id: str) -> CatalogueNotFound:
    """The error for an id that is not there (any more)."""
    return CatalogueNotFound(f"the catalogue {catalogue_id} is not there any more", catalogue=catalogue_id)


def keep_catalogue(connection: Connection, catalogue_id: str) -> None:
    """See to it that the catalogue is not deleted before this transaction ends. Raises CatalogueNotFound.

    Everything that adds rows to a catalogue starts with this lock, and so does its deletion: nobody waits in a circle.
    """
    found = select(catalogues.c.id).where(catalogues.c.id == catalogue_id)
    if connection.execute(found.with_for_update(read=True, key_share=True)).one_or_none() is None:
        raise no_catalogue(catalogue_id)


def hold_catalogue(connection: Connection, catalogue_id: str) -> None:
    """As `keep_catalogue`, and nobody else who starts with that comes in meanwhile. Raises CatalogueNotFound."""
    found = select(catalogues.c.id).where(catalogues.c.id == catalogue_id)
    if connection.execute(found.with_for_update()).one_or_none() is None:
        raise no_catalogue(catalogue_id)


def catalogue_of(row: AnyRow) -> Catalogue:
    """The catalogue of a row."""
    values = row._asdict()
    pinned = values.pop("fingerprint")
    return Catalogue(**values, fingerprint=None if pinned is None else Fingerprint(**pinned))


def _mismatch(stored: Fingerprint, given: Fingerprint) -> EncoderMismatch:
    ours, theirs = (json.dumps(value.as_dict(), sort_keys=True) for value in (stored, given))
    return EncoderMismatch(
        f"the catalogue's embeddings were made by another encoder: it has {ours}, this one is {theirs}; "
        "use the encoder that the catalogue was made with, or a new catalogue",
        stored=stored.as_dict(),
        given=given.as_dict(),
    )


def lease_lost(name: str) -> LeaseHeld:
    """The error for a lease that somebody else has taken since, or that is gone."""
    return LeaseHeld(f"the lease {name!r} ran out, and somebody else has taken it since", lease=name)


def _lease_held(connection: Connection, name: str, now: float) -> LeaseHeld:
    row = connection.execute(select(leases).where(leases.c.name == name)).one_or_none()
    if row is None:
        return LeaseHeld(f"the lease {name!r} was just taken and let go: try again", lease=name)
    left = max(0.0, row.expires_at - now)
    return LeaseHeld(
        f"{row.owner} works on {name!r} and holds its lease for another {left:.0f} s: try again later",
        lease=name,
        owner=row.owner,
        seconds_left=round(left, 1),
    )
