"""Loads and adds the rows of a tenant's prices. SQL in sql/store.sql; what a process keeps of them is in `cache`.

Everything runs in a transaction that works for the tenant (`imprest.tenants` is set): a posting batch's own, or one of
`transaction`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg
from psycopg import AsyncConnection, AsyncCursor
from psycopg import errors as pg
from psycopg.rows import TupleRow, tuple_row

from imprest_server.core.errors import Conflict, NotFound, Unavailable
from imprest_server.core.ids import AccountId, TenantId
from imprest_server.db.arrays import array, text, uuid
from imprest_server.db.pool import ReadPool, tenant_transaction
from imprest_server.db.sqlfile import load_sql
from imprest_server.pricing.model import (
    Assignment,
    BookSide,
    CounterKey,
    ExchangeRate,
    Price,
    PriceBook,
    PriceBookId,
    PriceKey,
    PriceVersion,
    PriceVersionId,
    Subscription,
    SubscriptionEnd,
)
from imprest_server.pricing.rows import (
    assignment_of,
    book_of,
    exchange_rate_of,
    price_of,
    price_row,
    subscription_end_of,
    subscription_of,
    version_of,
)
from imprest_server.pricing.rules import Payer

Connection = AsyncConnection[Any]

SQL = load_sql("imprest_server.pricing", "sql/store.sql")

# No statement may take longer than the time limit of all, and the event loop has others to serve between them.
_INSERTED_AT_ONCE = 2_000
_READ_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogRows:
    """The rows of a tenant's catalog that came with some consecutive epochs, each kind in the order of its epochs."""

    books: Sequence[PriceBook]
    versions: Sequence[PriceVersion]
    assignments: Sequence[Assignment]
    exchange_rates: Sequence[ExchangeRate]
    subscriptions: Sequence[Subscription]
    ends: Sequence[SubscriptionEnd]


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


async def read_epoch(conn: Connection, tenant_id: TenantId) -> int:
    """The tenant's price epoch, without a lock; 0 for an unknown tenant."""
    rows = await fetch(conn, "read_epoch", {"tenant": tenant_id})
    return rows[0][0] if rows else 0


async def load_catalog(conn: Connection, tenant_id: TenantId, after: int, epoch: int) -> CatalogRows:
    """The rows with after < epoch ≤ `epoch`, in one round trip. `epoch` was read in this transaction or earlier."""
    parameters = {"tenant": tenant_id, "after": after, "epoch": epoch}
    async with AsyncExitStack() as stack, conn.pipeline():

        async def run(block: str) -> AsyncCursor[TupleRow]:
            cursor = await stack.enter_async_context(conn.cursor(row_factory=tuple_row))
            return await cursor.execute(SQL[block], parameters)

        books = await run("load_books")
        versions = await run("load_versions")
        assignments = await run("load_assignments")
        exchange_rates = await run("load_exchange_rates")
        subscriptions = await run("load_subscriptions")
        ends = await run("load_subscription_ends")
        return CatalogRows(
            books=[book_of(row) for row in await books.fetchall()],
            versions=[version_of(row) for row in await versions.fetchall()],
            assignments=[assignment_of(row) for row in await assignments.fetchall()],
            exchange_rates=[exchange_rate_of(row) for row in await exchange_rates.fetchall()],
            subscriptions=[subscription_of(row) for row in await subscriptions.fetchall()],
            ends=[subscription_end_of(row) for row in await ends.fetchall()],
        )


async def load_prices(
    conn: Connection, keys: Iterable[tuple[TenantId, PriceVersionId]]
) -> dict[PriceVersionId, list[Price]]:
    """The prices of these versions, in one round trip; an empty list for a version without any.

    Thousands are read a few at a time: the event loop has others to serve.
    """
    wanted = sorted(keys, key=lambda key: (key[0], key[1].int))
    found: dict[PriceVersionId, list[Price]] = {version_id: [] for _, version_id in wanted}
    parameters = {"tenants": array(text(key[0]) for key in wanted), "versions": array(uuid(key[1]) for key in wanted)}
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(SQL["load_prices"], parameters)
        while rows := await cursor.fetchmany(_READ_AT_ONCE):
            for row in rows:
                found[row[0]].append(price_of(row[1:]))
            await asyncio.sleep(0)
    return found


async def clock(conn: Connection, tenant_id: TenantId, epoch: int) -> datetime:
    """The database's time, but not before the change of prices that made this epoch."""
    ((now,),) = await fetch(conn, "clock", {"tenant": tenant_id, "epoch": epoch})
    return now  # type: ignore[no-any-return]


async def load_counters(conn: Connection, keys: Iterable[CounterKey]) -> dict[CounterKey, Decimal]:
    """Where the months' counters stand, without a lock; one that has counted nothing yet is left out."""
    names = ("tenants", "accounts", "months", "sides", "meters", "providers", "models", "prefixes")
    rows = [
        (
            key.tenant_id,
            key.account_id,
            key.month,
            key.side.value,
            key.price.meter,
            key.price.provider,
            key.price.model,
            key.price.destination_prefix,
        )
        for key in keys
    ]
    found = await fetch(conn, "load_counters", dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    return {
        CounterKey(tenant_id, account_id, month, BookSide(side), PriceKey(*price)): quantity
        for tenant_id, account_id, month, side, *price, quantity in found
    }


async def find_account(conn: Connection, tenant_id: TenantId, account_id: AccountId) -> Payer:
    """An account as far as prices care; raises NotFound."""
    rows = await fetch(conn, "find_account", {"tenant": tenant_id, "account": account_id})
    if not rows:
        raise NotFound(resource="account", id=account_id)
    ((currency_code, parent_account_id, time_zone),) = rows
    return Payer(tenant_id, account_id, parent_account_id, currency_code, time_zone)


async def find_version(conn: Connection, tenant_id: TenantId, version_id: PriceVersionId) -> PriceVersion | None:
    """A version by its id."""
    rows = await fetch(conn, "find_version", {"tenant": tenant_id, "version": version_id})
    return version_of(rows[0]) if rows else None


async def find_override(
    conn: Connection, tenant_id: TenantId, account_id: AccountId, side: BookSide, currency_code: str
) -> PriceBook | None:
    """The book of an account's overrides, when there have been any."""
    parameters = {"tenant": tenant_id, "account": account_id, "side": side, "currency": currency_code}
    rows = await fetch(conn, "find_override", parameters)
    return book_of(rows[0]) if rows else None


async def find_operation(conn: Connection, tenant_id: TenantId, kind: str, key: str) -> StoredOperation | None:
    """What was decided under a key."""
    rows = await fetch(conn, "find_operation", {"tenant": tenant_id, "kind": kind, "key": key})
    return StoredOperation(*rows[0]) if rows else None


async def fetch(conn: Connection, block: str, parameters: Mapping[str, Any]) -> list[TupleRow]:
    """The rows of a statement of sql/store.sql."""
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(SQL[block], parameters)
        return await cursor.fetchall()


async def execute(conn: Connection, block: str, parameters: Mapping[str, Any] | Sequence[Any]) -> None:
    """Run a statement of sql/store.sql."""
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(SQL[block], parameters)


# ── what publishing adds ─────────────────────────────────────────────────────────────────────────────


async def insert_prices(
    conn: Connection, tenant_id: TenantId, version_id: PriceVersionId, prices: Sequence[Price]
) -> None:
    """Add the prices of a version that is inserted later in this transaction. Takes no lock of the tenant's row."""
    for start in range(0, len(prices), _INSERTED_AT_ONCE):
        rows = [price_row(tenant_id, version_id, price) for price in prices[start : start + _INSERTED_AT_ONCE]]
        await execute(conn, "insert_prices", [array(column) for column in zip(*rows, strict=True)])


async def lock_tenant(conn: Connection, tenant_id: TenantId) -> tuple[int, datetime]:
    """Lock the tenant's row FOR UPDATE until the end of the transaction; its price epoch, and the time after that.

    Waits for the posting batches that are under way, and new ones wait for this transaction: keep it short. Nothing
    that refers to the tenant's row by a foreign key may be inserted before: two who have done so deadlock here.
    """
    ((epoch,),) = await fetch(conn, "lock_tenant", {"tenant": tenant_id})
    return epoch, await clock(conn, tenant_id, epoch)


async def last_number(conn: Connection, tenant_id: TenantId, price_book_id: PriceBookId) -> int:
    """How many versions a book has. Final under the tenant's lock."""
    ((number,),) = await fetch(conn, "last_number", {"tenant": tenant_id, "book": price_book_id})
    return number  # type: ignore[no-any-return]


async def insert_book(conn: Connection, book: PriceBook, epoch: int) -> None:
    """Add a price book."""
    await execute(
        conn,
        "insert_book",
        {
            "tenant": book.tenant_id,
            "book": book.price_book_id,
            "side": book.side,
            "currency": book.currency_code,
            "display_name": book.display_name,
            "account": book.account_id,
            "epoch": epoch,
            "create_time": book.create_time,
        },
    )


async def insert_version(conn: Connection, tenant_id: TenantId, version: PriceVersion) -> None:
    """Add a version, whose prices are there."""
    await execute(
        conn,
        "insert_version",
        {
            "tenant": tenant_id,
            "version": version.version_id,
            "book": version.price_book_id,
            "number": version.number,
            "epoch": version.epoch,
            "effective_time": version.effective_time,
            "create_time": version.create_time,
        },
    )


async def insert_assignment(
    conn: Connection, tenant_id: TenantId, assignment: Assignment, create_time: datetime
) -> None:
    """Add an assignment."""
    await execute(
        conn,
        "insert_assignment",
        {
            "tenant": tenant_id,
            "epoch": assignment.epoch,
            "side": assignment.side,
            "currency": assignment.currency_code,
            "account": assignment.account_id,
            "book": assignment.price_book_id,
            "effective_time": assignment.effective_time,
            "create_time": create_time,
        },
    )


async def insert_exchange_rate(
    conn: Connection, tenant_id: TenantId, rate: ExchangeRate, create_time: datetime
) -> None:
    """Add an exchange rate."""
    await execute(
        conn,
        "insert_exchange_rate",
        {
            "tenant": tenant_id,
            "epoch": rate.epoch,
            "book": rate.price_book_id,
            "currency": rate.currency_code,
            "rate": rate.rate,
            "effective_time": rate.effective_time,
            "create_time": create_time,
        },
    )


async def set_epoch(conn: Connection, tenant_id: TenantId, epoch: int) -> None:
    """Count the tenant's epoch up, under its lock."""
    await execute(conn, "set_epoch", {"tenant": tenant_id, "epoch": epoch})


async def insert_operation(
    conn: Connection, tenant_id: TenantId, kind: str, key: str, stored: StoredOperation, create_time: datetime
) -> None:
    """Keep what was decided under a key."""
    await execute(
        conn,
        "insert_operation",
        {
            "tenant": tenant_id,
            "kind": kind,
            "key": key,
            "fingerprint": stored.fingerprint,
            "denial_reason": stored.denial_reason,
            "payload": stored.payload,
            "create_time": create_time,
        },
    )
