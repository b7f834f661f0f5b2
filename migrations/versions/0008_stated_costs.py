"""Provider costs that were stated, of transactions and of single usage lines: prices have no say in them any more."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_STATED = """
UPDATE cost_adjustments AS a
SET stated = true
FROM transactions AS t
WHERE t.tenant_id = a.tenant_id AND t.transaction_id = a.adjusting_transaction_id AND t.kind = 'TRUE_UP'
"""


def upgrade() -> None:
    """Mark what true-ups have corrected so far; let them also state a cost that they do not change."""
    op.execute("ALTER TABLE cost_adjustments DROP CONSTRAINT ck_cost_adjustments_cost")
    op.execute("ALTER TABLE cost_adjustments ADD COLUMN stated boolean NOT NULL DEFAULT false")
    op.execute("ALTER TABLE rerated_lines ADD COLUMN stated boolean NOT NULL DEFAULT false")
    op.execute(_STATED)
