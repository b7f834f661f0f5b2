"""What operations do to budgets, and which alerts they lead to, on a real Postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from imprest_server.budgets.model import Alert, BudgetBasis, BudgetId, StoredAlert
from imprest_server.budgets.operations import ResumeCalls
from imprest_server.budgets.rules import EMERGENCY_STOP
from imprest_server.core.errors import BudgetExceeded, CallsStopped, ImprestError, InsufficientFunds, ReceivableOpen
from imprest_server.core.ids import AccountId
from imprest_server.core.money import format_nanos
from imprest_server.core.periods import PeriodKind
from imprest_server.ledger import operations as ops
from imprest_server.ledger.model import OnExpiry, OverrunPolicy
from imprest_server.ledger.verify import verify
from imprest_server.posting.audit import differences
from tests.conftest import Database
from tests.support import clock
from tests.support.budgets import Desk, open_desk, threshold
from tests.support.ledger import TENANT, House, house_on, units
from tests.support.prices import COST, SALE, shop_on, unit
from tests.support.prices import units as used

BLOCK = (threshold(100, "BLOCK"),)
STT, TTS = "stt.seconds", "tts.characters"


@dataclass
class World:
    """An engine, budgets, and a database whose clock stands still."""

    database: Database
    house: House
    desk: Desk
    seen: int = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.house, name)

    async def counter(self, budget_id: str) -> str:
        """`spent/held` in units."""
        found = (await self.desk.status(budget_id)).counter
        return f"{format_nanos(found.spent)}/{format_nanos(found.held)}"

    async def alerts(self) -> list[Alert]:
        """The alerts since the last time this was asked."""
        found: list[StoredAlert] = list(await self.desk.queries.alerts_after(TENANT, self.seen, 1_000))
        assert [s.sequence for s in found] == list(range(self.seen + 1, self.seen + 1 + len(found)))
        self.seen += len(found)
        return [s.alert for s in found]

    async def told(self) -> list[str]:
        """The alerts since the last time, in short: a budget's with its percent, others with their amount."""
        return [
            f"{a.budget_id} {a.threshold.percent:.0f}%" if a.threshold else f"{a.kind} {format_nanos(a.amount or 0)}"
            for a in await self.alerts()
        ]

    async def denied(self, kind: type[ops.Operation], **fields: Any) -> ImprestError:
        with pytest.raises(ImprestError) as caught:
            await self.house.do(kind, **fields)
        return caught.value

    def advance(self, **time: int) -> None:
        clock.advance(self.database.owner_dsn, timedelta(**time).total_seconds())

    async def sweep(self, account_id: str) -> None:
        await self.house.engine.submit(ops.ExpireDue(tenant_id=TENANT, account_id=AccountId(account_id)))


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    """Budgets of days in UTC; it is noon at first. In the end everything is verified."""
    clock.install(database.owner_dsn)
    clock.stop(database.owner_dsn, datetime(2026, 3, 15, 12, tzinfo=UTC))
    async with house_on(database) as house, open_desk(database) as desk:
        yield World(database, house, desk)
        report = await verify(database.owner_dsn, all_differences=True, beside=differences)
        assert [str(difference) for difference in report.differences] == []


async def sell(world: World) -> None:
    """Speech to text for 2 at a cost of 1, the other way round for 3 at a cost of 2."""
    async with shop_on(world.database) as shop:
        await shop.open(SALE, [unit(2, STT), unit(3, TTS)])
        await shop.open(COST, [unit(1, STT), unit(2, TTS)])


# ── what counts ──────────────────────────────────────────────────────────────────────────────────────


async def test_the_life_of_a_hold_moves_spent_and_held(world: World) -> None:
    await world.open("a", credit=100)
    await world.desk.set("b", 50)
    hold = await world.reserve("a", 10)
    assert await world.counter("b") == "0/10"
    await world.do(ops.Extend, reservation_id=hold, new_total=12)
    assert await world.counter("b") == "0/12"
    await world.do(ops.Commit, reservation_id=hold, amount=5, final=False)
    assert await world.counter("b") == "5/7"
    await world.do(ops.Commit, reservation_id=hold, amount=1)
    assert await world.counter("b") == "6/0"
    other = await world.reserve("a", 10)
    await world.do(ops.Void, reservation_id=other)
    assert await world.counter("b") == "6/0"
    await world.do(ops.Charge, account_id="a", amount=4)
    await world.do(ops.RecordUsage, account_id="a", amount=1)
    assert await world.counter("b") == "11/0"
    assert await world.told() == []


async def test_a_denied_operation_and_a_replay_count_nothing(world: World) -> None:
    await world.open("a", credit=100)
    await world.desk.set("b", 10, thresholds=BLOCK)
    for _ in range(2):
        await world.do(ops.Reserve, account_id="a", amount=6, idempotency_key="same")
        await world.denied(ops.Reserve, account_id="a", amount=6, idempotency_key="denied")
        await world.denied(ops.Charge, account_id="a", amount=5, idempotency_key="charge")
    assert await world.counter("b") == "0/6"
    again = await world.denied(ops.Reserve, account_id="a", amount=6, idempotency_key="denied")
    assert isinstance(again, BudgetExceeded)
    assert (again.values, again.replayed) == (
        {"budget_id": "b", "currency_code": "USD", "remaining": "4", "required": "6"},
        True,
    )


async def test_labels_are_those_of_the_reservation_and_of_the_charge(world: World) -> None:
    await world.open("a", credit=100)
    await world.desk.set("blue", 50, label=("team", "blue"))
    await world.open("other")
    await world.desk.set("other", 50, account=AccountId("other"))
    hold = await world.reserve("a", 3, labels={"team": "blue"})
    await world.reserve("a", 5, labels={"team": "red"})
    await world.do(ops.Commit, reservation_id=hold, amount=2)
    await world.do(ops.Charge, account_id="a", amount=1, labels={"team": "blue"})
    await world.do(ops.Charge, account_id="a", amount=1)
    assert (await world.counter("blue"), await world.counter("other")) == ("3/0", "0/0")


async def test_an_overrun_is_counted_without_what_nobody_pays(world: World) -> None:
    await world.open("a", credit=10, max_overrun=units(2))
    await world.desk.set("b", 10, thresholds=BLOCK)
    hold = await world.reserve("a", 10)
    await world.do(ops.Commit, reservation_id=hold, amount=15)
    assert await world.counter("b") == "12/0"
    assert await world.told() == ["RECEIVABLE 2", "OVERRUN 5", "b 100%"]


async def test_refunds_lower_spent_in_the_period_of_the_charge_only(world: World) -> None:
    await world.open("a", credit=100)
    await world.desk.set("day", 50)
    await world.desk.set("all", 50, period=PeriodKind.TOTAL)
    await world.desk.set("blue", 50, label=("team", "blue"))
    charged = await world.do(ops.Charge, account_id="a", amount=10, labels={"team": "blue"})
    await world.do(ops.Refund, transaction_id=charged.transaction_id, amount=3)
    assert [await world.counter(b) for b in ("day", "all", "blue")] == ["7/0", "7/0", "7/0"]
    world.advance(days=1)
    await world.do(ops.Charge, account_id="a", amount=5)
    await world.do(ops.Refund, transaction_id=charged.transaction_id)
    assert [await world.counter(b) for b in ("day", "all", "blue")] == ["5/0", "5/0", "0/0"]


async def test_a_refund_by_reservation_goes_to_the_periods_of_its_captures(world: World) -> None:
    await world.open("a", credit=100)
    await world.desk.set("day", 50)
    hold = await world.reserve("a", 20, ttl_s=200_000)
    await world.do(ops.Commit, reservation_id=hold, amount=4, final=False)
    world.advance(days=1)
    await world.do(ops.Commit, reservation_id=hold, amount=3)
    assert await world.counter("day") == "3/0"
    await world.do(ops.Refund, reservation_id=hold, amount=5)
    assert await world.counter("day") == "0/0"


async def test_a_period_begins_unspent_armed_and_with_the_open_holds(world: World) -> None:
    await world.open("a", credit=100)
    await world.desk.set("b", 10, thresholds=BLOCK)
    await world.do(ops.Charge, account_id="a", amount=4)
    hold = await world.reserve("a", 6, ttl_s=86_400)
    assert isinstance(await world.denied(ops.Charge, account_id="a", amount=1), BudgetExceeded)
    await world.do(ops.Commit, reservation_id=hold, amount=6, final=False)
    await world.do(ops.Extend, reservation_id=hold, new_total=6)
    assert await world.told() == ["b 100%"]
    world.advance(hours=12)
    await world.do(ops.Charge, account_id="a", amount=9)
    await world.reserve("a", 1)
    assert await world.counter("b") == "9/1"
    await world.do(ops.RecordUsage, account_id="a", amount=1)
    assert await world.told() == ["b 100%"]


async def test_a_hold_of_yesterday_still_counts_today(world: World) -> None:
    await world.open("a", credit=100)
    await world.desk.set("b", 10, thresholds=BLOCK)
    await world.reserve("a", 8, ttl_s=200_000)
    world.advance(days=1)
    assert isinstance(await world.denied(ops.Reserve, account_id="a", amount=3), BudgetExceeded)
    await world.reserve("a", 2)
    assert await world.counter("b") == "0/10"


async def test_no_operation_is_before_a_period_that_another_has_begun(world: World) -> None:
    """Whoever read the clock before midnight, and waited for the counter, posts into the new day."""
    await world.open("a", credit=100)
    await world.open("b", credit=100)
    await world.desk.set("day", 10, thresholds=BLOCK)
    world.advance(hours=12, seconds=1)
    await world.do(ops.Charge, account_id="a", amount=4)
    world.advance(seconds=-2)
    await world.do(ops.Charge, account_id="b", amount=5)
    assert await world.counter("day") == "9/0"
    world.advance(seconds=2)
    assert await world.counter("day") == "9/0"


async def test_expiries_and_late_commits_move_by_their_difference(world: World) -> None:
    await world.open("a", credit=100)
    await world.desk.set("b", 50)
    hold = await world.reserve("a", 10, ttl_s=60, on_expiry=OnExpiry.CAPTURE_USED, call_id="c1")
    await world.do(ops.Extend, reservation_id=hold, used_so_far=6)
    free = await world.reserve("a", 5, ttl_s=60, on_expiry=OnExpiry.RELEASE)
    assert await world.counter("b") == "0/15"
    world.advance(minutes=2)
    await world.sweep("a")
    assert await world.counter("b") == "6/0"
    (expired,) = await world.alerts()
    assert (expired.kind, expired.amount, expired.reservation_id, expired.call_ids) == (
        "RESERVATION_EXPIRED",
        6 * 10**9,
        hold,
        ("c1",),
    )
    await world.do(ops.Commit, reservation_id=hold, amount=8)
    assert await world.counter("b") == "8/0"
    await world.do(ops.Commit, reservation_id=free, amount=0)
    assert await world.told() == ["LATE_COMMIT 2", "LATE_COMMIT 0"]


async def test_a_late_commit_that_gives_back_lowers_the_period_of_the_expiry(world: World) -> None:
    await world.open("a", credit=100)
    await world.desk.set("b", 50)
    holds = [await world.reserve("a", 10, ttl_s=60) for _ in range(2)]
    for hold in holds:
        await world.do(ops.Extend, reservation_id=hold, used_so_far=6)
    world.advance(minutes=2)
    await world.do(ops.Commit, reservation_id=holds[0], amount=1)
    assert await world.counter("b") == "7/0"
    world.advance(days=1)
    await world.do(ops.Commit, reservation_id=holds[1], amount=1)
    await world.do(ops.Charge, account_id="a", amount=1)
    assert await world.counter("b") == "1/0"
    assert (await world.told())[-2:] == ["LATE_COMMIT -5", "LATE_COMMIT -5"]


async def test_a_late_commit_of_just_what_the_expiry_charged(world: World) -> None:
    """Nothing is left to post: the expiry's transaction is that of the lines."""
    await sell(world)
    await world.open("a", credit=100)
    await world.desk.set("b", 50)
    await world.desk.set("stt", 50, meters="stt.")
    holds = []
    for _ in range(2):
        reply = await world.do(ops.Reserve, account_id="a", estimate=used(5, meter=STT), ttl=timedelta(minutes=1))
        holds.append(reply.reservation.reservation_id)
        await world.do(ops.Extend, reservation_id=holds[-1], used=used(3, meter=STT))
    world.advance(minutes=2)
    await world.sweep("a")
    assert (await world.counter("b"), await world.counter("stt")) == ("12/0", "0/0")
    late = await world.do(ops.Commit, reservation_id=holds[0], usage=used(3, meter=STT))
    assert (late.charge.charged, late.transaction_id, late.late) == (0, None, True)
    assert (await world.counter("b"), await world.counter("stt")) == ("12/0", "6/0")
    world.advance(days=1)
    await world.do(ops.Commit, reservation_id=holds[1], usage=used(3, meter=STT))
    await world.do(ops.Charge, account_id="a", usage=used(1, meter=STT))
    assert (await world.counter("b"), await world.counter("stt")) == ("2/0", "2/0"), "the day of the charge is over"


async def test_a_late_commit_of_just_what_the_expiry_absorbed(world: World) -> None:
    async with shop_on(world.database) as shop:
        await shop.open(SALE, [unit(2, STT)])
    await world.open("a", credit=100, overrun_policy=OverrunPolicy.CAP)
    hold = await world.reserve("a", 0, ttl_s=60)
    await world.do(ops.Extend, reservation_id=hold, used_so_far=6)
    world.advance(minutes=2)
    late = await world.do(ops.Commit, reservation_id=hold, usage=used(3, meter=STT))
    assert (late.charge.charged, late.charge.absorbed, late.transaction_id) == (0, 0, None)


async def test_budgets_of_meters_and_of_cost(world: World) -> None:
    await sell(world)
    await world.open("a", credit=100)
    await world.desk.set("stt", 10, meters="stt.", thresholds=BLOCK)
    await world.desk.set("cost", 20, basis=BudgetBasis.COST, thresholds=BLOCK)
    await world.desk.set("stt-cost", 20, meters="stt.", basis=BudgetBasis.COST)
    both = replace(used(3, meter=STT), lines=(*used(3, meter=STT).lines, *used(2, meter=TTS).lines))
    reply = await world.do(ops.Reserve, account_id="a", estimate=both)
    assert [await world.counter(b) for b in ("stt", "cost", "stt-cost")] == ["0/6", "0/7", "0/3"]
    await world.reserve("a", 50)  # by amount: holds nothing of a meter, and is of no known cost
    assert await world.counter("stt") == "0/6"
    denied = await world.denied(ops.Reserve, account_id="a", estimate=used(3, meter=STT))
    assert isinstance(denied, BudgetExceeded)
    assert (denied.budget_id, denied.remaining, denied.required) == ("stt", "4", "6")
    assert isinstance(await world.denied(ops.Charge, account_id="a", usage=used(3, meter=STT)), BudgetExceeded)
    denied = await world.denied(ops.Reserve, account_id="a", estimate=used(7, meter=TTS), min_amount=1)
    assert isinstance(denied, BudgetExceeded)
    assert denied.budget_id == "cost"
    await world.do(ops.Commit, reservation_id=reply.reservation.reservation_id, usage=used(5, meter=STT))
    assert [await world.counter(b) for b in ("stt", "cost", "stt-cost")] == ["10/0", "5/0", "5/0"]
    assert await world.told() == ["stt 100%"]


# ── what is denied ───────────────────────────────────────────────────────────────────────────────────


async def test_a_grant_is_bounded_by_the_room_as_by_the_funds(world: World) -> None:
    await world.open("a", credit=100)
    await world.desk.set("b", 10, thresholds=BLOCK)
    reply = await world.do(ops.Reserve, account_id="a", amount=12, min_amount=10)
    assert (reply.reservation.amount, reply.final_unit) == (10 * 10**9, True)
    assert isinstance(await world.denied(ops.Reserve, account_id="a", amount=2, min_amount=1), BudgetExceeded)
    assert (await world.do(ops.Reserve, account_id="a", amount=0)).reservation.amount == 0
    await world.do(ops.Commit, reservation_id=reply.reservation.reservation_id, amount=0)
    await world.open("poor", credit=4)
    assert (await world.do(ops.Reserve, account_id="poor", amount=12, min_amount=1)).reservation.amount == 4 * 10**9


async def test_beyond_a_budget_there_is_no_room_for_nothing_either(world: World) -> None:
    """A call that is reserved by amount, or for nothing, counts for nothing until it is committed."""
    await sell(world)
    await world.open("a", credit=100)
    await world.desk.set("cost", 10, basis=BudgetBasis.COST, thresholds=BLOCK)
    await world.desk.set("free", 33, account="a", thresholds=BLOCK)
    holds = [await world.reserve("a", 9) for _ in range(3)]
    await world.do(ops.Commit, reservation_id=holds[0], usage=used(5, meter=TTS))
    assert await world.counter("cost") == "10/0"
    holds.append(await world.reserve("a", 0))  # full, not exceeded
    await world.do(ops.Commit, reservation_id=holds[1], usage=used(1, meter=TTS))
    for kind in (ops.Reserve, ops.Charge):
        denied = await world.denied(kind, account_id="a", amount=1)
        assert isinstance(denied, BudgetExceeded)
        assert (denied.budget_id, denied.remaining, denied.required) == ("cost", "0", "0")
    more = await world.do(ops.Extend, reservation_id=holds[2], new_total=10)
    assert (more.reservation.amount, more.denial_reason) == (9 * 10**9, "BUDGET_EXCEEDED")
    same = await world.do(ops.Extend, reservation_id=holds[2], new_total=9)
    assert (same.final_unit, same.denial_reason) == (False, None)
    await world.desk.set("cost", 100, basis=BudgetBasis.COST, thresholds=BLOCK)
    await world.do(ops.Commit, reservation_id=holds[3], amount=10)
    assert await world.counter("free") == "28/9"
    denied = await world.denied(ops.Reserve, account_id="a", amount=0)
    assert isinstance(denied, BudgetExceeded)
    assert denied.budget_id == "free"


async def test_order_of_denials(world: World) -> None:
    await world.open("a", credit=10, max_concurrent_calls=1)
    await world.desk.set("b", 5, thresholds=BLOCK)
    hold = await world.reserve("a", 5)
    reasons = [(await world.denied(ops.Reserve, account_id="a", amount=20)).reason]
    await world.do(ops.UpdateAccount, account_id="a", settings={"max_concurrent_calls": None})
    reasons.append((await world.denied(ops.Reserve, account_id="a", amount=20)).reason)
    reasons.append((await world.denied(ops.Charge, account_id="a", amount=20)).reason)
    await world.do(ops.Commit, reservation_id=hold, amount=11)
    reasons.append((await world.denied(ops.Reserve, account_id="a", amount=20)).reason)
    await world.do(ops.FreezeAccount, account_id="a")
    reasons.append((await world.denied(ops.Reserve, account_id="a", amount=20)).reason)
    assert reasons == [
        "CALL_LIMIT_REACHED",
        "BUDGET_EXCEEDED",
        "BUDGET_EXCEEDED",
        ReceivableOpen.reason,
        "ACCOUNT_FROZEN",
    ]
    await world.desk.set("b", 1_000, thresholds=BLOCK)
    await world.do(ops.UnfreezeAccount, account_id="a")
    await world.do(ops.AddCredit, account_id="a", amount=2)
    assert (await world.denied(ops.Reserve, account_id="a", amount=20)).reason == InsufficientFunds.reason


async def test_an_extension_beyond_a_budget_leaves_the_total_and_says_why(world: World) -> None:
    await world.open("a", credit=100)
    await world.desk.set("b", 10, thresholds=BLOCK)
    hold = await world.reserve("a", 8)
    reply = await world.do(ops.Extend, reservation_id=hold, new_total=11, used_so_far=7, ttl=timedelta(hours=1))
    assert (reply.reservation.amount, reply.final_unit, reply.denial_reason) == (8 * 10**9, True, "BUDGET_EXCEEDED")
    assert reply.reservation.used_so_far == 7 * 10**9
    assert (await world.do(ops.Extend, reservation_id=hold, new_total=10)).denial_reason is None
    assert await world.counter("b") == "0/10"
    await world.do(ops.Commit, reservation_id=hold, amount=30)  # what has happened is never denied
    assert await world.counter("b") == "30/0"


async def test_an_emergency_stop_ends_calls_until_an_admin_lifts_it(world: World) -> None:
    await world.open("a", credit=1_000)
    await world.open("b", credit=1_000)
    await world.desk.set("stop", 10, account=AccountId("a"), thresholds=EMERGENCY_STOP)
    running = [await world.reserve("a", 5, call_id=f"c{n}") for n in range(3)]
    await world.reserve("b", 5, call_id="elsewhere")
    assert (await world.do(ops.Extend, reservation_id=running[0], used_so_far=1)).final_unit is False
    await world.do(ops.Commit, reservation_id=running[2], amount=15)
    alerts = await world.alerts()
    assert [(a.threshold.percent, a.level.name, a.threshold.action_label) for a in alerts if a.threshold] == [
        (80, "WARNING", ""),
        (100, "CRITICAL", "scale-down"),
        (150, "EMERGENCY", ""),
    ]
    assert sorted(alerts[-1].call_ids) == ["c0", "c1"]
    for fields in ({"used_so_far": 2}, {"new_total": 6}, {"ttl": timedelta(hours=1)}):
        reply = await world.do(ops.Extend, reservation_id=running[0], **fields)
        assert (reply.final_unit, reply.denial_reason) == (True, "CALLS_STOPPED")
        assert reply.reservation.amount == 5 * 10**9
    stopped = await world.denied(ops.Reserve, account_id="a", amount=0)
    assert isinstance(stopped, CallsStopped)
    assert stopped.budget_id == "stop"
    assert isinstance(await world.denied(ops.Charge, account_id="a", amount=1), CallsStopped)
    await world.reserve("b", 5)
    await world.do(ops.Commit, reservation_id=running[1], amount=5)
    lifted = ResumeCalls(tenant_id=TENANT, idempotency_key="lift", budget_id=BudgetId("stop"))
    assert (await world.desk.admin.resume_calls(lifted)).value.counter.stopped is False
    reply = await world.do(ops.Extend, reservation_id=running[0], new_total=6)
    assert (reply.final_unit, reply.denial_reason) == (False, None)
    await world.reserve("a", 5)
    await world.do(ops.RecordUsage, account_id="a", amount=50)
    assert await world.told() == []


async def test_a_stop_ends_with_its_period(world: World) -> None:
    await world.open("a", credit=1_000)
    await world.desk.set("stop", 10, thresholds=EMERGENCY_STOP)
    hold = await world.reserve("a", 5, ttl_s=200_000)
    await world.do(ops.RecordUsage, account_id="a", amount=15)
    assert (await world.do(ops.Extend, reservation_id=hold)).denial_reason == "CALLS_STOPPED"
    world.advance(days=1)
    assert (await world.do(ops.Extend, reservation_id=hold)).denial_reason is None
    await world.reserve("a", 1)


async def test_a_stop_for_a_meter_ends_the_calls_that_use_it(world: World) -> None:
    await sell(world)
    await world.open("a", credit=1_000)
    await world.desk.set("stop", 10, meters="stt.", thresholds=(threshold(100, "STOP_CALLS", "EMERGENCY"),))
    with_it = (await world.do(ops.Reserve, account_id="a", estimate=used(1, meter=STT))).reservation.reservation_id
    without = (await world.do(ops.Reserve, account_id="a", estimate=used(1, meter=TTS))).reservation.reservation_id
    await world.do(ops.RecordUsage, account_id="a", usage=used(5, meter=STT))
    assert len((await world.alerts())[0].call_ids) == 1
    assert (await world.do(ops.Extend, reservation_id=with_it)).denial_reason == "CALLS_STOPPED"
    assert (await world.do(ops.Extend, reservation_id=without)).denial_reason is None
    await world.reserve("a", 1)


# ── alerts of accounts ───────────────────────────────────────────────────────────────────────────────


async def test_a_low_balance_is_told_once_until_it_has_recovered(world: World) -> None:
    await world.open("a", credit=100, low_balance_threshold=units(20))
    hold = await world.reserve("a", 80, ttl_s=200_000)  # 20 left: not below
    assert await world.told() == []
    await world.do(ops.Charge, account_id="a", amount=1)
    (low,) = await world.alerts()
    assert (low.kind, low.account_id, low.available, low.limit) == ("LOW_BALANCE", "a", 19 * 10**9, 20 * 10**9)
    await world.do(ops.AddCredit, account_id="a", amount="2.9")  # 21.9: recovered is at 22
    await world.do(ops.Charge, account_id="a", amount=10)
    world.advance(hours=2)
    await world.do(ops.Charge, account_id="a", amount=1)
    assert await world.told() == []
    await world.do(ops.AddCredit, account_id="a", amount=20)
    await world.do(ops.Charge, account_id="a", amount=20)
    assert await world.told() == ["LOW_BALANCE 0"]
    await world.do(ops.AddCredit, account_id="a", amount=20)
    await world.do(ops.Charge, account_id="a", amount=20)
    assert await world.told() == []  # within the hour
    world.advance(hours=1)
    await world.do(ops.Charge, account_id="a", amount=1)
    assert await world.told() == ["LOW_BALANCE 0"]
    await world.do(ops.UpdateAccount, account_id="a", settings={"low_balance_threshold": units(30)})
    assert await world.told() == ["LOW_BALANCE 0"]
    await world.do(ops.UpdateAccount, account_id="a", settings={"low_balance_threshold": None})
    await world.do(ops.Commit, reservation_id=hold, amount=80)
    assert await world.told() == []


async def test_a_receivable_is_told_when_it_opens(world: World) -> None:
    await world.open("a", credit=10)
    await world.do(ops.RecordUsage, account_id="a", amount=12)
    await world.do(ops.RecordUsage, account_id="a", amount=1)
    assert await world.told() == ["RECEIVABLE 2"]
    await world.do(ops.AddCredit, account_id="a", amount=10)
    await world.do(ops.ReverseCredit, account_id="a", amount=10, external_reference=None, reason="")
    assert await world.told() == ["RECEIVABLE 3"]


async def test_what_nobody_pays_is_told(world: World) -> None:
    await world.open("a", credit=10, overrun_policy=OverrunPolicy.CAP)
    hold = await world.reserve("a", 5)
    await world.do(ops.Commit, reservation_id=hold, amount=7)
    await world.open("b", max_overrun=units(0))
    await world.do(ops.RecordUsage, account_id="b", amount=3)
    assert await world.told() == ["OVERRUN 2", "OVERRUN 3"]


async def test_alerts_wake_the_stream_after_they_are_committed(world: World) -> None:
    await world.open("a", credit=10)
    woken: list[str] = []
    async with house_on(world.database, wake=woken.append) as house:
        await house.do(ops.RecordUsage, account_id="a", amount=12, idempotency_key="u")
        assert woken == [TENANT]
        await house.do(ops.RecordUsage, account_id="a", amount=12, idempotency_key="u")
        await house.do(ops.AddCredit, account_id="a", amount=12, idempotency_key="c")
        assert woken == [TENANT]


async def test_verify_finds_counters_and_alerts_that_are_not_right(world: World) -> None:
    await world.open("a", credit=100)
    await world.desk.set("b", 10)
    await world.do(ops.Charge, account_id="a", amount=10)
    await world.reserve("a", 2)

    async def found(damage: str) -> list[str]:
        with psycopg.connect(world.database.owner_dsn) as connection:
            connection.execute(damage)
        report = await verify(world.database.owner_dsn, all_differences=True, beside=differences)
        return [str(difference) for difference in report.differences]

    spent = "tenant default: spent of budget b: expected 10, found 11"
    held = "tenant default: held of budget b: expected 2, found 0"
    assert await found("UPDATE budget_counters SET spent = spent + 1") == [spent]
    assert await found("UPDATE budget_counters SET held = 0") == [spent, held]
    assert await found("UPDATE budget_counters SET spent = 10, held = 2") == []
    gap = await found("DELETE FROM alerts WHERE sequence = 2")
    assert gap == ["tenant default: alerts: expected all from 1 to 3, found 2 from 1 to 3"]
    await found("UPDATE alert_heads SET pruned_sequence = 2")
    assert await found("DELETE FROM alerts WHERE sequence = 1") == []
    assert await found("UPDATE alert_heads SET last_sequence = 4") != []
    await found("UPDATE alert_heads SET last_sequence = 3")
