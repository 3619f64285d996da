"""What the HTTP service keeps: tenants, keys, idempotency, webhooks; metadata of examples, answers of classify jobs.

Revision 0003, 2026.
"""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
SERIAL = sa.BigInteger().with_variant(sa.Integer, "sqlite")
DUE = sa.text("next_at IS NOT NULL")
TO_FORGET = sa.text("forget_at IS NOT NULL")
HELD_CHUNKS: dict[str, Any] = {
    "sqlite_where": sa.text("settled = 0 AND owner IS NOT NULL"),
    "postgresql_where": sa.text("NOT settled AND owner IS NOT NULL"),
}
HELD = sa.text("state = 'conflict'")

NEW_COLUMNS: dict[str, dict[str, sa.types.TypeEngine[Any]]] = {
    "holotype_jobs": {
        "started_at": sa.Double(),
        "finished_at": sa.Double(),
        "heard_at": sa.Double(),
        "cancelled_at": sa.Double(),
        "pace": sa.Text(),
        "retried_as": TEXT,
        "forget_at": sa.Double(),
    },
    "holotype_items": {"metadata": sa.Text(), "result": sa.Text()},
    "holotype_examples": {"metadata": sa.Text()},
}
CROPPED = ("holotype_items", "holotype_examples")


def upgrade() -> None:
    """New tables and columns; every tenant that owns a catalogue gets its row."""
    _tenants()
    _webhooks()
    _prompts()
    _relabelled()
    for table, columns in NEW_COLUMNS.items():
        for name, kind in columns.items():
            op.add_column(table, sa.Column(name, kind))
    for table in CROPPED:
        op.add_column(table, sa.Column("crop", TEXT, nullable=False, server_default=sa.text("''")))
    op.add_column(
        "holotype_catalogues", sa.Column("without_pictures", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    _queue()
    _pages_of_examples()
    op.execute(
        sa.text(
            "INSERT INTO holotype_tenants (name, created_at, quotas, served_at) "
            "SELECT DISTINCT tenant, CAST(:now AS DOUBLE PRECISION), '{}', CAST(0 AS DOUBLE PRECISION) "
            "FROM holotype_catalogues"
        ).bindparams(now=time.time())
    )


def downgrade() -> None:
    """Forget tenants, keys and webhooks."""
    for name in ("tenant", "forget"):
        op.drop_index(f"ix_holotype_jobs_{name}", "holotype_jobs")
    op.drop_index("ix_holotype_chunks_held", "holotype_chunks")
    op.drop_index("ix_holotype_items_state", "holotype_items")
    op.create_index("ix_holotype_items_state", "holotype_items", ["job_id", "state"])
    for name in ("label", "split_id", "conflict"):
        op.drop_index(f"ix_holotype_examples_{name}", "holotype_examples")
    for table, columns in NEW_COLUMNS.items():
        for name in columns:
            op.drop_column(table, name)
    for table in CROPPED:
        op.drop_column(table, "crop")
    op.drop_column("holotype_catalogues", "without_pictures")
    for name in ("relabelled", "prompts", "deliveries", "webhooks", "idempotency", "api_keys", "tenants"):
        op.drop_table(f"holotype_{name}")


def _queue() -> None:
    """Pages of jobs and of their items; what a worker holds; what is to be forgotten."""
    op.create_index("ix_holotype_jobs_tenant", "holotype_jobs", ["tenant", "serial"])
    op.create_index(
        "ix_holotype_jobs_forget",
        "holotype_jobs",
        ["forget_at"],
        sqlite_where=TO_FORGET,
        postgresql_where=TO_FORGET,
    )
    op.drop_index("ix_holotype_items_state", "holotype_items")
    op.create_index("ix_holotype_items_state", "holotype_items", ["job_id", "state", "id"])
    op.create_index("ix_holotype_chunks_held", "holotype_chunks", ["owner"], **HELD_CHUNKS)


def _prompts() -> None:
    op.create_table(
        "holotype_prompts",
        sa.Column("serial", SERIAL, autoincrement=True, nullable=False),
        sa.Column("catalogue_id", TEXT, nullable=False),
        sa.Column("label", TEXT, nullable=False),
        sa.Column("templates", sa.Text(), nullable=False),
        sa.Column("embedding", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("serial", name="pk_holotype_prompts"),
        sa.UniqueConstraint("catalogue_id", "label", name="uq_holotype_prompts_catalogue_id"),
        sa.ForeignKeyConstraint(
            ["catalogue_id"], ["holotype_catalogues.id"], name="fk_holotype_prompts_catalogue_id", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )


def _relabelled() -> None:
    of_example = (
        ["catalogue_id", "example_id"],
        ["holotype_examples.catalogue_id", "holotype_examples.id"],
    )
    op.create_table(
        "holotype_relabelled",
        sa.Column("catalogue_id", TEXT, nullable=False),
        sa.Column("example_id", TEXT, nullable=False),
        sa.Column("former", TEXT, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("catalogue_id", "example_id", name="pk_holotype_relabelled"),
        sa.ForeignKeyConstraint(*of_example, name="fk_holotype_relabelled_catalogue_id", ondelete="CASCADE"),
    )
    op.create_index("ix_holotype_relabelled_at", "holotype_relabelled", ["catalogue_id", "at"])


def _of_tenant(table: str) -> tuple[sa.Column[str], sa.ForeignKeyConstraint]:
    key = sa.ForeignKeyConstraint(["tenant"], ["holotype_tenants.name"], name=f"fk_{table}_tenant", ondelete="CASCADE")
    return sa.Column("tenant", TEXT, nullable=False), key


def _pages_of_examples() -> None:
    op.create_index("ix_holotype_examples_label", "holotype_examples", ["catalogue_id", "label", "id"])
    op.create_index("ix_holotype_examples_split_id", "holotype_examples", ["catalogue_id", "split", "id"])
    op.create_index(
        "ix_holotype_examples_conflict",
        "holotype_examples",
        ["catalogue_id", "id"],
        sqlite_where=HELD,
        postgresql_where=HELD,
    )


def _tenants() -> None:
    op.create_table(
        "holotype_tenants",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("quotas", sa.Text(), nullable=False),
        sa.Column("served_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_holotype_tenants"),
    )
    op.create_table(
        "holotype_api_keys",
        sa.Column("id", TEXT, nullable=False),
        *_of_tenant("holotype_api_keys"),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("secret_sha256", TEXT, nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double()),
        sa.Column("revoked_at", sa.Double()),
        sa.Column("replaced_by", TEXT),
        sa.PrimaryKeyConstraint("id", name="pk_holotype_api_keys"),
    )
    op.create_index("ix_holotype_api_keys_tenant", "holotype_api_keys", ["tenant"])
    op.create_table(
        "holotype_idempotency",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("request_sha256", TEXT, nullable=False),
        sa.Column("answer", sa.Text()),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "key", name="pk_holotype_idempotency"),
    )
    op.create_index("ix_holotype_idempotency_created", "holotype_idempotency", ["created_at"])


def _webhooks() -> None:
    op.create_table(
        "holotype_webhooks",
        sa.Column("id", TEXT, nullable=False),
        *_of_tenant("holotype_webhooks"),
        sa.Column("url", TEXT, nullable=False),
        sa.Column("secret", TEXT, nullable=False),
        sa.Column("events", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_holotype_webhooks"),
    )
    op.create_index("ix_holotype_webhooks_tenant", "holotype_webhooks", ["tenant"])
    op.create_table(
        "holotype_deliveries",
        sa.Column("serial", SERIAL, autoincrement=True, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("webhook_id", TEXT, nullable=False),
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("job_id", TEXT, nullable=False),
        sa.Column("event", TEXT, nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.Double()),
        sa.Column("delivered_at", sa.Double()),
        sa.Column("error", TEXT),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("serial", name="pk_holotype_deliveries"),
        sa.UniqueConstraint("id", name="uq_holotype_deliveries_id"),
        sa.UniqueConstraint("webhook_id", "job_id", "event", name="uq_holotype_deliveries_webhook_id"),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["holotype_webhooks.id"], name="fk_holotype_deliveries_webhook_id", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_holotype_deliveries_webhook", "holotype_deliveries", ["webhook_id", "serial"])
    op.create_index(
        "ix_holotype_deliveries_due", "holotype_deliveries", ["next_at"], sqlite_where=DUE, postgresql_where=DUE
    )
