"""An account that one process creates while another already asks for it: what was not locked does not exist yet."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from imprest_server.core.errors import NotFound
from imprest_server.core.ids import AccountId
from imprest_server.db.pool import connect_engine
from imprest_server.ledger.verify import verify
from imprest_server.ledger.working_set import Terms
from imprest_server.posting.engine import Engine
from tests.conftest import Database
from tests.support.lanes import Standing, running_lanes, usd
from tests.support.ledger import LIMITS


async def test_an_account_created_between_lock_and_load_is_not_used(database: Database) -> None:
    """The slow engine has locked its books (none) and then waits, before it looks at accounts, until there is one."""

    async def connect() -> psycopg.AsyncConnection[tuple[Any, ...]]:
        return await connect_engine(database.app_dsn, **LIMITS)

    slow = Engine(connect, Terms(), batch_max=250, queue_max=100)
    async with running_lanes(database) as lanes:
        await slow.start()
        account = AccountId("acme")
        with psycopg.connect(database.owner_dsn) as creator:  # what CreateAccount commits
            creator.execute("LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE")
            early = asyncio.create_task(slow.submit(lanes.reserve(account, "5")))
            await _waits_for_accounts(database)
            creator.execute(
                "INSERT INTO accounts SELECT 'default', 'acme', '', '', 'USD', NULL, 8, 'COLLECT', NULL, NULL,"
                " NULL, 'UTC', '{}', 'ACTIVE', clock_timestamp(), clock_timestamp()"
            )
            creator.execute(
                "INSERT INTO books SELECT 'default', 'acme', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,"
                " decode(repeat('00', 32), 'hex'), NULL"
            )
        with pytest.raises(NotFound):
            await early
        await lanes.post(lanes.reserve(account, "5"))
        assert lanes.standing(account) == Standing("0", held="5", receivable="0", open_count=1)
        await slow.stop()
    assert (await verify(database.owner_dsn)).ok


async def test_reserves_beside_the_creation_of_their_account(database: Database) -> None:
    """Four engines, no delays: whatever is granted is in the book."""
    async with running_lanes(database, engines=4) as lanes:
        for number in range(60):
            account = AccountId(f"acme-{number}")
            opening = lanes.open(account, credit_limit=usd("8"))
            reserves = [lanes.attempt(lanes.reserve(account, "5")) for _ in range(6)]
            await asyncio.gather(opening, *reserves)
    report = await verify(database.owner_dsn, all_differences=True)
    assert report.ok, [str(difference) for difference in report.differences]


async def _waits_for_accounts(database: Database) -> None:
    """Return when a session waits for the accounts."""
    with psycopg.connect(database.owner_dsn, autocommit=True) as watcher:
        waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'accounts'::regclass"
        while not watcher.execute(waiting).fetchone():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
