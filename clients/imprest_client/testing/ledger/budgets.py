"""Budgets and alerts written a second time: nothing is counted on, everything is added up anew from the journal.

What a budget has spent in a period is what the transactions of the period have charged, less what was given back of
them whenever. So it looks at no counter, no refund's time and no period's bounds: only at local dates.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from imprest_client.testing.ledger.alerts import Alert
from imprest_client.testing.ledger.model import Account, Denied, Parts, Reservation, Transaction
from imprest_client.testing.ledger.money import text_from_nanos
from imprest_client.testing.ledger.usage import sum_of

if TYPE_CHECKING:
    from imprest_client.testing.ledger.tenant import Tenant

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_CALL_IDS = 1000


@dataclass(frozen=True)
class Threshold:
    """What happens at which percentage of a limit."""

    percent: Decimal | int
    action: str = "NOTIFY"
    level: str = "WARNING"
    label: str = ""

    def of(self, limit: int) -> Fraction:
        """The part of the limit, in nanos."""
        return limit * Fraction(self.percent) / 100


WARN = (Threshold(80), Threshold(95, level="CRITICAL"), Threshold(100, level="CRITICAL"))
EMERGENCY_STOP = (
    Threshold(80),
    Threshold(100, level="CRITICAL", label="scale-down"),
    Threshold(150, "STOP_CALLS", "EMERGENCY"),
)


@dataclass(frozen=True)
class Budget:
    """A budget, of an account, of what carries a label, or else of all; thresholds ascend by their percentage."""

    budget_id: str
    limit: int
    thresholds: tuple[Threshold, ...] = WARN
    period: str = "DAY"
    zone: str = "UTC"
    account: str | None = None
    label: tuple[str, str] | None = None
    meters: str = ""
    """It counts only what came as units of meters that begin so; empty: everything."""
    of_cost: bool = False
    currency: str = "USD"
    display_name: str = ""
    revision: int = 1
    create_time: int = 0

    def _day(self, micros: int) -> date:
        return (EPOCH + timedelta(microseconds=micros)).astimezone(ZoneInfo(self.zone)).date()

    def period_of(self, micros: int) -> object:
        """A name of the period that an instant is in."""
        day = self._day(micros)
        names = {"DAY": day, "WEEK": day.isocalendar()[:2], "MONTH": (day.year, day.month), "TOTAL": None}
        return names[self.period]

    def bounds(self, micros: int) -> tuple[int, int] | None:
        """When the period of an instant began, and when it ends; None of one without end."""
        first = self._day(micros)
        if self.period == "TOTAL":
            return None
        if self.period == "WEEK":
            first -= timedelta(days=first.weekday())
        elif self.period == "MONTH":
            first = first.replace(day=1)
        days = {"DAY": 1, "WEEK": 7, "MONTH": 31}[self.period]
        end = first + timedelta(days=days)
        return self._midnight(first), self._midnight(end.replace(day=1) if self.period == "MONTH" else end)

    def _midnight(self, day: date) -> int:
        local = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(self.zone))
        return (local.astimezone(UTC) - EPOCH) // timedelta(microseconds=1)

    def covers(self, account: Account, labels: Mapping[str, str]) -> bool:
        """Whether it counts what the account does under these labels."""
        is_theirs = self.account in (None, account.account_id) and self.currency == account.currency
        return is_theirs and (self.label is None or labels.get(self.label[0]) == self.label[1])

    def part(self, charged: int, cost: int, parts: Parts) -> int:
        """What it counts of an amount; all of the cost came as units."""
        if self.meters:
            charged, cost = sum_of(parts, self.meters)
        return cost if self.of_cost else charged

    def of_hold(self, hold: Reservation) -> int:
        """What it counts of an open hold."""
        if hold.state != "ACTIVE":
            return 0
        _, cost = sum_of(hold.estimate or ())
        price_left, cost_left = hold.remaining, max(0, cost - hold.captured_cost)
        if self.meters:
            price, cost = sum_of(hold.estimate or (), self.meters)
            price_left, cost_left = min(price_left, price), min(cost_left, cost)
        return cost_left if self.of_cost else price_left

    def concerns(self, meters: Iterable[str]) -> bool:
        """Whether it may deny what uses these meters."""
        return not self.meters or any(meter.startswith(self.meters) for meter in meters)


@dataclass(frozen=True)
class Status:
    """How a budget stands."""

    spent: int
    held: int
    fired: Decimal | int
    stopped: bool


_Key = tuple[str, int, object]


@dataclass
class Budgets:
    """A tenant's budgets, in the order of their ids, and the alerts so far."""

    budgets: Sequence[Budget] = ()
    alerts: list[Alert] = field(default_factory=list[Alert])
    _fired: dict[_Key, Decimal | int] = field(default_factory=dict[_Key, Decimal | int])
    _stopped: set[_Key] = field(default_factory=set[_Key])
    _revisions: dict[str, int] = field(default_factory=dict[str, int])

    # -- their life

    def put(self, tenant: "Tenant", budget: Budget, now: int) -> Budget:
        """Makes or changes a budget; what is reached already fires at once. What changes nothing makes no revision."""
        before = next((found for found in self.budgets if found.budget_id == budget.budget_id), None)
        if before is not None and replace(budget, revision=before.revision, create_time=before.create_time) == before:
            return before
        made = replace(budget, revision=self._next_revision(budget.budget_id), create_time=now)
        others = [found for found in self.budgets if found.budget_id != budget.budget_id]
        self.budgets = sorted([*others, made], key=lambda found: found.budget_id)
        self.note(tenant, now)
        return made

    def delete(self, budget: Budget) -> None:
        """Has it count no more."""
        self.budgets = [found for found in self.budgets if found is not budget]
        self._next_revision(budget.budget_id)

    def _next_revision(self, budget_id: str) -> int:
        self._revisions[budget_id] = self._revisions.get(budget_id, 0) + 1
        return self._revisions[budget_id]

    def find(self, budget_id: str) -> Budget:
        """The budget. Raises Denied(NOT_FOUND)."""
        for budget in self.budgets:
            if budget.budget_id == budget_id:
                return budget
        raise Denied("NOT_FOUND", resource="budget", id=budget_id)

    def status(self, tenant: "Tenant", budget: Budget, now: int) -> Status:
        """How it stands in the period of `now`."""
        key = _key(budget, now)
        fired, stopped = self._fired.get(key, 0), key in self._stopped
        return Status(self.spent(tenant, budget, now), self.held(tenant, budget), fired, stopped)

    def resume(self, budget: Budget, now: int) -> None:
        """Lifts its stop."""
        self._stopped.discard(_key(budget, now))

    # -- what they have seen

    def spent(self, tenant: "Tenant", budget: Budget, now: int) -> int:
        """What the running period's transactions have charged and was not given back."""

        def left(t: Transaction) -> int:
            name = t.transaction_id
            charged = t.charged - tenant.refunded.get(name, 0) - tenant.returned.get(name, 0)
            gone = tenant.cost_reversed.get(name, 0) + tenant.cost_returned.get(name, 0)
            return budget.part(charged, t.cost - gone - tenant.cost_taken.get(name, 0), t.parts)

        running = budget.period_of(now)
        return sum(
            left(t)
            for account in tenant.accounts.values()
            for t in account.transactions
            if budget.covers(account, t.details.labels) and budget.period_of(t.create_time) == running
        )

    def held(self, tenant: "Tenant", budget: Budget) -> int:
        """What open holds may still spend."""
        return sum(budget.of_hold(hold) for hold in _holds(tenant, budget))

    # -- what they allow

    def _limiting(
        self, account: Account, labels: Mapping[str, str], meters: Iterable[str], now: int
    ) -> Iterator[Budget]:
        for budget in self.budgets:
            if budget.covers(account, labels) and budget.concerns(meters):
                if _key(budget, now) in self._stopped:
                    raise Denied("CALLS_STOPPED", budget_id=budget.budget_id)
                yield budget

    def refuse_stopped(self, account: Account, hold: Reservation, now: int) -> None:
        """Raises Denied(CALLS_STOPPED) for a call that has to end."""
        for _ in self._limiting(account, hold.labels, meters_of(hold.estimate), now):
            pass

    def refuse(
        self,
        tenant: "Tenant",
        account: Account,
        labels: Mapping[str, str],
        more: dict[str, int],
        *,
        meters: Sequence[str],
        now: int,
    ) -> None:
        """Raises Denied when a budget has no room for this much more, by budget."""
        for budget in self._limiting(account, labels, meters, now):
            lines = [floor(t.of(budget.limit)) for t in budget.thresholds if t.action == "BLOCK"]
            counted = self.spent(tenant, budget, now) + self.held(tenant, budget)
            if lines and more[budget.budget_id] > min(lines) - counted:
                raise Denied(
                    "BUDGET_EXCEEDED",
                    budget_id=budget.budget_id,
                    currency_code=budget.currency,
                    remaining=text_from_nanos(max(0, min(lines) - counted)),
                    required=text_from_nanos(more[budget.budget_id]),
                )

    # -- what they tell

    def note(self, tenant: "Tenant", now: int, happened: Sequence[Alert] = ()) -> None:
        """After each operation: first what has happened, then the thresholds that are reached."""
        self.alerts.extend(happened)
        for budget in self.budgets:
            key, spent = _key(budget, now), self.spent(tenant, budget, now)
            reached = [
                t
                for t in budget.thresholds
                if spent >= ceil(t.of(budget.limit)) and t.percent > self._fired.get(key, 0)
            ]
            for threshold in reached:
                self._fired[key] = threshold.percent
                running: list[str] = []
                if threshold.action == "STOP_CALLS":
                    self._stopped.add(key)
                    running = [hold.call_id or hold.reservation_id for hold in _holds(tenant, budget)]
                self.alerts.append(
                    Alert(
                        kind="BUDGET",
                        level=threshold.level,
                        currency=budget.currency,
                        create_time=now,
                        account_id=budget.account or "",
                        budget=budget,
                        threshold=threshold,
                        spent=spent,
                        held=self.held(tenant, budget),
                        limit=budget.limit,
                        call_ids=tuple(running[:_MAX_CALL_IDS]),
                    )
                )


def meters_of(parts: Parts | None) -> list[str]:
    """The meters that something came as units of."""
    return [meter for meter, _, _ in parts or ()]


def _key(budget: Budget, now: int) -> _Key:
    return budget.budget_id, budget.revision, budget.period_of(now)


def _holds(tenant: "Tenant", budget: Budget) -> Iterator[Reservation]:
    for account in tenant.accounts.values():
        for hold in account.holds.values():
            if hold.state == "ACTIVE" and budget.covers(account, hold.labels):
                yield hold
