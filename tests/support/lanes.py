"""Several posting engines on one database: what several server processes are to Postgres."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import psycopg

from imprest_server.core.errors import ImprestError
from imprest_server.core.ids import AccountId, ReservationId, TenantId
from imprest_server.core.money import Money, format_nanos, nanos_of
from imprest_server.db.pool import connect_engine
from imprest_server.ledger import operations as ops
from imprest_server.ledger.rules import Outcome
from imprest_server.ledger.working_set import Terms
from imprest_server.posting.engine import Engine
from tests.conftest import Database
from tests.support.ledger import LIMITS

TENANT = TenantId("default")


def usd(amount: str) -> Money:
    """US dollars from decimal text."""
    return Money("USD", nanos_of(Decimal(amount)))


@dataclass(frozen=True)
class Standing:
    """What a book says, as decimal texts."""

    wallet: str
    held: str
    receivable: str
    open_count: int


@dataclass
class Lanes:
    """Engines that take turns: operation n goes to engine n modulo their number."""

    database: Database
    engines: list[Engine]
    _turn: Iterable[int] = field(default_factory=itertools.count)
    _keys: Iterable[int] = field(default_factory=lambda: itertools.count(1))

    def key(self) -> str:
        """An idempotency key not used before."""
        return f"key-{next(iter(self._keys))}"

    async def post(self, operation: ops.Operation) -> Outcome:
        """Submit to the next engine in turn; raises the denial."""
        return await self.engines[next(iter(self._turn)) % len(self.engines)].submit(operation)

    async def attempt(self, operation: ops.Operation) -> Outcome | ImprestError:
        """As `post`, with a denial as a value."""
        try:
            return await self.post(operation)
        except ImprestError as denial:
            return denial

    async def open(self, account: str, credit: str = "0", **settings: Any) -> AccountId:
        """A new account with credit."""
        account_id = AccountId(account)
        await self.post(
            ops.CreateAccount(
                tenant_id=TENANT,
                idempotency_key=self.key(),
                account_id=account_id,
                currency_code="USD",
                settings=settings,  # type: ignore[typeddict-item]
            )
        )
        if credit != "0":
            await self.post(
                ops.AddCredit(tenant_id=TENANT, idempotency_key=self.key(), account_id=account_id, amount=usd(credit))
            )
        return account_id

    def reserve(self, account: AccountId, amount: str, *, key: str | None = None, **fields: Any) -> ops.Reserve:
        """A Reserve, with a key of its own unless one is given."""
        return ops.Reserve(
            tenant_id=TENANT, idempotency_key=key or self.key(), account_id=account, amount=usd(amount), **fields
        )

    async def hold(self, account: AccountId, amount: str, **fields: Any) -> ReservationId:
        """A granted reservation."""
        outcome = await self.post(self.reserve(account, amount, **fields))
        assert outcome.reply.reservation is not None
        return outcome.reply.reservation.reservation_id

    def commit(self, hold: ReservationId, amount: str, *, key: str | None = None, **fields: Any) -> ops.Commit:
        """A Commit, with a key of its own unless one is given."""
        return ops.Commit(
            tenant_id=TENANT, idempotency_key=key or self.key(), reservation_id=hold, amount=usd(amount), **fields
        )

    def void(self, hold: ReservationId) -> ops.Void:
        """A Void with a key of its own."""
        return ops.Void(tenant_id=TENANT, idempotency_key=self.key(), reservation_id=hold)

    def standing(self, account: AccountId) -> Standing:
        """The book as it is stored."""
        with psycopg.connect(self.database.owner_dsn) as connection:
            row = connection.execute(
                "SELECT wallet, held, receivable, open_count FROM books WHERE tenant_id = %s AND account_id = %s",
                [TENANT, account],
            ).fetchone()
        assert row is not None
        wallet, held, receivable = (format_nanos(nanos_of(amount)) for amount in row[:3])
        return Standing(wallet, held, receivable, row[3])


@asynccontextmanager
async def running_lanes(
    database: Database, *, engines: int = 1, batch_max: int = 250, terms: Terms | None = None
) -> AsyncIterator[Lanes]:
    """Start engines on the database as the app role; stop them in the end."""

    async def connect() -> psycopg.AsyncConnection[tuple[Any, ...]]:
        return await connect_engine(database.app_dsn, **LIMITS)

    lanes = Lanes(
        database,
        [Engine(connect, terms or Terms(), batch_max=batch_max, queue_max=10_000) for _ in range(engines)],
    )
    for engine in lanes.engines:
        await engine.start()
    try:
        yield lanes
    finally:
        for engine in lanes.engines:
            await engine.stop()
