"""Whoever changes a tenant's prices or budgets waits for the batches under way, and not for those that come later."""

# ruff: noqa: ASYNC110  # what is waited for happens in the database

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

import pytest
from psycopg import AsyncConnection

from imprest_server.budgets import store as budgets
from imprest_server.core.ids import TenantId
from imprest_server.db.arrays import array, text
from imprest_server.db.pool import connect_engine, tenants_setting
from imprest_server.ledger.store import SQL
from imprest_server.pricing import store as prices
from tests.conftest import Database
from tests.support.ledger import TENANT

Connection = AsyncConnection[Any]
Lock = Callable[[Connection, TenantId], Coroutine[Any, Any, tuple[int, datetime]]]
#: Long enough for any machine: nothing here may end because time is over.
LIMITS = {"statement_timeout_ms": 100_000, "lock_timeout_ms": 100_000}


async def begin_batch(conn: Connection) -> int:
    """What a posting batch begins with; the budget epoch it sees."""
    cursor = await conn.execute(
        SQL["lock_tenants"], {"tenants": array([text(TENANT)]), "visible": tenants_setting([TENANT])}
    )
    ((_, _, budget_epoch),) = await cursor.fetchall()
    return int(budget_epoch)


async def waits(watcher: Connection, conn: Connection) -> bool:
    cursor = await watcher.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", [conn.info.backend_pid])
    ((blocked,),) = await cursor.fetchall()
    return bool(blocked)


async def until(watcher: Connection, conn: Connection, task: asyncio.Task[Any]) -> None:
    """Until the connection waits for a lock, or has it."""
    while not task.done() and not await waits(watcher, conn):
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("lock_tenant", [budgets.lock_tenant, prices.lock_tenant], ids=["budgets", "prices"])
async def test_a_change_is_not_overtaken_by_batches(database: Database, lock_tenant: Lock) -> None:
    first, later, changer, watcher = [await connect_engine(database.app_dsn, **LIMITS) for _ in range(4)]
    try:
        for conn in (first, later, changer):
            await conn.execute("BEGIN")
            await conn.execute("SELECT set_config('imprest.tenants', %s, true)", [tenants_setting([TENANT])])
        await begin_batch(first)
        changing = asyncio.create_task(lock_tenant(changer, TENANT))
        await until(watcher, changer, changing)
        assert not changing.done()
        batch = asyncio.create_task(begin_batch(later))
        await until(watcher, later, batch)
        assert not batch.done()
        await first.execute("COMMIT")
        await changing
        assert not batch.done() and await waits(watcher, later)
        await budgets.set_epoch(changer, TENANT, 7)
        await changer.execute("COMMIT")
        assert await batch == 7
    finally:
        for conn in (first, later, changer, watcher):
            await conn.close()
