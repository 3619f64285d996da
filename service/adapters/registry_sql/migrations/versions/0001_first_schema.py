"""The first schema.

Revision 0001, 2026.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
PLAIN = sa.Text()
WORD = sa.String(16)
TABLES = ("trials", "leases", "selection_members", "selections", "examples", "chunks", "items", "jobs", "catalogues")
SERIAL = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    _catalogues()
    _jobs()
    _items()
    _chunks()
    _examples()
    _selections()
    _leases_and_trials()


def downgrade() -> None:
    """Drop all tables, with what they hold."""
    for table in TABLES:
        op.drop_table(f"holotype_{table}")


def _of(parent: str, column: str, table: str) -> sa.Column[str]:
    """A column that names a row of `parent`, and goes with it."""
    key = sa.ForeignKey(f"holotype_{parent}.id", name=f"fk_holotype_{table}_{column}", ondelete="CASCADE")
    return sa.Column(column, TEXT, key, nullable=False)


def _catalogues() -> None:
    op.create_table(
        "holotype_catalogues",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("encoder", TEXT, nullable=False),
        sa.Column("fingerprint", PLAIN),
        sa.Column("active_selection", TEXT),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_holotype_catalogues"),
        sa.UniqueConstraint("tenant", "name", name="uq_holotype_catalogues_tenant"),
    )


def _jobs() -> None:
    op.create_table(
        "holotype_jobs",
        sa.Column("serial", SERIAL, autoincrement=True, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tenant", TEXT, nullable=False),
        _of("catalogues", "catalogue_id", "jobs"),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("parameters", PLAIN, nullable=False),
        sa.Column("stage", TEXT, nullable=False),
        sa.Column("done", sa.BigInteger, nullable=False),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.Column("item_total", sa.BigInteger, nullable=False),
        sa.Column("item_done", sa.BigInteger, nullable=False),
        sa.Column("result", PLAIN),
        sa.Column("error", TEXT),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("serial", name="pk_holotype_jobs"),
        sa.UniqueConstraint("id", name="uq_holotype_jobs_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_holotype_jobs_catalogue", "holotype_jobs", ["catalogue_id"])
    op.create_index("ix_holotype_jobs_state", "holotype_jobs", ["state"])


def _items() -> None:
    op.create_table(
        "holotype_items",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        _of("jobs", "job_id", "items"),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("content_hash", TEXT, nullable=False),
        sa.Column("label", TEXT, nullable=False),
        sa.Column("split", WORD, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("reason", TEXT),
        sa.Column("example_id", TEXT),
        sa.Column("chunk", sa.Integer),
        sa.PrimaryKeyConstraint("id", name="pk_holotype_items"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_holotype_items_state", "holotype_items", ["job_id", "state"])
    op.create_index("ix_holotype_items_chunk", "holotype_items", ["job_id", "chunk"])
    pending = sa.text("state = 'pending'")
    op.create_index(
        "ix_holotype_items_pending_hash",
        "holotype_items",
        ["content_hash"],
        sqlite_where=pending,
        postgresql_where=pending,
    )


def _chunks() -> None:
    op.create_table(
        "holotype_chunks",
        _of("jobs", "job_id", "chunks"),
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("owner", TEXT),
        sa.Column("lease_until", sa.Double, nullable=False),
        sa.Column("settled", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "number", name="pk_holotype_chunks"),
    )
    op.create_index(
        "ix_holotype_chunks_open",
        "holotype_chunks",
        ["job_id", "number"],
        sqlite_where=sa.text("settled = 0"),
        postgresql_where=sa.text("NOT settled"),
    )


def _examples() -> None:
    op.create_table(
        "holotype_examples",
        _of("catalogues", "catalogue_id", "examples"),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("label", TEXT, nullable=False),
        sa.Column("split", WORD, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("content_hash", TEXT, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("width_px", sa.Integer, nullable=False),
        sa.Column("height_px", sa.Integer, nullable=False),
        sa.Column("perceptual_hash", TEXT, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("conflict_labels", PLAIN),
        sa.Column("settled_labels", PLAIN),
        sa.PrimaryKeyConstraint("catalogue_id", "id", name="pk_holotype_examples"),
    )
    op.create_index("ix_holotype_examples_hash", "holotype_examples", ["catalogue_id", "content_hash"])
    op.create_index("ix_holotype_examples_split", "holotype_examples", ["catalogue_id", "state", "split", "label"])


def _selections() -> None:
    op.create_table(
        "holotype_selections",
        sa.Column("serial", SERIAL, autoincrement=True, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        _of("catalogues", "catalogue_id", "selections"),
        sa.Column("slot", sa.String(1), nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("fingerprint_digest", TEXT, nullable=False),
        sa.Column("recipe", PLAIN, nullable=False),
        sa.Column("head_blob", TEXT),
        sa.Column("thresholds", PLAIN, nullable=False),
        sa.Column("split_hash", TEXT, nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("why", TEXT, nullable=False),
        sa.Column("measured_on", TEXT, nullable=False),
        sa.Column("figures", PLAIN, nullable=False),
        sa.Column("retired_at", sa.Double),
        sa.PrimaryKeyConstraint("serial", name="pk_holotype_selections"),
        sa.UniqueConstraint("id", name="uq_holotype_selections_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_holotype_selections_catalogue", "holotype_selections", ["catalogue_id"])
    op.create_table(
        "holotype_selection_members",
        _of("selections", "selection_id", "selection_members"),
        sa.Column("example_id", TEXT, nullable=False),
        sa.Column("label", TEXT, nullable=False),
        sa.Column("centrality", sa.Double),
        sa.Column("provisional", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("selection_id", "example_id", name="pk_holotype_selection_members"),
    )
    op.create_index("ix_holotype_selection_members_example", "holotype_selection_members", ["example_id"])


def _leases_and_trials() -> None:
    op.create_table(
        "holotype_leases",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_holotype_leases"),
    )
    op.create_table(
        "holotype_trials",
        sa.Column("serial", SERIAL, autoincrement=True, nullable=False),
        sa.Column("study", TEXT, nullable=False),
        sa.Column("parameters", PLAIN, nullable=False),
        sa.Column("value", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("serial", name="pk_holotype_trials"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_holotype_trials_study", "holotype_trials", ["study"])
