"""Corrections of what usage cost: true-ups."""

from alembic import op

revision = "0006"
down_revision = "0003"
branch_labels = None
depends_on = None

_KINDS = """
ALTER TABLE transactions
    DROP CONSTRAINT ck_transactions_kind,
    ADD CONSTRAINT ck_transactions_kind CHECK (
        kind IN (
            'ADD_CREDIT', 'REVERSE_CREDIT', 'GRANT_CREDIT', 'ADJUST', 'WITHDRAW', 'TRANSFER_OUT', 'TRANSFER_IN',
            'COMMIT', 'LATE_COMMIT', 'EXPIRE', 'VOID', 'CHARGE', 'USAGE', 'REFUND', 'TRUE_UP', 'UPDATE_ACCOUNT', 'CLOSE'
        )
    );
"""

_COST_ADJUSTMENTS = """
CREATE TABLE cost_adjustments (
    tenant_id                text           NOT NULL,
    captured_transaction_id  uuid           NOT NULL,
    adjusting_transaction_id uuid           NOT NULL,
    account_id               text           NOT NULL,
    cost                     numeric(38, 9) NOT NULL,
    CONSTRAINT pk_cost_adjustments PRIMARY KEY (tenant_id, captured_transaction_id, adjusting_transaction_id),
    CONSTRAINT ck_cost_adjustments_cost CHECK (cost <> 0)
);
CREATE INDEX ix_cost_adjustments_adjusting ON cost_adjustments (tenant_id, adjusting_transaction_id);
"""

# As in 0001.
_VISIBLE = (
    "array_position((SELECT string_to_array(current_setting('imprest.tenants', true), ',')), tenant_id) IS NOT NULL"
)

# As in 0001: what the planner is shown until there are real rows to count. The foreign keys come
# after it, for there are no transactions.
_SAMPLE = """
INSERT INTO cost_adjustments
SELECT 'default', gen_random_uuid(), gen_random_uuid(), 'a' || i % 100 + 1, 1 FROM generate_series(1, 2000) AS i;

ANALYZE cost_adjustments;
SAVEPOINT emptied;
TRUNCATE cost_adjustments;
RELEASE SAVEPOINT emptied;

ALTER TABLE cost_adjustments
    ADD CONSTRAINT fk_cost_adjustments_captured
    FOREIGN KEY (tenant_id, captured_transaction_id) REFERENCES transactions (tenant_id, transaction_id),
    ADD CONSTRAINT fk_cost_adjustments_adjusting
    FOREIGN KEY (tenant_id, adjusting_transaction_id) REFERENCES transactions (tenant_id, transaction_id);
"""


def upgrade() -> None:
    """Create the table, protect it like the others, show the planner."""
    op.execute(_KINDS)
    op.execute(_COST_ADJUSTMENTS)
    op.execute("REVOKE ALL ON cost_adjustments FROM PUBLIC")
    op.execute("GRANT SELECT, INSERT ON cost_adjustments TO imprest_app")
    op.execute("ALTER TABLE cost_adjustments ENABLE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON cost_adjustments TO imprest_app USING ({_VISIBLE}) WITH CHECK ({_VISIBLE})")
    op.execute(_SAMPLE)
