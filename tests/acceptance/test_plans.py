"""Plans through gRPC: the worked numbers end to end, the turn of a month, and the end of a subscription."""

# ruff: noqa: ASYNC110  # what is waited for happens in the database

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.decimal_pb2 import Decimal

from imprest.v1 import (
    account_pb2,
    account_service_pb2,
    plan_pb2,
    price_pb2,
    pricing_service_pb2,
    usage_pb2,
    usage_service_pb2,
)
from imprest_server.pricing.plans import next_month
from tests.conftest import Database
from tests.support import clock
from tests.support.server import Running, running_server

METER = "telephony.outbound_seconds"
ROWS: list[dict[str, Any]] = json.loads((Path(__file__).parents[1] / "unit" / "vectors" / "rating.json").read_text())[
    "subscription"
]


@pytest.fixture
async def server(database: Database) -> AsyncIterator[Running]:
    """A server whose jobs run often, on a clock that can be moved, with an account that owes what it uses."""
    clock.install(database.owner_dsn)
    async with running_server(database, sweep_interval_ms=20) as server:
        await server.accounts.CreateAccount(
            account_service_pb2.CreateAccountRequest(
                account=account_pb2.Account(account_id="ann", currency_code="USD"), idempotency_key="a"
            )
        )
        yield server


async def subscribe(server: Running, row: dict[str, Any]) -> str:
    book = price_pb2.PriceBook(price_book_id="pro", side=price_pb2.BOOK_SIDE_SALE, currency_code="USD")
    await server.pricing.CreatePriceBook(
        pricing_service_pb2.CreatePriceBookRequest(price_book=book, idempotency_key="b")
    )
    fee = price_pb2.Price(meter="plan.months", model="pro", unit_price=Decimal(value=row["monthly_fee"]))
    overage = price_pb2.Price(
        meter=METER,
        unit_price=Decimal(value=row["overage_unit_price"]),
        free_quantity=Decimal(value=row["included"]),
    )
    await server.pricing.PublishPrices(
        pricing_service_pb2.PublishPricesRequest(price_book_id="pro", prices=[fee, overage], idempotency_key="p")
    )
    plan = plan_pb2.Plan(plan_id="pro", currency_code="USD", price_book_id="pro")
    created = await server.pricing.CreatePlan(pricing_service_pb2.CreatePlanRequest(plan=plan, idempotency_key="plan"))
    assert [line.meter for line in created.plan.lines] == ["plan.months"]
    listed = await server.pricing.ListPlans(pricing_service_pb2.ListPlansRequest())
    assert list(listed.plans) == [created.plan]
    request = pricing_service_pb2.SubscribeRequest(account_id="ann", plan_id="pro", idempotency_key="s")
    subscribed = await server.pricing.Subscribe(request)
    again = await server.pricing.Subscribe(request)
    assert again.replayed and again.subscription == subscribed.subscription
    return str(subscribed.subscription.subscription_id)


async def owes(server: Running) -> str:
    balance = (await server.accounts.GetBalance(account_service_pb2.GetBalanceRequest(account_id="ann"))).balance
    return str(balance.receivable.units)


async def until_owing(server: Running, amount: str) -> None:
    """Wait for the job."""
    while await owes(server) != amount:
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
async def test_the_worked_numbers(server: Running, row: dict[str, Any]) -> None:
    await subscribe(server, row)
    await until_owing(server, row["monthly_fee"])
    line = usage_pb2.UsageLine(meter=METER, quantity=Decimal(value=row["quantity"]))
    await server.usage.RecordUsage(
        usage_service_pb2.RecordUsageRequest(
            account_id="ann", idempotency_key="u", usage=usage_pb2.UsageReport(lines=[line])
        )
    )
    assert await owes(server) == row["expect"]


async def test_a_month_turns_and_a_subscription_ends(server: Running, database: Database) -> None:
    def now() -> datetime:
        with psycopg.connect(database.owner_dsn) as owner:
            row = owner.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        return row[0].astimezone(UTC)  # type: ignore[no-any-return]

    def turn_month() -> None:
        clock.advance(database.owner_dsn, (next_month(now(), "UTC") - now()).total_seconds() + 60)

    subscription_id = await subscribe(server, ROWS[0])
    await until_owing(server, "49")
    turn_month()
    await until_owing(server, "98")
    request = pricing_service_pb2.UnsubscribeRequest(subscription_id=subscription_id, idempotency_key="end")
    ended = (await server.pricing.Unsubscribe(request)).subscription
    assert ended.HasField("end_time")
    assert (await server.pricing.Unsubscribe(request)).replayed
    listed = await server.pricing.ListSubscriptions(pricing_service_pb2.ListSubscriptionsRequest(account_id="ann"))
    assert list(listed.subscriptions) == [ended]
    # A second one shows that the job has been there: it is charged, the ended one is not.
    turn_month()
    start = Timestamp()
    start.FromDatetime(now())
    await server.pricing.Subscribe(
        pricing_service_pb2.SubscribeRequest(
            account_id="ann", plan_id="pro", start_time=start, idempotency_key="second"
        )
    )
    await until_owing(server, "147")


async def test_callers_usage_of_a_subscriptions_name_leaves_its_fee(server: Running, database: Database) -> None:
    subscription_id = await subscribe(server, ROWS[0])
    await until_owing(server, "49")
    with psycopg.connect(database.owner_dsn) as owner:
        ((now,),) = owner.execute("SELECT clock_timestamp()").fetchall()
    turn = next_month(now.astimezone(UTC), "UTC")
    line = usage_pb2.UsageLine(line_id=f"{turn:%Y-%m}.1", meter="plan.months", model="pro", quantity=Decimal(value="0"))
    await server.usage.RecordUsage(
        usage_service_pb2.RecordUsageRequest(
            account_id="ann",
            idempotency_key="u",
            call_id=subscription_id,
            usage=usage_pb2.UsageReport(lines=[line]),
        )
    )
    assert await owes(server) == "49"
    clock.advance(database.owner_dsn, (turn - now).total_seconds() + 60)
    await until_owing(server, "98")
