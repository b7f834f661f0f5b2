"""What one caller asks for in order happens in that order, also when a batch has to leave some of it to the next."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from imprest_server.core.errors import ImprestError
from imprest_server.core.ids import AccountId
from imprest_server.ledger import operations as ops
from imprest_server.ledger.operations import Reply, Request
from imprest_server.ledger.rules.decide import RULES
from imprest_server.ledger.rules.holds import reserve as reserve_rule
from imprest_server.ledger.working_set import Ledger
from tests.conftest import Database
from tests.support import clock
from tests.support.lanes import TENANT, Lanes, running_lanes, usd
from tests.support.prices import SALE, shop_on, unit, units


class Culprit(Exception):
    """What a bug raises."""


async def in_order(lanes: Lanes, operations: Sequence[ops.Operation]) -> list[str]:
    """Ask for all of it at once, in this order, as BatchExecute does; what was answered."""
    submit = lanes.engines[0].submit
    results = await asyncio.gather(*(submit(operation) for operation in operations), return_exceptions=True)
    return [r.reason if isinstance(r, ImprestError) else type(r).__name__ for r in results]


def move(lanes: Lanes, kind: type[ops.CreditOperation], account: AccountId, amount: str) -> ops.CreditOperation:
    return kind(tenant_id=TENANT, idempotency_key=lanes.key(), account_id=account, amount=usd(amount))


def transfer(lanes: Lanes, giver: AccountId, taker: AccountId, amount: str) -> ops.Transfer:
    return ops.Transfer(
        tenant_id=TENANT,
        idempotency_key=lanes.key(),
        from_account_id=giver,
        to_account_id=taker,
        amount=usd(amount),
    )


async def crowded_account(lanes: Lanes) -> AccountId:
    """An account with more due holds than a batch expires."""
    account = await lanes.open("crowded", credit="20")
    await asyncio.gather(*(lanes.hold(account, "1", ttl=timedelta(seconds=60)) for _ in range(20)))
    clock.advance(lanes.database.owner_dsn, 60)
    return account


async def test_a_charge_in_the_batch_that_makes_the_account(database: Database) -> None:
    """The prices of the new account are not loaded: its usage waits for the next batch, and what follows waits, too."""
    async with shop_on(database) as shop, running_lanes(database) as lanes:
        await shop.open(SALE, [unit("1")])
        account = AccountId("new")
        create = ops.CreateAccount(
            tenant_id=TENANT, idempotency_key=lanes.key(), account_id=account, currency_code="USD", settings={}
        )
        charge = ops.Charge(tenant_id=TENANT, idempotency_key=lanes.key(), account_id=account, usage=units(10))
        credit, withdraw = move(lanes, ops.AddCredit, account, "10"), move(lanes, ops.Withdraw, account, "10")
        answers = await in_order(lanes, [create, credit, charge, withdraw])
        assert answers == ["Outcome", "Outcome", "Outcome", "INSUFFICIENT_FUNDS"]


async def test_what_follows_a_transfer_that_waits(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for its sender's due holds; its receiver's next operations wait with it."""
    monkeypatch.setattr("imprest_server.posting.lane.DUE_LIMIT", 7)
    clock.install(database.owner_dsn)
    async with running_lanes(database) as lanes:
        giver, taker = await crowded_account(lanes), await lanes.open("taker")
        steps = [transfer(lanes, giver, taker, "5"), move(lanes, ops.Withdraw, taker, "5")]
        assert await in_order(lanes, steps) == ["Outcome", "Outcome"]


async def test_what_follows_a_transfer_that_waits_in_another_part_of_its_batch(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A culprit has the batch split between the two."""
    monkeypatch.setattr("imprest_server.posting.lane.DUE_LIMIT", 7)
    clock.install(database.owner_dsn)

    def rule(ledger: Ledger, request: Request, op: Any, now: datetime) -> Reply:
        if op.call_id == "culprit":
            raise Culprit
        return reserve_rule(ledger, request, op, now)

    monkeypatch.setitem(RULES, ops.Reserve, rule)
    async with running_lanes(database) as lanes:
        giver, taker = await crowded_account(lanes), await lanes.open("taker", credit="1")
        steps = [
            transfer(lanes, giver, taker, "5"),
            lanes.reserve(taker, "0"),
            move(lanes, ops.Withdraw, taker, "6"),
            lanes.reserve(taker, "0", call_id="culprit"),
        ]
        assert await in_order(lanes, steps) == ["Outcome", "Outcome", "Outcome", "Culprit"]
