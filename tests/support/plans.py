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
    "pk_operations": ("tenant_id", "kind", "idempotency_key"),
    "pk_usage_lines": ("tenant_id", "account_id", "call_id"),
    "pk_usage_counters": ("tenant_id", "account_id", "month"),
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
}

_ONE_VALUE = {
    "text": "red",
    "uuid": "00000000-0000-7000-8000-000000000001",
    "numeric": "1",
    "smallint": "1",
    "int": "1",
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


def faults(node: dict[str, Any]) -> list[str]:
    """How the plan reads a table other than by a full key of one of its indexes."""
    found = []
    for step in _steps(node):
        kind = step["Node Type"]
        if kind == "Seq Scan":
            found.append(f"Seq Scan on {step['Relation Name']}")
        elif "Index Name" in step:
            index, condition = step["Index Name"], step.get("Index Cond", "")
            missing = [column for column in KEYS.get(index, ("any column",)) if not _searched(column, condition)]
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
