"""Budgets of customers, and whoever watches them: alerts appear while the calls are running."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from rich.console import Console

from imprest.v1.budget_pb2 import Alert, AlertKind, AlertLevel, Budget, BudgetPeriod
from imprest.v1.budget_service_pb2 import BudgetAlertsRequest, SetBudgetRequest
from imprest_client.money import to_decimal, to_money

from .day import Day


async def set_budgets(day: Day) -> None:
    """Have each customer's spending watched that has a budget: by the ready thresholds of 80, 95 and 100 %."""
    for account_id, customer in day.customers.items():
        if customer.budget is not None:
            budget = Budget(
                budget_id=f"month-of-{account_id}",
                account_id=account_id,
                period=BudgetPeriod.BUDGET_PERIOD_MONTH,
                limit=to_money(customer.budget, customer.currency),
            )
            request = SetBudgetRequest(budget=budget, idempotency_key=f"{account_id}/budget")
            await day.ledger.send("SetBudget", request)


@asynccontextmanager
async def watched(day: Day, console: Console) -> AsyncIterator[None]:
    """Print the alerts of the day's budgets as they come while this is open; each must come once and in order."""
    stream = day.ledger.subscribe(BudgetAlertsRequest(kinds=[AlertKind.ALERT_KIND_BUDGET]))
    await stream.read()  # the first checkpoint: from here on nothing is missed
    task = asyncio.create_task(_print(stream, day, console))
    try:
        yield
        await asyncio.sleep(0.5)  # what another worker has written is polled for
    finally:
        stream.cancel()
        await task


async def _print(stream: grpc.aio.UnaryStreamCall, day: Day, console: Console) -> None:
    last = 0
    try:
        while (message := await stream.read()) is not grpc.aio.EOF:
            alert = message.alert
            if message.WhichOneof("event") != "alert" or alert.account_id not in day.customers:
                continue
            if alert.sequence <= last:
                day.tally.problems.append(f"alert {alert.sequence} came after {last}")
            last = alert.sequence
            day.tally.events["budget alerts"] += 1
            console.print(_line(alert))
    except asyncio.CancelledError:
        pass


def _line(alert: Alert) -> str:
    level = AlertLevel.Name(alert.level).removeprefix("ALERT_LEVEL_")
    spent, limit = to_decimal(alert.spent), to_decimal(alert.limit)
    return (
        f"alert {alert.sequence}: {level} {alert.account_id} has reached {alert.threshold.percent.value} % of its "
        f"budget, {spent:.4f} of {limit:f} {alert.spent.currency_code}"
    )
