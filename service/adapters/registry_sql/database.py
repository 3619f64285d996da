"""The connection to SQLite or PostgreSQL: transactions, retries, and outages as sentences.

Every method of the registry is one transaction. On SQLite a writing one starts with BEGIN IMMEDIATE: it waits for its
turn at the start instead of failing in the middle, when a read lock cannot be upgraded.
"""

from __future__ import annotations

import os
import random
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, NoReturn, ParamSpec, TypeAlias, TypeVar, cast

from sqlalchemy import URL, Connection, Engine, Result, Row, Table, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from service.errors import HolotypeError, InvalidInput, Unavailable

BUSY_TIMEOUT_S = 60
"""How long a SQLite writer waits for its turn. Most transactions take milliseconds, 100 000 new items seconds."""

TRIES = 6
COLLISIONS = frozenset({"40001", "40P01"})
"""SQLSTATE of "serialization failure" and "deadlock detected": the transaction was undone, run it again."""

NOT_PERMITTED = ("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM")
"""Beginnings of SQLite's names for what mostly comes from the rights on a file."""

AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S", bound="Part")


class Database:
    """Runs transactions. Safe for many threads and processes; after a fork the child opens its own connections."""

    def __init__(self, url: str) -> None:
        self.url = _checked_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._engine = _sqlite_engine(self.url) if self.is_sqlite else _postgresql_engine(self.url)
        self._writer = self._engine.execution_options(writes=True)
        self._pid = os.getpid()

    @property
    def shown_url(self) -> str:
        """The URL without its password."""
        return self.url.render_as_string(hide_password=True)

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on one consistent reading connection."""
        self._leave_parents_connections()
        with self._outages_as_sentences(), self._engine.connect() as connection:
            return work(connection)

    def snapshot(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on one reading connection that sees one moment, however long it reads and whoever writes."""
        if self.is_sqlite:
            return self.read(work)
        engine = self._engine.execution_options(isolation_level="REPEATABLE READ")
        with self._outages_as_sentences(), engine.connect() as connection:
            return work(connection)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction; again, from its beginning, when PostgreSQL chose it as a deadlock's victim."""
        self._leave_parents_connections()
        with self._outages_as_sentences():
            for attempt in range(1, TRIES):
                try:
                    return self._write_once(work)
                except DBAPIError as error:
                    if getattr(error.orig, "sqlstate", None) not in COLLISIONS:
                        raise
                    time.sleep(random.uniform(0, 0.02 * 2**attempt))  # noqa: S311 - jitter, not a secret
            return self._write_once(work)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _write_once(self, work: Callable[[Connection], T]) -> T:
        with self._writer.begin() as connection:
            return work(connection)

    def _leave_parents_connections(self) -> None:
        """Connections must not cross a fork: both processes would speak on them at once."""
        if self._pid != os.getpid():
            self._engine.dispose(close=False)
            self._pid = os.getpid()

    @contextmanager
    def _outages_as_sentences(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, InterfaceError, PoolTimeout) as error:
            self._unavailable(error)
        except StatementError as error:
            if isinstance(error.orig, HolotypeError):  # a column type refused the value
                raise error.orig from None
            raise

    def _unavailable(self, error: Exception) -> NoReturn:
        original = getattr(error, "orig", None) or error
        reason = str(original).strip().splitlines()[0]
        if str(getattr(original, "sqlite_errorname", "")).startswith(NOT_PERMITTED):
            reason += ": does this user have permission to read and write the file and its directory?"
        raise Unavailable(f"the database {self.shown_url} does not answer: {reason}", url=self.shown_url) from error


class Part:
    """What the parts of the registry share: the database and the clock (seconds since the epoch)."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self.database = database
        self.clock = clock


def reading(method: Callable[Concatenate[S, Connection, P], T]) -> Callable[Concatenate[S, P], T]:
    """Give the method a connection to read from; it must not call another such method."""

    @wraps(method)
    def run(self: S, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.database.read(lambda connection: method(self, connection, *args, **kwargs))

    return cast("Callable[Concatenate[S, P], T]", run)


def writing(method: Callable[Concatenate[S, Connection, P], T]) -> Callable[Concatenate[S, P], T]:
    """Run the method in one transaction; it must not call another such method, and may be run again."""

    @wraps(method)
    def run(self: S, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.database.write(lambda connection: method(self, connection, *args, **kwargs))

    return cast("Callable[Concatenate[S, P], T]", run)


def upsert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT of the connection's database that knows ON CONFLICT."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def records(kind: Callable[..., T], result: Result[*tuple[Any, ...]]) -> list[T]:
    """One frozen record a row, of which the columns are named as the record's fields."""
    names = tuple(result.keys())
    return [kind(**dict(zip(names, row, strict=True))) for row in result]


def _checked_url(text: str) -> URL:
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise InvalidInput(
            "the database URL cannot be read: write sqlite:////folder/file.db or postgresql://user:password@host/name"
        ) from error
    if url.drivername in {"postgresql", "postgres"}:
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername not in {"sqlite", "sqlite+pysqlite", "postgresql+psycopg"}:
        raise InvalidInput(f"{url.drivername!r} is not supported as a database: use sqlite or postgresql")
    if url.get_backend_name() == "sqlite" and (not url.database or url.database.startswith((":memory:", "file:"))):
        raise InvalidInput(
            "an SQLite database needs a file, for its threads to see the same rows: sqlite:////folder/file.db"
        )
    return url


def _sqlite_engine(url: URL) -> Engine:
    if url.database:
        Path(url.database).absolute().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})
    event.listen(engine, "do_connect", _make_before_sqlite)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def make_file(file: Path) -> None:
    """Make an SQLite file where there is none, as its directory is: its user's own where nobody else may enter that.

    In a directory that others may enter the umask says who reads and writes it: SQLite itself would let nobody else
    write. The files beside it (-wal, -shm) get the rights that it has. Raises OSError.
    """
    shared = file.absolute().parent.stat().st_mode & (stat.S_IXGRP | stat.S_IXOTH)
    file.touch(mode=0o666 if shared else 0o600)


def _make_before_sqlite(_dialect: object, _record: object, arguments: list[str], _options: object) -> None:
    with suppress(OSError):  # SQLite says what is wrong with it
        make_file(Path(arguments[0]))


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # Python's sqlite3 must not begin transactions by itself: _begin_sqlite does
    _use_write_ahead_log(connection)
    # NORMAL: a killed process loses nothing; a power cut may lose the last transactions, never the file's integrity.
    for pragma in ("synchronous=NORMAL", "foreign_keys=ON", "cache_size=-65536", "temp_store=MEMORY"):
        connection.execute(f"PRAGMA {pragma}")


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """WAL lets readers go on while somebody writes. Switching to it does not wait for others, so try for a while."""
    for attempt in range(TRIES):
        if connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
            return
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            time.sleep(0.05 * 2**attempt)


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _postgresql_engine(url: URL) -> Engine:
    options: dict[str, Any] = {"connect_timeout": 10}
    try:
        return create_engine(url, pool_pre_ping=True, pool_size=5, max_overflow=15, connect_args=options)
    except ModuleNotFoundError as error:
        raise InvalidInput(
            "PostgreSQL needs psycopg, which is not installed: pip install 'holotype[postgres]'"
        ) from error
