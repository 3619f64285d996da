"""Examples whose rows are gone and whose bytes may not be yet."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, select

from service.adapters.registry_sql.database import Part, reading, records, writing
from service.adapters.registry_sql.examples import batches
from service.adapters.registry_sql.schema import deleted as table
from service.records import Deleted


class DeletedExamples(Part):
    """Implements `ports.DeletedRegistry`; rows are added by `examples.delete_rows`."""

    @reading
    def deleted(self, connection: Connection, limit: int, catalogue_id: str | None = None) -> list[Deleted]:
        found = select(table).order_by(table.c.catalogue_id, table.c.example_id).limit(limit)
        if catalogue_id is not None:
            found = found.where(table.c.catalogue_id == catalogue_id)
        return records(Deleted, connection.execute(found))

    @writing
    def forgot_deleted(self, connection: Connection, catalogue_id: str, example_ids: Sequence[str]) -> None:
        for some in batches(example_ids):
            connection.execute(delete(table).where(table.c.catalogue_id == catalogue_id, table.c.example_id.in_(some)))
