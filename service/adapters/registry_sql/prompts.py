"""Prompts: the words that classes start from, with their embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select

from service.adapters.registry_sql.catalogues import keep_catalogue
from service.adapters.registry_sql.database import Part, reading, records, writing
from service.adapters.registry_sql.schema import prompts as table
from service.records import ClassPrompts

_COLUMNS = (table.c.label, table.c.templates, table.c.embedding, table.c.made_at)


class Prompts(Part):
    """Implements `ports.PromptRegistry`. Rows are never changed in place but for their label: serials tell versions."""

    @writing
    def put_prompts(self, connection: Connection, catalogue_id: str, prompts: Sequence[ClassPrompts]) -> None:
        keep_catalogue(connection, catalogue_id)
        for one in sorted(prompts, key=lambda one: one.label):
            _delete(connection, catalogue_id, one.label)
            connection.execute(_insert, _row(catalogue_id, one))

    @writing
    def delete_prompts(self, connection: Connection, catalogue_id: str, label: str) -> bool:
        return _delete(connection, catalogue_id, label)

    @writing
    def rename_prompts(self, connection: Connection, catalogue_id: str, label: str, new: str) -> None:
        """Written anew, so that the version is another one."""
        keep_catalogue(connection, catalogue_id)
        found = select(*_COLUMNS).where(_of(catalogue_id, label)).with_for_update()
        row = connection.execute(found).one_or_none()
        if row is None or label == new:
            return
        _delete(connection, catalogue_id, label)
        if connection.execute(select(table.c.serial).where(_of(catalogue_id, new))).first() is None:
            connection.execute(_insert, {"catalogue_id": catalogue_id, **row._asdict(), "label": new})

    @reading
    def prompts(self, connection: Connection, catalogue_id: str) -> list[ClassPrompts]:
        found = select(*_COLUMNS).where(table.c.catalogue_id == catalogue_id).order_by(table.c.label)
        return records(ClassPrompts, connection.execute(found))

    @reading
    def prompts_version(self, connection: Connection, catalogue_id: str) -> str:
        """Count, newest and sum: of two writers at once the one with the smaller serial may come second."""
        serials = select(func.count(), func.max(table.c.serial), func.sum(table.c.serial))
        count, newest, total = connection.execute(serials.where(table.c.catalogue_id == catalogue_id)).one()
        return f"{count}:{newest}:{total}" if count else ""


_insert = insert(table)


def _row(catalogue_id: str, one: ClassPrompts) -> dict[str, Any]:
    return {
        "catalogue_id": catalogue_id,
        "label": one.label,
        "templates": one.templates,
        "embedding": one.embedding,
        "made_at": one.made_at,
    }


def _of(catalogue_id: str, label: str) -> ColumnElement[bool]:
    return (table.c.catalogue_id == catalogue_id) & (table.c.label == label)


def _delete(connection: Connection, catalogue_id: str, label: str) -> bool:
    return connection.execute(delete(table).where(_of(catalogue_id, label))).rowcount > 0
