"""The accounts that every load finds, and the amounts it moves."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg

from imprest_server.core.ids import AccountId, TenantId
from imprest_server.core.money import NANOS_PER_UNIT, Money
from imprest_server.db.pool import connect_engine
from imprest_server.ledger import operations as ops
from imprest_server.ledger.working_set import Terms
from imprest_server.posting.engine import Engine

TENANT = TenantId("default")
CURRENCY = "USD"
ACCOUNTS = 1_000
CREDIT = Money(CURRENCY, 10_000_000 * NANOS_PER_UNIT)
HOLD = Money(CURRENCY, NANOS_PER_UNIT)
ACTUAL = Money(CURRENCY, NANOS_PER_UNIT * 3 // 4)


def account_id(number: int) -> AccountId:
    """The name of an account, from 0 to ACCOUNTS - 1."""
    return AccountId(f"acc-{number:04d}")


def make_engine(dsn: str, batch_max: int) -> Engine:
    """An engine on the database, not started, with time to spare: a slow machine must not fail a benchmark."""

    async def connect() -> psycopg.AsyncConnection[tuple[Any, ...]]:
        return await connect_engine(dsn, statement_timeout_ms=60_000, lock_timeout_ms=30_000)

    return Engine(connect, Terms(), batch_max=batch_max, queue_max=10_000)


def seed(dsn: str) -> None:
    """Open the accounts, each with more credit than any run can spend."""
    asyncio.run(_seed(dsn))


async def _seed(dsn: str) -> None:
    engine = make_engine(dsn, batch_max=250)
    await engine.start()
    try:
        names = [account_id(number) for number in range(ACCOUNTS)]
        await asyncio.gather(
            *(
                engine.submit(
                    ops.CreateAccount(
                        tenant_id=TENANT, idempotency_key=name, account_id=name, currency_code=CURRENCY, settings={}
                    )
                )
                for name in names
            )
        )
        await asyncio.gather(
            *(
                engine.submit(ops.AddCredit(tenant_id=TENANT, idempotency_key=name, account_id=name, amount=CREDIT))
                for name in names
            )
        )
    finally:
        await engine.stop()
