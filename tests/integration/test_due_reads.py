"""Reads while holds are due: they are expired first, however fast more of them come due."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from imprest_server.core.errors import Unavailable
from imprest_server.core.ids import AccountId, TenantId
from imprest_server.db.pool import read_pool
from imprest_server.ledger import operations as ops
from imprest_server.ledger.due import ExpireDue
from imprest_server.ledger.model import Balance
from imprest_server.ledger.queries import SQL, Queries
from tests.conftest import Database
from tests.support import clock
from tests.support.ledger import LIMITS, TENANT, House, expires_nothing

A = AccountId("a")
OTHER = TenantId("other")
NANO = 10**9


async def test_due_accounts(house: House, database: Database) -> None:
    for seconds, name in ((90, "a"), (60, "b"), (3600, "c")):
        await house.open(name, credit=10)
        await house.reserve(name, 1, ttl_s=seconds)
        await house.reserve(name, 1, ttl_s=seconds)
    assert await house.queries.due_accounts([TENANT], 10) == []
    clock.advance(database.owner_dsn, 91)
    assert sorted(await house.queries.due_accounts([TENANT, OTHER], 10)) == [(TENANT, "a"), (TENANT, "b")]
    assert await house.queries.due_accounts([TENANT], 2) == [(TENANT, "b")], "the longest due first"
    assert await house.queries.due_accounts([OTHER], 10) == []
    assert await house.queries.due_accounts([], 10) == []


async def test_a_read_gives_up_when_nothing_gets_expired(house: House, database: Database) -> None:
    await house.open("a", credit=10)
    await house.reserve("a", 1, ttl_s=1)
    clock.advance(database.owner_dsn, 2)
    async with read_pool(database.app_dsn, **LIMITS) as pool:
        with pytest.raises(Unavailable):
            await Queries(pool, expires_nothing).get_balance(TENANT, A)


@pytest.mark.parametrize("name", ["get_balance", "get_balance_as_of", "list_transactions", "due_accounts"])
async def test_a_due_check_reads_an_index_up_to_the_clock(database: Database, name: str) -> None:
    """Not so with `expire_time <= clock_timestamp()`: a volatile clock makes it read every open hold."""
    query = SQL[name].replace("{filters}", "")
    parameters: dict[str, Any] = {"tenant": "t", "tenants": ["t"], "account": "a", "limit": 1, "after": 0}
    parameters |= {"as_of": datetime.now(UTC), "horizon": None}
    async with await psycopg.AsyncConnection.connect(database.owner_dsn) as connection:
        await connection.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
        cursor = await connection.execute("EXPLAIN " + query, parameters)
        plan = "\n".join(row[0] for row in await cursor.fetchall())
    conditions = [line for line in plan.splitlines() if "Index Cond" in line]
    assert any("expire_time <=" in line for line in conditions), plan


Read = Callable[[Queries], Awaitable[Any]]

READS: dict[str, Read] = {
    "GetBalance": lambda queries: queries.get_balance(TENANT, A),
    "GetBalance as of": lambda queries: queries.get_balance(TENANT, A, datetime.now(UTC) - timedelta(days=1)),
    "ListTransactions": lambda queries: queries.list_transactions(TENANT, A),
    "ListReservations": lambda queries: queries.list_reservations(TENANT),
    "GetTrialBalance of an account": lambda queries: queries.trial_balance(TENANT, A),
    "GetTrialBalance": lambda queries: queries.trial_balance(TENANT),
}


async def come_due_one_by_one(house: House, database: Database) -> ExpireDue:
    """Thirty holds, the first one due; whenever what is due has been expired, the next one comes due."""
    clock.stop(database.owner_dsn)
    await house.open("a", credit=1000)
    for _ in range(30):
        await house.reserve("a", 1, ttl_s=60)
        clock.advance(database.owner_dsn, 1)
    clock.advance(database.owner_dsn, 30)

    async def expire(tenant_id: TenantId, account_id: AccountId) -> None:
        await house.engine.submit(ops.ExpireDue(tenant_id=tenant_id, account_id=account_id))
        clock.advance(database.owner_dsn, 1)

    return expire


@pytest.mark.parametrize("read", READS.values(), ids=READS.keys())
async def test_holds_that_keep_coming_due_keep_nobody_from_reading(
    house: House, database: Database, read: Read
) -> None:
    expire = await come_due_one_by_one(house, database)
    async with read_pool(database.app_dsn, **LIMITS) as pool:
        await read(Queries(pool, expire))


async def test_what_was_due_at_the_instant_of_a_balance_has_ended_in_it(house: House, database: Database) -> None:
    """Also when more come due before it is answered."""
    expire = await come_due_one_by_one(house, database)
    async with read_pool(database.app_dsn, **LIMITS) as pool:
        balance = await Queries(pool, expire).get_balance(TENANT, A)
        ((trial_balance,), trial_time) = await Queries(pool, expire).trial_balance(TENANT)
    assert isinstance(balance, Balance)
    assert trial_balance.total_debits == 1000 * NANO
    with psycopg.connect(database.owner_dsn) as owner:
        left = owner.execute(
            "SELECT count(*) FILTER (WHERE expire_time <= %s), count(*) FROM reservations WHERE state = 'ACTIVE'",
            [max(balance.as_of, trial_time)],
        ).fetchone()
        assert left is not None and left[0] == 0 and left[1] > 0
