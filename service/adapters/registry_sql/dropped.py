"""What a person has dropped, so that it does not come back when the same folder is handed over again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, delete, insert, select, update

from service.adapters.registry_sql.catalogues import hold_catalogue
from service.adapters.registry_sql.database import Part, reading, records, writing
from service.adapters.registry_sql.examples import batches, delete_rows
from service.adapters.registry_sql.schema import dropped as table
from service.adapters.registry_sql.schema import examples
from service.records import Dropped, Example

_COLUMNS = (table.c.example_id, table.c.picture, table.c.labels)


class DroppedExamples(Part):
    """Implements `ports.DroppedRegistry`.

    Whoever adds rows here holds the catalogue's, so that no chunk is settled meanwhile: its items see all or nothing.
    """

    @writing
    def drop_examples(self, connection: Connection, catalogue_id: str, example_ids: Sequence[str]) -> None:
        """Ids that are not there are passed over."""
        hold_catalogue(connection, catalogue_id)
        for some in batches(example_ids):
            found = select(examples).where(examples.c.catalogue_id == catalogue_id, examples.c.id.in_(some))
            _add(connection, catalogue_id, map(_of, records(Example, connection.execute(found))))
            delete_rows(connection, catalogue_id, some)

    @reading
    def dropped(
        self, connection: Connection, catalogue_id: str, example_ids: Sequence[str] | None = None
    ) -> list[Dropped]:
        found = select(*_COLUMNS).where(table.c.catalogue_id == catalogue_id).order_by(table.c.example_id)
        if example_ids is None:
            return records(Dropped, connection.execute(found))
        return [
            one
            for some in batches(example_ids)
            for one in records(Dropped, connection.execute(found.where(table.c.example_id.in_(some))))
        ]

    @reading
    def dropped_page(self, connection: Connection, catalogue_id: str, after: str | None, limit: int) -> list[Dropped]:
        found = select(*_COLUMNS).where(table.c.catalogue_id == catalogue_id).order_by(table.c.example_id)
        if after is not None:
            found = found.where(table.c.example_id > after)
        return records(Dropped, connection.execute(found.limit(limit)))

    @writing
    def take_back(self, connection: Connection, catalogue_id: str, example_ids: Sequence[str]) -> None:
        forget_dropped(connection, catalogue_id, example_ids)

    @writing
    def rename_dropped(self, connection: Connection, catalogue_id: str, label: str, new: str) -> None:
        hold_catalogue(connection, catalogue_id)
        found = select(table.c.example_id, table.c.labels).where(table.c.catalogue_id == catalogue_id)
        for example_id, labels in connection.execute(found).all():
            if label in labels and new not in labels:
                of_example = (table.c.catalogue_id == catalogue_id) & (table.c.example_id == example_id)
                connection.execute(update(table).where(of_example).values(labels=tuple(sorted({*labels, new}))))

    @writing
    def add_dropped(self, connection: Connection, catalogue_id: str, dropped: Sequence[Dropped]) -> None:
        hold_catalogue(connection, catalogue_id)
        given = {one.example_id: one for one in dropped}
        for some in batches(list(given)):
            found = select(examples.c.id).where(examples.c.catalogue_id == catalogue_id, examples.c.id.in_(some))
            there = set(connection.execute(found).scalars())
            _add(connection, catalogue_id, (given[id_] for id_ in some if id_ not in there))


def dropped_labels(
    connection: Connection, catalogue_id: str, example_ids: Sequence[str]
) -> Mapping[str, tuple[str, ...]]:
    """Of those of the ids that were dropped the labels that they had."""
    found = select(table.c.example_id, table.c.labels).where(table.c.catalogue_id == catalogue_id)
    return {
        example_id: labels
        for some in batches(example_ids)
        for example_id, labels in connection.execute(found.where(table.c.example_id.in_(some)))
    }


def forget_dropped(connection: Connection, catalogue_id: str, example_ids: Sequence[str]) -> None:
    """They are examples again, or may become some."""
    for some in batches(example_ids):
        connection.execute(delete(table).where(table.c.catalogue_id == catalogue_id, table.c.example_id.in_(some)))


def _of(example: Example) -> Dropped:
    labels = {example.label, *example.conflict_labels, *example.settled_labels}
    return Dropped(example_id=example.id, picture=example.picture, labels=tuple(sorted(labels)))


def _add(connection: Connection, catalogue_id: str, dropped: Iterable[Dropped]) -> None:
    rows = [
        {"catalogue_id": catalogue_id, "example_id": one.example_id, "picture": one.picture, "labels": one.labels}
        for one in dropped
    ]
    if rows:
        connection.execute(insert(table), rows)
