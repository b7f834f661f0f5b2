"""Accounts and their books, holds, the journal, usage and its month counters, keys."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from imprest_server.db.tables.columns import decimal, metadata, money, required, time, values

_STATES = ("ACTIVE", "FROZEN", "CLOSED")
_RESERVATION_STATES = ("ACTIVE", "COMMITTED", "VOIDED", "EXPIRED")
_DEBIT = ("cash", "receivable", "provider_cost", "fee_cost", "refunds", "promotion_cost", "adjustments", "overrun_loss")
_CREDIT = ("wallet", "revenue", "provider_payable", "fee_payable", "breakage", "clearing")
_SIDES = ("COST", "SALE")
_CODES = tuple(name.upper() for name in (*_DEBIT, *_CREDIT))
_KINDS = (
    "ADD_CREDIT",
    "REVERSE_CREDIT",
    "GRANT_CREDIT",
    "ADJUST",
    "WITHDRAW",
    "TRANSFER_OUT",
    "TRANSFER_IN",
    "COMMIT",
    "LATE_COMMIT",
    "EXPIRE",
    "VOID",
    "CHARGE",
    "USAGE",
    "REFUND",
    "TRUE_UP",
    "RERATE",
    "UPDATE_ACCOUNT",
    "CLOSE",
)

tenants = Table(
    "tenants",
    metadata,
    required("tenant_id", Text),
    time("create_time"),
    # How many changes the tenant's prices have seen; every row of the price tables carries the epoch it came with.
    Column("price_epoch", BigInteger, nullable=False, server_default=text("0")),
    # The same of its budgets.
    Column("budget_epoch", BigInteger, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("tenant_id", name="pk_tenants"),
    CheckConstraint("price_epoch >= 0", name="ck_tenants_price_epoch"),
    CheckConstraint("budget_epoch >= 0", name="ck_tenants_budget_epoch"),
)

accounts = Table(
    "accounts",
    metadata,
    required("tenant_id", Text),
    required("account_id", Text),
    required("customer_id", Text),
    required("display_name", Text),
    required("currency_code", Text),
    Column("parent_account_id", Text),
    money("credit_limit"),
    required("overrun_policy", Text),
    money("max_overrun", nullable=True),
    Column("max_concurrent_calls", Integer),
    money("low_balance_threshold", nullable=True),
    required("time_zone", Text),
    required("labels", JSONB),
    required("state", Text),
    time("create_time"),
    time("update_time"),
    PrimaryKeyConstraint("tenant_id", "account_id", name="pk_accounts"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="fk_accounts_tenant"),
    ForeignKeyConstraint(
        ["tenant_id", "parent_account_id"], ["accounts.tenant_id", "accounts.account_id"], name="fk_accounts_parent"
    ),
    CheckConstraint(values("state", *_STATES), name="ck_accounts_state"),
    CheckConstraint(values("overrun_policy", "COLLECT", "CAP", "REJECT"), name="ck_accounts_overrun_policy"),
    CheckConstraint("credit_limit >= 0", name="ck_accounts_credit_limit"),
    CheckConstraint("max_overrun >= 0", name="ck_accounts_max_overrun"),
    CheckConstraint("max_concurrent_calls >= 0", name="ck_accounts_max_concurrent_calls"),
    CheckConstraint("low_balance_threshold >= 0", name="ck_accounts_low_balance_threshold"),
    # queries.sql list_accounts, filtered by customer
    Index("ix_accounts_customer", "tenant_id", "customer_id", "account_id"),
    # queries.sql list_accounts, filtered by parent
    Index("ix_accounts_parent", "tenant_id", "parent_account_id", "account_id"),
)

books = Table(
    "books",
    metadata,
    required("tenant_id", Text),
    required("account_id", Text),
    *[money(name) for name in (*_DEBIT, *_CREDIT)],
    money("held"),
    required("open_count", Integer),
    required("seq", BigInteger),
    required("chain_hash", LargeBinary),
    time("last_time", nullable=True),
    # It was told that the balance is low, and when last.
    Column("low_balance", Boolean, nullable=False, server_default=text("false")),
    time("low_balance_time", nullable=True),
    PrimaryKeyConstraint("tenant_id", "account_id", name="pk_books"),
    ForeignKeyConstraint(
        ["tenant_id", "account_id"], ["accounts.tenant_id", "accounts.account_id"], name="fk_books_account"
    ),
    CheckConstraint(f"{' + '.join(_DEBIT)} = {' + '.join(_CREDIT)}", name="ck_books_equation"),
    CheckConstraint("held >= 0", name="ck_books_held"),
    CheckConstraint("receivable >= 0", name="ck_books_receivable"),
    CheckConstraint("open_count >= 0", name="ck_books_open_count"),
    CheckConstraint("seq >= 0", name="ck_books_seq"),
    CheckConstraint("length(chain_hash) = 32", name="ck_books_chain_hash"),
    # A book is updated by every operation: room on the page keeps those updates off its index (HOT).
    postgresql_with={"fillfactor": 50},
)

reservations = Table(
    "reservations",
    metadata,
    required("tenant_id", Text),
    required("reservation_id", Uuid),
    required("account_id", Text),
    required("call_id", Text),
    required("state", Text),
    money("amount"),
    money("captured"),
    money("absorbed"),
    money("used_so_far"),
    required("on_expiry", Text),
    required("labels", JSONB),
    time("create_time"),
    time("expire_time"),
    time("end_time", nullable=True),
    Column("ended_by", Text),
    required("late", Boolean),
    # What the expiry charged, until a late commit decides anew (model.ProvisionalCapture).
    money("provisional_hold", nullable=True),
    money("provisional_charged", nullable=True),
    money("provisional_absorbed", nullable=True),
    Column("provisional_transaction_id", Uuid),
    # The last Extend: its key, and the answer it gets again.
    Column("extend_key", Text),
    Column("extend_fingerprint", LargeBinary),
    Column("extend_denial_reason", Text),
    Column("extend_payload", Text),
    # The prices that a hold was priced by and keeps; NULL: it was not.
    Column("price_epoch", BigInteger),
    Column("used_cost", Numeric(38, 9), nullable=False, server_default=text("0")),
    Column("captured_cost", Numeric(38, 9), nullable=False, server_default=text("0")),
    money("provisional_cost", nullable=True),
    # What a hold was priced at, by meter, as [meter, price, cost] each; NULL: it was reserved by amount.
    Column("estimate", JSONB),
    PrimaryKeyConstraint("tenant_id", "reservation_id", name="pk_reservations"),
    ForeignKeyConstraint(
        ["tenant_id", "account_id"], ["accounts.tenant_id", "accounts.account_id"], name="fk_reservations_account"
    ),
    CheckConstraint(values("state", *_RESERVATION_STATES), name="ck_reservations_state"),
    CheckConstraint(values("on_expiry", "CAPTURE_USED", "RELEASE"), name="ck_reservations_on_expiry"),
    CheckConstraint(values("ended_by", "COMMIT", "VOID", "EXPIRE"), name="ck_reservations_ended_by"),
    CheckConstraint("(state = 'ACTIVE') = (ended_by IS NULL)", name="ck_reservations_ended"),
    CheckConstraint(
        "amount >= 0 AND captured >= 0 AND absorbed >= 0 AND used_so_far >= 0", name="ck_reservations_amounts"
    ),
    CheckConstraint("used_cost >= 0 AND captured_cost >= 0", name="ck_reservations_costs"),
    # ledger load.sql load_accounts: the due holds of one account, in the order they expire
    Index(
        "ix_reservations_due",
        "tenant_id",
        "account_id",
        "expire_time",
        "reservation_id",
        postgresql_where=text("state = 'ACTIVE'"),
    ),
    # queries.sql due_accounts: the sweeper's list of a tenant's due holds
    Index("ix_reservations_sweep", "tenant_id", "expire_time", postgresql_where=text("state = 'ACTIVE'")),
    # queries.sql list_reservations, filtered by account
    Index("ix_reservations_account", "tenant_id", "account_id", "reservation_id"),
    # queries.sql list_reservations, filtered by call
    Index("ix_reservations_call", "tenant_id", "call_id", "reservation_id"),
    postgresql_with={"fillfactor": 80},
)

transactions = Table(
    "transactions",
    metadata,
    required("tenant_id", Text),
    required("transaction_id", Uuid),
    required("account_id", Text),
    required("seq", BigInteger),
    required("kind", Text),
    money("wallet_after"),
    money("receivable_after"),
    Column("reservation_id", Uuid),
    required("call_id", Text),
    required("reason", Text),
    Column("external_reference", Text),
    required("labels", JSONB),
    time("effective_time"),
    time("create_time"),
    required("chain_hash", LargeBinary),
    PrimaryKeyConstraint("tenant_id", "transaction_id", name="pk_transactions"),
    UniqueConstraint("tenant_id", "account_id", "seq", name="uq_transactions_seq"),
    ForeignKeyConstraint(
        ["tenant_id", "account_id"], ["accounts.tenant_id", "accounts.account_id"], name="fk_transactions_account"
    ),
    CheckConstraint(values("kind", *_KINDS), name="ck_transactions_kind"),
    CheckConstraint("seq > 0", name="ck_transactions_seq"),
    CheckConstraint("length(chain_hash) = 32", name="ck_transactions_chain_hash"),
    # ledger load.sql load_external_references; one credit per reference
    Index(
        "uq_transactions_external_reference",
        "tenant_id",
        "kind",
        "external_reference",
        unique=True,
        postgresql_where=text("external_reference IS NOT NULL"),
    ),
    # ledger load.sql load_captures_to_refund; queries.sql list_transactions, filtered by reservation
    Index(
        "ix_transactions_reservation",
        "tenant_id",
        "reservation_id",
        postgresql_where=text("reservation_id IS NOT NULL"),
    ),
    # queries.sql get_balance_as_of, list_transactions
    Index("ix_transactions_create_time", "tenant_id", "account_id", "create_time", "seq"),
)

postings = Table(
    "postings",
    metadata,
    required("tenant_id", Text),
    required("account_id", Text),
    required("seq", BigInteger),
    required("line", SmallInteger),
    required("debit", Text),
    required("credit", Text),
    money("amount"),
    PrimaryKeyConstraint("tenant_id", "account_id", "seq", "line", name="pk_postings"),
    ForeignKeyConstraint(
        ["tenant_id", "account_id", "seq"],
        ["transactions.tenant_id", "transactions.account_id", "transactions.seq"],
        name="fk_postings_transaction",
    ),
    CheckConstraint(values("debit", *_CODES), name="ck_postings_debit"),
    CheckConstraint(values("credit", *_CODES), name="ck_postings_credit"),
    CheckConstraint("debit <> credit", name="ck_postings_codes"),
    CheckConstraint("amount > 0", name="ck_postings_amount"),
)

refunds = Table(
    "refunds",
    metadata,
    required("tenant_id", Text),
    required("captured_transaction_id", Uuid),
    required("refund_transaction_id", Uuid),
    required("account_id", Text),
    required("kind", Text),
    money("amount"),
    money("cost"),
    PrimaryKeyConstraint("tenant_id", "captured_transaction_id", "refund_transaction_id", name="pk_refunds"),
    ForeignKeyConstraint(
        ["tenant_id", "captured_transaction_id"],
        ["transactions.tenant_id", "transactions.transaction_id"],
        name="fk_refunds_captured",
    ),
    ForeignKeyConstraint(
        ["tenant_id", "refund_transaction_id"],
        ["transactions.tenant_id", "transactions.transaction_id"],
        name="fk_refunds_refund",
    ),
    CheckConstraint(values("kind", "REFUND", "LATE_COMMIT", "RERATE"), name="ck_refunds_kind"),
    CheckConstraint("amount >= 0 AND (amount > 0 OR cost > 0)", name="ck_refunds_amount"),
    CheckConstraint("cost >= 0", name="ck_refunds_cost"),
    # queries.sql get_transaction; verify.sql allocations
    Index("ix_refunds_refund", "tenant_id", "refund_transaction_id"),
)

cost_adjustments = Table(
    "cost_adjustments",
    metadata,
    required("tenant_id", Text),
    required("captured_transaction_id", Uuid),
    required("adjusting_transaction_id", Uuid),
    required("account_id", Text),
    # 0: it was stated as it was. When nothing was posted for that, the adjusting transaction is the captured one.
    money("cost"),
    # Whether a true-up has said what the captured transaction costs: then prices have no say in it any more.
    Column("stated", Boolean, nullable=False, server_default=text("false")),
    # ledger load.sql load_captures, load_captures_to_refund; verify.sql
    PrimaryKeyConstraint(
        "tenant_id", "captured_transaction_id", "adjusting_transaction_id", name="pk_cost_adjustments"
    ),
    ForeignKeyConstraint(
        ["tenant_id", "captured_transaction_id"],
        ["transactions.tenant_id", "transactions.transaction_id"],
        name="fk_cost_adjustments_captured",
    ),
    ForeignKeyConstraint(
        ["tenant_id", "adjusting_transaction_id"],
        ["transactions.tenant_id", "transactions.transaction_id"],
        name="fk_cost_adjustments_adjusting",
    ),
    # verify.sql corrections
    Index("ix_cost_adjustments_adjusting", "tenant_id", "adjusting_transaction_id"),
)

operations = Table(
    "operations",
    metadata,
    required("tenant_id", Text),
    required("kind", Text),
    required("idempotency_key", Text),
    required("fingerprint", LargeBinary),
    # NULL: granted, payload is the reply; else the denial's reason, payload its values.
    Column("denial_reason", Text),
    required("payload", Text),
    time("create_time"),
    # No key to tenants: an operation is kept only for an account, which has one. Checking it again for every operation
    # would lock one and the same row, and write that down, in every transaction.
    PrimaryKeyConstraint("tenant_id", "kind", "idempotency_key", name="pk_operations"),
)

usage_lines = Table(
    "usage_lines",
    metadata,
    required("tenant_id", Text),
    required("account_id", Text),
    required("call_id", Text),
    required("line_id", Text),
    # Of the transaction that posted it; NULL when there was nothing to post.
    Column("seq", BigInteger),
    Column("reservation_id", Uuid),
    required("meter", Text),
    required("provider", Text),
    required("model", Text),
    decimal("quantity"),
    required("destination", Text),
    required("operation", Text),
    required("labels", JSONB),
    money("price"),
    money("cost"),
    decimal("exact_price"),
    decimal("exact_cost"),
    # No foreign keys: versions are never deleted, and checking them would be a tenth of a commit.
    required("price_version_id", Uuid),
    Column("cost_version_id", Uuid),
    required("match", Text),
    # What it added to usage_counters, as [month, side, meter, provider, model, prefix, before, quantity] each.
    Column("counts", JSONB),
    time("start_time"),
    time("end_time", nullable=True),
    time("create_time"),
    # ledger load.sql load_usage_lines, load_usage_counts
    PrimaryKeyConstraint("tenant_id", "account_id", "call_id", "line_id", name="pk_usage_lines"),
    ForeignKeyConstraint(
        ["tenant_id", "account_id", "seq"],
        ["transactions.tenant_id", "transactions.account_id", "transactions.seq"],
        name="fk_usage_lines_transaction",
    ),
    CheckConstraint("quantity >= 0", name="ck_usage_lines_quantity"),
    CheckConstraint("price >= 0 AND cost >= 0 AND exact_price >= 0 AND exact_cost >= 0", name="ck_usage_lines_amounts"),
    CheckConstraint("seq IS NOT NULL OR (price = 0 AND cost = 0)", name="ck_usage_lines_posted"),
    # queries.sql usage_of_transaction; verify.sql usage
    Index(
        "ix_usage_lines_transaction",
        "tenant_id",
        "account_id",
        "seq",
        postgresql_where=text("seq IS NOT NULL"),
    ),
)

rerated_lines = Table(
    "rerated_lines",
    metadata,
    required("tenant_id", Text),
    required("account_id", Text),
    required("call_id", Text),
    required("line_id", Text),
    # 1, 2, 3, … for each line.
    required("number", BigInteger),
    # Of the transaction that posted the line, and of the one that posted the difference; NULL: nothing to post.
    required("captured_seq", BigInteger),
    Column("seq", BigInteger),
    money("price_before"),
    money("cost_before"),
    money("price"),
    money("cost"),
    decimal("exact_price"),
    decimal("exact_cost"),
    required("price_version_id", Uuid),
    Column("cost_version_id", Uuid),
    required("match", Text),
    time("create_time"),
    # Whether a true-up has said what the line costs.
    Column("stated", Boolean, nullable=False, server_default=text("false")),
    # ledger load.sql load_line_amounts
    PrimaryKeyConstraint("tenant_id", "account_id", "call_id", "line_id", "number", name="pk_rerated_lines"),
    ForeignKeyConstraint(
        ["tenant_id", "account_id", "call_id", "line_id"],
        ["usage_lines.tenant_id", "usage_lines.account_id", "usage_lines.call_id", "usage_lines.line_id"],
        name="fk_rerated_lines_line",
    ),
    ForeignKeyConstraint(
        ["tenant_id", "account_id", "seq"],
        ["transactions.tenant_id", "transactions.account_id", "transactions.seq"],
        name="fk_rerated_lines_transaction",
    ),
    CheckConstraint("number > 0", name="ck_rerated_lines_number"),
    CheckConstraint(
        "price >= 0 AND cost >= 0 AND exact_price >= 0 AND exact_cost >= 0", name="ck_rerated_lines_amounts"
    ),
    # ledger load.sql load_rerates; verify.sql
    Index("ix_rerated_lines_captured", "tenant_id", "account_id", "captured_seq"),
)

usage_counters = Table(
    "usage_counters",
    metadata,
    required("tenant_id", Text),
    required("account_id", Text),
    # Its first day.
    required("month", Date),
    required("side", Text),
    required("meter", Text),
    required("provider", Text),
    required("model", Text),
    required("destination_prefix", Text),
    decimal("quantity"),
    # ledger load.sql load_usage_counters
    PrimaryKeyConstraint(
        "tenant_id",
        "account_id",
        "month",
        "side",
        "meter",
        "provider",
        "model",
        "destination_prefix",
        name="pk_usage_counters",
    ),
    ForeignKeyConstraint(
        ["tenant_id", "account_id"], ["accounts.tenant_id", "accounts.account_id"], name="fk_usage_counters_account"
    ),
    CheckConstraint("extract(day FROM month) = 1", name="ck_usage_counters_month"),
    CheckConstraint(values("side", *_SIDES), name="ck_usage_counters_side"),
    CheckConstraint("quantity >= 0", name="ck_usage_counters_quantity"),
    postgresql_with={"fillfactor": 80},
)
