"""From what the model knows of budgets and alerts to messages."""

from __future__ import annotations

from decimal import Decimal

from google.type.decimal_pb2 import Decimal as DecimalMessage
from google.type.money_pb2 import Money

from imprest.v1 import budget_pb2
from imprest_client.testing.ledger.alerts import Alert
from imprest_client.testing.ledger.budgets import Budget, Status, Threshold
from imprest_client.testing.replies import money, time


def _percent(number: Decimal | int) -> DecimalMessage:
    text = format(Decimal(number), "f")
    return DecimalMessage(value=text.rstrip("0").rstrip(".") if "." in text else text)


def _threshold(threshold: Threshold) -> budget_pb2.BudgetThreshold:
    return budget_pb2.BudgetThreshold(
        percent=_percent(threshold.percent),
        level=f"ALERT_LEVEL_{threshold.level}",
        action=f"THRESHOLD_ACTION_{threshold.action}",
        action_label=threshold.label,
    )


def budget(found: Budget) -> budget_pb2.Budget:
    """A budget."""
    message = budget_pb2.Budget(
        budget_id=found.budget_id,
        display_name=found.display_name,
        meter_prefix=found.meters,
        basis=f"BUDGET_BASIS_{'COST' if found.of_cost else 'CHARGED'}",
        period=f"BUDGET_PERIOD_{found.period}",
        time_zone=found.zone,
        limit=money(found.limit, found.currency),
        thresholds=map(_threshold, found.thresholds),
        revision=found.revision,
        create_time=time(found.create_time),
    )
    if found.account is not None:
        message.account_id = found.account
    elif found.label is not None:
        message.label.CopyFrom(budget_pb2.BudgetLabel(key=found.label[0], value=found.label[1]))
    else:
        message.tenant = True
    return message


def status(of: Budget, found: Status, now: int) -> budget_pb2.BudgetStatus:
    """How a budget stands."""
    bounds = of.bounds(now)
    message = budget_pb2.BudgetStatus(
        budget=budget(of),
        spent=money(found.spent, of.currency),
        held=money(found.held, of.currency),
        remaining=money(of.limit - found.spent - found.held, of.currency),
        percent=_percent(Decimal(found.spent * 10_000 // of.limit).scaleb(-2)),
        fired_thresholds=[_threshold(t) for t in of.thresholds if t.percent <= found.fired],
        stopped=found.stopped,
        as_of=time(now),
    )
    if bounds is not None:
        start, end = bounds
        message.period_start.CopyFrom(time(start))
        message.period_end.CopyFrom(time(end))
        if found.spent >= of.limit:
            message.exhaustion_time.CopyFrom(time(now))
        elif found.spent > 0 and (needed := (now - start) * of.limit // found.spent) < end - start:
            message.exhaustion_time.CopyFrom(time(start + needed))
    return message


def alert(sequence: int, found: Alert, seen: tuple[int, str] | None) -> budget_pb2.Alert:
    """An alert; `seen`: when it was acknowledged, and by whom."""

    def optional(nanos: int | None) -> Money | None:
        return None if nanos is None else money(nanos, found.currency)

    budget = found.budget
    bounds = None if budget is None else budget.bounds(found.create_time)
    return budget_pb2.Alert(
        alert_id=found.alert_id,
        sequence=sequence,
        kind=f"ALERT_KIND_{found.kind}",
        level=f"ALERT_LEVEL_{found.level}",
        account_id=found.account_id,
        budget_id="" if budget is None else budget.budget_id,
        budget_revision=0 if budget is None else budget.revision,
        threshold=None if found.threshold is None else _threshold(found.threshold),
        spent=optional(found.spent),
        held=optional(found.held),
        limit=optional(found.limit),
        balance=optional(found.available),
        amount=optional(found.amount),
        period_start=None if bounds is None else time(bounds[0]),
        period_end=None if bounds is None else time(bounds[1]),
        reservation_id=found.reservation_id,
        call_ids=found.call_ids,
        create_time=time(found.create_time),
        acknowledge_time=None if seen is None else time(seen[0]),
        acknowledged_by="" if seen is None else seen[1],
    )
