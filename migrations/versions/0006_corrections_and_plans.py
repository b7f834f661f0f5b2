"""Corrections of what usage cost: true-ups and re-rates. Plans and subscriptions."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TABLES = ("cost_adjustments", "rerated_lines", "plans", "subscriptions", "subscription_ends")

_KINDS = """
ALTER TABLE transactions
    DROP CONSTRAINT ck_transactions_kind,
    ADD CONSTRAINT ck_transactions_kind CHECK (
        kind IN (
            'ADD_CREDIT', 'REVERSE_CREDIT', 'GRANT_CREDIT', 'ADJUST', 'WITHDRAW', 'TRANSFER_OUT', 'TRANSFER_IN',
            'COMMIT', 'LATE_COMMIT', 'EXPIRE', 'VOID', 'CHARGE', 'USAGE', 'REFUND', 'TRUE_UP', 'RERATE',
            'UPDATE_ACCOUNT', 'CLOSE'
        )
    );
"""

_REFUNDS = """
ALTER TABLE refunds
    DROP CONSTRAINT ck_refunds_kind,
    ADD CONSTRAINT ck_refunds_kind CHECK (kind IN ('REFUND', 'LATE_COMMIT', 'RERATE'));
"""

_RERATED_LINES = """
CREATE TABLE rerated_lines (
    tenant_id        text            NOT NULL,
    account_id       text            NOT NULL,
    call_id          text            NOT NULL,
    line_id          text            NOT NULL,
    number           bigint          NOT NULL,
    captured_seq     bigint          NOT NULL,
    seq              bigint,
    price_before     numeric(38, 9)  NOT NULL,
    cost_before      numeric(38, 9)  NOT NULL,
    price            numeric(38, 9)  NOT NULL,
    cost             numeric(38, 9)  NOT NULL,
    exact_price      numeric(38, 18) NOT NULL,
    exact_cost       numeric(38, 18) NOT NULL,
    price_version_id uuid            NOT NULL,
    cost_version_id  uuid,
    match            text            NOT NULL,
    create_time      timestamptz     NOT NULL,
    CONSTRAINT pk_rerated_lines PRIMARY KEY (tenant_id, account_id, call_id, line_id, number),
    CONSTRAINT ck_rerated_lines_number CHECK (number > 0),
    CONSTRAINT ck_rerated_lines_amounts CHECK (price >= 0 AND cost >= 0 AND exact_price >= 0 AND exact_cost >= 0)
);
CREATE INDEX ix_rerated_lines_captured ON rerated_lines (tenant_id, account_id, captured_seq);
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

_PLANS = """
CREATE TABLE plans (
    tenant_id     text        NOT NULL,
    plan_id       text        NOT NULL,
    display_name  text        NOT NULL,
    currency_code text        NOT NULL,
    price_book_id text        NOT NULL,
    lines         jsonb       NOT NULL,
    create_time   timestamptz NOT NULL,
    CONSTRAINT pk_plans PRIMARY KEY (tenant_id, plan_id),
    CONSTRAINT fk_plans_book
        FOREIGN KEY (tenant_id, price_book_id) REFERENCES price_books (tenant_id, price_book_id)
);

CREATE TABLE subscriptions (
    tenant_id        text        NOT NULL,
    subscription_id  text        NOT NULL,
    account_id       text        NOT NULL,
    plan_id          text,
    price_book_id    text,
    lines            jsonb       NOT NULL,
    start_time       timestamptz NOT NULL,
    epoch            bigint      NOT NULL,
    create_time      timestamptz NOT NULL,
    next_charge_time timestamptz,
    CONSTRAINT pk_subscriptions PRIMARY KEY (tenant_id, subscription_id),
    CONSTRAINT uq_subscriptions_epoch UNIQUE (tenant_id, epoch),
    CONSTRAINT fk_subscriptions_account FOREIGN KEY (tenant_id, account_id) REFERENCES accounts (tenant_id, account_id),
    CONSTRAINT fk_subscriptions_plan FOREIGN KEY (tenant_id, plan_id) REFERENCES plans (tenant_id, plan_id),
    CONSTRAINT ck_subscriptions_epoch CHECK (epoch > 0)
);
CREATE INDEX ix_subscriptions_due ON subscriptions (tenant_id, next_charge_time);

CREATE TABLE subscription_ends (
    tenant_id       text        NOT NULL,
    epoch           bigint      NOT NULL,
    subscription_id text        NOT NULL,
    end_time        timestamptz NOT NULL,
    create_time     timestamptz NOT NULL,
    CONSTRAINT pk_subscription_ends PRIMARY KEY (tenant_id, epoch),
    CONSTRAINT fk_subscription_ends_subscription
        FOREIGN KEY (tenant_id, subscription_id) REFERENCES subscriptions (tenant_id, subscription_id)
);
CREATE INDEX ix_subscription_ends_subscription ON subscription_ends (tenant_id, subscription_id, epoch);
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

INSERT INTO rerated_lines
SELECT
    'default', 'a' || i % 100 + 1, 'c' || i, 'l1', 1, i, i, 0, 0, 0, 0, 0, 0, gen_random_uuid(), NULL, '', now()
FROM generate_series(1, 2000) AS i;

ANALYZE cost_adjustments, rerated_lines;
SAVEPOINT emptied;
TRUNCATE cost_adjustments, rerated_lines;
RELEASE SAVEPOINT emptied;

ALTER TABLE rerated_lines
    ADD CONSTRAINT fk_rerated_lines_line
    FOREIGN KEY (tenant_id, account_id, call_id, line_id)
    REFERENCES usage_lines (tenant_id, account_id, call_id, line_id),
    ADD CONSTRAINT fk_rerated_lines_transaction
    FOREIGN KEY (tenant_id, account_id, seq) REFERENCES transactions (tenant_id, account_id, seq);

ALTER TABLE cost_adjustments
    ADD CONSTRAINT fk_cost_adjustments_captured
    FOREIGN KEY (tenant_id, captured_transaction_id) REFERENCES transactions (tenant_id, transaction_id),
    ADD CONSTRAINT fk_cost_adjustments_adjusting
    FOREIGN KEY (tenant_id, adjusting_transaction_id) REFERENCES transactions (tenant_id, transaction_id);
"""


def upgrade() -> None:
    """Create the tables, protect them like the others, show the planner."""
    for ddl in (_KINDS, _REFUNDS, _COST_ADJUSTMENTS, _RERATED_LINES, _PLANS):
        op.execute(ddl)
    for table in _TABLES:
        op.execute(f"REVOKE ALL ON {table} FROM PUBLIC")
        op.execute(f"GRANT SELECT, INSERT ON {table} TO imprest_app")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY tenant ON {table} TO imprest_app USING ({_VISIBLE}) WITH CHECK ({_VISIBLE})")
    op.execute("GRANT UPDATE (next_charge_time) ON subscriptions TO imprest_app")
    op.execute(_SAMPLE)
