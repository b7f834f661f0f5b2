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
from sqlalchemy.dialects.postgresql import JSONB
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
    PrimaryKeyConstraint("tenant_id", name="pk_tenants"),
    CheckConstraint("price_epoch >= 0", name="ck_tenants_price_epoch"),
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
    CheckConstraint(_values("kind", "REFUND", "LATE_COMMIT"), name="ck_refunds_kind"),
    CheckConstraint("amount >= 0 AND (amount > 0 OR cost > 0)", name="ck_refunds_amount"),
    CheckConstraint("cost >= 0", name="ck_refunds_cost"),
    # queries.sql get_transaction; verify.sql allocations
    Index("ix_refunds_refund", "tenant_id", "refund_transaction_id"),
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
    # verify.sql usage
    Index(
        "ix_usage_lines_transaction",
        "tenant_id",
        "account_id",
        "seq",
        postgresql_where=text("seq IS NOT NULL"),
    ),
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
