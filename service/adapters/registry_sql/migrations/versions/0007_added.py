"""An index that finds the examples that came last.

Revision 0007, 2026.
"""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

NAME = "ix_holotype_examples_created"


def upgrade() -> None:
    """Without it, what was added since a selection was measured could be counted from all rows only."""
    op.create_index(NAME, "holotype_examples", ["catalogue_id", "created_at"])


def downgrade() -> None:
    """Older versions do not ask."""
    op.drop_index(NAME, "holotype_examples")
