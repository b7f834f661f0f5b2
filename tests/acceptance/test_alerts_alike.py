"""The same story told to a server and to the fake beside it: both raise the same alerts, and deny the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from imprest_client import AdminClient, BudgetClient, UsageLine
from imprest_client.budget_model import Alert, AlertLevel, BudgetBasis, BudgetPeriod, Threshold, ThresholdAction
from imprest_client.errors import Denied
from tests.conftest import Database
from tests.scenarios.contract import UNIT_METER
from tests.scenarios.fake_adapter import running_fake
from tests.support import clock
from tests.support.prices import shop_on
from tests.support.server import running_server

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
STOP = [Threshold(Decimal(100), AlertLevel.EMERGENCY, ThresholdAction.STOP_CALLS, "halt")]
BLOCK = [Threshold(Decimal("12.5")), Threshold(Decimal(100), AlertLevel.CRITICAL, ThresholdAction.BLOCK)]


async def story(target: str, advance: Callable[[timedelta], None]) -> list[object]:
    """Return all that can be compared."""
    said: list[object] = []
    async with AdminClient(target, currency="USD") as admin, BudgetClient(target, currency="USD") as client:

        async def denied(call: object) -> None:
            try:
                await call  # type: ignore[misc]
            except Denied as error:
                said.append((error.reason, dict(error.details.metadata)))

        await admin.create_account("acme", low_balance_threshold=5)
        await admin.add_credit("acme", 20)
        await client.set_budget("ann", 8, period=BudgetPeriod.MONTH, label=("agent", "ann"), thresholds=BLOCK)
        await client.set_budget(
            "units", 3, period=BudgetPeriod.DAY, meter_prefix=UNIT_METER[:-1], basis=BudgetBasis.COST, thresholds=BLOCK
        )
        await client.set_budget("all", 30, period=BudgetPeriod.TOTAL, thresholds=STOP, time_zone="Europe/Berlin")
        held = await client.reserve("acme", 2, call_id="c-1", labels={"agent": "ann"})
        nameless = await client.reserve("acme", 1, ttl=timedelta(minutes=1))
        await client.extend(nameless.reservation.reservation_id, used_so_far="1.5")
        await denied(client.reserve("acme", 7, labels={"agent": "ann"}))
        await client.commit(held.reservation.reservation_id, 3)  # an overrun, and the first threshold
        advance(timedelta(minutes=2))  # the other one expires, with more than it held
        await client.commit(nameless.reservation.reservation_id, 2)  # late
        await client.charge("acme", usage=[UsageLine(meter=UNIT_METER, quantity=Decimal(1))], call_id="c-2")
        await client.record_usage("acme", 16, labels={"agent": "ann"})  # low, and owing
        await denied(client.reserve("acme", 1, labels={"agent": "ann"}))
        await admin.add_credit("acme", 50)
        await client.charge("acme", 47)  # low again, but within the cooldown; and all is stopped
        await denied(client.reserve("acme", 1))
        advance(timedelta(hours=2))
        await client.resume_calls("all")
        await client.charge("acme", "0.25")  # now it is told
        await client.set_budget("all", 40, period=BudgetPeriod.TOTAL, thresholds=STOP)  # armed anew
        alerts = [alert async for alert in client.list_alerts()]
        said += [_comparable(alert, nameless.reservation.reservation_id) for alert in alerts]
        for name in ("ann", "units", "all"):
            status = await client.get_budget_status(name)
            said.append(replace(status, budget=replace(status.budget, create_time=NOW)))
    return said


def _comparable(alert: Alert, nameless: str) -> Alert:
    names = tuple("nameless" if name == nameless else name for name in alert.call_ids)
    return replace(alert, alert_id="", call_ids=names, reservation_id="some" if alert.reservation_id else "")


async def test_both_tell_the_same(database: Database) -> None:
    clock.install(database.owner_dsn)
    clock.stop(database.owner_dsn, NOW)
    async with shop_on(database) as shop, running_server(database) as server, running_fake(NOW) as (running, fake):
        await shop.sell_units()
        theirs = await story(server.target, lambda by: clock.advance(database.owner_dsn, by.total_seconds()))
        mine = await story(running.target, fake.advance)
    for one, other in zip(theirs, mine, strict=True):
        assert one == other
    kinds = {said.kind for said in mine if isinstance(said, Alert)}
    assert len(kinds) == 6
    reasons = [said[0] for said in mine if isinstance(said, tuple)]
    assert reasons == ["BUDGET_EXCEEDED", "RECEIVABLE_OPEN", "CALLS_STOPPED"]
