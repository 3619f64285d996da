"""Catalogues, their examples, and what people decided about them."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Double,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    UniqueConstraint,
    false,
    text,
)

from service.adapters.registry_sql.column_types import Json, Labels, Metadata, Name, Shown, word
from service.adapters.registry_sql.schema.base import metadata, of_catalogue, serial
from service.records import ExampleState, Split

catalogues = Table(
    "holotype_catalogues",
    metadata,
    Column("id", Name, primary_key=True),
    Column("tenant", Name, nullable=False),
    Column("name", Name, nullable=False),
    Column("encoder", Name, nullable=False),
    Column("fingerprint", Json),
    Column("active_selection", Name),
    Column("created_at", Double, nullable=False),
    Column("without_pictures", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("tenant", "name"),
)

examples = Table(
    "holotype_examples",
    metadata,
    of_catalogue(primary_key=True),
    Column("id", Name, primary_key=True),
    Column("label", Name, nullable=False),
    Column("split", word(Split), nullable=False),
    Column("state", word(ExampleState), nullable=False),
    Column("content_hash", Name, nullable=False),
    Column("source", Shown, nullable=False),
    Column("width_px", Integer, nullable=False),
    Column("height_px", Integer, nullable=False),
    Column("perceptual_hash", Name, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("conflict_labels", Labels),
    Column("settled_labels", Labels),
    Column("crop", Name, nullable=False, server_default=text("''")),
    Column("metadata", Metadata),
    Index("ix_holotype_examples_hash", "catalogue_id", "content_hash"),
    Index("ix_holotype_examples_split", "catalogue_id", "state", "split", "label"),
    Index("ix_holotype_examples_label", "catalogue_id", "label", "id"),
    Index("ix_holotype_examples_created", "catalogue_id", "created_at"),
    Index("ix_holotype_examples_split_id", "catalogue_id", "split", "id"),
    Index(
        "ix_holotype_examples_conflict",
        "catalogue_id",
        "id",
        sqlite_where=text("state = 'conflict'"),
        postgresql_where=text("state = 'conflict'"),
    ),
)

kept_findings = Table(
    "holotype_kept_findings",
    metadata,
    Column("catalogue_id", Name, primary_key=True),
    Column("example_id", Name, primary_key=True),
    Column("finding", Name, primary_key=True),
    ForeignKeyConstraint(
        ["catalogue_id", "example_id"], ["holotype_examples.catalogue_id", "holotype_examples.id"], ondelete="CASCADE"
    ),
)

dropped = Table(
    "holotype_dropped",
    metadata,
    of_catalogue(primary_key=True),
    Column("example_id", Name, primary_key=True),
    Column("picture", Name, nullable=False),
    Column("labels", Labels, nullable=False),
)

deleted = Table(
    "holotype_deleted",
    metadata,
    of_catalogue(primary_key=True),
    Column("example_id", Name, primary_key=True),
    Column("picture", Name, nullable=False),
)

relabelled = Table(
    "holotype_relabellings",
    metadata,
    Column("catalogue_id", Name, primary_key=True),
    Column("example_id", Name, primary_key=True),
    Column("at", Double, primary_key=True),
    Column("former", Name, nullable=False),
    ForeignKeyConstraint(
        ["catalogue_id", "example_id"], ["holotype_examples.catalogue_id", "holotype_examples.id"], ondelete="CASCADE"
    ),
    Index("ix_holotype_relabellings_at", "catalogue_id", "at"),
)

prompts = Table(
    "holotype_prompts",
    metadata,
    serial("serial"),
    of_catalogue(),
    Column("label", Name, nullable=False),
    Column("templates", Labels, nullable=False),
    Column("embedding", LargeBinary, nullable=False),
    Column("made_at", Double, nullable=False),
    UniqueConstraint("catalogue_id", "label"),
    sqlite_autoincrement=True,
)
