"""What Postgres would do with a named block of SQL: its plan, and whether rows are found by their full key."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
from psycopg.rows import tuple_row

# What an index must be searched by. The columns after these only order or extend what is found; an index that is not
# named here serves no lookup of a batch.
KEYS = {
    "pk_tenants": ("tenant_id",),
    "pk_accounts": ("tenant_id", "account_id"),
    "pk_books": ("tenant_id", "account_id"),
    "pk_reservations": ("tenant_id", "reservation_id"),
    "pk_transactions": ("tenant_id", "transaction_id"),
    "pk_postings": ("tenant_id", "account_id", "seq"),
    "pk_refunds": ("tenant_id", "captured_transaction_id"),
    "ix_refunds_refund": ("tenant_id", "refund_transaction_id"),
    "pk_cost_adjustments": ("tenant_id", "captured_transaction_id"),
    "ix_cost_adjustments_adjusting": ("tenant_id", "adjusting_transaction_id"),
    "pk_operations": ("tenant_id", "kind", "idempotency_key"),
    "pk_usage_lines": ("tenant_id", "account_id", "call_id"),
    "pk_rerated_lines": ("tenant_id", "account_id", "call_id", "line_id"),
    "ix_rerated_lines_captured": ("tenant_id", "account_id", "captured_seq"),
    "ix_usage_lines_transaction": ("tenant_id", "account_id", "seq"),
    "pk_usage_counters": ("tenant_id", "account_id", "month"),
    "pk_plans": ("tenant_id", "plan_id"),
    "pk_subscriptions": ("tenant_id", "subscription_id"),
    "pk_subscription_ends": ("tenant_id", "epoch"),
    "uq_subscriptions_epoch": ("tenant_id", "epoch"),
    "ix_subscription_ends_subscription": ("tenant_id", "subscription_id"),
    "ix_subscriptions_due": ("tenant_id", "next_charge_time"),
    "pk_price_books": ("tenant_id", "price_book_id"),
    "pk_price_versions": ("tenant_id", "version_id"),
    "pk_prices": ("tenant_id", "version_id"),
    "pk_price_assignments": ("tenant_id", "epoch"),
    "pk_exchange_rates": ("tenant_id", "epoch"),
    "uq_price_books_epoch": ("tenant_id", "epoch"),
    "uq_price_versions_epoch": ("tenant_id", "epoch"),
    "uq_price_versions_number": ("tenant_id", "price_book_id"),
    "uq_transactions_seq": ("tenant_id", "account_id", "seq"),
    "uq_transactions_external_reference": ("tenant_id", "kind", "external_reference"),
    "ix_transactions_reservation": ("tenant_id", "reservation_id"),
    "ix_reservations_due": ("tenant_id", "account_id", "expire_time"),
    "pk_budgets": ("tenant_id", "budget_id"),
    "uq_budgets_epoch": ("tenant_id", "epoch"),
    "pk_budget_counters": ("tenant_id", "budget_id"),
    "pk_alert_channels": ("tenant_id", "channel_id"),
    "pk_alert_heads": ("tenant_id",),
    "pk_alerts": ("tenant_id", "sequence"),
    "ix_alert_deliveries_alert": ("tenant_id", "sequence"),
    "pk_alert_deliveries": ("tenant_id", "channel_id", "sequence"),
    "ix_alert_deliveries_due": ("tenant_id", "channel_id", "next_time"),
}

_ONE_VALUE = {
    "text": "red",
    "uuid": "00000000-0000-7000-8000-000000000001",
    "numeric": "1",
    "smallint": "1",
    "int": "1",
    "integer": "1",
    "bigint": "1",
    "bool": "true",
    "bytea": "\\\\x00",
    "date": "2026-01-01",
    "timestamptz": "2026-01-01T00:00:00Z",
}
_PLACEHOLDER = re.compile(r"%(?:\((\w+)\))?s(?:::(\w+)\[\])?", re.IGNORECASE)


async def plan(
    connection: psycopg.AsyncConnection[Any],
    block: str,
    *,
    mode: str,
    keys: int = 1,
    values: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Explain a block as it is executed when prepared.

    Args:
        connection: as the server opens it, with `imprest.tenants` set.
        block: SQL with psycopg's placeholders; arrays carry their type, others stand in `values` or are numbers.
        mode: `force_generic_plan` or `force_custom_plan`.
        keys: how long the arrays are.
        values: SQL expressions by the names of placeholders.
    """
    numbers: dict[str, int] = {}
    arguments: list[str] = []

    def numbered(match: re.Match[str]) -> str:
        name, element = match[1] or str(len(numbers)), (match[2] or "").lower()
        if name not in numbers:
            numbers[name] = len(numbers) + 1
            array = f"'{{{','.join([_ONE_VALUE[element]] * keys)}}}'" if element else "1"
            arguments.append((values or {}).get(name, array))
        return f"${numbers[name]}" + (f"::{element}[]" if element else "")

    text = _PLACEHOLDER.sub(numbered, block)
    await connection.execute(f"SET plan_cache_mode = {mode}")  # type: ignore[arg-type]
    await connection.execute(f"PREPARE explained AS {text}")  # type: ignore[arg-type]
    given = f"({', '.join(arguments)})" if arguments else ""
    cursor = connection.cursor(row_factory=tuple_row)
    await cursor.execute(f"EXPLAIN (FORMAT JSON) EXECUTE explained{given}")  # type: ignore[arg-type]
    row = await cursor.fetchone()
    await connection.execute("DEALLOCATE explained")
    assert row is not None
    found: dict[str, Any] = row[0][0]["Plan"]
    return found


#: A book's transactions by time: enough to sum a period, not to find one of them.
PERIODS = {"ix_transactions_create_time": ("tenant_id", "account_id")}


def faults(node: dict[str, Any], also: Mapping[str, tuple[str, ...]] | None = None) -> list[str]:
    """How the plan reads a table other than by a full key of one of its indexes, or of those in `also`."""
    found, keys = [], {**KEYS, **(also or {})}
    for step in _steps(node):
        kind = step["Node Type"]
        if kind == "Seq Scan":
            found.append(f"Seq Scan on {step['Relation Name']}")
        elif "Index Name" in step:
            index, condition = step["Index Name"], step.get("Index Cond", "")
            missing = [column for column in keys.get(index, ("any column",)) if not _searched(column, condition)]
            if missing:
                found.append(f"{kind} on {index} without {', '.join(missing)}: {condition or 'no condition'}")
    return found


def _searched(column: str, condition: str) -> bool:
    """Whether the index is searched by the column; row-level security's `= ANY (list)` alone does not count."""
    return re.search(rf"\(\(?{column}\)?(::\w+)? (=|<=) (?!ANY)", condition) is not None


def _steps(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _steps(child)
