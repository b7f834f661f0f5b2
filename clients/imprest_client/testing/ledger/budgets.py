"""Budgets and alerts written a second time: nothing is counted on, everything is added up anew from the journal.

What a budget has spent in a period is what the transactions of the period have charged, less what was given back of
them whenever. So it looks at no counter, no refund's time and no period's bounds: only at local dates.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from imprest_client.testing.ledger.model import Account, Denied, Outcome, Reservation, Transaction

if TYPE_CHECKING:
    from imprest_client.testing.ledger.tenant import Tenant

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Budget:
    """A budget; `account` is an account's id, `team` the value of the label of that name.

    `of_meter`: it counts only what came as units. `thresholds` are percent and action, ascending.
    """

    budget_id: str
    limit: int
    thresholds: tuple[tuple[int, str], ...]
    period: str = "DAY"
    zone: str = "UTC"
    account: str | None = None
    team: str | None = None
    of_meter: bool = False
    of_cost: bool = False

    def line(self, percent: int) -> int:
        """The nanos at which a threshold is reached."""
        return ceil(Fraction(self.limit * percent, 100))

    def period_of(self, micros: int) -> object:
        """A name of the period that an instant is in."""
        day = (EPOCH + timedelta(microseconds=micros)).astimezone(ZoneInfo(self.zone)).date()
        names = {"DAY": day, "WEEK": day.isocalendar()[:2], "MONTH": (day.year, day.month), "TOTAL": None}
        return names[self.period]

    def covers(self, account_id: str, labels: Mapping[str, str]) -> bool:
        """Whether it counts what the account does under these labels."""
        return self.account in (None, account_id) and self.team in (None, labels.get("team"))

    def part(self, charged: int, cost: int, metered: int) -> int:
        """What it counts of an amount; all of the cost came as units."""
        return cost if self.of_cost else metered if self.of_meter else charged

    def of_hold(self, hold: Reservation) -> int:
        """What it counts of an open hold."""
        if hold.state != "ACTIVE":
            return 0
        price, cost = hold.estimate or (0, 0)
        return self.part(hold.remaining, max(0, cost - hold.captured_cost), min(hold.remaining, price))


@dataclass
class Budgets:
    """A tenant's budgets, in the order of their ids, and the alerts so far."""

    budgets: Sequence[Budget] = ()
    alerts: list[str] = field(default_factory=list[str])
    _fired: dict[tuple[str, object], int] = field(default_factory=dict[tuple[str, object], int])
    _stopped: set[tuple[str, object]] = field(default_factory=set[tuple[str, object]])

    def spent(self, tenant: "Tenant", budget: Budget, now: int) -> int:
        """What the running period's transactions have charged and was not given back."""

        def left(t: Transaction) -> int:
            name = t.transaction_id
            charged = t.charged - tenant.refunded.get(name, 0) - tenant.returned.get(name, 0)
            gone = tenant.cost_reversed.get(name, 0) + tenant.cost_returned.get(name, 0)
            cost = t.cost - gone - tenant.cost_taken.get(name, 0)
            return budget.part(charged, t.metered_cost if budget.of_meter else cost, t.metered)

        running = budget.period_of(now)
        return sum(
            left(t)
            for account in tenant.accounts.values()
            for t in account.transactions
            if budget.covers(account.account_id, t.details.labels) and budget.period_of(t.create_time) == running
        )

    def held(self, tenant: "Tenant", budget: Budget) -> int:
        """What open holds may still spend."""
        return sum(
            budget.of_hold(hold)
            for account in tenant.accounts.values()
            for hold in account.holds.values()
            if budget.covers(account.account_id, hold.labels)
        )

    def _limiting(self, account: Account, labels: Mapping[str, str], *, metered: bool, now: int) -> Iterator[Budget]:
        for budget in self.budgets:
            if budget.covers(account.account_id, labels) and (metered or not budget.of_meter):
                if (budget.budget_id, budget.period_of(now)) in self._stopped:
                    raise Denied("CALLS_STOPPED")
                yield budget

    def refuse_stopped(self, account: Account, hold: Reservation, now: int) -> None:
        """Raises Denied(CALLS_STOPPED) for a call that has to end."""
        for _ in self._limiting(account, hold.labels, metered=hold.estimate is not None, now=now):
            pass

    def refuse(
        self,
        tenant: "Tenant",
        account: Account,
        labels: Mapping[str, str],
        more: dict[str, int],
        *,
        metered: bool,
        now: int,
    ) -> None:
        """Raises Denied when a budget has no room for this much more, by budget."""
        for budget in self._limiting(account, labels, metered=metered, now=now):
            lines = [budget.limit * percent // 100 for percent, action in budget.thresholds if action == "BLOCK"]
            counted = self.spent(tenant, budget, now) + self.held(tenant, budget)
            if lines and more[budget.budget_id] > max(0, min(lines) - counted):
                raise Denied("BUDGET_EXCEEDED")

    def note(self, tenant: "Tenant", now: int, happened: Sequence[str] = ()) -> None:
        """After each operation: first what has happened, then the thresholds that are reached."""
        self.alerts.extend(happened)
        for budget in self.budgets:
            key = (budget.budget_id, budget.period_of(now))
            spent = self.spent(tenant, budget, now)
            for percent, action in budget.thresholds:
                if spent >= budget.line(percent) and percent > self._fired.get(key, 0):
                    self._fired[key] = percent
                    self.alerts.append(f"{budget.budget_id} {percent}% {spent}/{self.held(tenant, budget)}")
                    if action == "STOP_CALLS":
                        self._stopped.add(key)


def happened(op: str, owed_before: dict[str, int], tenant: "Tenant", outcome: Outcome) -> list[str]:
    """What an operation leads to besides the thresholds of budgets."""
    found = debts(owed_before, tenant)
    charge = outcome.charge
    if charge is not None and outcome.late:
        found.append(f"LATE_COMMIT {charge.charged}")
    elif charge is not None:
        beyond = charge.absorbed if op == "record_usage" else charge.charged + charge.absorbed - charge.from_hold
        if op != "charge" and beyond:
            found.append(f"OVERRUN {beyond}")
    return found


def debts(owed_before: dict[str, int], tenant: "Tenant") -> list[str]:
    """The debts that have begun."""
    return [
        f"RECEIVABLE {account.receivable}"
        for account in tenant.accounts.values()
        if account.receivable and not owed_before.get(account.account_id)
    ]


def owed(tenant: "Tenant") -> dict[str, int]:
    """What each account owes."""
    return {account.account_id: account.receivable for account in tenant.accounts.values()}
