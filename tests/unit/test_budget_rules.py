"""What budgets decide, against a slow model that knows only the list of all that happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imprest_server.budgets import rules
from imprest_server.budgets.cache import BudgetSet
from imprest_server.budgets.model import (
    NO_HOLD,
    Budget,
    BudgetBasis,
    BudgetId,
    Counter,
    Hold,
    MeterAmount,
    Scope,
    ThresholdAction,
)
from imprest_server.core.errors import BudgetExceeded, CallsStopped
from imprest_server.core.ids import AccountId, ReservationId, TenantId
from imprest_server.core.periods import Period, PeriodKind, period_at
from imprest_server.ledger.limits import Movement
from imprest_server.ledger.model import Account, OnExpiry, Reservation, ReservationState
from imprest_server.posting.limits import BatchLimits, Fired
from tests.support.budgets import budget, threshold
from tests.support.ledger import TENANT

START = datetime(2026, 3, 27, 22, tzinfo=UTC)
ACCOUNTS = {"a": "USD", "b": "USD", "e": "EUR"}
METERS = ("llm.input_tokens", "llm.output_tokens", "tts.characters")

# ── the slow model ───────────────────────────────────────────────────────────────────────────────────


@dataclass
class Happened:
    """A hold that changed, or something that was spent."""

    time: datetime
    account: str
    labels: Mapping[str, str]
    charged: int = 0
    cost: int = 0
    usage: tuple[MeterAmount, ...] = ()
    hold: str = ""
    before: Hold = NO_HOLD
    after: Hold = NO_HOLD


@dataclass
class Model:
    """Looks through all that has ever happened, each time anew."""

    budgets: list[Budget]
    events: list[Happened] = field(default_factory=list)
    fired: set[tuple[str, Any, Decimal]] = field(default_factory=set)
    stopped: set[tuple[str, Any]] = field(default_factory=set)

    def covers(self, b: Budget, event: Happened) -> bool:
        if ACCOUNTS[event.account] != b.currency_code:
            return False
        if b.scope.account_id:
            return b.scope.account_id == event.account
        if b.scope.label:
            return event.labels.get(b.scope.label[0]) == b.scope.label[1]
        return True

    def period(self, b: Budget, time: datetime) -> Any:
        """A name of the local day, week or month."""
        local = time.astimezone(ZoneInfo(b.time_zone)).date()
        return {
            PeriodKind.DAY: local.isoformat(),
            PeriodKind.WEEK: tuple(local.isocalendar()[:2]),
            PeriodKind.MONTH: (local.year, local.month),
            PeriodKind.TOTAL: "",
        }[b.period]

    def counted(self, b: Budget, charged: int, cost: int, usage: tuple[MeterAmount, ...]) -> int:
        if b.scope.meter_prefix:
            charged = sum(u.price for u in usage if u.meter[: len(b.scope.meter_prefix)] == b.scope.meter_prefix)
            cost = sum(u.cost for u in usage if u.meter[: len(b.scope.meter_prefix)] == b.scope.meter_prefix)
        return charged if b.basis is BudgetBasis.CHARGED else cost

    def spent(self, b: Budget, now: datetime) -> int:
        return sum(
            self.counted(b, e.charged, e.cost, e.usage)
            for e in self.events
            if self.covers(b, e) and self.period(b, e.time) == self.period(b, now)
        )

    def held(self, b: Budget) -> int:
        holds: dict[str, Hold] = {}
        for e in self.events:
            if e.hold and self.covers(b, e):
                holds[e.hold] = e.after
        total = 0
        for h in holds.values():
            whole = h.charged if b.basis is BudgetBasis.CHARGED else h.cost
            total += min(whole, self.counted(b, 0, 0, h.estimate)) if b.scope.meter_prefix else whole
        return total

    def add(self, event: Happened) -> list[tuple[str, Decimal, int]]:
        """The alerts: budget, percent, spent."""
        self.events.append(event)
        alerts = []
        for b in self.budgets:
            if self.covers(b, event):
                spent, when = self.spent(b, event.time), self.period(b, event.time)
                for t in b.thresholds:
                    key = (b.budget_id, when, t.percent)
                    if key not in self.fired and Decimal(spent) * 100 >= t.percent * b.limit:
                        self.fired.add(key)
                        alerts.append((b.budget_id, t.percent, spent))
                        if t.action is ThresholdAction.STOP_CALLS:
                            self.stopped.add((b.budget_id, when))
        return alerts

    def denied(self, b: Budget, more: int, now: datetime) -> bool:
        if (b.budget_id, self.period(b, now)) in self.stopped:
            return True
        after = self.spent(b, now) + self.held(b) + more
        return any(
            Decimal(after) * 100 > t.percent * b.limit for t in b.thresholds if t.action is ThresholdAction.BLOCK
        )

    def denies(self, account: str, labels: Mapping[str, str], more: int, now: datetime) -> bool:
        """Whether the account may not be charged so much, by amount and so for no meter and at no known cost."""
        spending = Happened(now, account, labels)
        return any(
            self.denied(b, more if b.basis is BudgetBasis.CHARGED else 0, now)
            for b in self.budgets
            if self.covers(b, spending) and not b.scope.meter_prefix
        )


# ── random budgets and traffic ───────────────────────────────────────────────────────────────────────

percents = st.one_of(
    st.sampled_from(["50", "80", "95", "100", "150"]),
    st.integers(1, 20_000).map(lambda n: str(Decimal(n) / 100)),
).map(Decimal)
thresholds = st.lists(
    st.builds(lambda p, a: threshold(p, a), percents, st.sampled_from(["NOTIFY", "BLOCK", "STOP_CALLS"])),
    min_size=1,
    max_size=4,
    unique_by=lambda t: t.percent,
).map(lambda found: tuple(sorted(found, key=lambda t: t.percent)))
scopes = st.builds(
    Scope,
    account_id=st.sampled_from([None, None, AccountId("a"), AccountId("e")]),
    meter_prefix=st.sampled_from(["", "", "llm", "llm.in"]),
) | st.builds(
    Scope,
    label=st.tuples(st.just("agent"), st.sampled_from(["x", "y", ""])),
    meter_prefix=st.sampled_from(["", "tts.characters"]),
)


@st.composite
def budget_lists(draw: st.DrawFn) -> list[Budget]:
    return [
        budget(
            draw(st.integers(1, 300)),
            *draw(thresholds),
            budget_id=BudgetId(f"b{n}"),
            scope=draw(scopes),
            currency_code=draw(st.sampled_from(["USD", "USD", "EUR"])),
            basis=draw(st.sampled_from(BudgetBasis)),
            period=draw(st.sampled_from(PeriodKind)),
            time_zone=draw(st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"])),
        )
        for n in range(draw(st.integers(1, 4)))
    ]


usages = st.lists(
    st.builds(MeterAmount, st.sampled_from(METERS), st.integers(0, 40), st.integers(0, 20)), max_size=3
).map(tuple)
gaps = st.sampled_from([0, 1, 3_600, 3_600, 40_000, 86_400, 2_000_000])
labels = st.sampled_from([{}, {"agent": "x"}, {"agent": "y"}, {"agent": ""}])


@st.composite
def traffic(draw: st.DrawFn) -> list[Happened]:
    now, events = START, []
    holds: dict[str, tuple[str, Mapping[str, str], Hold]] = {}
    for n in range(draw(st.integers(1, 25))):
        now += timedelta(seconds=draw(gaps))
        what = draw(st.sampled_from(["charge", "hold", "hold", "capture", "end", "refund"]))
        usage = draw(usages)
        charged = sum(u.price for u in usage) if usage else draw(st.integers(0, 60))
        cost = sum(u.cost for u in usage) if usage else draw(st.integers(0, 30))
        if what in ("capture", "end") and holds:
            name = draw(st.sampled_from(sorted(holds)))
            account, mark, before = holds.pop(name)
            after = NO_HOLD
            if what == "capture":
                after = rules.open_hold(max(0, before.charged - charged), cost, before.estimate)
                holds[name] = (account, mark, after)
            else:
                charged, cost, usage = 0, 0, ()
            events.append(Happened(now, account, mark, charged, cost, usage, name, before, after))
            continue
        account, mark = draw(st.sampled_from(sorted(ACCOUNTS))), draw(labels)
        if what == "hold":
            after = rules.open_hold(charged, 0, usage)
            holds[f"h{n}"] = (account, mark, after)
            events.append(Happened(now, account, mark, hold=f"h{n}", after=after))
        elif what == "refund":
            events.append(Happened(now, account, mark, -min(charged, 20), -min(cost, 10)))
        else:
            events.append(Happened(now, account, mark, charged, cost, usage))
    return events


def movement(event: Happened) -> Movement:
    """What happened, as the ledger tells it."""

    def reservation(hold: Hold) -> Reservation | None:
        known = sum(part.cost for part in hold.estimate)
        return Reservation(
            tenant_id=TENANT,
            reservation_id=ReservationId(UUID(int=0)),
            account_id=AccountId(event.account),
            call_id="",
            amount=hold.charged,
            on_expiry=OnExpiry.RELEASE,
            create_time=event.time,
            expire_time=event.time,
            captured_cost=known - hold.cost,
            estimate=hold.estimate,
            state=ReservationState.COMMITTED if hold is NO_HOLD else ReservationState.ACTIVE,
        )

    return Movement(
        account=account_of(event.account),
        labels=event.labels,
        charged=event.charged,
        cost=event.cost,
        usage=event.usage,
        before=reservation(event.before),
        after=reservation(event.after),
    )


def account_of(name: str) -> Account:
    return Account(tenant_id=TENANT, account_id=AccountId(name), currency_code=ACCOUNTS[name])


@settings(max_examples=300)
@given(budgets=budget_lists(), events=traffic(), more=st.integers(0, 50))
def test_as_if_all_was_looked_through_each_time(budgets: list[Budget], events: list[Happened], more: int) -> None:
    """The same alerts in the same order, none twice; the same denials; the same status, also long after."""
    model = Model(budgets)
    known = {TENANT: BudgetSet(1, budgets)}
    counters = {b.key: Counter(revision=1, period=period_at(b.period, b.time_zone, START)) for b in budgets}
    for event in events:
        fired = BatchLimits(known, counters, event.time).count(movement(event))
        alerts = [(f.budget.budget_id, f.threshold.percent, f.counter.spent) for f in fired if isinstance(f, Fired)]
        assert alerts == model.add(event)
        for now in (event.time, event.time + timedelta(days=1)):
            for b in budgets:
                status = rules.status_at(b, counters[b.key], now)
                counter = status.counter
                assert (counter.spent, counter.held) == (model.spent(b, now), model.held(b))
                assert status.remaining == b.limit - counter.spent - counter.held
                assert counter.stopped is ((b.budget_id, model.period(b, now)) in model.stopped)
            for name in ACCOUNTS:
                asked = Movement(account=account_of(name), labels=event.labels, charged=more)
                denied = False
                try:
                    BatchLimits(known, counters, now).require(asked)
                except (BudgetExceeded, CallsStopped):
                    denied = True
                assert denied is model.denies(name, event.labels, more, now)


# ── single rules ─────────────────────────────────────────────────────────────────────────────────────


def test_what_a_threshold_comes_to_is_exact() -> None:
    for limit, percent, nanos in ((3, "33.34", 2), (3, "33.33", 1), (10**28, "0.01", 10**24), (1, "0.01", 1)):
        assert rules.amount_at(budget(limit), threshold(percent)) == nanos


def test_the_default_thresholds_deny_nothing() -> None:
    for b in (budget(100), budget(100, *rules.EMERGENCY_STOP)):
        counter = Counter(revision=1, period=Period(None, None), spent=149)
        assert rules.room(b, counter) is None
    assert [t.percent for t in rules.WARN] == [80, 95, 100]
    assert {t.action for t in rules.WARN} == {ThresholdAction.NOTIFY}
    assert [(t.percent, t.action.value) for t in rules.EMERGENCY_STOP] == [
        (80, "NOTIFY"),
        (100, "NOTIFY"),
        (150, "STOP_CALLS"),
    ]


@pytest.mark.parametrize(("spent", "held", "left"), [(0, 0, 100), (60, 30, 10), (60, 40, 0), (90, 50, -40)])
def test_room_before_the_lowest_block(spent: int, held: int, left: int) -> None:
    b = budget(100, threshold(100, "BLOCK"), threshold(150, "BLOCK"))
    counter = Counter(revision=1, period=Period(None, None), spent=spent, held=held)
    assert rules.room(b, counter) == left


def test_a_clock_behind_the_counters_period_stays_in_it() -> None:
    """A batch read its time before it waited for the counter, which another one has rolled on meanwhile."""
    b = budget(100, threshold(100))
    counter = Counter(revision=1, period=period_at(b.period, "UTC", START + timedelta(days=1)), spent=5)
    assert rules.rolled(b, counter, START) is counter


def test_when_a_budget_will_be_exhausted() -> None:
    b = budget(100, period=PeriodKind.DAY)
    midnight = datetime(2026, 3, 15, tzinfo=UTC)
    day = period_at(b.period, "UTC", midnight)

    def exhaustion(spent: int, hours: float) -> datetime | None:
        counter = Counter(revision=1, period=day, spent=spent)
        return rules.exhaustion_time(b, counter, midnight + timedelta(hours=hours))

    assert exhaustion(50, 6) == midnight + timedelta(hours=12)
    assert exhaustion(25, 6) is None  # at midnight, and so not within the day
    assert exhaustion(26, 6) is not None
    assert exhaustion(100, 6) == midnight + timedelta(hours=6)
    assert exhaustion(0, 6) is None
    assert exhaustion(1, 0) is None
    whole = Counter(revision=1, period=Period(None, None), spent=50)
    assert rules.exhaustion_time(budget(100, period=PeriodKind.TOTAL), whole, midnight) is None


def test_what_a_meter_budget_concerns() -> None:
    llm = budget(100, scope=Scope(meter_prefix="llm"))
    assert not rules.concerns(llm, ())
    assert not rules.concerns(llm, [MeterAmount("tts.characters", 1, 1)])
    assert rules.concerns(llm, [MeterAmount("tts.characters", 1, 1), MeterAmount("llm.input_tokens", 0, 0)])
    assert rules.concerns(budget(100), ())


def test_budgets_are_found_by_whom_they_concern() -> None:
    budgets = {
        "t": Scope(),
        "a": Scope(account_id=AccountId("a")),
        "z": Scope(account_id=AccountId("z")),
        "x": Scope(label=("agent", "x")),
        "y": Scope(label=("agent", "y")),
    }
    known = BudgetSet(1, [budget(budget_id=BudgetId(name), scope=scope) for name, scope in budgets.items()])

    def found(accounts: str, *label_sets: dict[str, str]) -> str:
        return "".join(b.budget_id for b in known.matching(map(AccountId, accounts), label_sets))

    assert found("") == "t"
    assert found("ab") == "at"
    assert found("b", {"agent": "x"}, {"agent": "y", "lead": "x"}) == "txy"
    assert found("", {"lead": "x"}) == "t"
    later = known.after(2, [(known.budgets[BudgetId("t")], True), (budget(7, budget_id=BudgetId("n")), False)])
    assert (sorted(later.budgets), later.epoch, sorted(known.budgets)) == (["a", "n", "x", "y", "z"], 2, list("atxyz"))
    assert known.budgets[BudgetId("t")].tenant_id == TenantId("default")
