"""The tables. `migrations/` makes them; a test compares the two.

Names start with `holotype_` because the database may be shared with something else. Ids of items are never used twice
(AUTOINCREMENT), so a worker that wakes up late cannot settle somebody else's item.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    text,
)

from service.adapters.registry_sql.column_types import Json, Labels, Metadata, Name, Shown, word
from service.records import ExampleState, ItemState, JobKind, JobState, SelectionState, Split

REVISION = "0003"
"""The schema this code works with: the newest file in `migrations/versions` (a test compares)."""

VERSION_TABLE = "holotype_version"

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)


def _serial(name: str) -> Column[int]:
    """An ever-growing number, for rows whose order of arrival matters."""
    return Column(name, BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)


def _of_catalogue(*, primary_key: bool = False) -> Column[str]:
    key = ForeignKey("holotype_catalogues.id", ondelete="CASCADE")
    return Column("catalogue_id", Name, key, nullable=False, primary_key=primary_key)


def _of_job(*, primary_key: bool = False) -> Column[str]:
    key = ForeignKey("holotype_jobs.id", ondelete="CASCADE")
    return Column("job_id", Name, key, nullable=False, primary_key=primary_key)


def _of_tenant() -> Column[str]:
    return Column("tenant", Name, ForeignKey("holotype_tenants.name", ondelete="CASCADE"), nullable=False)


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
    UniqueConstraint("tenant", "name"),
)

jobs = Table(
    "holotype_jobs",
    metadata,
    _serial("serial"),
    Column("id", Name, nullable=False, unique=True),
    Column("tenant", Name, nullable=False),
    _of_catalogue(),
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
    _serial("id"),
    _of_job(),
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
    _of_job(primary_key=True),
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

examples = Table(
    "holotype_examples",
    metadata,
    _of_catalogue(primary_key=True),
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

selections = Table(
    "holotype_selections",
    metadata,
    _serial("serial"),
    Column("id", Name, nullable=False, unique=True),
    _of_catalogue(),
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

tenants = Table(
    "holotype_tenants",
    metadata,
    Column("name", Name, primary_key=True),
    Column("created_at", Double, nullable=False),
    Column("quotas", Json, nullable=False),
    Column("served_at", Double, nullable=False),
)

api_keys = Table(
    "holotype_api_keys",
    metadata,
    Column("id", Name, primary_key=True),
    _of_tenant(),
    Column("name", Shown, nullable=False),
    Column("secret_sha256", Name, nullable=False),
    Column("scopes", Labels, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
    Column("replaced_by", Name),
    Index("ix_holotype_api_keys_tenant", "tenant"),
)

idempotency = Table(
    "holotype_idempotency",
    metadata,
    Column("tenant", Name, primary_key=True),
    Column("key", Name, primary_key=True),
    Column("request_sha256", Name, nullable=False),
    Column("answer", Json),
    Column("created_at", Double, nullable=False),
    Index("ix_holotype_idempotency_created", "created_at"),
)

webhooks = Table(
    "holotype_webhooks",
    metadata,
    Column("id", Name, primary_key=True),
    _of_tenant(),
    Column("url", Name, nullable=False),
    Column("secret", Name, nullable=False),
    Column("events", Labels, nullable=False),
    Column("created_at", Double, nullable=False),
    Index("ix_holotype_webhooks_tenant", "tenant"),
)

deliveries = Table(
    "holotype_deliveries",
    metadata,
    _serial("serial"),
    Column("id", Name, nullable=False, unique=True),
    Column("webhook_id", Name, ForeignKey("holotype_webhooks.id", ondelete="CASCADE"), nullable=False),
    Column("tenant", Name, nullable=False),
    Column("job_id", Name, nullable=False),
    Column("event", Name, nullable=False),
    Column("payload", Json, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("next_at", Double),
    Column("delivered_at", Double),
    Column("error", Shown),
    Column("created_at", Double, nullable=False),
    Index("ix_holotype_deliveries_webhook", "webhook_id", "serial"),
    Index(
        "ix_holotype_deliveries_due",
        "next_at",
        sqlite_where=text("next_at IS NOT NULL"),
        postgresql_where=text("next_at IS NOT NULL"),
    ),
    UniqueConstraint("webhook_id", "job_id", "event"),
    sqlite_autoincrement=True,
)

trials = Table(
    "holotype_trials",
    metadata,
    _serial("serial"),
    Column("study", Name, nullable=False),
    Column("parameters", Json, nullable=False),
    Column("value", Double, nullable=False),
    Index("ix_holotype_trials_study", "study"),
    sqlite_autoincrement=True,
)
