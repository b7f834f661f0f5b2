"""The schema as SQLAlchemy metadata: what migrations/ must produce (a test holds the two equal).

Every table, key and foreign key starts with `tenant_id`. Amounts are NUMERIC(38,9) in the account's
currency. The engine's SQL is written by hand beside its store; this metadata serves migrations, the equality
test and readers. Each index names the statement it serves. Unit prices, quantities and rates are NUMERIC(38,18).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import TypeEngine

metadata = MetaData()


def _values(column: str, *allowed: str) -> str:
    return f"{column} IN ({', '.join(repr(value) for value in allowed)})"


def _required(name: str, kind: TypeEngine[Any] | type[TypeEngine[Any]]) -> Column[Any]:
    return Column(name, kind, nullable=False)


def _money(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, Numeric(38, 9), nullable=nullable)


def _decimal(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, Numeric(38, 18), nullable=nullable)


def _time(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


_STATES = ("ACTIVE", "FROZEN", "CLOSED")
_RESERVATION_STATES = ("ACTIVE", "COMMITTED", "VOIDED", "EXPIRED")
_DEBIT = ("cash", "receivable", "provider_cost", "fee_cost", "refunds", "promotion_cost", "adjustments", "overrun_loss")
_CREDIT = ("wallet", "revenue", "provider_payable", "fee_payable", "breakage", "clearing")
_SIDES = ("COST", "SALE")
_CHARGE_MODELS = ("PER_UNIT", "GRADUATED", "VOLUME", "PACKAGE", "FLAT", "PERCENTAGE")
_CODES = tuple(name.upper() for name in (*_DEBIT, *_CREDIT))
_ALERT_KINDS = (
    "BUDGET",
    "LOW_BALANCE",
    "OVERRUN",
    "RECEIVABLE",
    "LATE_COMMIT",
    "RESERVATION_EXPIRED",
    "ANOMALY",
)
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
    _required("tenant_id", Text),
    _time("create_time"),
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
    _required("tenant_id", Text),
    _required("account_id", Text),
    _required("customer_id", Text),
    _required("display_name", Text),
    _required("currency_code", Text),
    Column("parent_account_id", Text),
    _money("credit_limit"),
    _required("overrun_policy", Text),
    _money("max_overrun", nullable=True),
    Column("max_concurrent_calls", Integer),
    _money("low_balance_threshold", nullable=True),
    _required("time_zone", Text),
    _required("labels", JSONB),
    _required("state", Text),
    _time("create_time"),
    _time("update_time"),
    PrimaryKeyConstraint("tenant_id", "account_id", name="pk_accounts"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="fk_accounts_tenant"),
    ForeignKeyConstraint(
        ["tenant_id", "parent_account_id"], ["accounts.tenant_id", "accounts.account_id"], name="fk_accounts_parent"
    ),
    CheckConstraint(_values("state", *_STATES), name="ck_accounts_state"),
    CheckConstraint(_values("overrun_policy", "COLLECT", "CAP", "REJECT"), name="ck_accounts_overrun_policy"),
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
    _required("tenant_id", Text),
    _required("account_id", Text),
    *[_money(name) for name in (*_DEBIT, *_CREDIT)],
    _money("held"),
    _required("open_count", Integer),
    _required("seq", BigInteger),
    _required("chain_hash", LargeBinary),
    _time("last_time", nullable=True),
    # It was told that the balance is low, and when last.
    Column("low_balance", Boolean, nullable=False, server_default=text("false")),
    _time("low_balance_time", nullable=True),
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
    _required("tenant_id", Text),
    _required("reservation_id", Uuid),
    _required("account_id", Text),
    _required("call_id", Text),
    _required("state", Text),
    _money("amount"),
    _money("captured"),
    _money("absorbed"),
    _money("used_so_far"),
    _required("on_expiry", Text),
    _required("labels", JSONB),
    _time("create_time"),
    _time("expire_time"),
    _time("end_time", nullable=True),
    Column("ended_by", Text),
    _required("late", Boolean),
    # What the expiry charged, until a late commit decides anew (model.ProvisionalCapture).
    _money("provisional_hold", nullable=True),
    _money("provisional_charged", nullable=True),
    _money("provisional_absorbed", nullable=True),
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
    _money("provisional_cost", nullable=True),
    # What a hold was priced at, by meter, as [meter, price, cost] each; NULL: it was reserved by amount.
    Column("estimate", JSONB),
    PrimaryKeyConstraint("tenant_id", "reservation_id", name="pk_reservations"),
    ForeignKeyConstraint(
        ["tenant_id", "account_id"], ["accounts.tenant_id", "accounts.account_id"], name="fk_reservations_account"
    ),
    CheckConstraint(_values("state", *_RESERVATION_STATES), name="ck_reservations_state"),
    CheckConstraint(_values("on_expiry", "CAPTURE_USED", "RELEASE"), name="ck_reservations_on_expiry"),
    CheckConstraint(_values("ended_by", "COMMIT", "VOID", "EXPIRE"), name="ck_reservations_ended_by"),
    CheckConstraint("(state = 'ACTIVE') = (ended_by IS NULL)", name="ck_reservations_ended"),
    CheckConstraint(
        "amount >= 0 AND captured >= 0 AND absorbed >= 0 AND used_so_far >= 0", name="ck_reservations_amounts"
    ),
    CheckConstraint("used_cost >= 0 AND captured_cost >= 0", name="ck_reservations_costs"),
    # store.sql load_due_holds: the due holds of one account, in the order they expire
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
    _required("tenant_id", Text),
    _required("transaction_id", Uuid),
    _required("account_id", Text),
    _required("seq", BigInteger),
    _required("kind", Text),
    _money("wallet_after"),
    _money("receivable_after"),
    Column("reservation_id", Uuid),
    _required("call_id", Text),
    _required("reason", Text),
    Column("external_reference", Text),
    _required("labels", JSONB),
    _time("effective_time"),
    _time("create_time"),
    _required("chain_hash", LargeBinary),
    PrimaryKeyConstraint("tenant_id", "transaction_id", name="pk_transactions"),
    UniqueConstraint("tenant_id", "account_id", "seq", name="uq_transactions_seq"),
    ForeignKeyConstraint(
        ["tenant_id", "account_id"], ["accounts.tenant_id", "accounts.account_id"], name="fk_transactions_account"
    ),
    CheckConstraint(_values("kind", *_KINDS), name="ck_transactions_kind"),
    CheckConstraint("seq > 0", name="ck_transactions_seq"),
    CheckConstraint("length(chain_hash) = 32", name="ck_transactions_chain_hash"),
    # store.sql load_external_references; one credit per reference
    Index(
        "uq_transactions_external_reference",
        "tenant_id",
        "kind",
        "external_reference",
        unique=True,
        postgresql_where=text("external_reference IS NOT NULL"),
    ),
    # store.sql load_captures_to_refund; queries.sql list_transactions, filtered by reservation
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
    _required("tenant_id", Text),
    _required("account_id", Text),
    _required("seq", BigInteger),
    _required("line", SmallInteger),
    _required("debit", Text),
    _required("credit", Text),
    _money("amount"),
    PrimaryKeyConstraint("tenant_id", "account_id", "seq", "line", name="pk_postings"),
    ForeignKeyConstraint(
        ["tenant_id", "account_id", "seq"],
        ["transactions.tenant_id", "transactions.account_id", "transactions.seq"],
        name="fk_postings_transaction",
    ),
    CheckConstraint(_values("debit", *_CODES), name="ck_postings_debit"),
    CheckConstraint(_values("credit", *_CODES), name="ck_postings_credit"),
    CheckConstraint("debit <> credit", name="ck_postings_codes"),
    CheckConstraint("amount > 0", name="ck_postings_amount"),
)

refunds = Table(
    "refunds",
    metadata,
    _required("tenant_id", Text),
    _required("captured_transaction_id", Uuid),
    _required("refund_transaction_id", Uuid),
    _required("account_id", Text),
    _required("kind", Text),
    _money("amount"),
    _money("cost"),
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
    CheckConstraint(_values("kind", "REFUND", "LATE_COMMIT", "RERATE"), name="ck_refunds_kind"),
    CheckConstraint("amount >= 0 AND (amount > 0 OR cost > 0)", name="ck_refunds_amount"),
    CheckConstraint("cost >= 0", name="ck_refunds_cost"),
    # queries.sql get_transaction; verify.sql allocations
    Index("ix_refunds_refund", "tenant_id", "refund_transaction_id"),
)

cost_adjustments = Table(
    "cost_adjustments",
    metadata,
    _required("tenant_id", Text),
    _required("captured_transaction_id", Uuid),
    _required("adjusting_transaction_id", Uuid),
    _required("account_id", Text),
    _money("cost"),
    # store.sql load_captures, load_captures_to_refund; verify.sql
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
    CheckConstraint("cost <> 0", name="ck_cost_adjustments_cost"),
    # verify.sql corrections
    Index("ix_cost_adjustments_adjusting", "tenant_id", "adjusting_transaction_id"),
)

operations = Table(
    "operations",
    metadata,
    _required("tenant_id", Text),
    _required("kind", Text),
    _required("idempotency_key", Text),
    _required("fingerprint", LargeBinary),
    # NULL: granted, payload is the reply; else the denial's reason, payload its values.
    Column("denial_reason", Text),
    _required("payload", Text),
    _time("create_time"),
    # No key to tenants: an operation is kept only for an account, which has one. Checking it again for every operation
    # would lock one and the same row, and write that down, in every transaction.
    PrimaryKeyConstraint("tenant_id", "kind", "idempotency_key", name="pk_operations"),
)

price_books = Table(
    "price_books",
    metadata,
    _required("tenant_id", Text),
    _required("price_book_id", Text),
    _required("side", Text),
    _required("currency_code", Text),
    _required("display_name", Text),
    # Set on the book of one account's overrides.
    Column("account_id", Text),
    _required("epoch", BigInteger),
    _time("create_time"),
    PrimaryKeyConstraint("tenant_id", "price_book_id", name="pk_price_books"),
    # pricing store.sql load_books; one per epoch
    UniqueConstraint("tenant_id", "epoch", name="uq_price_books_epoch"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="fk_price_books_tenant"),
    ForeignKeyConstraint(
        ["tenant_id", "account_id"], ["accounts.tenant_id", "accounts.account_id"], name="fk_price_books_account"
    ),
    CheckConstraint(_values("side", *_SIDES), name="ck_price_books_side"),
    CheckConstraint("epoch > 0", name="ck_price_books_epoch"),
    # one book of overrides per account, side and currency
    Index(
        "uq_price_books_override",
        "tenant_id",
        "account_id",
        "side",
        "currency_code",
        unique=True,
        postgresql_where=text("account_id IS NOT NULL"),
    ),
)

price_versions = Table(
    "price_versions",
    metadata,
    _required("tenant_id", Text),
    _required("version_id", Uuid),
    _required("price_book_id", Text),
    _required("number", Integer),
    _required("epoch", BigInteger),
    _time("effective_time"),
    _time("create_time"),
    PrimaryKeyConstraint("tenant_id", "version_id", name="pk_price_versions"),
    # one version per number and book
    UniqueConstraint("tenant_id", "price_book_id", "number", name="uq_price_versions_number"),
    # pricing store.sql load_versions; one per epoch
    UniqueConstraint("tenant_id", "epoch", name="uq_price_versions_epoch"),
    ForeignKeyConstraint(
        ["tenant_id", "price_book_id"],
        ["price_books.tenant_id", "price_books.price_book_id"],
        name="fk_price_versions_book",
    ),
    CheckConstraint("number > 0", name="ck_price_versions_number"),
    CheckConstraint("epoch > 0", name="ck_price_versions_epoch"),
)

prices = Table(
    "prices",
    metadata,
    _required("tenant_id", Text),
    # No foreign key: a version's prices are inserted before it, outside the tenant's lock.
    _required("version_id", Uuid),
    _required("meter", Text),
    _required("provider", Text),
    _required("model", Text),
    _required("destination_prefix", Text),
    _required("charge_model", Text),
    _decimal("unit_price"),
    _decimal("per_quantity"),
    _required("tiers", JSONB),
    _decimal("increment_first", nullable=True),
    _decimal("increment_next", nullable=True),
    _decimal("minimum_quantity"),
    _decimal("connect_fee"),
    _decimal("minimum_charge", nullable=True),
    _decimal("maximum_charge", nullable=True),
    _decimal("free_quantity"),
    _decimal("margin_percent", nullable=True),
    _decimal("markup", nullable=True),
    _required("source", Text),
    # pricing store.sql load_prices
    PrimaryKeyConstraint(
        "tenant_id", "version_id", "meter", "provider", "model", "destination_prefix", name="pk_prices"
    ),
    CheckConstraint(_values("charge_model", *_CHARGE_MODELS), name="ck_prices_charge_model"),
    CheckConstraint(
        "unit_price >= 0 AND connect_fee >= 0 AND minimum_charge >= 0 AND maximum_charge >= 0 AND markup >= 0",
        name="ck_prices_amounts",
    ),
    CheckConstraint(
        "per_quantity > 0 AND increment_first > 0 AND increment_next > 0 AND minimum_quantity >= 0"
        " AND free_quantity >= 0",
        name="ck_prices_quantities",
    ),
    CheckConstraint("margin_percent IS NULL OR markup IS NULL", name="ck_prices_derived"),
)

price_assignments = Table(
    "price_assignments",
    metadata,
    _required("tenant_id", Text),
    _required("epoch", BigInteger),
    _required("side", Text),
    _required("currency_code", Text),
    # NULL: the default of the tenant's accounts in this currency.
    Column("account_id", Text),
    # NULL: the assignment before ends.
    Column("price_book_id", Text),
    _time("effective_time"),
    _time("create_time"),
    # pricing store.sql load_assignments
    PrimaryKeyConstraint("tenant_id", "epoch", name="pk_price_assignments"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="fk_price_assignments_tenant"),
    ForeignKeyConstraint(
        ["tenant_id", "account_id"], ["accounts.tenant_id", "accounts.account_id"], name="fk_price_assignments_account"
    ),
    ForeignKeyConstraint(
        ["tenant_id", "price_book_id"],
        ["price_books.tenant_id", "price_books.price_book_id"],
        name="fk_price_assignments_book",
    ),
    CheckConstraint(_values("side", *_SIDES), name="ck_price_assignments_side"),
    CheckConstraint("epoch > 0", name="ck_price_assignments_epoch"),
)

exchange_rates = Table(
    "exchange_rates",
    metadata,
    _required("tenant_id", Text),
    _required("epoch", BigInteger),
    _required("price_book_id", Text),
    _required("currency_code", Text),
    _decimal("rate"),
    _time("effective_time"),
    _time("create_time"),
    # pricing store.sql load_exchange_rates
    PrimaryKeyConstraint("tenant_id", "epoch", name="pk_exchange_rates"),
    ForeignKeyConstraint(
        ["tenant_id", "price_book_id"],
        ["price_books.tenant_id", "price_books.price_book_id"],
        name="fk_exchange_rates_book",
    ),
    CheckConstraint("rate > 0", name="ck_exchange_rates_rate"),
    CheckConstraint("epoch > 0", name="ck_exchange_rates_epoch"),
)

usage_lines = Table(
    "usage_lines",
    metadata,
    _required("tenant_id", Text),
    _required("account_id", Text),
    _required("call_id", Text),
    _required("line_id", Text),
    # Of the transaction that posted it; NULL when there was nothing to post.
    Column("seq", BigInteger),
    Column("reservation_id", Uuid),
    _required("meter", Text),
    _required("provider", Text),
    _required("model", Text),
    _decimal("quantity"),
    _required("destination", Text),
    _required("operation", Text),
    _required("labels", JSONB),
    _money("price"),
    _money("cost"),
    _decimal("exact_price"),
    _decimal("exact_cost"),
    # No foreign keys: versions are never deleted, and checking them would be a tenth of a commit.
    _required("price_version_id", Uuid),
    Column("cost_version_id", Uuid),
    _required("match", Text),
    # What it added to usage_counters, as [month, side, meter, provider, model, prefix, before, quantity] each.
    Column("counts", JSONB),
    _time("start_time"),
    _time("end_time", nullable=True),
    _time("create_time"),
    # ledger store.sql load_usage_lines, load_usage_counts
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
    _required("tenant_id", Text),
    _required("account_id", Text),
    _required("call_id", Text),
    _required("line_id", Text),
    # 1, 2, 3, … for each line.
    _required("number", BigInteger),
    # Of the transaction that posted the line, and of the one that posted the difference; NULL: nothing to post.
    _required("captured_seq", BigInteger),
    Column("seq", BigInteger),
    _money("price_before"),
    _money("cost_before"),
    _money("price"),
    _money("cost"),
    _decimal("exact_price"),
    _decimal("exact_cost"),
    _required("price_version_id", Uuid),
    Column("cost_version_id", Uuid),
    _required("match", Text),
    _time("create_time"),
    # ledger store.sql load_line_amounts
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
    # ledger store.sql load_rerates; verify.sql
    Index("ix_rerated_lines_captured", "tenant_id", "account_id", "captured_seq"),
)

usage_counters = Table(
    "usage_counters",
    metadata,
    _required("tenant_id", Text),
    _required("account_id", Text),
    # Its first day.
    _required("month", Date),
    _required("side", Text),
    _required("meter", Text),
    _required("provider", Text),
    _required("model", Text),
    _required("destination_prefix", Text),
    _decimal("quantity"),
    # ledger store.sql load_usage_counters
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
    CheckConstraint(_values("side", *_SIDES), name="ck_usage_counters_side"),
    CheckConstraint("quantity >= 0", name="ck_usage_counters_quantity"),
    postgresql_with={"fillfactor": 80},
)

budgets = Table(
    "budgets",
    metadata,
    _required("tenant_id", Text),
    _required("budget_id", Text),
    _required("revision", Integer),
    _required("deleted", Boolean),
    _required("display_name", Text),
    # The scope: an account, a label, or with neither the whole tenant.
    Column("account_id", Text),
    Column("label_key", Text),
    Column("label_value", Text),
    _required("meter_prefix", Text),
    _required("currency_code", Text),
    _required("basis", Text),
    _required("period", Text),
    _required("time_zone", Text),
    _money("limit_amount"),
    # [percent, level, action, action_label] each, ascending.
    _required("thresholds", JSONB),
    _required("epoch", BigInteger),
    _time("create_time"),
    # budgets store.sql find_budget; queries.sql list_budgets
    PrimaryKeyConstraint("tenant_id", "budget_id", "revision", name="pk_budgets"),
    # budgets store.sql load_budgets; one per epoch
    UniqueConstraint("tenant_id", "epoch", name="uq_budgets_epoch"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="fk_budgets_tenant"),
    ForeignKeyConstraint(
        ["tenant_id", "account_id"], ["accounts.tenant_id", "accounts.account_id"], name="fk_budgets_account"
    ),
    CheckConstraint("revision > 0", name="ck_budgets_revision"),
    CheckConstraint(
        "(label_key IS NULL) = (label_value IS NULL) AND (account_id IS NULL OR label_key IS NULL)",
        name="ck_budgets_scope",
    ),
    CheckConstraint(_values("basis", "CHARGED", "COST"), name="ck_budgets_basis"),
    CheckConstraint(_values("period", "DAY", "WEEK", "MONTH", "TOTAL"), name="ck_budgets_period"),
    CheckConstraint("limit_amount > 0", name="ck_budgets_limit_amount"),
    CheckConstraint("epoch > 0", name="ck_budgets_epoch"),
)

# No check keeps spent and held from being negative: a slip in counting must not stop a commit.
budget_counters = Table(
    "budget_counters",
    metadata,
    _required("tenant_id", Text),
    _required("budget_id", Text),
    # The one it counts for.
    _required("revision", Integer),
    # NULL: a TOTAL budget's, without bounds.
    _time("period_start", nullable=True),
    _time("period_end", nullable=True),
    _money("spent"),
    _money("held"),
    # The highest percent whose alert has fired in this period; 0: none.
    Column("fired_percent", Numeric(6, 2), nullable=False),
    _required("stopped", Boolean),
    # budgets store.sql lock_counters, update_counters
    PrimaryKeyConstraint("tenant_id", "budget_id", name="pk_budget_counters"),
    ForeignKeyConstraint(
        ["tenant_id", "budget_id", "revision"],
        ["budgets.tenant_id", "budgets.budget_id", "budgets.revision"],
        name="fk_budget_counters_budget",
    ),
    CheckConstraint(
        "(period_start IS NULL) = (period_end IS NULL) AND period_start < period_end",
        name="ck_budget_counters_period",
    ),
    CheckConstraint("fired_percent >= 0", name="ck_budget_counters_fired_percent"),
    postgresql_with={"fillfactor": 50},
)

alert_heads = Table(
    "alert_heads",
    metadata,
    _required("tenant_id", Text),
    _required("last_sequence", BigInteger),
    # All alerts up to this one have been deleted; 0: none.
    _required("pruned_sequence", BigInteger),
    # budgets store.sql insert_alerts; the last lock of all
    PrimaryKeyConstraint("tenant_id", name="pk_alert_heads"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="fk_alert_heads_tenant"),
    CheckConstraint("pruned_sequence >= 0 AND last_sequence >= pruned_sequence", name="ck_alert_heads_sequences"),
    postgresql_with={"fillfactor": 50},
)

# No foreign keys: what alerts name is never deleted, and they are written where money is.
alerts = Table(
    "alerts",
    metadata,
    _required("tenant_id", Text),
    # Counts from 1 without gaps, in the order of commits.
    _required("sequence", BigInteger),
    _required("alert_id", Uuid),
    _required("kind", Text),
    _required("level", SmallInteger),
    _time("create_time"),
    _required("currency_code", Text),
    Column("account_id", Text),
    Column("reservation_id", Uuid),
    _required("call_ids", ARRAY(Text)),
    Column("budget_id", Text),
    Column("revision", Integer),
    Column("percent", Numeric(6, 2)),
    Column("action", Text),
    Column("action_label", Text),
    _time("period_start", nullable=True),
    _time("period_end", nullable=True),
    _money("spent", nullable=True),
    _money("held", nullable=True),
    _money("limit_amount", nullable=True),
    _money("available", nullable=True),
    _money("amount", nullable=True),
    # budgets queries.sql read_alerts, list_alerts
    PrimaryKeyConstraint("tenant_id", "sequence", name="pk_alerts"),
    # budgets store.sql find_alert
    UniqueConstraint("tenant_id", "alert_id", name="uq_alerts_alert_id"),
    CheckConstraint("sequence > 0", name="ck_alerts_sequence"),
    CheckConstraint(_values("kind", *_ALERT_KINDS), name="ck_alerts_kind"),
    CheckConstraint("level >= 1 AND level <= 4", name="ck_alerts_level"),
    CheckConstraint(_values("action", "NOTIFY", "BLOCK", "STOP_CALLS"), name="ck_alerts_action"),
    CheckConstraint(
        "kind <> 'BUDGET' OR (budget_id IS NOT NULL AND revision IS NOT NULL AND percent IS NOT NULL)",
        name="ck_alerts_budget",
    ),
    # one alert per threshold, revision and period
    Index(
        "uq_alerts_threshold",
        "tenant_id",
        "budget_id",
        "revision",
        "period_start",
        "percent",
        unique=True,
        postgresql_where=text("kind = 'BUDGET'"),
        postgresql_nulls_not_distinct=True,
    ),
)

alert_acknowledgements = Table(
    "alert_acknowledgements",
    metadata,
    _required("tenant_id", Text),
    _required("sequence", BigInteger),
    _required("acknowledged_by", Text),
    _time("create_time"),
    # budgets queries.sql read_alerts, list_alerts
    PrimaryKeyConstraint("tenant_id", "sequence", name="pk_alert_acknowledgements"),
    ForeignKeyConstraint(
        ["tenant_id", "sequence"], ["alerts.tenant_id", "alerts.sequence"], name="fk_alert_acknowledgements_alert"
    ),
)

alert_channels = Table(
    "alert_channels",
    metadata,
    _required("tenant_id", Text),
    _required("channel_id", Text),
    _required("kind", Text),
    _required("display_name", Text),
    # A webhook's. That of a SLACK channel is its secret.
    _required("url", Text),
    _required("recipients", ARRAY(Text)),
    # The filter.
    _required("min_level", SmallInteger),
    _required("kinds", ARRAY(Text)),
    Column("account_id", Text),
    _required("disabled", Boolean),
    # Sealed with the operator's key.
    Column("secret", LargeBinary),
    Column("previous_secret", LargeBinary),
    _time("previous_until", nullable=True),
    # Up to here alerts have been looked at.
    _required("cursor_sequence", BigInteger),
    _time("create_time"),
    _time("update_time"),
    # budgets/channels store.sql find_channel, list_channels
    PrimaryKeyConstraint("tenant_id", "channel_id", name="pk_alert_channels"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="fk_alert_channels_tenant"),
    ForeignKeyConstraint(
        ["tenant_id", "account_id"], ["accounts.tenant_id", "accounts.account_id"], name="fk_alert_channels_account"
    ),
    CheckConstraint(_values("kind", "WEBHOOK", "SLACK", "EMAIL"), name="ck_alert_channels_kind"),
    CheckConstraint("(kind = 'WEBHOOK') = (url <> '')", name="ck_alert_channels_url"),
    CheckConstraint("(kind = 'EMAIL') = (cardinality(recipients) > 0)", name="ck_alert_channels_recipients"),
    CheckConstraint("(kind = 'EMAIL') = (secret IS NULL)", name="ck_alert_channels_secret"),
    CheckConstraint(
        "(previous_secret IS NULL) = (previous_until IS NULL) AND (kind = 'WEBHOOK' OR previous_secret IS NULL)",
        name="ck_alert_channels_previous_secret",
    ),
    CheckConstraint("min_level >= 1 AND min_level <= 4", name="ck_alert_channels_min_level"),
    CheckConstraint("cursor_sequence >= 0", name="ck_alert_channels_cursor_sequence"),
)

alert_deliveries = Table(
    "alert_deliveries",
    metadata,
    _required("tenant_id", Text),
    _required("channel_id", Text),
    _required("sequence", BigInteger),
    _required("state", Text),
    # Tries begun, and with which one it is given up.
    _required("attempts", Integer),
    _required("last_attempt", Integer),
    _time("create_time"),
    # When a PENDING one is due; while it is tried, when the lease of whoever does ends.
    _time("next_time"),
    _time("attempt_time", nullable=True),
    _required("detail", Text),
    # one delivery per alert and channel; budgets/channels store.sql list_deliveries of one channel
    PrimaryKeyConstraint("tenant_id", "channel_id", "sequence", name="pk_alert_deliveries"),
    ForeignKeyConstraint(
        ["tenant_id", "channel_id"],
        ["alert_channels.tenant_id", "alert_channels.channel_id"],
        name="fk_alert_deliveries_channel",
        ondelete="CASCADE",
    ),
    ForeignKeyConstraint(
        ["tenant_id", "sequence"],
        ["alerts.tenant_id", "alerts.sequence"],
        name="fk_alert_deliveries_alert",
        ondelete="CASCADE",
    ),
    CheckConstraint(_values("state", "PENDING", "DELIVERED", "DEAD"), name="ck_alert_deliveries_state"),
    CheckConstraint("attempts >= 0 AND last_attempt > 0", name="ck_alert_deliveries_attempts"),
    # list_deliveries of all channels; the deletion of pruned alerts
    Index("ix_alert_deliveries_alert", "tenant_id", "sequence", "channel_id"),
    # claim
    Index(
        "ix_alert_deliveries_due",
        "tenant_id",
        "channel_id",
        "next_time",
        postgresql_where=text("state = 'PENDING'"),
    ),
    postgresql_with={"fillfactor": 70},
)

plans = Table(
    "plans",
    metadata,
    _required("tenant_id", Text),
    _required("plan_id", Text),
    _required("display_name", Text),
    _required("currency_code", Text),
    _required("price_book_id", Text),
    _required("lines", JSONB),
    _time("create_time"),
    PrimaryKeyConstraint("tenant_id", "plan_id", name="pk_plans"),
    ForeignKeyConstraint(
        ["tenant_id", "price_book_id"], ["price_books.tenant_id", "price_books.price_book_id"], name="fk_plans_book"
    ),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    _required("tenant_id", Text),
    _required("subscription_id", Text),
    _required("account_id", Text),
    Column("plan_id", Text),
    Column("price_book_id", Text),
    _required("lines", JSONB),
    _time("start_time"),
    _required("epoch", BigInteger),
    _time("create_time"),
    # When the first month begins that is not known to be charged; NULL: there is none. The only column that changes.
    _time("next_charge_time", nullable=True),
    PrimaryKeyConstraint("tenant_id", "subscription_id", name="pk_subscriptions"),
    UniqueConstraint("tenant_id", "epoch", name="uq_subscriptions_epoch"),
    ForeignKeyConstraint(
        ["tenant_id", "account_id"], ["accounts.tenant_id", "accounts.account_id"], name="fk_subscriptions_account"
    ),
    ForeignKeyConstraint(["tenant_id", "plan_id"], ["plans.tenant_id", "plans.plan_id"], name="fk_subscriptions_plan"),
    CheckConstraint("epoch > 0", name="ck_subscriptions_epoch"),
    # pricing store.sql due_subscriptions
    Index("ix_subscriptions_due", "tenant_id", "next_charge_time"),
)

subscription_ends = Table(
    "subscription_ends",
    metadata,
    _required("tenant_id", Text),
    _required("epoch", BigInteger),
    _required("subscription_id", Text),
    _time("end_time"),
    _time("create_time"),
    PrimaryKeyConstraint("tenant_id", "epoch", name="pk_subscription_ends"),
    ForeignKeyConstraint(
        ["tenant_id", "subscription_id"],
        ["subscriptions.tenant_id", "subscriptions.subscription_id"],
        name="fk_subscription_ends_subscription",
    ),
    # pricing store.sql list_subscriptions, due_subscriptions
    Index("ix_subscription_ends_subscription", "tenant_id", "subscription_id", "epoch"),
)
