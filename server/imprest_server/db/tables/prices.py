"""Price books and all that says who is priced by which; plans and subscriptions."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from imprest_server.db.tables.columns import decimal, metadata, required, time, values

_SIDES = ("COST", "SALE")
_CHARGE_MODELS = ("PER_UNIT", "GRADUATED", "VOLUME", "PACKAGE", "FLAT", "PERCENTAGE")

price_books = Table(
    "price_books",
    metadata,
    required("tenant_id", Text),
    required("price_book_id", Text),
    required("side", Text),
    required("currency_code", Text),
    required("display_name", Text),
    # Set on the book of one account's overrides.
    Column("account_id", Text),
    required("epoch", BigInteger),
    time("create_time"),
    PrimaryKeyConstraint("tenant_id", "price_book_id", name="pk_price_books"),
    # pricing store.sql load_books; one per epoch
    UniqueConstraint("tenant_id", "epoch", name="uq_price_books_epoch"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="fk_price_books_tenant"),
    ForeignKeyConstraint(
        ["tenant_id", "account_id"], ["accounts.tenant_id", "accounts.account_id"], name="fk_price_books_account"
    ),
    CheckConstraint(values("side", *_SIDES), name="ck_price_books_side"),
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
    required("tenant_id", Text),
    required("version_id", Uuid),
    required("price_book_id", Text),
    required("number", Integer),
    required("epoch", BigInteger),
    time("effective_time"),
    time("create_time"),
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
    required("tenant_id", Text),
    # No foreign key: a version's prices are inserted before it, outside the tenant's lock.
    required("version_id", Uuid),
    required("meter", Text),
    required("provider", Text),
    required("model", Text),
    required("destination_prefix", Text),
    required("charge_model", Text),
    decimal("unit_price"),
    decimal("per_quantity"),
    required("tiers", JSONB),
    decimal("increment_first", nullable=True),
    decimal("increment_next", nullable=True),
    decimal("minimum_quantity"),
    decimal("connect_fee"),
    decimal("minimum_charge", nullable=True),
    decimal("maximum_charge", nullable=True),
    decimal("free_quantity"),
    decimal("margin_percent", nullable=True),
    decimal("markup", nullable=True),
    required("source", Text),
    # pricing store.sql load_prices
    PrimaryKeyConstraint(
        "tenant_id", "version_id", "meter", "provider", "model", "destination_prefix", name="pk_prices"
    ),
    CheckConstraint(values("charge_model", *_CHARGE_MODELS), name="ck_prices_charge_model"),
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
    required("tenant_id", Text),
    required("epoch", BigInteger),
    required("side", Text),
    required("currency_code", Text),
    # NULL: the default of the tenant's accounts in this currency.
    Column("account_id", Text),
    # NULL: the assignment before ends.
    Column("price_book_id", Text),
    time("effective_time"),
    time("create_time"),
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
    CheckConstraint(values("side", *_SIDES), name="ck_price_assignments_side"),
    CheckConstraint("epoch > 0", name="ck_price_assignments_epoch"),
)

exchange_rates = Table(
    "exchange_rates",
    metadata,
    required("tenant_id", Text),
    required("epoch", BigInteger),
    required("price_book_id", Text),
    required("currency_code", Text),
    decimal("rate"),
    time("effective_time"),
    time("create_time"),
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

plans = Table(
    "plans",
    metadata,
    required("tenant_id", Text),
    required("plan_id", Text),
    required("display_name", Text),
    required("currency_code", Text),
    required("price_book_id", Text),
    required("lines", JSONB),
    time("create_time"),
    PrimaryKeyConstraint("tenant_id", "plan_id", name="pk_plans"),
    ForeignKeyConstraint(
        ["tenant_id", "price_book_id"], ["price_books.tenant_id", "price_books.price_book_id"], name="fk_plans_book"
    ),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    required("tenant_id", Text),
    required("subscription_id", Text),
    required("account_id", Text),
    Column("plan_id", Text),
    Column("price_book_id", Text),
    required("lines", JSONB),
    time("start_time"),
    required("epoch", BigInteger),
    time("create_time"),
    # When the first month begins that is not known to be charged; NULL: there is none. The only column that changes.
    time("next_charge_time", nullable=True),
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
    required("tenant_id", Text),
    required("epoch", BigInteger),
    required("subscription_id", Text),
    time("end_time"),
    time("create_time"),
    PrimaryKeyConstraint("tenant_id", "epoch", name="pk_subscription_ends"),
    ForeignKeyConstraint(
        ["tenant_id", "subscription_id"],
        ["subscriptions.tenant_id", "subscriptions.subscription_id"],
        name="fk_subscription_ends_subscription",
    ),
    # pricing store.sql list_subscriptions, due_subscriptions
    Index("ix_subscription_ends_subscription", "tenant_id", "subscription_id", "epoch"),
)
