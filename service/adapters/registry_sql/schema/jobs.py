"""Jobs, their pictures, and the chunks that workers claim."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, Table, text

from service.adapters.registry_sql.column_types import Json, Metadata, Name, Shown, word
from service.adapters.registry_sql.schema.base import metadata, of_catalogue, of_job, serial
from service.records import ItemState, JobKind, JobState, Split

jobs = Table(
    "holotype_jobs",
    metadata,
    serial("serial"),
    Column("id", Name, nullable=False, unique=True),
    Column("tenant", Name, nullable=False),
    of_catalogue(),
    Column("kind", word(JobKind), nullable=False),
    Column("state", word(JobState), nullable=False),
    Column("parameters", Json, nullable=False),
    Column("stage", Shown, nullable=False),
    Column("done", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("item_total", BigInteger, nullable=False),
    Column("item_done", BigInteger, nullable=False),
    Column("result", Json),
    Column("error", Shown),
    Column("created_at", Double, nullable=False),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("heard_at", Double),
    Column("cancelled_at", Double),
    Column("pace", Json),
    Column("retried_as", Name),
    Column("forget_at", Double),
    Index("ix_holotype_jobs_tenant", "tenant", "serial"),
    Index("ix_holotype_jobs_catalogue", "catalogue_id"),
    Index("ix_holotype_jobs_state", "state"),
    Index(
        "ix_holotype_jobs_forget",
        "forget_at",
        sqlite_where=text("forget_at IS NOT NULL"),
        postgresql_where=text("forget_at IS NOT NULL"),
    ),
    sqlite_autoincrement=True,
)

items = Table(
    "holotype_items",
    metadata,
    serial("id"),
    of_job(),
    Column("source", Shown, nullable=False),
    Column("content_hash", Name, nullable=False),
    Column("label", Name, nullable=False),
    Column("split", word(Split), nullable=False),
    Column("state", word(ItemState), nullable=False),
    Column("reason", Shown),
    Column("example_id", Name),
    Column("chunk", Integer),
    Column("crop", Name, nullable=False, server_default=text("''")),
    Column("metadata", Metadata),
    Column("result", Json),
    Index("ix_holotype_items_state", "job_id", "state", "id"),
    Index("ix_holotype_items_chunk", "job_id", "chunk"),
    Index(
        "ix_holotype_items_pending_hash",
        "content_hash",
        sqlite_where=text("state = 'pending'"),
        postgresql_where=text("state = 'pending'"),
    ),
    sqlite_autoincrement=True,
)

chunks = Table(
    "holotype_chunks",
    metadata,
    of_job(primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("attempt", Integer, nullable=False),
    Column("owner", Name),
    Column("lease_until", Double, nullable=False),
    Column("settled", Boolean, nullable=False),
    Index(
        "ix_holotype_chunks_open",
        "job_id",
        "number",
        sqlite_where=text("settled = 0"),
        postgresql_where=text("NOT settled"),
    ),
    Index(
        "ix_holotype_chunks_held",
        "owner",
        sqlite_where=text("settled = 0 AND owner IS NOT NULL"),
        postgresql_where=text("NOT settled AND owner IS NOT NULL"),
    ),
)
