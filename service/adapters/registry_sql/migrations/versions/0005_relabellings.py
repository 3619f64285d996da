"""Every relabelling of an example, not only its last: what was undone counts as unchanged.

Revision 0005, 2026.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
LAST = (
    "SELECT catalogue_id, example_id, former, at FROM holotype_relabellings AS one WHERE at = (SELECT max(at) FROM "
    "holotype_relabellings AS other WHERE other.catalogue_id = one.catalogue_id AND other.example_id = one.example_id)"
)


def upgrade() -> None:
    """A row a relabelling; of what was relabelled before, the last one is known."""
    _make("holotype_relabellings", ["catalogue_id", "example_id", "at"])
    op.execute(
        "INSERT INTO holotype_relabellings (catalogue_id, example_id, former, at) "
        "SELECT catalogue_id, example_id, former, at FROM holotype_relabelled"
    )
    op.drop_table("holotype_relabelled")


def downgrade() -> None:
    """Forget all but the last of each."""
    _make("holotype_relabelled", ["catalogue_id", "example_id"])
    op.execute(f"INSERT INTO holotype_relabelled (catalogue_id, example_id, former, at) {LAST}")
    op.drop_table("holotype_relabellings")


def _make(table: str, key: list[str]) -> None:
    op.create_table(
        table,
        sa.Column("catalogue_id", TEXT, nullable=False),
        sa.Column("example_id", TEXT, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("former", TEXT, nullable=False),
        sa.PrimaryKeyConstraint(*key, name=f"pk_{table}"),
        sa.ForeignKeyConstraint(
            ["catalogue_id", "example_id"],
            ["holotype_examples.catalogue_id", "holotype_examples.id"],
            name=f"fk_{table}_catalogue_id",
            ondelete="CASCADE",
        ),
    )
    op.create_index(f"ix_{table}_at", table, ["catalogue_id", "at"])
