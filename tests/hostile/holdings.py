"""Everything that there is of a tenant, read past the service: rows, bytes, points. What nobody else may change."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.bootstrap import DATABASE_FILE
from service.settings import Settings
from service.usecases.context import Context, partition_of

OF_NOBODY = frozenset({"holotype_version", "sqlite_sequence", "holotype_leases", "holotype_trials"})
"""Tables whose rows are not of one tenant: leases and the trials of studies are looked at by no tenant."""

PARENTS = {"catalogue_id": "holotype_catalogues", "job_id": "holotype_jobs", "selection_id": "holotype_selections"}


@dataclass(frozen=True, slots=True)
class Holdings:
    """Of one tenant, at one moment.

    Attributes:
        rows: of each table, as tuples.
        blobs: keys of its bytes.
        points: (id, flags and texts) of its points, by catalogue.
        ids: what nobody else may ever be told.
    """

    rows: Mapping[str, list[tuple[Any, ...]]]
    blobs: list[str]
    points: Mapping[str, list[tuple[str, str]]]
    ids: frozenset[str]

    def count(self, table: str) -> int:
        return len(self.rows[f"holotype_{table}"])


class Reader:
    """Reads with a connection of its own."""

    def __init__(self, context: Context, settings: Settings) -> None:
        self._context = context
        self._connection = sqlite3.connect(settings.data_dir / DATABASE_FILE, check_same_thread=False)
        tables = self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        self._columns = {
            name: [row[1] for row in self._connection.execute(f"PRAGMA table_info({name})")]
            for (name,) in tables
            if name not in OF_NOBODY
        }

    def close(self) -> None:
        self._connection.close()

    def holdings(self, tenant: str) -> Holdings:
        rows = {table: self._rows(table, tenant) for table in self._columns}
        points = {}
        for catalogue in self._context.registry.catalogues(tenant):
            if catalogue.fingerprint is not None:
                partition = partition_of(catalogue)
                ids = sorted(self._context.store.ids(partition, {}))
                found = self._context.store.fetch(partition, ids, with_embeddings=False)
                points[catalogue.id] = sorted(zip(found.ids, map(repr, found.payloads), strict=True))
        return Holdings(rows, sorted(self._context.blobs.keys(f"{tenant}/")), points, self._ids(rows, tenant))

    def ids(self, holdings: Holdings, table: str) -> list[str]:
        """Ids of the rows of a table, in the order in which they were made."""
        at = self._columns[f"holotype_{table}"].index("id")
        return [row[at] for row in holdings.rows[f"holotype_{table}"]]

    def _rows(self, table: str, tenant: str) -> list[tuple[Any, ...]]:
        """Raises AssertionError for a table that cannot be told by tenant: add it to this module."""
        where = self._where(table)
        query = f"SELECT * FROM {table} WHERE {where} ORDER BY rowid"
        return self._connection.execute(query, {"tenant": tenant}).fetchall()

    def _where(self, table: str) -> str:
        columns = self._columns[table]
        if table == "holotype_tenants":
            return "name = :tenant"
        if "tenant" in columns:
            return "tenant = :tenant"
        for column, parent in PARENTS.items():
            if column in columns:
                return f"{column} IN (SELECT id FROM {parent} WHERE {self._where(parent)})"
        raise AssertionError(f"whose are the rows of {table}? It has the columns {', '.join(columns)}")

    def _ids(self, rows: Mapping[str, list[tuple[Any, ...]]], tenant: str) -> frozenset[str]:
        named = {
            row[self._columns[table].index("id")]
            for table, found in rows.items()
            if "id" in self._columns[table]
            for row in found
        }
        return frozenset(str(one) for one in named if isinstance(one, str)) | {tenant}
