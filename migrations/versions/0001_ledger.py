"""The ledger: accounts, books, reservations, the journal, and the operations that were decided.

`imprest_server/db/tables/` describes the same tables and says which statement each index serves; a test holds
the two equal. There is no way down: see `imprest_server/db/migrations.py`.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# What the server may do. The journal is append-only, and nothing is ever deleted.
_GRANTS = {
    "tenants": "SELECT",
    "accounts": "SELECT, INSERT, UPDATE",
    "books": "SELECT, INSERT, UPDATE",
    "reservations": "SELECT, INSERT, UPDATE",
    "transactions": "SELECT, INSERT",
    "postings": "SELECT, INSERT",
    "refunds": "SELECT, INSERT",
    "operations": "SELECT, INSERT",
}

_TENANTS = """
CREATE TABLE tenants (
    tenant_id   text        NOT NULL,
    create_time timestamptz NOT NULL,
    CONSTRAINT pk_tenants PRIMARY KEY (tenant_id)
);

INSERT INTO tenants (tenant_id, create_time) VALUES ('default', clock_timestamp());
"""

_ACCOUNTS = """
CREATE TABLE accounts (
    tenant_id             text           NOT NULL,
    account_id            text           NOT NULL,
    customer_id           text           NOT NULL,
    display_name          text           NOT NULL,
    currency_code         text           NOT NULL,
    parent_account_id     text,
    credit_limit          numeric(38, 9) NOT NULL,
    overrun_policy        text           NOT NULL,
    max_overrun           numeric(38, 9),
    max_concurrent_calls  integer,
    low_balance_threshold numeric(38, 9),
    time_zone             text           NOT NULL,
    labels                jsonb          NOT NULL,
    state                 text           NOT NULL,
    create_time           timestamptz    NOT NULL,
    update_time           timestamptz    NOT NULL,
    CONSTRAINT pk_accounts PRIMARY KEY (tenant_id, account_id),
    CONSTRAINT fk_accounts_tenant FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id),
    CONSTRAINT fk_accounts_parent
        FOREIGN KEY (tenant_id, parent_account_id) REFERENCES accounts (tenant_id, account_id),
    CONSTRAINT ck_accounts_state CHECK (state IN ('ACTIVE', 'FROZEN', 'CLOSED')),
    CONSTRAINT ck_accounts_overrun_policy CHECK (overrun_policy IN ('COLLECT', 'CAP', 'REJECT')),
    CONSTRAINT ck_accounts_credit_limit CHECK (credit_limit >= 0),
    CONSTRAINT ck_accounts_max_overrun CHECK (max_overrun >= 0),
    CONSTRAINT ck_accounts_max_concurrent_calls CHECK (max_concurrent_calls >= 0),
    CONSTRAINT ck_accounts_low_balance_threshold CHECK (low_balance_threshold >= 0)
);

CREATE INDEX ix_accounts_customer ON accounts (tenant_id, customer_id, account_id);
CREATE INDEX ix_accounts_parent ON accounts (tenant_id, parent_account_id, account_id);
"""

# One row per account: every operation locks and updates it. ck_books_equation keeps the books balanced.
_BOOKS = """
CREATE TABLE books (
    tenant_id        text           NOT NULL,
    account_id       text           NOT NULL,
    cash             numeric(38, 9) NOT NULL,
    receivable       numeric(38, 9) NOT NULL,
    provider_cost    numeric(38, 9) NOT NULL,
    fee_cost         numeric(38, 9) NOT NULL,
    refunds          numeric(38, 9) NOT NULL,
    promotion_cost   numeric(38, 9) NOT NULL,
    adjustments      numeric(38, 9) NOT NULL,
    overrun_loss     numeric(38, 9) NOT NULL,
    wallet           numeric(38, 9) NOT NULL,
    revenue          numeric(38, 9) NOT NULL,
    provider_payable numeric(38, 9) NOT NULL,
    fee_payable      numeric(38, 9) NOT NULL,
    breakage         numeric(38, 9) NOT NULL,
    clearing         numeric(38, 9) NOT NULL,
    held             numeric(38, 9) NOT NULL,
    open_count       integer        NOT NULL,
    seq              bigint         NOT NULL,
    chain_hash       bytea          NOT NULL,
    last_time        timestamptz,
    CONSTRAINT pk_books PRIMARY KEY (tenant_id, account_id),
    CONSTRAINT fk_books_account FOREIGN KEY (tenant_id, account_id) REFERENCES accounts (tenant_id, account_id),
    CONSTRAINT ck_books_equation CHECK (
        cash + receivable + provider_cost + fee_cost + refunds + promotion_cost + adjustments + overrun_loss
        = wallet + revenue + provider_payable + fee_payable + breakage + clearing
    ),
    CONSTRAINT ck_books_held CHECK (held >= 0),
    CONSTRAINT ck_books_receivable CHECK (receivable >= 0),
    CONSTRAINT ck_books_open_count CHECK (open_count >= 0),
    CONSTRAINT ck_books_seq CHECK (seq >= 0),
    CONSTRAINT ck_books_chain_hash CHECK (length(chain_hash) = 32)
) WITH (fillfactor = 50);
"""

_RESERVATIONS = """
CREATE TABLE reservations (
    tenant_id                  text           NOT NULL,
    reservation_id             uuid           NOT NULL,
    account_id                 text           NOT NULL,
    call_id                    text           NOT NULL,
    state                      text           NOT NULL,
    amount                     numeric(38, 9) NOT NULL,
    captured                   numeric(38, 9) NOT NULL,
    absorbed                   numeric(38, 9) NOT NULL,
    used_so_far                numeric(38, 9) NOT NULL,
    on_expiry                  text           NOT NULL,
    labels                     jsonb          NOT NULL,
    create_time                timestamptz    NOT NULL,
    expire_time                timestamptz    NOT NULL,
    end_time                   timestamptz,
    ended_by                   text,
    late                       boolean        NOT NULL,
    provisional_hold           numeric(38, 9),
    provisional_charged        numeric(38, 9),
    provisional_absorbed       numeric(38, 9),
    provisional_transaction_id uuid,
    extend_key                 text,
    extend_fingerprint         bytea,
    extend_denial_reason       text,
    extend_payload             text,
    CONSTRAINT pk_reservations PRIMARY KEY (tenant_id, reservation_id),
    CONSTRAINT fk_reservations_account
        FOREIGN KEY (tenant_id, account_id) REFERENCES accounts (tenant_id, account_id),
    CONSTRAINT ck_reservations_state CHECK (state IN ('ACTIVE', 'COMMITTED', 'VOIDED', 'EXPIRED')),
    CONSTRAINT ck_reservations_on_expiry CHECK (on_expiry IN ('CAPTURE_USED', 'RELEASE')),
    CONSTRAINT ck_reservations_ended_by CHECK (ended_by IN ('COMMIT', 'VOID', 'EXPIRE')),
    CONSTRAINT ck_reservations_ended CHECK ((state = 'ACTIVE') = (ended_by IS NULL)),
    CONSTRAINT ck_reservations_amounts
        CHECK (amount >= 0 AND captured >= 0 AND absorbed >= 0 AND used_so_far >= 0)
) WITH (fillfactor = 80);

CREATE INDEX ix_reservations_due ON reservations (tenant_id, account_id, expire_time, reservation_id)
    WHERE state = 'ACTIVE';
CREATE INDEX ix_reservations_sweep ON reservations (tenant_id, expire_time) WHERE state = 'ACTIVE';
CREATE INDEX ix_reservations_account ON reservations (tenant_id, account_id, reservation_id);
CREATE INDEX ix_reservations_call ON reservations (tenant_id, call_id, reservation_id);
"""

_TRANSACTIONS = """
CREATE TABLE transactions (
    tenant_id          text           NOT NULL,
    transaction_id     uuid           NOT NULL,
    account_id         text           NOT NULL,
    seq                bigint         NOT NULL,
    kind               text           NOT NULL,
    wallet_after       numeric(38, 9) NOT NULL,
    receivable_after   numeric(38, 9) NOT NULL,
    reservation_id     uuid,
    call_id            text           NOT NULL,
    reason             text           NOT NULL,
    external_reference text,
    labels             jsonb          NOT NULL,
    effective_time     timestamptz    NOT NULL,
    create_time        timestamptz    NOT NULL,
    chain_hash         bytea          NOT NULL,
    CONSTRAINT pk_transactions PRIMARY KEY (tenant_id, transaction_id),
    CONSTRAINT uq_transactions_seq UNIQUE (tenant_id, account_id, seq),
    CONSTRAINT fk_transactions_account
        FOREIGN KEY (tenant_id, account_id) REFERENCES accounts (tenant_id, account_id),
    CONSTRAINT ck_transactions_kind CHECK (kind IN (
        'ADD_CREDIT', 'REVERSE_CREDIT', 'GRANT_CREDIT', 'ADJUST', 'WITHDRAW', 'TRANSFER_OUT', 'TRANSFER_IN', 'COMMIT',
        'LATE_COMMIT', 'EXPIRE', 'VOID', 'CHARGE', 'REFUND', 'UPDATE_ACCOUNT', 'CLOSE'
    )),
    CONSTRAINT ck_transactions_seq CHECK (seq > 0),
    CONSTRAINT ck_transactions_chain_hash CHECK (length(chain_hash) = 32)
);

CREATE UNIQUE INDEX uq_transactions_external_reference ON transactions (tenant_id, kind, external_reference)
    WHERE external_reference IS NOT NULL;
CREATE INDEX ix_transactions_reservation ON transactions (tenant_id, reservation_id)
    WHERE reservation_id IS NOT NULL;
CREATE INDEX ix_transactions_create_time ON transactions (tenant_id, account_id, create_time, seq);
"""

_CODES = """
    'CASH', 'RECEIVABLE', 'PROVIDER_COST', 'FEE_COST', 'REFUNDS', 'PROMOTION_COST', 'ADJUSTMENTS', 'OVERRUN_LOSS',
    'WALLET', 'REVENUE', 'PROVIDER_PAYABLE', 'FEE_PAYABLE', 'BREAKAGE', 'CLEARING'
"""

_POSTINGS = f"""
CREATE TABLE postings (
    tenant_id  text           NOT NULL,
    account_id text           NOT NULL,
    seq        bigint         NOT NULL,
    line       smallint       NOT NULL,
    debit      text           NOT NULL,
    credit     text           NOT NULL,
    amount     numeric(38, 9) NOT NULL,
    CONSTRAINT pk_postings PRIMARY KEY (tenant_id, account_id, seq, line),
    CONSTRAINT fk_postings_transaction
        FOREIGN KEY (tenant_id, account_id, seq) REFERENCES transactions (tenant_id, account_id, seq),
    CONSTRAINT ck_postings_debit CHECK (debit IN ({_CODES})),
    CONSTRAINT ck_postings_credit CHECK (credit IN ({_CODES})),
    CONSTRAINT ck_postings_codes CHECK (debit <> credit),
    CONSTRAINT ck_postings_amount CHECK (amount > 0)
);
"""

_REFUNDS = """
CREATE TABLE refunds (
    tenant_id               text           NOT NULL,
    captured_transaction_id uuid           NOT NULL,
    refund_transaction_id   uuid           NOT NULL,
    account_id              text           NOT NULL,
    kind                    text           NOT NULL,
    amount                  numeric(38, 9) NOT NULL,
    cost                    numeric(38, 9) NOT NULL,
    CONSTRAINT pk_refunds PRIMARY KEY (tenant_id, captured_transaction_id, refund_transaction_id),
    CONSTRAINT fk_refunds_captured
        FOREIGN KEY (tenant_id, captured_transaction_id) REFERENCES transactions (tenant_id, transaction_id),
    CONSTRAINT fk_refunds_refund
        FOREIGN KEY (tenant_id, refund_transaction_id) REFERENCES transactions (tenant_id, transaction_id),
    CONSTRAINT ck_refunds_kind CHECK (kind IN ('REFUND', 'LATE_COMMIT')),
    CONSTRAINT ck_refunds_amount CHECK (amount > 0),
    CONSTRAINT ck_refunds_cost CHECK (cost >= 0)
);
CREATE INDEX ix_refunds_refund ON refunds (tenant_id, refund_transaction_id);
"""

_OPERATIONS = """
CREATE TABLE operations (
    tenant_id       text        NOT NULL,
    kind            text        NOT NULL,
    idempotency_key text        NOT NULL,
    fingerprint     bytea       NOT NULL,
    denial_reason   text,
    payload         text        NOT NULL,
    create_time     timestamptz NOT NULL,
    CONSTRAINT pk_operations PRIMARY KEY (tenant_id, kind, idempotency_key)
);
"""

# The transaction says which tenants it works for; unset or empty means no rows. The sub-select makes Postgres read the
# list once per statement. The condition is none that an index could serve: every statement names its tenants itself,
# and a second condition on tenant_id would make the planner expect so few rows that it takes any index. The owner of
# the tables is exempt.
_VISIBLE = (
    "array_position((SELECT string_to_array(current_setting('imprest.tenants', true), ',')), tenant_id) IS NOT NULL"
)

# Postgres plans for a table as it is when a statement is prepared. Of an empty one it knows nothing, takes any index
# that starts with tenant_id, and stays with it while the table grows. So it is shown a sample of what will be here, of
# one tenant (the worst case); its counts outlive the rows until there are real ones to count. In a savepoint TRUNCATE
# also forgets the number of rows: an unknown number counts as some, and none would count as none.
_SAMPLE = """
INSERT INTO accounts
SELECT
    'default', 'a' || i, 'c' || i, '', 'USD', 'a' || i, 0, 'COLLECT', NULL, NULL, NULL, 'UTC', '{}', 'ACTIVE',
    now(), now()
FROM generate_series(1, 100) AS i;

INSERT INTO books
SELECT 'default', 'a' || i, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, sha256(''), now()
FROM generate_series(1, 100) AS i;

INSERT INTO reservations (
    tenant_id, reservation_id, account_id, call_id, state, amount, captured, absorbed, used_so_far, on_expiry, labels,
    create_time, expire_time, ended_by, late
)
SELECT
    'default', gen_random_uuid(), 'a' || i % 100 + 1, 'c' || i, s.state, 0, 0, 0, 0, 'CAPTURE_USED', '{}',
    now(), now() + i * interval '1 second', s.ended_by, false
FROM
    generate_series(1, 2000) AS i,
    LATERAL (VALUES ('COMMITTED', 'COMMIT', i % 10 > 0), ('ACTIVE', NULL, i % 10 = 0)) AS s (state, ended_by, this)
WHERE s.this;

INSERT INTO transactions
SELECT
    'default', gen_random_uuid(), 'a' || i % 100 + 1, i / 100 + 1, 'COMMIT', 0, 0, gen_random_uuid(), 'c' || i, '',
    'r' || i, '{}', now(), now() + i * interval '1 second', sha256('')
FROM generate_series(0, 1999) AS i;

INSERT INTO postings
SELECT tenant_id, account_id, seq, line, 'WALLET', 'REVENUE', 1 FROM transactions, generate_series(1, 2) AS line;

INSERT INTO refunds SELECT tenant_id, transaction_id, transaction_id, account_id, 'REFUND', 1, 0 FROM transactions;

INSERT INTO operations
SELECT 'default', 'COMMIT', 'k' || i, sha256(''), NULL, '{}', now() FROM generate_series(1, 2000) AS i;

ANALYZE accounts, books, reservations, transactions, postings, refunds, operations;
SAVEPOINT emptied;
TRUNCATE accounts, books, reservations, transactions, postings, refunds, operations;
RELEASE SAVEPOINT emptied;
"""


def upgrade() -> None:
    """Create the tables, hide every tenant's rows from the others, grant the server what it needs, show the planner."""
    for ddl in (_TENANTS, _ACCOUNTS, _BOOKS, _RESERVATIONS, _TRANSACTIONS, _POSTINGS, _REFUNDS, _OPERATIONS):
        op.execute(ddl)
    for table, privileges in _GRANTS.items():
        op.execute(f"REVOKE ALL ON {table} FROM PUBLIC")
        op.execute(f"GRANT {privileges} ON {table} TO imprest_app")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY tenant ON {table} TO imprest_app USING ({_VISIBLE}) WITH CHECK ({_VISIBLE})")
    schema = op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    op.execute(f"GRANT USAGE ON SCHEMA {schema} TO imprest_app")
    op.execute("GRANT SELECT ON alembic_version TO imprest_app")  # to see at start whether migrations are missing
    op.execute(_SAMPLE)
