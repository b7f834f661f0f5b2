"""Subscriptions on a real database: who is charged which month, once, whoever does it and however late."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import psycopg
import pytest

from imprest_server.core.errors import ImprestError, InvalidArgument
from imprest_server.core.ids import AccountId
from imprest_server.core.money import nanos_of
from imprest_server.core.usage import UsageLine, UsageReport
from imprest_server.db.pool import read_pool
from imprest_server.jobs.charge_subscriptions import ChargeSubscriptions, charge_of
from imprest_server.ledger import operations as ops
from imprest_server.ledger.verify import verify
from imprest_server.pricing.cache import PriceCache
from imprest_server.pricing.model import PriceBookId, Subscription
from imprest_server.pricing.operations import CreatePlan, Subscribe, Unsubscribe
from imprest_server.pricing.plans import PlanQueries, next_month
from imprest_server.pricing.service import PriceAdmin
from tests.conftest import Database
from tests.support import clock
from tests.support.lanes import TENANT, Lanes, running_lanes
from tests.support.ledger import LIMITS
from tests.support.prices import COST, SALE, Shop, shop_on, unit, units

SECONDS = "telephony.outbound_seconds"
DID = "telephony.did_months"
ANN = AccountId("ann")
NANO = 10**9
DAY = 86_400


@dataclass
class Desk:
    """Engines, prices, and the job."""

    database: Database
    lanes: Lanes
    shop: Shop
    admin: PriceAdmin
    plans: PlanQueries
    job: ChargeSubscriptions

    async def plan(self, lines: tuple[UsageLine, ...] = ()) -> None:
        """The plan `pro`: 49 a month with 1000 included, 0.05 for more."""
        book = PriceBookId("pro-prices")
        await self.shop.open(SALE, [unit("1", SECONDS), unit("2", DID)])
        await self.shop.open(COST, [unit("0.75", DID, provider="telco")])
        await self.shop.open(
            SALE,
            [
                unit("49", "plan.months", model="pro"),
                unit("0.05", SECONDS, free_quantity=Decimal(1000)),
            ],
            book=book,
            account_id=await self.lanes.open("nobody"),
        )
        await self.admin.create_plan(
            CreatePlan(
                tenant_id=TENANT,
                idempotency_key="plan",
                plan_id="pro",
                display_name="Pro",
                currency_code="USD",
                price_book_id=book,
                lines=lines,
            )
        )

    async def subscribe(self, **fields: Any) -> Subscription:
        operation = Subscribe(
            **{
                "tenant_id": TENANT,
                "idempotency_key": self.lanes.key(),
                "account_id": ANN,
                "plan_id": "pro",
                "lines": (),
            }
            | fields
        )
        return (await self.admin.subscribe(operation)).value

    async def unsubscribe(self, subscription: Subscription, **fields: Any) -> Subscription:
        operation = Unsubscribe(
            tenant_id=TENANT,
            idempotency_key=self.lanes.key(),
            subscription_id=subscription.subscription_id,
            **fields,
        )
        return (await self.admin.unsubscribe(operation)).value

    async def settle(self) -> None:
        """Run the job until there is nothing to do."""
        while await self.job.run_once():
            pass

    async def use(self, quantity: int) -> None:
        await self.lanes.post(
            ops.RecordUsage(
                tenant_id=TENANT,
                idempotency_key=self.lanes.key(),
                account_id=ANN,
                usage=units(quantity, meter=SECONDS),
            )
        )

    def charged(self) -> int:
        return self._of("revenue")

    def cost(self) -> int:
        return self._of("provider_cost")

    def _of(self, column: str) -> int:
        with psycopg.connect(self.database.owner_dsn) as owner:
            row = owner.execute(f"SELECT {column} FROM books WHERE account_id = 'ann'").fetchone()  # type: ignore[arg-type]
        assert row is not None
        return nanos_of(row[0])

    def now(self) -> datetime:
        with psycopg.connect(self.database.owner_dsn) as owner:
            row = owner.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        return row[0].astimezone(UTC)  # type: ignore[no-any-return]

    def until_next_month(self, zone: str = "UTC") -> float:
        now = self.now()
        return (next_month(now, zone) - now).total_seconds()


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    """Two engines on a database whose clock can be moved; in the end the ledger is sound."""
    clock.install(database.owner_dsn)
    async with (
        running_lanes(database, engines=2) as lanes,
        shop_on(database) as shop,
        read_pool(database.app_dsn, **LIMITS) as pool,
    ):
        plans = PlanQueries(pool)
        job = ChargeSubscriptions(TENANT, partial(plans.due, TENANT), partial(plans.set_next, TENANT), lanes.post)
        yield Desk(database, lanes, shop, PriceAdmin(pool, PriceCache()), plans, job)
    report = await verify(database.owner_dsn, all_differences=True)
    assert report.differences == []


@pytest.mark.parametrize(("quantity", "expected"), [(1200, 59), (980, 49)])
async def test_a_month_of_a_plan(desk: Desk, quantity: int, expected: int) -> None:
    await desk.plan()
    await desk.lanes.open("ann", "100")
    await desk.subscribe()
    await desk.settle()
    await desk.use(quantity)
    assert desk.charged() == expected * NANO
    await desk.settle()
    assert desk.charged() == expected * NANO


async def test_every_month_once_whoever_charges_it(desk: Desk) -> None:
    await desk.plan()
    await desk.lanes.open("ann")
    await desk.subscribe()
    await asyncio.gather(*(desk.job.run_once() for _ in range(20)))
    assert desk.charged() == 49 * NANO
    for months in (2, 3):
        clock.advance(desk.database.owner_dsn, desk.until_next_month() + 60)
        await asyncio.gather(*(desk.job.run_once() for _ in range(20)))
        await desk.settle()
        assert desk.charged() == months * 49 * NANO


async def test_months_missed_are_charged_later(desk: Desk) -> None:
    await desk.plan()
    await desk.lanes.open("ann")
    await desk.subscribe()
    for _ in range(4):
        clock.advance(desk.database.owner_dsn, desk.until_next_month() + 60)
    await desk.settle()
    assert desk.charged() == 5 * 49 * NANO


async def test_the_month_is_the_accounts(desk: Desk) -> None:
    await desk.plan()
    await desk.lanes.open("ann", time_zone="Pacific/Auckland")
    await desk.subscribe()
    await desk.settle()
    clock.advance(desk.database.owner_dsn, desk.until_next_month("Pacific/Auckland") - 60)
    await desk.settle()
    assert desk.charged() == 49 * NANO
    clock.advance(desk.database.owner_dsn, 120)
    await desk.settle()
    assert desk.charged() == 2 * 49 * NANO


async def test_a_numbers_cost_is_posted_with_its_charge(desk: Desk) -> None:
    await desk.plan()
    await desk.lanes.open("ann", "10")
    number = UsageLine(meter=DID, provider="telco", quantity=Decimal(1), labels={"number": "4930123"})
    subscription = await desk.subscribe(plan_id=None, lines=(number, number))
    await desk.settle()
    assert (desk.charged(), desk.cost()) == (4 * NANO, 3 * NANO // 2)
    with psycopg.connect(desk.database.owner_dsn) as owner:
        rows = owner.execute(
            "SELECT t.call_id, u.labels FROM usage_lines AS u JOIN transactions AS t USING (tenant_id, account_id, seq)"
        ).fetchall()
    assert rows == [(subscription.subscription_id, {"number": "4930123"})] * 2


async def test_what_is_ended_is_not_charged_and_does_not_price(desk: Desk) -> None:
    await desk.plan()
    await desk.lanes.open("ann", "1000")
    subscription = await desk.subscribe()
    await desk.settle()
    await desk.use(10)
    ended = await desk.unsubscribe(subscription)
    assert ended.end_time is not None
    await desk.use(10)
    assert desk.charged() == (49 + 0 + 10) * NANO
    clock.advance(desk.database.owner_dsn, desk.until_next_month() + 60)
    await desk.settle()
    assert desk.charged() == 59 * NANO
    with pytest.raises(InvalidArgument):
        await desk.unsubscribe(subscription, end_time=ended.end_time + timedelta(days=1))


async def test_an_end_to_come_is_charged_up_to_it(desk: Desk) -> None:
    await desk.plan()
    await desk.lanes.open("ann")
    subscription = await desk.subscribe()
    clock_of_next = desk.now() + timedelta(seconds=desk.until_next_month())
    await desk.unsubscribe(subscription, end_time=clock_of_next + timedelta(hours=1))
    for _ in range(3):
        clock.advance(desk.database.owner_dsn, desk.until_next_month() + 60)
    await desk.settle()
    assert desk.charged() == 2 * 49 * NANO


async def test_a_closed_account_is_left_alone(desk: Desk) -> None:
    await desk.plan()
    await desk.lanes.open("ann")
    await desk.subscribe()
    await desk.lanes.post(ops.CloseAccount(tenant_id=TENANT, idempotency_key="close", account_id=ANN))
    await desk.settle()
    assert desk.charged() == 0
    assert not await desk.job.run_once()


async def test_a_missing_price_holds_nobody_else_up(desk: Desk) -> None:
    await desk.plan()
    await desk.lanes.open("ann")
    storage = UsageLine(meter="storage.gigabyte_months", quantity=Decimal(1))
    await desk.subscribe(plan_id=None, lines=(storage,), start_time=desk.now() + timedelta(hours=1))
    await desk.subscribe(start_time=desk.now() + timedelta(hours=1))
    clock.advance(desk.database.owner_dsn, 7200)
    with pytest.raises(ImprestError):
        await desk.job.run_once()
    assert desk.charged() == 49 * NANO
    with pytest.raises(ImprestError):
        await desk.job.run_once()
    assert desk.charged() == 49 * NANO


@pytest.mark.parametrize("quantity", [1, 2], ids=["the line itself", "another line of its id"])
async def test_a_caller_can_neither_take_nor_block_a_months_line(desk: Desk, quantity: int) -> None:
    await desk.plan()
    await desk.lanes.open("ann", "1000")
    subscription = await desk.subscribe()
    await desk.settle()
    month = desk.now() + timedelta(seconds=desk.until_next_month())
    line = UsageLine(meter="plan.months", model="pro", quantity=Decimal(quantity), line_id=f"{month:%Y-%m}.1")
    await desk.lanes.post(
        ops.Charge(
            tenant_id=TENANT,
            idempotency_key=desk.lanes.key(),
            account_id=ANN,
            usage=UsageReport(lines=(line,)),
            call_id=subscription.subscription_id,
        )
    )
    assert desk.charged() == (1 + quantity) * 49 * NANO
    clock.advance(desk.database.owner_dsn, desk.until_next_month() + 60)
    await desk.settle()
    assert desk.charged() == (2 + quantity) * 49 * NANO


async def test_a_month_that_a_callers_line_has_blocked_is_charged_once(desk: Desk) -> None:
    """The denial was kept when lines were still found by the subscription's name."""
    await desk.plan()
    await desk.lanes.open("ann")
    subscription = await desk.subscribe(start_time=desk.now() + timedelta(hours=1))
    clock.advance(desk.database.owner_dsn, 7200)
    (due,) = await desk.plans.due(TENANT, 10)
    blocked = charge_of(TENANT, due)
    values = {"account_id": "ann", "call_id": subscription.subscription_id, "line_id": blocked.usage.lines[0].line_id}
    with psycopg.connect(desk.database.owner_dsn) as owner:
        owner.execute(
            "INSERT INTO operations VALUES (%s, %s, %s, %s, 'USAGE_LINE_REUSED', %s, clock_timestamp())",
            [TENANT, blocked.kind, blocked.idempotency_key, ops.fingerprint(blocked), json.dumps(values)],
        )
    await asyncio.gather(*(desk.job.run_once() for _ in range(5)))
    await desk.settle()
    assert desk.charged() == 49 * NANO
