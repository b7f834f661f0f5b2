"""A refund by reservation loads the captures it gets to, newest first, and the sums of the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from imprest_server.core.errors import RefundExceedsCapture
from imprest_server.core.ids import ReservationId
from imprest_server.core.money import format_nanos
from imprest_server.ledger import operations as ops
from imprest_server.ledger.operations import Reply, Request
from imprest_server.ledger.rules import Outcome
from imprest_server.ledger.rules.decide import RULES
from imprest_server.ledger.rules.refunds import refund as refund_rule
from imprest_server.ledger.verify import verify
from imprest_server.ledger.working_set import Ledger
from tests.conftest import Database
from tests.support import clock
from tests.support.lanes import TENANT, Lanes, running_lanes, usd

CAPTURES = 20


@pytest.fixture
async def lanes(database: Database) -> AsyncIterator[Lanes]:
    clock.install(database.owner_dsn)
    async with running_lanes(database) as lanes:
        yield lanes
        assert lanes.engines[0].stats.splits == 0


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many captures each refund found in its batch."""
    counts: list[int] = []

    def rule(ledger: Ledger, request: Request, op: ops.Refund, now: datetime) -> Reply:
        counts.append(len(ledger.captures))
        return refund_rule(ledger, request, op, now)

    monkeypatch.setitem(RULES, ops.Refund, rule)
    return counts


async def captured_in_parts(lanes: Lanes, **fields: Any) -> tuple[ReservationId, list[Any]]:
    """A hold with captures of 1 each; their transactions, oldest first."""
    account = await lanes.open("acme", credit="100")
    hold = await lanes.hold(account, "50", **fields)
    outcomes = [await lanes.post(lanes.commit(hold, "1", final=False)) for _ in range(CAPTURES)]
    return hold, [outcome.reply.transaction_id for outcome in outcomes]


def refund(lanes: Lanes, amount: str | None = None, **target: Any) -> ops.Refund:
    money = None if amount is None else usd(amount)
    return ops.Refund(tenant_id=TENANT, idempotency_key=lanes.key(), amount=money, **target)


def refunded_total(outcome: Any) -> str:
    assert isinstance(outcome, Outcome) and outcome.reply.refunded_total is not None
    return format_nanos(outcome.reply.refunded_total)


async def test_a_refund_loads_what_it_gets_to(lanes: Lanes, loaded: list[int]) -> None:
    hold, _ = await captured_in_parts(lanes)
    assert refunded_total(await lanes.post(refund(lanes, "2.5", reservation_id=hold))) == "2.5"
    assert refunded_total(await lanes.post(refund(lanes, "1", reservation_id=hold))) == "3.5"
    with pytest.raises(RefundExceedsCapture) as denial:
        await lanes.post(refund(lanes, "16.6", reservation_id=hold))
    assert denial.value.refundable == "16.5"
    assert refunded_total(await lanes.post(refund(lanes, reservation_id=hold))) == "20"
    with pytest.raises(RefundExceedsCapture) as denial:
        await lanes.post(refund(lanes, reservation_id=hold))
    assert denial.value.refundable == "0"
    # Exhausted captures are left out, but for the newest, of which the others' sums come along.
    assert loaded == [3, 3, 18, 18, 1]


async def test_refunds_of_one_batch_get_to_the_captures_they_would_alone(
    lanes: Lanes, loaded: list[int], database: Database
) -> None:
    """One by id takes the newest capture away from those by reservation, and a new capture comes between."""
    hold, transactions = await captured_in_parts(lanes)
    outcomes = await asyncio.gather(
        lanes.post(refund(lanes, transaction_id=transactions[-1])),
        lanes.post(refund(lanes, "0.5", transaction_id=transactions[3])),
        lanes.post(refund(lanes, "2", reservation_id=hold)),
        lanes.post(lanes.commit(hold, "3", final=False)),
        lanes.post(refund(lanes, "4.5", reservation_id=hold)),
    )
    assert set(loaded[:3]) == {9}, "two by id, and seven that cover the other 6.5"
    assert loaded[3:] == [10]
    assert [refunded_total(outcomes[n]) for n in (0, 1, 2, 4)] == ["1", "0.5", "3.5", "8"]
    assert refunded_total(await lanes.post(refund(lanes, reservation_id=hold))) == "23"
    assert (await verify(database.owner_dsn)).ok


async def test_all_of_it_beside_a_part_of_it(lanes: Lanes) -> None:
    hold, _ = await captured_in_parts(lanes)
    part, rest, nothing = await asyncio.gather(
        lanes.post(refund(lanes, "1.5", reservation_id=hold)),
        lanes.post(refund(lanes, reservation_id=hold)),
        lanes.attempt(refund(lanes, "1.5", reservation_id=hold)),
    )
    assert (refunded_total(part), refunded_total(rest)) == ("1.5", "20")
    assert isinstance(nothing, RefundExceedsCapture)


async def test_a_late_commit_takes_the_expirys_capture_away(lanes: Lanes, database: Database) -> None:
    hold, _ = await captured_in_parts(lanes, ttl=timedelta(seconds=600))
    used = ops.Extend(tenant_id=TENANT, idempotency_key="u", reservation_id=hold, used_so_far=usd("25"))
    await lanes.post(used)
    clock.advance(database.owner_dsn, 600)
    await lanes.post(ops.ExpireDue(tenant_id=TENANT, account_id=(await lanes.post(used)).reply.balance.account_id))
    late, given_back = await asyncio.gather(
        lanes.post(lanes.commit(hold, "0")), lanes.post(refund(lanes, "4", reservation_id=hold))
    )
    assert late.reply.late
    assert refunded_total(given_back) == "4"
    assert lanes.standing(late.reply.balance.account_id).wallet == "84"
    assert refunded_total(await lanes.post(refund(lanes, reservation_id=hold))) == "20"
    assert (await verify(database.owner_dsn)).ok
