"""Whether it was told that an account's balance is low, and when last."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; nobody has been told so far."""
    op.execute("ALTER TABLE books ADD COLUMN low_balance boolean NOT NULL DEFAULT false")
    op.execute("ALTER TABLE books ADD COLUMN low_balance_time timestamptz")
