"""Usage: the priced lines of captures, the months' counts, and what reservations keep of prices and costs."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Lines are part of the journal: never changed.
_GRANTS = {
    "usage_lines": "SELECT, INSERT",
    "usage_counters": "SELECT, INSERT, UPDATE",
}

# The defaults are for servers of the version before, which know nothing of costs.
_RESERVATIONS = """
ALTER TABLE reservations
    ADD COLUMN price_epoch      bigint,
    ADD COLUMN used_cost        numeric(38, 9) NOT NULL DEFAULT 0,
    ADD COLUMN captured_cost    numeric(38, 9) NOT NULL DEFAULT 0,
    ADD COLUMN provisional_cost numeric(38, 9),
    ADD CONSTRAINT ck_reservations_costs CHECK (used_cost >= 0 AND captured_cost >= 0);
"""

_KINDS = """
ALTER TABLE transactions
    DROP CONSTRAINT ck_transactions_kind,
    ADD CONSTRAINT ck_transactions_kind CHECK (
        kind IN (
            'ADD_CREDIT', 'REVERSE_CREDIT', 'GRANT_CREDIT', 'ADJUST', 'WITHDRAW', 'TRANSFER_OUT', 'TRANSFER_IN',
            'COMMIT', 'LATE_COMMIT', 'EXPIRE', 'VOID', 'CHARGE', 'USAGE', 'REFUND', 'UPDATE_ACCOUNT', 'CLOSE'
        )
    );
"""

# A late commit may take back a cost without giving back money.
_REFUNDS = """
ALTER TABLE refunds
    DROP CONSTRAINT ck_refunds_amount,
    ADD CONSTRAINT ck_refunds_amount CHECK (amount >= 0 AND (amount > 0 OR cost > 0));
"""

# No foreign key to the versions: they are never deleted, and checking four of them would be a tenth of a commit.
_USAGE_LINES = """
CREATE TABLE usage_lines (
    tenant_id        text            NOT NULL,
    account_id       text            NOT NULL,
    call_id          text            NOT NULL,
    line_id          text            NOT NULL,
    seq              bigint,
    reservation_id   uuid,
    meter            text            NOT NULL,
    provider         text            NOT NULL,
    model            text            NOT NULL,
    quantity         numeric(38, 18) NOT NULL,
    destination      text            NOT NULL,
    operation        text            NOT NULL,
    labels           jsonb           NOT NULL,
    price            numeric(38, 9)  NOT NULL,
    cost             numeric(38, 9)  NOT NULL,
    exact_price      numeric(38, 18) NOT NULL,
    exact_cost       numeric(38, 18) NOT NULL,
    price_version_id uuid            NOT NULL,
    cost_version_id  uuid,
    match            text            NOT NULL,
    counts           jsonb,
    start_time       timestamptz     NOT NULL,
    end_time         timestamptz,
    create_time      timestamptz     NOT NULL,
    CONSTRAINT pk_usage_lines PRIMARY KEY (tenant_id, account_id, call_id, line_id),
    CONSTRAINT fk_usage_lines_transaction
        FOREIGN KEY (tenant_id, account_id, seq) REFERENCES transactions (tenant_id, account_id, seq),
    CONSTRAINT ck_usage_lines_quantity CHECK (quantity >= 0),
    CONSTRAINT ck_usage_lines_amounts CHECK (price >= 0 AND cost >= 0 AND exact_price >= 0 AND exact_cost >= 0),
    CONSTRAINT ck_usage_lines_posted CHECK (seq IS NOT NULL OR (price = 0 AND cost = 0))
);
CREATE INDEX ix_usage_lines_transaction ON usage_lines (tenant_id, account_id, seq) WHERE seq IS NOT NULL;
"""

_USAGE_COUNTERS = """
CREATE TABLE usage_counters (
    tenant_id          text            NOT NULL,
    account_id         text            NOT NULL,
    month              date            NOT NULL,
    side               text            NOT NULL,
    meter              text            NOT NULL,
    provider           text            NOT NULL,
    model              text            NOT NULL,
    destination_prefix text            NOT NULL,
    quantity           numeric(38, 18) NOT NULL,
    CONSTRAINT pk_usage_counters
        PRIMARY KEY (tenant_id, account_id, month, side, meter, provider, model, destination_prefix),
    CONSTRAINT ck_usage_counters_month CHECK (extract(day FROM month) = 1),
    CONSTRAINT ck_usage_counters_side CHECK (side IN ('COST', 'SALE')),
    CONSTRAINT ck_usage_counters_quantity CHECK (quantity >= 0)
) WITH (fillfactor = 80);
"""

# As in 0001.
_VISIBLE = (
    "array_position((SELECT string_to_array(current_setting('imprest.tenants', true), ',')), tenant_id) IS NOT NULL"
)

# As in 0001: what the planner is shown until there are real rows to count.
_SAMPLE = """
INSERT INTO usage_lines
SELECT
    'default', 'a' || i % 100 + 1, 'c' || i / 4, 'l' || i % 4, NULL, gen_random_uuid(), 'm' || i % 10, 'p', 'm', 1, '',
    '', '{}', 0, 0, 0, 0, gen_random_uuid(), NULL, '', NULL, now(), NULL, now()
FROM generate_series(0, 3999) AS i;

INSERT INTO usage_counters
SELECT 'default', 'a' || a, '2026-01-01'::date + m * interval '1 month', 'SALE', 'm' || i, '', '', '', 1
FROM
    generate_series(1, 100) AS a, generate_series(0, 11) AS m, generate_series(1, 4) AS i;

ANALYZE usage_lines, usage_counters;
SAVEPOINT emptied;
TRUNCATE usage_lines, usage_counters;
RELEASE SAVEPOINT emptied;

ALTER TABLE usage_counters
    ADD CONSTRAINT fk_usage_counters_account
    FOREIGN KEY (tenant_id, account_id) REFERENCES accounts (tenant_id, account_id);
"""


def upgrade() -> None:
    """Add columns and tables, protect them like the others, show the planner."""
    for ddl in (_RESERVATIONS, _KINDS, _REFUNDS, _USAGE_LINES, _USAGE_COUNTERS):
        op.execute(ddl)
    for table, privileges in _GRANTS.items():
        op.execute(f"REVOKE ALL ON {table} FROM PUBLIC")
        op.execute(f"GRANT {privileges} ON {table} TO imprest_app")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY tenant ON {table} TO imprest_app USING ({_VISIBLE}) WITH CHECK ({_VISIBLE})")
    op.execute(_SAMPLE)
