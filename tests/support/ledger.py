"""A ledger on a real database: the engine and the reads as the server builds them, with short ways to use them."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from imprest_server.core.ids import AccountId, TenantId
from imprest_server.core.money import Money
from imprest_server.db.pool import connect_engine, read_pool
from imprest_server.ledger import operations as ops
from imprest_server.ledger.queries import Queries
from imprest_server.ledger.working_set import Terms
from imprest_server.posting.engine import Engine
from tests.conftest import Database

TENANT = TenantId("default")
#: Statements and locks have as long as a slow machine may need.
LIMITS = {"statement_timeout_ms": 120_000, "lock_timeout_ms": 60_000}

T = TypeVar("T", bound=ops.Operation)


def units(amount: int | str, currency_code: str = "USD") -> Money:
    """An amount of whole or decimal major units."""
    whole, _, fraction = str(amount).partition(".")
    sign = -1 if whole.startswith("-") else 1
    return Money(currency_code, int(whole) * 10**9 + sign * int(fraction.ljust(9, "0")))


async def expires_nothing(_tenant_id: TenantId, _account_id: AccountId) -> None:
    """What an engine does that never gets to it."""


@dataclass
class House:
    """An engine and its reads. `expired` counts how often a read had due holds expired."""

    engine: Engine
    queries: Queries
    expired: list[AccountId] = field(default_factory=list)
    _keys: Any = field(default_factory=lambda: itertools.count(1))

    async def do(self, kind: type[ops.Operation], **fields: Any) -> ops.Reply:
        """Post an operation of the tenant, under a new key unless one is given. Numbers and texts are amounts."""
        for name in ("amount", "min_amount", "new_total", "used_so_far", "payment_fee"):
            if isinstance(fields.get(name), int | str):
                fields[name] = units(fields[name])
        fields = {"tenant_id": TENANT, "idempotency_key": f"key-{next(self._keys)}", **fields}
        return (await self.engine.submit(kind(**fields))).reply

    async def open(self, account_id: str, *, credit: int | str = 0, currency_code: str = "USD", **settings: Any) -> str:
        """An account, with purchased credit when that is not zero."""
        parent = settings.pop("parent_account_id", None)
        await self.do(
            ops.CreateAccount,
            account_id=account_id,
            currency_code=currency_code,
            parent_account_id=parent,
            settings=settings,
        )
        if credit:
            await self.do(ops.AddCredit, account_id=account_id, amount=units(credit, currency_code))
        return account_id

    async def reserve(self, account_id: str, amount: int | str, *, ttl_s: int = 900, **fields: Any) -> Any:
        """A hold; returns its id."""
        reply = await self.do(ops.Reserve, account_id=account_id, amount=amount, ttl=timedelta(seconds=ttl_s), **fields)
        assert reply.reservation is not None
        return reply.reservation.reservation_id


@asynccontextmanager
async def house_on(database: Database, *, batch_max: int = 100, wake: Any = None) -> AsyncIterator[House]:
    """A running engine on the database, stopped at the end."""

    async def connect() -> Any:
        return await connect_engine(database.app_dsn, **LIMITS)

    engine = Engine(connect, Terms(), batch_max=batch_max, queue_max=20_000, wake=wake)

    async def expire_due(tenant_id: TenantId, account_id: AccountId) -> None:
        house.expired.append(account_id)
        await engine.submit(ops.ExpireDue(tenant_id=tenant_id, account_id=account_id))

    async with read_pool(database.app_dsn, **LIMITS) as pool:
        house = House(engine, Queries(pool, expire_due))
        await engine.start()
        try:
            yield house
        finally:
            await engine.stop()
