"""Alembic runs this file. The connection comes from `migrate.alembic_config`, inside its caller's transaction."""

from __future__ import annotations

from alembic import context

from service.adapters.registry_sql.schema import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,  # SQLite cannot alter most things in place
)
with context.begin_transaction():
    context.run_migrations()
