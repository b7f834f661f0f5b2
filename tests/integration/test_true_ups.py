"""Provider costs that turn out to be others than were posted, on a real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from imprest_server.core.errors import InvalidArgument, NotFound
from imprest_server.core.ids import TransactionId, uuid7
from imprest_server.core.money import nanos_of
from imprest_server.core.usage import UsageLine, UsageReport
from imprest_server.db.embedded import EmbeddedPostgres
from imprest_server.ledger import operations as ops
from imprest_server.ledger.model import Reservation, TransactionKind
from imprest_server.ledger.verify import verify
from tests.conftest import Database
from tests.scenarios.contract import UNIT_METER
from tests.support import clock
from tests.support.damage import damage
from tests.support.lanes import TENANT, Lanes, running_lanes, usd
from tests.support.prices import Shop, shop_on, units

NANO = 10**9


@pytest.fixture
async def shop(database: Database) -> AsyncIterator[Shop]:
    """Units at their price and cost: 1.00 and 0.40."""
    async with shop_on(database) as shop:
        await shop.sell_units()
        yield shop


@pytest.fixture
async def lanes(database: Database, shop: Shop) -> AsyncIterator[Lanes]:
    """Two engines that take turns; in the end the ledger is sound."""
    clock.install(database.owner_dsn)
    async with running_lanes(database, engines=2) as lanes:
        await lanes.open("ann", "100")
        yield lanes
    report = await verify(database.owner_dsn, all_differences=True)
    assert report.differences == []


def cost_of(database: Database) -> int:
    """What providers get for ann's usage, as the book has it."""
    with psycopg.connect(database.owner_dsn) as owner:
        row = owner.execute("SELECT provider_cost, provider_payable FROM books WHERE account_id = 'ann'").fetchone()
    assert row is not None and row[0] == row[1]
    return nanos_of(row[0])


async def charge(lanes: Lanes, quantity: int) -> TransactionId:
    operation = ops.Charge(tenant_id=TENANT, idempotency_key=lanes.key(), account_id="ann", usage=units(quantity))  # type: ignore[arg-type]
    transaction_id = (await lanes.post(operation)).reply.transaction_id
    assert transaction_id is not None
    return transaction_id


def true_up(lanes: Lanes, cost: str, **target: Any) -> ops.TrueUpCost:
    return ops.TrueUpCost(
        tenant_id=TENANT, **{"idempotency_key": lanes.key(), "cost": usd(cost), "reason": "invoice 7", **target}
    )


def refund(lanes: Lanes, amount: str | None, **target: Any) -> ops.Refund:
    return ops.Refund(
        tenant_id=TENANT,
        idempotency_key=lanes.key(),
        amount=None if amount is None else usd(amount),
        reverse_cost=True,
        **target,
    )


def difference(reply: ops.Reply) -> int:
    assert reply.charge is not None
    return reply.charge.provider_cost


async def test_a_cost_is_set_absolutely_up_down_and_once(database: Database, lanes: Lanes) -> None:
    charged = await charge(lanes, 10)
    posted, before = cost_of(database), lanes.standing("ann")  # type: ignore[arg-type]
    up = true_up(lanes, "7", transaction_id=charged)
    outcome = await lanes.post(up)
    transaction = outcome.reply.transaction
    assert transaction is not None and transaction.kind is TransactionKind.TRUE_UP
    assert (difference(outcome.reply), transaction.reason) == (7_000_000_000 - posted, "invoice 7")
    assert cost_of(database) == 7_000_000_000
    assert (await lanes.post(up)).replayed
    again = (await lanes.post(true_up(lanes, "7", transaction_id=charged))).reply
    assert (again.transaction, again.transaction_id, difference(again)) == (None, None, 0)
    assert difference((await lanes.post(true_up(lanes, "0", transaction_id=charged))).reply) == -7_000_000_000
    assert cost_of(database) == 0
    assert lanes.standing("ann") == before, "the customer has no part in it"  # type: ignore[arg-type]


async def test_a_reservation_is_all_its_captures(database: Database, lanes: Lanes) -> None:
    hold = await lanes.hold("ann", "50", call_id="call-1")  # type: ignore[arg-type]
    for final in (False, False, True):
        await lanes.post(
            ops.Commit(tenant_id=TENANT, idempotency_key=lanes.key(), reservation_id=hold, usage=units(5), final=final)
        )
    reply = (await lanes.post(true_up(lanes, "1", reservation_id=hold))).reply
    assert reply.transaction is not None
    assert (reply.transaction.reservation_id, reply.transaction.call_id) == (hold, "call-1")
    assert cost_of(database) == 1_000_000_000
    await lanes.post(true_up(lanes, "9", reservation_id=hold))
    await lanes.post(refund(lanes, None, reservation_id=hold))
    assert cost_of(database) == 0, "a refund in full takes back all of the corrected cost"
    assert difference((await lanes.post(true_up(lanes, "2", reservation_id=hold))).reply) == 2_000_000_000


async def test_a_refund_takes_back_its_share_of_the_corrected_cost(database: Database, lanes: Lanes) -> None:
    charged = await charge(lanes, 10)
    with psycopg.connect(database.owner_dsn) as owner:
        ((revenue,),) = owner.execute("SELECT revenue FROM books WHERE account_id = 'ann'").fetchall()
    half = str(revenue / 2)
    await lanes.post(true_up(lanes, "8", transaction_id=charged))
    await lanes.post(refund(lanes, half, transaction_id=charged))
    assert cost_of(database) == 4_000_000_000
    # The providers insist on 5 for what has not been given back: that is what comes back with the rest.
    assert difference((await lanes.post(true_up(lanes, "5", transaction_id=charged))).reply) == 1_000_000_000
    await lanes.post(refund(lanes, None, transaction_id=charged))
    assert cost_of(database) == 0


@pytest.mark.parametrize("stated", ["1", "2.5", "9"], ids=["less", "as it was", "more"])
async def test_a_late_commit_leaves_a_stated_cost(database: Database, lanes: Lanes, stated: str) -> None:
    outcome = await lanes.post(
        ops.Reserve(tenant_id=TENANT, idempotency_key=lanes.key(), account_id="ann", estimate=units(10))  # type: ignore[arg-type]
    )
    assert isinstance(outcome.reply.reservation, Reservation)
    hold = outcome.reply.reservation.reservation_id
    await lanes.post(ops.Extend(tenant_id=TENANT, idempotency_key=lanes.key(), reservation_id=hold, used=units(10)))
    clock.advance(database.owner_dsn, 3600)
    await lanes.post(true_up(lanes, stated, reservation_id=hold))
    late = ops.Commit(tenant_id=TENANT, idempotency_key=lanes.key(), reservation_id=hold, usage=units(20))
    reply = (await lanes.post(late)).reply
    assert (difference(reply), cost_of(database)) == (0, usd(stated).nanos)
    await lanes.post(true_up(lanes, "3", reservation_id=hold))
    assert cost_of(database) == 3_000_000_000


async def test_only_usage_has_a_cost(lanes: Lanes) -> None:
    credit = (
        await lanes.post(
            ops.AddCredit(tenant_id=TENANT, idempotency_key=lanes.key(), account_id="ann", amount=usd("1"))  # type: ignore[arg-type]
        )
    ).reply.transaction_id
    hold = await lanes.hold("ann", "1")  # type: ignore[arg-type]
    for target in ({"transaction_id": credit}, {"transaction_id": uuid7()}, {"reservation_id": hold}):
        with pytest.raises(NotFound):
            await lanes.post(true_up(lanes, "1", **target))


def call_of(*costs: str) -> UsageReport:
    """A call with one line for every provider."""
    return UsageReport(
        lines=tuple(
            UsageLine(meter=UNIT_METER, quantity=Decimal(quantity), line_id=name, provider=name)
            for name, quantity in zip(("stt", "llm", "tts"), costs, strict=False)
        )
    )


def true_up_lines(lanes: Lanes, target: dict[str, Any], **costs: str) -> ops.TrueUpCost:
    return ops.TrueUpCost(
        tenant_id=TENANT,
        idempotency_key=lanes.key(),
        line_costs={name: usd(cost) for name, cost in costs.items()},
        reason="invoices",
        **target,
    )


async def test_each_provider_states_its_own_lines(database: Database, lanes: Lanes) -> None:
    hold = {"reservation_id": await lanes.hold("ann", "50", call_id="call-1")}  # type: ignore[arg-type]
    for quantities, final in ((("4", "8"), False), (("4", "4", "4"), True)):
        report = call_of(*quantities)
        lines = tuple(replace(line, line_id=f"{line.line_id}-{final}") for line in report.lines)
        await lanes.post(
            ops.Commit(
                tenant_id=TENANT, idempotency_key=lanes.key(), usage=UsageReport(lines=lines), final=final, **hold
            )
        )
    assert cost_of(database) == 6 * NANO  # 1 + 2, 1 + 1 + 1
    before = lanes.standing("ann")  # type: ignore[arg-type]
    up = true_up_lines(lanes, hold, **{"stt-False": "1.5", "stt-True": "0.75"})
    outcome = await lanes.post(up)
    assert (difference(outcome.reply), cost_of(database)) == (NANO // 4, 6 * NANO + NANO // 4)
    assert outcome.reply.transaction is not None and len(outcome.reply.transaction.postings) == 2
    assert (await lanes.post(up)).replayed
    again = (await lanes.post(true_up_lines(lanes, hold, **{"stt-False": "1.5"}))).reply
    assert (again.transaction, difference(again)) == (None, 0)
    await lanes.post(true_up_lines(lanes, hold, **{"llm-False": "0", "tts-True": "3"}))
    assert cost_of(database) == 6 * NANO + NANO // 4
    await lanes.post(true_up_lines(lanes, hold, **{"stt-False": "0"}))
    assert cost_of(database) == 4 * NANO + 3 * NANO // 4
    assert lanes.standing("ann") == before, "the customer has no part in it"  # type: ignore[arg-type]


async def test_lines_of_one_transaction(database: Database, lanes: Lanes) -> None:
    reply = (
        await lanes.post(
            ops.Charge(tenant_id=TENANT, idempotency_key=lanes.key(), account_id="ann", usage=call_of("4", "4"))  # type: ignore[arg-type]
        )
    ).reply
    target = {"transaction_id": reply.transaction_id}
    balanced = (await lanes.post(true_up_lines(lanes, target, stt="1.5", llm="0.5"))).reply
    assert (balanced.transaction, difference(balanced)) == (None, 0), "what one costs more the other costs less"
    assert difference((await lanes.post(true_up_lines(lanes, target, stt="0"))).reply) == -3 * NANO // 2
    for costs in ({"tts": "1"}, {"stt": "1", "tts": "1"}):
        with pytest.raises(NotFound):
            await lanes.post(true_up_lines(lanes, target, **costs))
    assert cost_of(database) == NANO // 2
    await lanes.post(true_up(lanes, "3", **target))
    with pytest.raises(InvalidArgument, match="stated in all"):
        await lanes.post(true_up_lines(lanes, target, stt="1"))
    assert cost_of(database) == 3 * NANO


async def test_what_refunds_have_reversed_cannot_be_taken_again(database: Database, lanes: Lanes) -> None:
    reply = (
        await lanes.post(
            ops.Charge(tenant_id=TENANT, idempotency_key=lanes.key(), account_id="ann", usage=call_of("4", "4"))  # type: ignore[arg-type]
        )
    ).reply
    target = {"transaction_id": reply.transaction_id}
    await lanes.post(refund(lanes, "6", **target))
    with pytest.raises(InvalidArgument, match="less than nothing"):
        await lanes.post(true_up_lines(lanes, target, stt="0"))
    await lanes.post(true_up_lines(lanes, target, stt="0.5"))
    assert cost_of(database) == 0


@pytest.mark.parametrize("quantity", ["2", "4", "8"], ids=["less", "as it was", "more"])
async def test_the_lines_of_a_late_commit_cost_what_the_expiry_has_posted(
    database: Database, lanes: Lanes, quantity: str
) -> None:
    outcome = await lanes.post(
        ops.Reserve(tenant_id=TENANT, idempotency_key=lanes.key(), account_id="ann", estimate=units(20))  # type: ignore[arg-type]
    )
    assert outcome.reply.reservation is not None
    hold = outcome.reply.reservation.reservation_id
    await lanes.post(ops.Extend(tenant_id=TENANT, idempotency_key=lanes.key(), reservation_id=hold, used=units(8)))
    clock.advance(database.owner_dsn, 3600)
    late = ops.Commit(
        tenant_id=TENANT, idempotency_key=lanes.key(), reservation_id=hold, usage=call_of(quantity, quantity)
    )
    committed = (await lanes.post(late)).reply
    if committed.transaction_id is not None:
        with pytest.raises(InvalidArgument, match="less than nothing"):
            await lanes.post(true_up_lines(lanes, {"transaction_id": committed.transaction_id}, stt="0", llm="0"))
    for costs in ({"stt": "0.1"}, {"llm": "0.2"}, {"stt": "5", "llm": "0"}, {"stt": "0"}, {"stt": "1", "llm": "2"}):
        before = cost_of(database)
        reply = (await lanes.post(true_up_lines(lanes, {"reservation_id": hold}, **costs))).reply
        assert cost_of(database) == before + difference(reply)
    assert cost_of(database) == 3 * NANO
    await lanes.post(true_up_lines(lanes, {"reservation_id": hold}, stt="0", llm="0"))
    assert cost_of(database) == 0


async def test_verify_finds_a_stated_line_that_was_changed(
    database: Database, lanes: Lanes, pg_cluster: EmbeddedPostgres
) -> None:
    charged = await lanes.post(
        ops.Charge(tenant_id=TENANT, idempotency_key=lanes.key(), account_id="ann", usage=call_of("4"))  # type: ignore[arg-type]
    )
    await lanes.post(true_up_lines(lanes, {"transaction_id": charged.reply.transaction_id}, stt="3"))
    damage(database, pg_cluster, "UPDATE rerated_lines SET cost = cost + 1")
    report = await verify(database.owner_dsn, all_differences=True)
    assert [difference.what for difference in report.differences] == ["cost of lines that was stated"]
    damage(database, pg_cluster, "UPDATE rerated_lines SET cost = cost - 1")


async def test_true_ups_race_refunds(database: Database, lanes: Lanes) -> None:
    charged = [await charge(lanes, 10) for _ in range(6)]
    operations: list[ops.Operation] = []
    for transaction_id in charged:
        operations += [true_up(lanes, cost, transaction_id=transaction_id) for cost in ("3", "0", "5", "5")]
        operations += [refund(lanes, "0.01", transaction_id=transaction_id) for _ in range(4)]
    await asyncio.gather(*map(lanes.post, operations))
    for transaction_id in charged:
        await lanes.post(true_up(lanes, "2", transaction_id=transaction_id))
    assert cost_of(database) == 12_000_000_000
    await asyncio.gather(*(lanes.post(refund(lanes, None, transaction_id=each)) for each in charged))
    assert cost_of(database) == 0
