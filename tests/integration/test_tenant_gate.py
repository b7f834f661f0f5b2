"""Whoever changes a tenant's prices or budgets waits for the batches under way, and not for those that come later."""

# ruff: noqa: ASYNC110  # what is waited for happens in the database

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

import psycopg
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


async def begin_batch(conn: Connection, *tenants: TenantId) -> list[tuple[str, int]]:
    """What a posting batch begins with; the tenants in the order of their locks, with the budget epochs it sees."""
    parameters = {"tenants": array(map(text, tenants)), "visible": tenants_setting(tenants)}
    cursor = await conn.execute(SQL["lock_tenants"], parameters, prepare=True)
    return [(tenant, budget_epoch) for tenant, _, budget_epoch in await cursor.fetchall()]


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
        await begin_batch(first, TENANT)
        changing = asyncio.create_task(lock_tenant(changer, TENANT))
        await until(watcher, changer, changing)
        assert not changing.done()
        batch = asyncio.create_task(begin_batch(later, TENANT))
        await until(watcher, later, batch)
        assert not batch.done()
        await first.execute("COMMIT")
        await changing
        assert not batch.done() and await waits(watcher, later)
        await budgets.set_epoch(changer, TENANT, 7)
        await changer.execute("COMMIT")
        assert await batch == [(TENANT, 7)]
    finally:
        for conn in (first, later, changer, watcher):
            await conn.close()


@pytest.mark.parametrize("plan", ["force_custom_plan", "force_generic_plan"])
async def test_a_batch_of_several_tenants_sees_what_was_changed_while_it_waited(database: Database, plan: str) -> None:
    """It waits in the order of their names, and holds the gates of none that come later."""
    names = [TenantId(name) for name in ("d", "b", "a", "c")]
    with psycopg.connect(database.owner_dsn) as owner:
        owner.cursor().executemany("INSERT INTO tenants (tenant_id, create_time) VALUES (%s, now())", zip(names))
    changer, other, batch, watcher = [await connect_engine(database.app_dsn, **LIMITS) for _ in range(4)]
    try:
        await batch.execute("SELECT set_config('plan_cache_mode', %s, false)", [plan])
        for conn, tenant in ((changer, TenantId("b")), (other, TenantId("c"))):
            await conn.execute("BEGIN")
            await conn.execute("SELECT set_config('imprest.tenants', %s, true)", [tenant])
            if conn is changer:
                await budgets.lock_tenant(conn, tenant)
        await batch.execute("BEGIN")
        beginning = asyncio.create_task(begin_batch(batch, *names))
        await until(watcher, batch, beginning)
        assert not beginning.done()
        await budgets.lock_tenant(other, TenantId("c"))
        await budgets.set_epoch(other, TenantId("c"), 5)
        await other.execute("COMMIT")
        await budgets.set_epoch(changer, TenantId("b"), 8)
        await changer.execute("COMMIT")
        assert await beginning == [("a", 0), ("b", 8), ("c", 5), ("d", 0)]
        cursor = await batch.execute("SELECT tenant_id FROM tenants ORDER BY tenant_id")
        assert await cursor.fetchall() == [("a",), ("b",), ("c",), ("d",)]
    finally:
        for conn in (changer, other, batch, watcher):
            await conn.close()
