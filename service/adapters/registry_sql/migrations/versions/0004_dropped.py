"""What a person has dropped, so that it is not stored again.

Revision 0004, 2026.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table. Its rows go with their catalogue."""
    op.create_table(
        "holotype_dropped",
        sa.Column("catalogue_id", TEXT, nullable=False),
        sa.Column("example_id", TEXT, nullable=False),
        sa.Column("picture", TEXT, nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("catalogue_id", "example_id", name="pk_holotype_dropped"),
        sa.ForeignKeyConstraint(
            ["catalogue_id"],
            ["holotype_catalogues.id"],
            name="fk_holotype_dropped_catalogue_id",
            ondelete="CASCADE",
        ),
    )


def downgrade() -> None:
    """Forget what was dropped; pictures that were passed over for it count as failed, which older versions know."""
    op.execute("UPDATE holotype_items SET state = 'failed' WHERE state = 'skipped'")
    op.drop_table("holotype_dropped")
