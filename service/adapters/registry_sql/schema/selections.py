"""Selections, their references, leases on publishing, trials of the searches."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Double, ForeignKey, Index, String, Table

from service.adapters.registry_sql.column_types import Json, Name, Shown, word
from service.adapters.registry_sql.schema.base import metadata, of_catalogue, serial
from service.records import SelectionState

selections = Table(
    "holotype_selections",
    metadata,
    serial("serial"),
    Column("id", Name, nullable=False, unique=True),
    of_catalogue(),
    Column("slot", String(1), nullable=False),
    Column("state", word(SelectionState), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("fingerprint_digest", Name, nullable=False),
    Column("recipe", Json, nullable=False),
    Column("head_blob", Name),
    Column("thresholds", Json, nullable=False),
    Column("split_hash", Name, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("why", Shown, nullable=False),
    Column("measured_on", Shown, nullable=False),
    Column("figures", Json, nullable=False),
    Column("retired_at", Double),
    Index("ix_holotype_selections_catalogue", "catalogue_id"),
    sqlite_autoincrement=True,
)

members = Table(
    "holotype_selection_members",
    metadata,
    Column(
        "selection_id", Name, ForeignKey("holotype_selections.id", ondelete="CASCADE"), nullable=False, primary_key=True
    ),
    Column("example_id", Name, primary_key=True),
    Column("label", Name, nullable=False),
    Column("centrality", Double),
    Column("provisional", Boolean, nullable=False),
    Index("ix_holotype_selection_members_example", "example_id"),
)

leases = Table(
    "holotype_leases",
    metadata,
    Column("name", Name, primary_key=True),
    Column("owner", Name, nullable=False),
    Column("expires_at", Double, nullable=False),
)

trials = Table(
    "holotype_trials",
    metadata,
    serial("serial"),
    Column("study", Name, nullable=False),
    Column("parameters", Json, nullable=False),
    Column("value", Double, nullable=False),
    Index("ix_holotype_trials_study", "study"),
    sqlite_autoincrement=True,
)
