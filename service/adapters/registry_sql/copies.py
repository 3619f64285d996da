"""All records as one SQLite file, whatever database holds them; and back into an empty one.

SQLite is copied by its online backup, in one step: it sees one moment, and writers go on (write-ahead log). PostgreSQL
is read row by row in one REPEATABLE READ transaction. Either way the file is complete or absent: it is written under
another name.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, Connection, Integer, func, insert, inspect, select, text

from service.adapters.registry_sql import SqlRegistry
from service.adapters.registry_sql.database import BUSY_TIMEOUT_S, Database, make_file
from service.adapters.registry_sql.migrate import stored_version
from service.adapters.registry_sql.schema import REVISION, catalogues, metadata, tenants
from service.errors import InvalidInput

ROWS = 1000
"""Rows that are held in memory at a time."""


class SqlCopies:
    """Implements `ports.RecordsCopies` for SQLite and PostgreSQL."""

    def __init__(self, url: str) -> None:
        """`url` as `SqlRegistry` takes it. Nothing is opened or made yet. Raises InvalidInput for one of no use."""
        self._url = url
        database = Database(url)
        self._sqlite = Path(str(database.url.database)) if database.is_sqlite else None
        self._shown = database.shown_url
        database.close()

    def copy_to(self, file: Path) -> None:
        unfinished = file.with_name(f"{file.name}.unfinished")
        unfinished.unlink(missing_ok=True)
        if self._sqlite is not None:
            if not self._sqlite.is_file():
                raise InvalidInput(f"there are no records in {self._sqlite}: nothing was ever stored there")
            _copy_sqlite(self._sqlite, unfinished)
        else:
            self._read_postgresql(unfinished)
        unfinished.replace(file)

    @contextmanager
    def opened(self, file: Path) -> Iterator[SqlRegistry]:
        registry = SqlRegistry(_url_of(file))
        try:
            yield registry
        finally:
            registry.close()

    def is_empty(self) -> bool:
        if self._sqlite is not None and not self._sqlite.exists():
            return True
        with self._database() as database:
            return database.read(_is_empty)

    def fill_from(self, file: Path) -> None:
        if not self.is_empty():
            raise InvalidInput(f"{self._shown} holds tenants or catalogues already: restore into an empty database")
        if self._sqlite is not None:
            _copy_sqlite(file, self._sqlite)
            return
        SqlRegistry(self._url).close()  # makes the tables
        with self._database() as target, closing(Database(_url_of(file))) as source:
            source.read(lambda rows: target.write(lambda connection: _copy_rows(rows, connection)))

    @contextmanager
    def _database(self) -> Iterator[Database]:
        with closing(Database(self._url)) as database:
            yield database

    def _read_postgresql(self, file: Path) -> None:
        with self._database() as source:
            version = source.read(stored_version)
            if version != REVISION:
                raise InvalidInput(
                    f"{self._shown} has schema {version or 'none'}, this Holotype copies schema {REVISION}: run any "
                    "command of this version on it first (holotype catalogue list), once nothing older uses it",
                    found=version,
                    known=REVISION,
                )
            SqlRegistry(_url_of(file)).close()  # makes the tables
            with closing(Database(_url_of(file))) as target:
                source.snapshot(lambda rows: target.write(lambda connection: _copy_rows(rows, connection)))
        _in_one_file(file)


def _url_of(file: Path) -> str:
    return f"sqlite:///{file.absolute()}"


def _copy_sqlite(source: Path, target: Path) -> None:
    make_file(target)
    with (
        closing(sqlite3.connect(source, timeout=BUSY_TIMEOUT_S)) as held,
        closing(sqlite3.connect(target, timeout=BUSY_TIMEOUT_S)) as copied,
    ):
        held.backup(copied)
    _in_one_file(target)


def _in_one_file(file: Path) -> None:
    """Without a write-ahead log beside it; whoever opens it for work begins one."""
    with closing(sqlite3.connect(file, timeout=BUSY_TIMEOUT_S)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")


def _is_empty(connection: Connection) -> bool:
    there = [table for table in (tenants, catalogues) if inspect(connection).has_table(table.name)]
    return all(connection.execute(select(table).limit(1)).first() is None for table in there)


def _copy_rows(source: Connection, target: Connection) -> None:
    """Every row of every table, those first that others refer to."""
    for table in metadata.sorted_tables:
        rows = source.execution_options(yield_per=ROWS).execute(select(table))
        for some in rows.partitions(ROWS):
            target.execute(insert(table), [dict(row._mapping) for row in some])  # noqa: SLF001 -- SQLAlchemy's name
        if target.dialect.name == "postgresql":
            _go_on_counting(target, table)


def _go_on_counting(target: Connection, table: Any) -> None:  # noqa: ANN401 -- a Table
    """The next number of a column that counts by itself comes after those that were copied."""
    column = table.autoincrement_column
    if column is None or not isinstance(column.type, (BigInteger, Integer)):
        return
    sequence = target.execute(
        text("SELECT pg_get_serial_sequence(:name, :column)"), {"name": table.name, "column": column.name}
    ).scalar()
    last = target.execute(select(func.max(column))).scalar()
    if sequence is not None and last is not None:
        target.execute(text("SELECT setval(:sequence, :last)"), {"sequence": sequence, "last": last})
