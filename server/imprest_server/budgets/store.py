"""Loads and writes budgets, counters and alerts. SQL in sql/store.sql.

Everything runs in a transaction that works for the tenant (`imprest.tenants` is set): a posting batch's own, or one of
`transaction`. What a batch uses fetches only where it says so, and so may run in its pipeline.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

import psycopg
from psycopg import AsyncConnection
from psycopg import errors as pg
from psycopg.rows import TupleRow, tuple_row

from imprest_server.budgets.model import (
    AlertId,
    Budget,
    BudgetBasis,
    BudgetKey,
    Counter,
    NewAlert,
)
from imprest_server.budgets.rows import Row, alert_row, budget_of, counter_of, counter_row, thresholds_text
from imprest_server.core.errors import Conflict, NotFound, Unavailable
from imprest_server.core.ids import AccountId, TenantId
from imprest_server.core.money import format_nanos, nanos_of
from imprest_server.core.periods import Period
from imprest_server.db.arrays import array, text
from imprest_server.db.pool import ReadPool, tenant_transaction
from imprest_server.db.sqlfile import load_sql

Connection = AsyncConnection[Any]

SQL = load_sql("imprest_server.budgets", "sql/store.sql")

_HAS_TRANSACTION_TIMEOUT = 170_000


@dataclass(frozen=True, slots=True)
class StoredOperation:
    """What is kept of a decided request: granted when `denial_reason` is None. `payload` is JSON."""

    fingerprint: bytes
    denial_reason: str | None
    payload: str


@asynccontextmanager
async def transaction(pool: ReadPool, tenant_id: TenantId) -> AsyncIterator[Connection]:
    """A transaction on a pooled connection that sees this tenant only; the driver's errors become ours.

    Raises Conflict when a lock was not to be had, Unavailable without a database.
    """
    try:
        async with tenant_transaction(pool, [tenant_id]) as connection:
            yield connection
    except (pg.LockNotAvailable, pg.DeadlockDetected, pg.SerializationFailure) as error:
        raise Conflict from error
    except pg.QueryCanceled as error:
        raise Unavailable(problem="The database took too long to answer.") from error
    except psycopg.OperationalError as error:
        raise Unavailable(problem="The database cannot be reached.") from error


# ── in the posting batch ─────────────────────────────────────────────────────────────────────────────


async def load_budgets(conn: Connection, tenant_id: TenantId, after: int, epoch: int) -> list[tuple[Budget, bool]]:
    """The definitions with after < epoch ≤ `epoch`, in order; True with those that delete their budget."""
    rows = await _rows(conn, "load_budgets", {"tenant": tenant_id, "after": after, "epoch": epoch})
    return [budget_of(row) for row in rows]


async def lock_counters(conn: Connection, keys: Iterable[BudgetKey]) -> dict[BudgetKey, Counter]:
    """Lock the counters of these budgets, in their order, and return them as they are now. Fetches.

    Comes after the books' locks. A batch that holds its tenants' rows finds each counter at its newest revision.
    """
    wanted = sorted(set(keys))
    parameters = {"tenants": array(text(key[0]) for key in wanted), "budgets": array(text(key[1]) for key in wanted)}
    return dict(map(counter_of, await _rows(conn, "lock_counters", parameters)))


async def read_counter(conn: Connection, key: BudgetKey) -> Counter:
    """A counter as it was written last, without a lock."""
    ((_, counter),) = map(counter_of, await _rows(conn, "read_counter", {"tenant": key[0], "budget": key[1]}))
    return counter


async def update_counters(conn: Connection, changed: Mapping[BudgetKey, Counter]) -> None:
    """Write counters that are locked. One that is not there, at its revision, aborts the transaction."""
    if changed:
        rows = [counter_row(key, counter) for key, counter in sorted(changed.items())]
        await _run(conn, _ALL_COUNTERS, [*_columns(rows), len(rows)])


async def insert_alerts(conn: Connection, alerts: Sequence[NewAlert]) -> None:
    """Append alerts to their tenants' streams, in this order, and lock the streams' heads until the transaction ends.

    The last of all locks, after everything else is written: an alert that stops calls names those that are running.
    """
    if alerts:
        await _run(conn, SQL["insert_alerts"], _columns([alert_row(new) for new in alerts]))


def _all_found(update: LiteralString) -> LiteralString:
    """The update, failing with a division by zero unless it touched as many rows as its last parameter says."""
    return f"WITH touched AS ({update} RETURNING 1) SELECT 1 / (count(*) = %s)::int FROM touched"


_ALL_COUNTERS = _all_found(SQL["update_counters"])


def _columns(rows: Sequence[Row]) -> list[Any]:
    return [array(column) for column in zip(*rows, strict=True)]


# ── definitions ──────────────────────────────────────────────────────────────────────────────────────


async def read_epoch(conn: Connection, tenant_id: TenantId) -> int:
    """The tenant's budget epoch, without a lock; 0 for an unknown tenant."""
    rows = await _rows(conn, "read_epoch", {"tenant": tenant_id})
    return rows[0][0] if rows else 0


async def lock_tenant(conn: Connection, tenant_id: TenantId) -> tuple[int, datetime]:
    """Lock the tenant's row FOR UPDATE until the end of the transaction; its budget epoch, and the time after that.

    Waits for the posting batches that are under way, and new ones wait for this transaction: keep it short. Nothing
    that refers to the tenant's row by a foreign key may be inserted before.
    """
    ((epoch,),) = await _rows(conn, "lock_tenant", {"tenant": tenant_id})
    return epoch, await clock(conn)


async def share_tenant(conn: Connection, tenant_id: TenantId) -> None:
    """Lock the tenant's row FOR KEY SHARE, as posting batches do: budgets stay as they are until the end."""
    await _rows(conn, "share_tenant", {"tenant": tenant_id})


async def clock(conn: Connection) -> datetime:
    """The database's time."""
    ((now,),) = await _rows(conn, "clock", {})
    return now  # type: ignore[no-any-return]


async def set_epoch(conn: Connection, tenant_id: TenantId, epoch: int) -> None:
    """Count the tenant's epoch up, under its lock."""
    await _run(conn, SQL["set_epoch"], {"tenant": tenant_id, "epoch": epoch})


async def find_budget(conn: Connection, key: BudgetKey, revision: int | None = None) -> tuple[Budget, bool] | None:
    """A revision of a budget (None: the newest), and whether it is deleted."""
    block = "find_budget" if revision is None else "find_revision"
    rows = await _rows(conn, block, {"tenant": key[0], "budget": key[1], "revision": revision})
    return budget_of(rows[0]) if rows else None


async def find_currency(conn: Connection, tenant_id: TenantId, account_id: AccountId) -> str:
    """An account's currency; raises NotFound."""
    rows = await _rows(conn, "find_currency", {"tenant": tenant_id, "account": account_id})
    if not rows:
        raise NotFound(resource="account", id=account_id)
    return rows[0][0]  # type: ignore[no-any-return]


async def insert_budget(conn: Connection, budget: Budget, epoch: int, *, deleted: bool = False) -> None:
    """Add a revision, under the tenant's lock."""
    label_key, label_value = budget.scope.label or (None, None)
    await _run(
        conn,
        SQL["insert_budget"],
        {
            "tenant": budget.tenant_id,
            "budget": budget.budget_id,
            "revision": budget.revision,
            "deleted": deleted,
            "display_name": budget.display_name,
            "account": budget.scope.account_id,
            "label_key": label_key,
            "label_value": label_value,
            "meter_prefix": budget.scope.meter_prefix,
            "currency": budget.currency_code,
            "basis": budget.basis,
            "period": budget.period,
            "time_zone": budget.time_zone,
            "limit": format_nanos(budget.limit),
            "thresholds": thresholds_text(budget.thresholds),
            "epoch": epoch,
            "create_time": budget.create_time,
        },
    )


async def put_counter(conn: Connection, key: BudgetKey, counter: Counter) -> None:
    """Begin to count anew, under the tenant's lock."""
    await _run(
        conn,
        SQL["put_counter"],
        {
            "tenant": key[0],
            "budget": key[1],
            "revision": counter.revision,
            "period_start": counter.period.start,
            "period_end": counter.period.end,
            "spent": format_nanos(counter.spent),
            "held": format_nanos(counter.held),
            "fired_percent": counter.fired,
            "stopped": counter.stopped,
        },
    )


# ── sums ─────────────────────────────────────────────────────────────────────────────────────────────


async def take_time(conn: Connection, seconds: int) -> None:
    """Let the statements of this transaction take so long. For sums that hold no locks."""
    known = conn.info.server_version >= _HAS_TRANSACTION_TIMEOUT
    block = SQL["take_time" if known else "take_time_before_17"]
    await _run(conn, block, {"milliseconds": str(seconds * 1000)})


async def sum_spent(
    conn: Connection, budget: Budget, period: Period, since: datetime | None, until: datetime | None
) -> int:
    """What a budget's scope has spent by what was written from `since` to before `until`, in nanos."""
    block = SQL["sum_metered" if budget.scope.meter_prefix else "sum_spent"]
    scope = SQL["one_account" if budget.scope.account_id is not None else "all_accounts"]
    more = {"from": since, "to": until, "period_start": period.start}
    return await _sum(conn, block.replace("{scope}", scope), budget, more)


async def sum_held(conn: Connection, budget: Budget) -> int:
    """What the open holds of a budget's scope may still spend, in nanos."""
    scope = SQL["running_of_account" if budget.scope.account_id is not None else "running_of_all"]
    return await _sum(conn, SQL["sum_held"].replace("{scope}", scope), budget, {})


async def _sum(conn: Connection, statement: LiteralString, budget: Budget, more: Mapping[str, Any]) -> int:
    label_key, label_value = budget.scope.label or (None, None)
    parameters = {
        "tenant": budget.tenant_id,
        "account": budget.scope.account_id,
        "label_key": label_key,
        "label_value": label_value,
        "meter_prefix": budget.scope.meter_prefix,
        "currency": budget.currency_code,
        **more,
    }
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(statement, parameters, prepare=False)  # a plan for this tenant, and as it is today
        ((charged, cost),) = await cursor.fetchall()
    return nanos_of(charged if budget.basis is BudgetBasis.CHARGED else cost)


# ── alerts ───────────────────────────────────────────────────────────────────────────────────────────


async def acknowledge(conn: Connection, tenant_id: TenantId, alert_id: AlertId, acknowledged_by: str) -> int:
    """Note who has seen an alert, the first time; the alert's sequence. Raises NotFound."""
    rows = await _rows(conn, "find_alert", {"tenant": tenant_id, "alert": alert_id})
    if not rows:
        raise NotFound(resource="alert", id=alert_id.hex)
    ((sequence,),) = rows
    parameters = {"tenant": tenant_id, "sequence": sequence, "acknowledged_by": acknowledged_by}
    await _run(conn, SQL["acknowledge"], parameters)
    return sequence  # type: ignore[no-any-return]


async def prune_alerts(conn: Connection, tenant_id: TenantId, age_s: int, limit: int) -> bool:
    """Delete the oldest alerts that are older than an age, a number of them at most; whether there may be more."""
    await share_tenant(conn, tenant_id)  # first, in the order of locks
    ((sequence,),) = await _rows(conn, "old_alerts", {"tenant": tenant_id, "age_s": age_s, "limit": limit})
    if sequence is None:
        return False
    parameters = {"tenant": tenant_id, "sequence": sequence}
    await _run(conn, SQL["note_pruned"], parameters)
    await _run(conn, SQL["delete_acknowledgements"], parameters)
    async with conn.cursor() as cursor:
        await cursor.execute(SQL["delete_alerts"], parameters)
        return cursor.rowcount >= limit


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────────


async def find_operation(conn: Connection, tenant_id: TenantId, kind: str, key: str) -> StoredOperation | None:
    """What was decided under a key."""
    rows = await _rows(conn, "find_operation", {"tenant": tenant_id, "kind": kind, "key": key})
    return StoredOperation(*rows[0]) if rows else None


async def insert_operation(conn: Connection, tenant_id: TenantId, kind: str, key: str, stored: StoredOperation) -> bool:
    """Keep what was decided under a key; False when a twin was quicker, whose transaction has ended."""
    parameters = {
        "tenant": tenant_id,
        "kind": kind,
        "key": key,
        "fingerprint": stored.fingerprint,
        "denial_reason": stored.denial_reason,
        "payload": stored.payload,
    }
    return bool(await _rows(conn, "insert_operation", parameters))


# ── for verify ───────────────────────────────────────────────────────────────────────────────────────


async def counted_budgets(conn: Connection, tenant_id: TenantId | None) -> list[BudgetKey]:
    """The budgets that count, of one tenant or of all."""
    return [(tenant, budget) for tenant, budget in await _rows(conn, "counted_budgets", {"tenant": tenant_id})]


async def find_counted(conn: Connection, key: BudgetKey) -> tuple[Budget, Counter] | None:
    """A budget with its counter; None when it is deleted."""
    found = await find_budget(conn, key)
    return None if found is None or found[1] else (found[0], await read_counter(conn, key))


async def alert_streams(conn: Connection, tenant_id: TenantId | None) -> list[TupleRow]:
    """Of each tenant's stream: tenant, last and pruned sequence; of its alerts the first, the newest and how many."""
    return await _rows(conn, "alert_streams", {"tenant": tenant_id})


async def _rows(conn: Connection, block: str, parameters: Mapping[str, Any]) -> list[TupleRow]:
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(SQL[block], parameters)
        return await cursor.fetchall()


async def _run(conn: Connection, statement: LiteralString, parameters: Mapping[str, Any] | Sequence[Any]) -> None:
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(statement, parameters)
