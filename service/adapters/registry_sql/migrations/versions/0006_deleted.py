"""Examples that were deleted, until their bytes are gone too.

Revision 0006, 2026.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table. Its rows go with their catalogue."""
    op.create_table(
        "holotype_deleted",
        sa.Column("catalogue_id", TEXT, nullable=False),
        sa.Column("example_id", TEXT, nullable=False),
        sa.Column("picture", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("catalogue_id", "example_id", name="pk_holotype_deleted"),
        sa.ForeignKeyConstraint(
            ["catalogue_id"],
            ["holotype_catalogues.id"],
            name="fk_holotype_deleted_catalogue_id",
            ondelete="CASCADE",
        ),
    )


def downgrade() -> None:
    """Older versions forget bytes at once, or never."""
    op.drop_table("holotype_deleted")
