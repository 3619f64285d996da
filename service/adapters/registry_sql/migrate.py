"""Brings a database to the schema of this code, once, whoever comes first.

The version that is there is looked up before Alembic is imported: opening an up-to-date database stays fast.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select, text
from sqlalchemy.exc import DatabaseError

from service.adapters.registry_sql.database import Database
from service.adapters.registry_sql.schema import REVISION, VERSION_TABLE
from service.errors import InvalidInput

if TYPE_CHECKING:
    from alembic.config import Config

SCRIPTS = Path(__file__).parent / "migrations"
ADVISORY_LOCK = 0x484F4C4F54595045
""""HOLOTYPE" in ASCII: the PostgreSQL lock under which the schema is changed."""

_version = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32)))


def bring_up_to_date(database: Database) -> None:
    """Migrate when needed; several processes may call this at once.

    Raises:
        InvalidInput: when the database is of a newer Holotype, or is no database.
        Unavailable: when it does not answer.
    """
    try:
        if database.read(stored_version) != REVISION:
            database.write(lambda connection: _upgrade(connection, database.shown_url))
    except DatabaseError as error:
        raise InvalidInput(f"{database.shown_url} cannot be used as Holotype's database: {error.orig}") from error


def stored_version(connection: Connection) -> str | None:
    """The schema of the database; None for an empty one."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(select(_version.c.version_num)).scalar()


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration, e.g. for `alembic.command.revision(alembic_config(c), "what", autogenerate=True)`."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _upgrade(connection: Connection, shown_url: str) -> None:
    """Within the caller's writing transaction: on SQLite it holds the one write lock, on PostgreSQL take one."""
    from alembic import command
    from alembic.script import ScriptDirectory

    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
    version = stored_version(connection)
    if version == REVISION:
        return  # somebody else was faster
    config = alembic_config(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if version is not None and version not in known:
        raise InvalidInput(
            f"the database {shown_url} has schema {version}, this Holotype knows schemas up to {REVISION}: "
            "upgrade Holotype, or use another database",
            found=version,
            known=REVISION,
        )
    command.upgrade(config, REVISION)
