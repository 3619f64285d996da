"""What a person has accepted about an example, so that it is not listed again.

Revision 0002, 2026.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table. Its rows go with their example."""
    op.create_table(
        "holotype_kept_findings",
        sa.Column("catalogue_id", TEXT, nullable=False),
        sa.Column("example_id", TEXT, nullable=False),
        sa.Column("finding", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("catalogue_id", "example_id", "finding", name="pk_holotype_kept_findings"),
        sa.ForeignKeyConstraint(
            ["catalogue_id", "example_id"],
            ["holotype_examples.catalogue_id", "holotype_examples.id"],
            name="fk_holotype_kept_findings_catalogue_id",
            ondelete="CASCADE",
        ),
    )


def downgrade() -> None:
    """Forget what was accepted."""
    op.drop_table("holotype_kept_findings")
