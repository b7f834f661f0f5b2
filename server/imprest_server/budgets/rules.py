"""What budgets decide, pure: which spending counts, what is still admitted, which thresholds fire.

A counter is only ever changed under its row lock, in the transaction that moves the money: so a limit cannot be raced,
and an alert is neither lost nor fired twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from imprest_server.budgets.model import (
    Alert,
    AlertId,
    AlertKind,
    AlertLevel,
    Budget,
    BudgetBasis,
    BudgetStatus,
    Counter,
    Hold,
    NewAlert,
    Spending,
    Threshold,
    ThresholdAction,
)
from imprest_server.core.periods import period_at
from imprest_server.core.usage import MeterAmount

_MICROSECOND = timedelta(microseconds=1)

#: What a budget warns of when it is not told otherwise. It denies nothing: who wants that says so.
WARN = (
    Threshold(Decimal(80), AlertLevel.WARNING),
    Threshold(Decimal(95), AlertLevel.CRITICAL),
    Threshold(Decimal(100), AlertLevel.CRITICAL),
)
#: A ready profile for spending that must never run away: a warning, a call for scaling down, the emergency stop.
EMERGENCY_STOP = (
    Threshold(Decimal(80), AlertLevel.WARNING),
    Threshold(Decimal(100), AlertLevel.CRITICAL, action_label="scale-down"),
    Threshold(Decimal(150), AlertLevel.EMERGENCY, ThresholdAction.STOP_CALLS),
)


def spent_by(budget: Budget, spending: Spending) -> int:
    """By how much the spending moves what the budget has spent."""
    charged, cost = spending.charged, spending.cost
    if budget.scope.meter_prefix:
        charged, cost = _of_meters(budget, spending.usage)
    return charged if budget.basis is BudgetBasis.CHARGED else cost


def held_by(budget: Budget, hold: Hold) -> int:
    """What a hold counts for: what it may still spend, of the meters that count at most what was estimated for them."""
    charged, cost = hold.charged, hold.cost
    if budget.scope.meter_prefix:
        of_charged, of_cost = _of_meters(budget, hold.estimate)
        charged, cost = min(charged, of_charged), min(cost, of_cost)
    return charged if budget.basis is BudgetBasis.CHARGED else cost


def open_hold(remaining: int, captured_cost: int, estimate: Sequence[MeterAmount]) -> Hold:
    """What an open hold may still spend: what it has left, at the estimated cost less what captures have cost."""
    return Hold(remaining, max(0, sum(part.cost for part in estimate) - captured_cost), tuple(estimate))


def concerns(budget: Budget, estimate: Iterable[MeterAmount]) -> bool:
    """Whether the budget may deny, or stop, what was estimated so: one for some meters only what uses them."""
    prefix = budget.scope.meter_prefix
    return not prefix or any(part.meter.startswith(prefix) for part in estimate)


def _of_meters(budget: Budget, amounts: Iterable[MeterAmount]) -> tuple[int, int]:
    counted = [a for a in amounts if a.meter.startswith(budget.scope.meter_prefix)]
    return sum(a.price for a in counted), sum(a.cost for a in counted)


def rolled(budget: Budget, counter: Counter, now: datetime) -> Counter:
    """The counter of the period that `now` is in: a new period starts unspent and armed, with the open holds."""
    if now in counter.period or (counter.period.start is not None and now < counter.period.start):
        return counter
    period = period_at(budget.period, budget.time_zone, now)
    return Counter(revision=counter.revision, period=period, held=counter.held)


def room(budget: Budget, counter: Counter) -> int | None:
    """How much more may be held or spent before a BLOCK threshold; None: without limit.

    Below zero when more than that is spent and held already: then there is no room for anything, be it only zero, as
    for a call whose cost nobody knows before.
    """
    ceilings = [_ceiling(budget, t) for t in budget.thresholds if t.action is ThresholdAction.BLOCK]
    return min(ceilings) - counter.spent - counter.held if ceilings else None


def count(budget: Budget, counter: Counter, spending: Spending, now: datetime) -> tuple[Counter, Sequence[Threshold]]:
    """The counter after the spending, and the thresholds it is the first in the period to reach, ascending."""
    counter = rolled(budget, counter, now)
    counter = Counter(
        revision=counter.revision,
        period=counter.period,
        spent=counter.spent + spent_by(budget, spending),
        held=counter.held + held_by(budget, spending.after) - held_by(budget, spending.before),
        fired=counter.fired,
        stopped=counter.stopped,
    )
    return fire(budget, counter)


def fire(budget: Budget, counter: Counter) -> tuple[Counter, Sequence[Threshold]]:
    """Fire what has been reached and has not fired in this period. Spending less later arms nothing again."""
    reached = [t for t in budget.thresholds if t.percent > counter.fired and counter.spent >= amount_at(budget, t)]
    if not reached:
        return counter, ()
    stops = any(t.action is ThresholdAction.STOP_CALLS for t in reached)
    return replace(counter, fired=reached[-1].percent, stopped=counter.stopped or stops), reached


def alert_of(budget: Budget, counter: Counter, threshold: Threshold, alert_id: AlertId, now: datetime) -> NewAlert:
    """The alert of a threshold that has fired."""
    alert = Alert(
        alert_id=alert_id,
        kind=AlertKind.BUDGET,
        level=threshold.level,
        create_time=now,
        currency_code=budget.currency_code,
        account_id=budget.scope.account_id,
        budget_id=budget.budget_id,
        revision=budget.revision,
        threshold=threshold,
        period=counter.period,
        spent=counter.spent,
        held=counter.held,
        limit=budget.limit,
    )
    return NewAlert(budget.tenant_id, alert, budget.scope)


def status_at(budget: Budget, counter: Counter, now: datetime) -> BudgetStatus:
    """How the budget stands; a period that has ended meanwhile counts as ended, whether or not it was written."""
    counter = rolled(budget, counter, now)
    return BudgetStatus(
        budget=budget,
        counter=counter,
        as_of=now,
        remaining=budget.limit - counter.spent - counter.held,
        exhaustion_time=exhaustion_time(budget, counter, now),
    )


def amount_at(budget: Budget, threshold: Threshold) -> int:
    """The nanos at which a threshold is reached: its percentage of the limit, rounded up."""
    return -(-_ten_thousandths(budget, threshold) // 10_000)


def _ceiling(budget: Budget, threshold: Threshold) -> int:
    """The most that a BLOCK threshold allows: its percentage of the limit, rounded down."""
    return _ten_thousandths(budget, threshold) // 10_000


def _ten_thousandths(budget: Budget, threshold: Threshold) -> int:
    return budget.limit * int(threshold.percent.scaleb(2))


def exhaustion_time(budget: Budget, counter: Counter, now: datetime) -> datetime | None:
    """When the limit will be reached if spending goes on as in the period so far; None: not within the period.

    A budget without period cannot be projected: nothing says since when it counts.
    """
    start, end = counter.period.start, counter.period.end
    if start is None or end is None or counter.spent <= 0 or now <= start:
        return None
    if counter.spent >= budget.limit:
        return now
    elapsed = (now - start) // _MICROSECOND
    needed = elapsed * budget.limit // counter.spent
    return start + needed * _MICROSECOND if needed < (end - start) // _MICROSECOND else None
