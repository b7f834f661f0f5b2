"""The schema as SQLAlchemy metadata: what migrations/ must produce (a test holds the two equal).

Every table, key and foreign key starts with `tenant_id`. Amounts are NUMERIC(38,9) in the account's
currency. The engine's SQL is written by hand beside its store; this metadata serves migrations, the equality
test and readers. Each index names the statement it serves. Unit prices, quantities and rates are NUMERIC(38,18).
"""

from imprest_server.db.tables.budgets import (
    alert_acknowledgements,
    alert_channels,
    alert_deliveries,
    alert_heads,
    alerts,
    budget_counters,
    budgets,
)
from imprest_server.db.tables.columns import metadata
from imprest_server.db.tables.ledger import (
    accounts,
    books,
    cost_adjustments,
    operations,
    postings,
    refunds,
    rerated_lines,
    reservations,
    tenants,
    transactions,
    usage_counters,
    usage_lines,
)
from imprest_server.db.tables.prices import (
    exchange_rates,
    plans,
    price_assignments,
    price_books,
    price_versions,
    prices,
    subscription_ends,
    subscriptions,
)

__all__ = [
    "accounts",
    "alert_acknowledgements",
    "alert_channels",
    "alert_deliveries",
    "alert_heads",
    "alerts",
    "books",
    "budget_counters",
    "budgets",
    "cost_adjustments",
    "exchange_rates",
    "metadata",
    "operations",
    "plans",
    "postings",
    "price_assignments",
    "price_books",
    "price_versions",
    "prices",
    "refunds",
    "rerated_lines",
    "reservations",
    "subscription_ends",
    "subscriptions",
    "tenants",
    "transactions",
    "usage_counters",
    "usage_lines",
]
