"""Tenants, keys, remembered requests, webhooks and their deliveries."""

from __future__ import annotations

from sqlalchemy import Column, Double, ForeignKey, Index, Integer, Table, UniqueConstraint, text

from service.adapters.registry_sql.column_types import Json, Labels, Name, Shown
from service.adapters.registry_sql.schema.base import metadata, of_tenant, serial

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
    of_tenant(),
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
    of_tenant(),
    Column("url", Name, nullable=False),
    Column("secret", Name, nullable=False),
    Column("events", Labels, nullable=False),
    Column("created_at", Double, nullable=False),
    Index("ix_holotype_webhooks_tenant", "tenant"),
)

deliveries = Table(
    "holotype_deliveries",
    metadata,
    serial("serial"),
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
