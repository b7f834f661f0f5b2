"""What a batch reads it reads after its locks were granted: each test makes one wait for a writer that changes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from datetime import datetime
from typing import TypeVar

import psycopg
import pytest

from imprest_server.core.errors import AccountFrozen
from imprest_server.ledger import operations as ops
from tests.conftest import Database
from tests.support.lanes import TENANT, Lanes, Standing, running_lanes, usd

T = TypeVar("T")


@pytest.fixture
async def lanes(database: Database) -> AsyncIterator[Lanes]:
    async with running_lanes(database) as lanes:
        yield lanes


class Writer:
    """A transaction that holds an account's book and is in no hurry."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection
        connection.execute("SELECT 1 FROM books WHERE account_id = 'acme' FOR NO KEY UPDATE")

    async def let_wait(self, posting: Awaitable[T]) -> asyncio.Future[T]:
        """Start an operation; returns when its batch waits for the book."""
        task = asyncio.ensure_future(posting)
        with psycopg.connect(self.connection.info.dsn, autocommit=True) as watcher:
            blocked = "SELECT 1 FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))"
            pid = self.connection.info.backend_pid
            while not watcher.execute(blocked, [pid]).fetchone():  # noqa: ASYNC110 - there is no event
                await asyncio.sleep(0.01)
        return task


async def test_who_waited_sees_a_later_clock(lanes: Lanes, database: Database) -> None:
    account = await lanes.open("acme")
    with psycopg.connect(database.owner_dsn) as connection:
        writer = Writer(connection)
        credit = ops.AddCredit(tenant_id=TENANT, idempotency_key="k", account_id=account, amount=usd("1"))
        waiting = await writer.let_wait(lanes.post(credit))
        row = connection.execute("SELECT clock_timestamp()").fetchone()
        connection.rollback()
    balance = (await waiting).reply.balance
    assert row is not None and isinstance(row[0], datetime)
    assert balance is not None
    assert balance.as_of > row[0]


async def test_who_waited_sees_the_account_frozen(lanes: Lanes, database: Database) -> None:
    account = await lanes.open("acme", credit="10")
    with psycopg.connect(database.owner_dsn) as connection:
        writer = Writer(connection)
        waiting = await writer.let_wait(lanes.attempt(lanes.reserve(account, "1")))
        connection.execute("UPDATE accounts SET state = 'FROZEN'")
        connection.commit()
    assert isinstance(await waiting, AccountFrozen)
    assert lanes.standing(account) == Standing("10", held="0", receivable="0", open_count=0)
