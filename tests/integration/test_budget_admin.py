"""Writes of budgets on a real Postgres: what the running period has seen, thresholds fired at once, once per key."""

import itertools
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imprest_server.budgets import rules, store
from imprest_server.budgets.model import AlertId, BudgetBasis, BudgetId, MeterAmount, Scope
from imprest_server.budgets.operations import AcknowledgeAlert, DeleteBudget, ResumeCalls
from imprest_server.core.errors import (
    CurrencyMismatch,
    IdempotencyKeyReused,
    InvalidArgument,
    NotFound,
)
from imprest_server.core.ids import AccountId, TenantId, uuid7
from imprest_server.core.money import format_nanos
from imprest_server.core.periods import PeriodKind
from imprest_server.core.usage import UsageLine, UsageReport
from imprest_server.ledger import operations as ops
from imprest_server.pricing.model import BookSide
from tests.conftest import Database
from tests.support import clock
from tests.support.budgets import Desk, budget, open_desk, threshold
from tests.support.ledger import TENANT, House, house_on, units
from tests.support.price_admin import INPUT, OUTPUT, open_shop, price, usage


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    clock.install(database.owner_dsn)
    async with open_desk(database) as desk:
        yield desk


@pytest.fixture
async def house(database: Database, desk: Desk) -> AsyncIterator[House]:
    async with house_on(database) as house:
        yield house


async def spent(desk: Desk, **fields: Any) -> str:
    """What a new budget has seen, as `spent/held` in units."""
    written = await desk.set(None, 1_000_000, **fields)
    counter = (await desk.status(written.value.budget_id)).counter
    return f"{Decimal(counter.spent).scaleb(-9).normalize():f}/{Decimal(counter.held).scaleb(-9).normalize():f}"


# ── keys, revisions ──────────────────────────────────────────────────────────────────────────────────


async def test_a_budget_is_set_once_per_key(desk: Desk) -> None:
    first = await desk.set("b", idempotency_key="k")
    again = await desk.set("b", idempotency_key="k")
    assert (first.value.revision, first.replayed, again) == (1, False, type(again)(first.value, replayed=True))
    with pytest.raises(IdempotencyKeyReused):
        await desk.set("b", 101, idempotency_key="k")
    made = await desk.set(None)
    assert made.value.budget_id.startswith("bdg_")
    budgets, token = await desk.queries.list_budgets(TENANT)
    assert ([budget.budget_id for budget in budgets], token) == (["b", made.value.budget_id], "")


async def test_a_change_is_a_revision_and_no_change_is_none(desk: Desk) -> None:
    first = (await desk.set("b", 100)).value
    assert (await desk.set("b", 100)).value == first
    changed = (await desk.set("b", 200)).value
    assert (changed.revision, changed.limit) == (2, 200 * 10**9)
    status = await desk.status("b")
    assert (status.budget, status.counter.revision) == (changed, 2)
    async with store.transaction(desk.pool, TENANT) as conn:
        epoch = await store.read_epoch(conn, TENANT)
        known = await desk.cache.budgets(conn, TENANT, epoch)
    assert (epoch, known.budgets) == (2, {"b": changed})


async def test_a_deleted_budget_is_gone_and_can_come_again(desk: Desk) -> None:
    await desk.set("b")
    operation = DeleteBudget(tenant_id=TENANT, idempotency_key="d", budget_id=BudgetId("b"))
    assert [(await desk.admin.delete_budget(operation)).replayed for _ in range(2)] == [False, True]
    for gone in (desk.status("b"), desk.admin.delete_budget(ops_with(operation, "other"))):
        with pytest.raises(NotFound, match="budget b"):
            await gone
    assert await desk.queries.list_budgets(TENANT) == ([], "")
    async with store.transaction(desk.pool, TENANT) as conn:
        known = await desk.cache.budgets(conn, TENANT, await store.read_epoch(conn, TENANT))
        assert (known.epoch, known.budgets) == (2, {})
    assert (await desk.set("b")).value.revision == 3
    assert (await desk.status("b")).counter.revision == 3


def ops_with(operation: DeleteBudget, key: str) -> DeleteBudget:
    return DeleteBudget(tenant_id=TENANT, idempotency_key=key, budget_id=operation.budget_id)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"budget_id": "ä"}, r"budget\.budget_id"),
        ({"limit": 0}, r"budget\.limit: must be above zero"),
        ({"limit": -1}, r"budget\.limit"),
        ({"currency_code": "usd"}, r"budget\.limit\.currency_code"),
        ({"time_zone": "Mars/Olympus"}, r"budget\.time_zone"),
        ({"label": ("", "x")}, r"budget\.label\.key: is required"),
        ({"label": ("k" * 64, "x")}, r"budget\.label\.key"),
        ({"label": ("k", "x" * 256)}, r"budget\.label\.value"),
        ({"meters": "ll"}, r"budget\.meter_prefix.*llm"),
        ({"meters": "llm.inputs"}, r"budget\.meter_prefix"),
        ({"thresholds": (threshold(0),)}, r"thresholds\[0\]\.percent"),
        ({"thresholds": (threshold("1000.01"),)}, r"thresholds\[0\]\.percent"),
        ({"thresholds": (threshold("1e-40"),)}, r"thresholds\[0\]\.percent.*two decimals"),
        ({"thresholds": (threshold("80.001"),)}, r"thresholds\[0\]\.percent.*two decimals"),
        ({"thresholds": (threshold(80), threshold("80.00"))}, r"thresholds\[1\]\.percent.*above the one before"),
        ({"thresholds": tuple(threshold(n + 1) for n in range(21))}, "at most 20"),
        ({"thresholds": (threshold(80, label="x" * 64),)}, "action_label"),
        ({"idempotency_key": ""}, "idempotency_key"),
    ],
)
async def test_what_cannot_be_a_budget(desk: Desk, fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidArgument, match=problem):
        await desk.set(fields.pop("budget_id", "b"), **fields)


async def test_an_accounts_budget_is_in_its_currency(desk: Desk, house: House) -> None:
    await house.open("a")
    with pytest.raises(CurrencyMismatch) as denied:
        await desk.set("b", account="a", currency_code="EUR", idempotency_key="k")
    with pytest.raises(CurrencyMismatch) as again:
        await desk.set("b", account="a", currency_code="EUR", idempotency_key="k")
    assert (denied.value.replayed, again.value.replayed) == (False, True)
    with pytest.raises(NotFound, match="account nobody"):
        await desk.set("b", account="nobody")


# ── what the period has seen ─────────────────────────────────────────────────────────────────────────


async def test_all_that_was_charged_counts(desk: Desk, house: House) -> None:
    for account in ("a", "other"):
        await house.open(account, credit=100)
    await house.open("euro", credit=100, currency_code="EUR")
    agent = {"labels": {"agent": "x"}}
    await house.do(ops.Charge, account_id="a", amount=1)
    await house.do(ops.Charge, account_id="a", amount=2, **agent)
    await house.do(ops.Charge, account_id="other", amount=4, labels={"agent": "y"})
    await house.do(ops.Charge, account_id="euro", amount=units(8, "EUR"), **agent)
    call = await house.reserve("a", 10, **agent)
    await house.do(ops.Commit, reservation_id=call, amount=3, final=False)
    await house.reserve("other", 5)
    ended = await house.reserve("other", 16, **agent)
    await house.do(ops.Commit, reservation_id=ended, amount=16)

    assert await spent(desk) == "26/12"
    assert await spent(desk, account="a") == "6/7"
    assert await spent(desk, account="other") == "20/5"
    assert await spent(desk, label=("agent", "x")) == "21/7"
    assert await spent(desk, label=("agent", "y")) == "4/0"
    assert await spent(desk, label=("agent", "")) == "0/0"
    assert await spent(desk, label=("agent", "x"), currency_code="EUR") == "8/0"
    assert await spent(desk, basis=BudgetBasis.COST) == "0/0"
    for period in PeriodKind:
        assert await spent(desk, account="other", period=period) == "20/5"


async def test_losses_do_not_count_and_debts_do(desk: Desk, house: House) -> None:
    await house.open("cap", credit=10, overrun_policy="CAP")
    await house.open("debt", credit=10)
    for account in ("cap", "debt"):
        call = await house.reserve(account, 4)
        await house.do(ops.Commit, reservation_id=call, amount=14)
    assert await spent(desk, account="cap") == "4/0"
    assert await spent(desk, account="debt") == "14/0"


async def test_refunds_of_the_period_count_and_those_of_earlier_ones_do_not(
    desk: Desk, house: House, database: Database
) -> None:
    await house.open("a", credit=100)
    before = await house.do(ops.Charge, account_id="a", amount=20, labels={"agent": "x"})
    clock.advance(database.owner_dsn, 86_400)
    now = await house.do(ops.Charge, account_id="a", amount=10, labels={"agent": "x"})
    for charged, amount in ((before, 5), (now, 3)):
        await house.do(ops.Refund, transaction_id=charged.transaction_id, amount=amount)
    for scope in ({}, {"account": "a"}, {"label": ("agent", "x")}):
        assert await spent(desk, **scope) == "7/0"
        assert await spent(desk, period=PeriodKind.TOTAL, **scope) == "22/0"


async def test_what_a_late_commit_gives_back_counts_once(desk: Desk, house: House, database: Database) -> None:
    await house.open("a", credit=100)
    call = await house.reserve("a", 10, ttl_s=1)
    await house.do(ops.Extend, reservation_id=call, used_so_far=8)
    clock.advance(database.owner_dsn, 2)
    await house.queries.get_balance(TENANT, AccountId("a"))  # has the expiry written
    assert await spent(desk) == "8/0"
    await house.do(ops.Commit, reservation_id=call, amount=5)
    assert await spent(desk) == "5/0"


async def test_the_sum_is_that_of_both_halves(desk: Desk, house: House, database: Database) -> None:
    """What was written long before is summed without a lock, what is new under it: neither twice nor not at all."""
    await house.open("a", credit=100)
    for amount in (1, 2, 4):
        await house.do(ops.Charge, account_id="a", amount=amount)
        clock.advance(database.owner_dsn, 50)
    assert await spent(desk, period=PeriodKind.TOTAL) == "7/0"


async def test_what_comes_during_a_long_sum_is_not_left_to_the_one_under_the_lock(
    desk: Desk, house: House, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first sum takes an hour, the next ones less and less; the last, for which all posting waits, is short."""
    clock.stop(database.owner_dsn)
    await house.open("a", credit=100)
    summed: list[tuple[datetime | None, datetime | None]] = []
    minutes = iter((60, 20, 5))

    async def slow(conn: Any, what: Any, period: Any, since: datetime | None, until: datetime | None) -> int:
        summed.append((since, until))
        found = await sum_spent(conn, what, period, since, until)
        for _ in range(next(minutes, 0)):
            await house.do(ops.Charge, account_id="a", amount=1)
            clock.advance(database.owner_dsn, 60)
        return found

    sum_spent = store.sum_spent
    monkeypatch.setattr(store, "sum_spent", slow)
    assert await spent(desk, period=PeriodKind.TOTAL) == "85/0"
    ends = [until for _, until in summed]
    assert [since for since, _ in summed] == [None, *ends[:-1]] and ends[-1] is None
    times = [end for end in ends if end is not None]
    passed = [(later - earlier) // timedelta(minutes=1) for earlier, later in itertools.pairwise(times)]
    assert passed == [60, 20, 5]


async def test_meters_and_costs(desk: Desk, house: House, database: Database) -> None:
    """Usage lines by their meters; amounts without usage count for no meter, and refunds do not lower any."""
    async with open_shop(database, prefix="shop") as shop:
        for name, side, of_input, of_output in (("sale", BookSide.SALE, "2", "5"), ("cost", BookSide.COST, "1", "3")):
            await shop.book(name, side)
            await shop.publish(name, price(INPUT, of_input), price(OUTPUT, of_output))
            await shop.assign(name)
    await house.open("a", credit=1_000)
    lines = (UsageLine(meter=INPUT, quantity=Decimal(10)), UsageLine(meter=OUTPUT, quantity=Decimal(1)))
    await house.do(ops.Charge, account_id="a", amount=100)
    charged = await house.do(ops.Charge, account_id="a", usage=UsageReport(lines=lines), labels={"agent": "x"})
    call = await house.reserve("a", 50)
    await house.do(ops.Commit, reservation_id=call, usage=usage("4"), final=False)

    cost = {"basis": BudgetBasis.COST}
    assert await spent(desk) == "133/42"
    assert await spent(desk, **cost) == "17/0"
    assert await spent(desk, meters=INPUT) == "28/0"
    assert await spent(desk, meters="llm") == "33/0"
    assert await spent(desk, meters="tts") == "0/0"
    assert await spent(desk, account="a", meters="llm", label=None, **cost) == "17/0"
    assert await spent(desk, meters="llm.output", label=("agent", "x"), **cost) == "3/0"
    assert await spent(desk, meters="llm", label=("agent", "y")) == "0/0"

    await house.do(ops.Refund, transaction_id=charged.transaction_id, amount=5, reverse_cost=True)
    assert await spent(desk, label=("agent", "x")) == "20/0"
    assert await spent(desk, label=("agent", "x"), **cost) == "10.4/0"  # its cost, pro rata
    assert await spent(desk, meters="llm") == "33/0"


ESTIMATES = st.lists(
    st.tuples(st.sampled_from([INPUT, OUTPUT, "tts.characters"]), st.integers(0, 40), st.integers(0, 20)), max_size=3
)
HOLDS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 70), st.integers(0, 30), ESTIMATES), max_size=6)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(holds=HOLDS)
async def test_open_holds_count_as_the_rules_say(
    desk: Desk, house: House, database: Database, holds: list[Any]
) -> None:
    """The sum in SQL against rules.open_hold and rules.held_by; amounts of whole nanos."""
    with psycopg.connect(database.owner_dsn) as owner:
        owner.execute("UPDATE reservations SET state = 'VOIDED', ended_by = 'VOID'")
        owner.execute(
            "INSERT INTO accounts SELECT 'default', 'h', '', '', 'USD', NULL, 0, 'CAP', NULL, NULL, NULL, 'UTC', '{}',"
            " 'ACTIVE', now(), now() ON CONFLICT DO NOTHING"
        )
        for amount, captured, captured_cost, estimate in holds:
            parts = [[meter, f"{p}e-9", f"{c}e-9"] for meter, p, c in estimate]
            owner.execute(
                "INSERT INTO reservations (tenant_id, reservation_id, account_id, call_id, state, amount, captured,"
                " absorbed, used_so_far, on_expiry, labels, create_time, expire_time, late, captured_cost, estimate)"
                " VALUES ('default', gen_random_uuid(), 'h', '', 'ACTIVE', %s, %s, 0, 0, 'RELEASE', '{}', now(), now(),"
                " false, %s, %s)",
                [format_nanos(amount), format_nanos(captured), format_nanos(captured_cost), json.dumps(parts)],
            )
    opened = [
        rules.open_hold(max(0, amount - captured), captured_cost, [MeterAmount(*part) for part in estimate])
        for amount, captured, captured_cost, estimate in holds
    ]
    for prefix in ("", "llm", OUTPUT):
        for basis in BudgetBasis:
            asked = budget(scope=Scope(meter_prefix=prefix), basis=basis)
            async with store.transaction(desk.pool, TENANT) as conn:
                assert await store.sum_held(conn, asked) == sum(rules.held_by(asked, hold) for hold in opened)


async def test_thresholds_that_are_reached_fire_at_once(desk: Desk, house: House) -> None:
    await house.open("a", credit=100)
    await house.do(ops.Charge, account_id="a", amount=9)
    call = await house.reserve("a", 5, call_id="call 7")
    await house.reserve("a", 1)
    levels = (threshold(80), threshold(90, "STOP_CALLS", "EMERGENCY", "scale-down"), threshold(100, "BLOCK"))
    await desk.set("b", 10, account="a", thresholds=levels)
    assert desk.woken == [TENANT]
    alerts, _ = await desk.queries.list_alerts(TENANT)
    assert [(s.sequence, s.alert.threshold) for s in alerts] == [(2, levels[1]), (1, levels[0])]
    stop = alerts[0].alert
    assert set(stop.call_ids) == {"call 7", *stop.call_ids} and len(stop.call_ids) == 2
    assert (stop.spent, stop.held, stop.limit, stop.account_id) == (9 * 10**9, 6 * 10**9, 10**10, "a")
    assert alerts[1].alert.call_ids == ()
    status = await desk.status("b")
    assert (status.counter.fired, status.counter.stopped, status.remaining) == (90, True, -5 * 10**9)
    assert status.exhaustion_time is not None

    await desk.set("b", 10, account="a", thresholds=levels)  # no change: nothing is armed again
    await desk.set("b", 100, account="a", thresholds=levels)
    status = await desk.status("b")
    assert (status.counter.fired, status.counter.stopped) == (0, False)
    await desk.set("b", 10, account="a", thresholds=levels)
    alerts, _ = await desk.queries.list_alerts(TENANT)
    assert [(s.sequence, s.alert.revision) for s in alerts] == [(4, 3), (3, 3), (2, 1), (1, 1)]
    assert call is not None


@pytest.mark.parametrize(
    ("scope", "stopped"),
    [
        ({}, {"one", "two", "three"}),
        ({"account": "a"}, {"one", "two"}),
        ({"label": ("agent", "x")}, {"one", "three"}),
        ({"currency_code": "EUR"}, {"euro"}),
    ],
)
async def test_a_stop_names_the_calls_of_its_scope(
    desk: Desk, house: House, scope: dict[str, Any], stopped: set[str]
) -> None:
    for account in ("a", "b"):
        await house.open(account, credit=100)
    await house.open("e", credit=100, currency_code="EUR")
    await house.reserve("a", 1, call_id="one", labels={"agent": "x"})
    await house.reserve("a", 1, call_id="two", labels={"agent": "y"})
    await house.reserve("b", 1, call_id="three", labels={"agent": "x"})
    await house.do(ops.Void, reservation_id=await house.reserve("b", 1, call_id="ended", labels={"agent": "x"}))
    await house.reserve("e", units(1, "EUR"), call_id="euro")
    for account, code in (("a", "USD"), ("e", "EUR")):
        await house.do(ops.Charge, account_id=account, amount=units(1, code), labels={"agent": "x"})
    await desk.set("s", 1, thresholds=(threshold(100, "STOP_CALLS"),), **scope)
    (stored,), _ = await desk.queries.list_alerts(TENANT)
    assert set(stored.alert.call_ids) == stopped


async def test_a_period_that_has_ended_is_over_without_traffic(desk: Desk, house: House, database: Database) -> None:
    await house.open("a", credit=100)
    await house.do(ops.Charge, account_id="a", amount=9)
    await house.reserve("a", 5, ttl_s=86_400 * 3)
    await desk.set("b", 10, thresholds=(threshold(80, "STOP_CALLS"),))
    first = await desk.status("b")
    clock.advance(database.owner_dsn, 86_400)
    second = await desk.status("b")
    assert second.counter.period.start == first.counter.period.end
    counter = second.counter
    assert (counter.spent, counter.held, counter.fired, counter.stopped) == (0, 5 * 10**9, 0, False)


async def test_calls_are_resumed(desk: Desk, house: House) -> None:
    await house.open("a", credit=100)
    await house.do(ops.Charge, account_id="a", amount=9)
    await desk.set("b", 10, thresholds=(threshold(80, "STOP_CALLS"),))
    resume = ResumeCalls(tenant_id=TENANT, idempotency_key="r", budget_id=BudgetId("b"), reason="looked at")
    assert (await desk.status("b")).counter.stopped
    for replayed in (False, True):
        written = await desk.admin.resume_calls(resume)
        assert (written.value.counter.stopped, written.value.counter.fired, written.replayed) == (False, 80, replayed)
    assert not (await desk.status("b")).counter.stopped
    with pytest.raises(NotFound):
        await desk.admin.resume_calls(ResumeCalls(tenant_id=TENANT, idempotency_key="x", budget_id=BudgetId("nobody")))


async def test_the_first_acknowledgement_counts(desk: Desk) -> None:
    await desk.add_many(2)
    alerts, _ = await desk.queries.list_alerts(TENANT)

    async def acknowledge(alert_id: AlertId, who: str, key: str) -> tuple[str, bool]:
        written = await desk.admin.acknowledge_alert(
            AcknowledgeAlert(tenant_id=TENANT, idempotency_key=key, alert_id=alert_id, acknowledged_by=who)
        )
        return written.value.acknowledged_by, written.replayed

    newest = alerts[0].alert.alert_id
    assert await acknowledge(newest, "ann", "1") == ("ann", False)
    assert await acknowledge(newest, "bob", "2") == ("ann", False)
    assert await acknowledge(newest, "ann", "1") == ("ann", True)
    left, _ = await desk.queries.list_alerts(TENANT, unacknowledged=True)
    assert [stored.sequence for stored in left] == [1]
    with pytest.raises(NotFound):
        await acknowledge(AlertId(uuid7()), "ann", "3")


async def test_another_tenants_budgets_and_alerts_are_not_there(desk: Desk, database: Database) -> None:
    other = TenantId("other")
    with psycopg.connect(database.owner_dsn) as owner:
        owner.execute("INSERT INTO tenants (tenant_id, create_time) VALUES ('other', now())")
    await desk.set("b")
    await desk.add_many(1)
    with pytest.raises(NotFound):
        await desk.queries.get_status(other, BudgetId("b"))
    assert await desk.queries.list_budgets(other) == ([], "")
    assert await desk.queries.list_alerts(other) == ([], "")
    (stored,), _ = await desk.queries.list_alerts(TENANT)
    with pytest.raises(NotFound):
        await desk.admin.acknowledge_alert(
            AcknowledgeAlert(tenant_id=other, idempotency_key="1", alert_id=stored.alert.alert_id)
        )
