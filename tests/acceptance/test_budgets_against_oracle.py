"""Random traffic over random budgets through gRPC and the independent model: the same answers, and the same alerts on
the stream, in the same order, none twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager

from hypothesis import HealthCheck, given, settings

from imprest.v1.budget_pb2 import Alert
from imprest.v1.budget_pb2 import AlertKind as Kind
from imprest.v1.budget_service_pb2 import BudgetAlertsRequest
from imprest_client.money import to_decimal
from imprest_server.core.money import format_nanos, nanos_of
from imprest_server.ledger.verify import verify
from imprest_server.posting.audit import differences
from tests.conftest import Database
from tests.oracle.budget_programs import Case, cases
from tests.scenarios.compare import Player, step_alike
from tests.scenarios.grpc_adapter import GrpcAdapter
from tests.support import clock
from tests.support.budgets import open_desk
from tests.support.limits import OracleWithBudgets, budget_of, named
from tests.support.prices import shop_on
from tests.support.server import running_server

EXAMPLES = 12


async def test_the_server_tells_what_the_oracle_tells(
    new_database: Callable[[], AbstractContextManager[Database]],
) -> None:
    loop = asyncio.get_running_loop()

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
    @given(cases(max_stories=6))
    def same(case: Case) -> None:
        with new_database() as database:
            asyncio.run_coroutine_threadsafe(_compare(case, database), loop).result()

    await asyncio.to_thread(same)


async def _compare(case: Case, database: Database) -> None:
    clock.install(database.owner_dsn)
    clock.stop(database.owner_dsn, case.start)
    async with shop_on(database) as shop, open_desk(database) as desk, running_server(database) as server:
        await shop.sell_units()
        oracle = OracleWithBudgets(case.start)
        adapter = GrpcAdapter(server, database.owner_dsn, frozen_clock=True)
        one, other = Player(oracle, case.program.accounts), Player(adapter, case.program.accounts)
        await one.set_up()
        await other.set_up()
        oracle.tenant.budgets.budgets = named(case.budgets, one)
        for budget in map(budget_of, named(case.budgets, other)):
            await desk.set(
                budget.budget_id,
                limit=format_nanos(budget.limit),
                account=budget.scope.account_id,
                label=budget.scope.label,
                meters=budget.scope.meter_prefix,
                basis=budget.basis,
                period=budget.period,
                time_zone=budget.time_zone,
                thresholds=budget.thresholds,
            )
        for step in case.program.steps:
            await step_alike(step, one, other)
        told: list[str] = []
        stream = server.budgets.BudgetAlerts(BudgetAlertsRequest(start_time={"seconds": 0}))
        async for message in stream:
            if message.WhichOneof("event") == "checkpoint":
                break
            assert message.alert.sequence == len(told) + 1
            told.append(_told(message.alert))
        stream.cancel()
        assert told == [str(alert) for alert in oracle.tenant.budgets.alerts]
        report = await verify(database.owner_dsn, all_differences=True, beside=differences)
        assert [str(difference) for difference in report.differences] == []


def _told(alert: Alert) -> str:
    """As `tests.support.limits.told`."""
    spent, held, amount = (nanos_of(to_decimal(money)) for money in (alert.spent, alert.held, alert.amount))
    if alert.budget_id:
        return f"{alert.budget_id} {alert.threshold.percent.value}% {spent}/{held}"
    return f"{Kind.Name(alert.kind).removeprefix('ALERT_KIND_')} {amount}"
