"""What posting keeps beside the books, recomputed: what budgets have spent and hold, and the sequence of alerts."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from imprest_server.budgets import store
from imprest_server.core.ids import TenantId
from imprest_server.core.money import format_nanos
from imprest_server.ledger.audit import Difference


async def differences(conn: AsyncConnection[TupleRow], tenant_id: TenantId | None) -> AsyncGenerator[Difference, None]:
    """What is not as it must be, of one tenant or of all; one short snapshot per budget and per stream.

    `conn` reads in snapshots of REPEATABLE READ, and what row-level security would hide.
    """
    for key in await store.counted_budgets(conn, tenant_id):
        async with conn.transaction():
            found = await store.find_counted(conn, key)
            if found is None:  # deleted meanwhile
                continue
            budget, counter = found
            period = counter.period
            spent = await store.sum_spent(conn, budget, period, period.start, period.end)
            held = await store.sum_held(conn, budget)
        for what, expected, stored in (("spent", spent, counter.spent), ("held", held, counter.held)):
            if expected != stored:
                name = f"{what} of budget {budget.budget_id}"
                yield Difference(budget.tenant_id, None, None, name, format_nanos(expected), format_nanos(stored))
    for tenant, last, pruned, first, newest, count in await store.alert_streams(conn, tenant_id):
        if (first, newest, count) != (pruned + 1, last, last - pruned) and (count or last != pruned):
            found_text = f"{count} from {first} to {newest}" if count else "none"
            yield Difference(tenant, None, None, "alerts", f"all from {pruned + 1} to {last}", found_text)
