"""Budgets and alerts between the wire and the core."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from google.type.money_pb2 import Money as MoneyMessage

from imprest.v1 import budget_pb2
from imprest_server.budgets.model import (
    AlertId,
    AlertKind,
    AlertLevel,
    Budget,
    BudgetBasis,
    BudgetStatus,
    Scope,
    StoredAlert,
    Threshold,
    ThresholdAction,
)
from imprest_server.budgets.rules import EMERGENCY_STOP, WARN
from imprest_server.core.errors import InvalidArgument
from imprest_server.core.ids import ReservationId, format_alert_id, format_reservation_id, parse_alert_id
from imprest_server.core.money import MAX_NANOS
from imprest_server.core.periods import Period, PeriodKind
from imprest_server.transport.convert import EnumMap, parse_account_id, parse_decimal, to_decimal, to_money, to_time

BASIS = EnumMap(BudgetBasis, budget_pb2.BudgetBasis, "BUDGET_BASIS")
PERIOD = EnumMap(PeriodKind, budget_pb2.BudgetPeriod, "BUDGET_PERIOD")
ACTION = EnumMap(ThresholdAction, budget_pb2.ThresholdAction, "THRESHOLD_ACTION")
KIND = EnumMap(AlertKind, budget_pb2.AlertKind, "ALERT_KIND")
LEVEL: Mapping[AlertLevel, Any] = {
    level: budget_pb2.AlertLevel.Value(f"ALERT_LEVEL_{level.name}") for level in AlertLevel
}
_LEVEL_OF = {number: level for level, number in LEVEL.items()}
_PROFILES: Mapping[int, tuple[Threshold, ...] | None] = {
    budget_pb2.THRESHOLD_PROFILE_UNSPECIFIED: None,
    budget_pb2.THRESHOLD_PROFILE_WARN: WARN,
    budget_pb2.THRESHOLD_PROFILE_EMERGENCY_STOP: EMERGENCY_STOP,
}


# ── requests ─────────────────────────────────────────────────────────────────────────────────────────


def parse_alert(text: str, field: str = "alert_id") -> AlertId:
    """An alert's id of the right shape."""
    parsed = parse_alert_id(text)
    if parsed is None:
        raise InvalidArgument(field=field, problem="must be alt_ and 32 hexadecimal digits" if text else "is required")
    return AlertId(parsed)


def parse_level(number: int, field: str) -> AlertLevel | None:
    """A level; None for unspecified."""
    if number == 0:
        return None
    try:
        return _LEVEL_OF[number]
    except KeyError:
        raise InvalidArgument(field=field, problem=f"has no value {number}") from None


def parse_kinds(numbers: Iterable[int], path: str = "") -> frozenset[AlertKind]:
    """The kinds of a filter."""
    kinds = set()
    for n, number in enumerate(numbers):
        kind = KIND.parse(number, f"{path}kinds[{n}]")
        if kind is None:
            raise InvalidArgument(field=f"{path}kinds[{n}]", problem="must be a kind")
        kinds.add(kind)
    return frozenset(kinds)


def parse_scope(budget: budget_pb2.Budget) -> Scope:
    """Whose spending counts."""
    match budget.WhichOneof("scope"):
        case "account_id":
            account_id = parse_account_id(budget.account_id, "budget.account_id")
            return Scope(account_id=account_id, meter_prefix=budget.meter_prefix)
        case "label":
            return Scope(label=(budget.label.key, budget.label.value), meter_prefix=budget.meter_prefix)
        case "tenant" if budget.tenant:
            return Scope(meter_prefix=budget.meter_prefix)
        case _:
            problem = "must be an account_id, a label, or tenant = true"
            raise InvalidArgument(field="budget.scope", problem=problem)


def parse_thresholds(budget: budget_pb2.Budget, profile: int) -> tuple[Threshold, ...]:
    """The thresholds of a budget, or those of the profile, or the default ones."""
    if profile not in _PROFILES:
        raise InvalidArgument(field="threshold_profile", problem=f"has no value {profile}")
    ready = _PROFILES[profile]
    if not budget.thresholds:
        return ready or WARN
    if ready is not None:
        raise InvalidArgument(field="threshold_profile", problem="must not be given beside budget.thresholds")
    return tuple(_threshold_of(item, f"budget.thresholds[{n}].") for n, item in enumerate(budget.thresholds))


def _threshold_of(message: budget_pb2.BudgetThreshold, path: str) -> Threshold:
    percent = parse_decimal(message, "percent", path)
    if percent is None:
        raise InvalidArgument(field=f"{path}percent", problem="is required")
    return Threshold(
        percent=percent,
        level=parse_level(message.level, f"{path}level") or AlertLevel.WARNING,
        action=ACTION.parse(message.action, f"{path}action") or ThresholdAction.NOTIFY,
        action_label=message.action_label,
    )


# ── replies ──────────────────────────────────────────────────────────────────────────────────────────


def to_budget(budget: Budget) -> budget_pb2.Budget:
    """A revision of a budget."""
    scope = budget.scope
    message = budget_pb2.Budget(
        budget_id=budget.budget_id,
        display_name=budget.display_name,
        meter_prefix=scope.meter_prefix,
        basis=BASIS.to_proto[budget.basis],
        period=PERIOD.to_proto[budget.period],
        time_zone=budget.time_zone,
        limit=to_money(budget.currency_code, budget.limit),
        thresholds=map(_to_threshold, budget.thresholds),
        revision=budget.revision,
        create_time=None if budget.create_time is None else to_time(budget.create_time),
    )
    if scope.account_id is not None:
        message.account_id = scope.account_id
    elif scope.label is not None:
        message.label.key, message.label.value = scope.label
        message.label.SetInParent()
    else:
        message.tenant = True
    return message


def _to_threshold(threshold: Threshold) -> budget_pb2.BudgetThreshold:
    return budget_pb2.BudgetThreshold(
        percent=to_decimal(threshold.percent),
        level=LEVEL[threshold.level],
        action=ACTION.to_proto[threshold.action],
        action_label=threshold.action_label,
    )


def _sum(currency_code: str, nanos: int) -> MoneyMessage:
    """A sum over many accounts, at most what google.type.Money can carry: nobody is kept from reading the others."""
    return to_money(currency_code, max(-MAX_NANOS, min(nanos, MAX_NANOS)))


def to_status(status: BudgetStatus) -> budget_pb2.BudgetStatus:
    """How a budget stands."""
    budget, counter = status.budget, status.counter
    currency_code, period = budget.currency_code, counter.period
    percent = Decimal(counter.spent * 10_000 // budget.limit).scaleb(-2)
    return budget_pb2.BudgetStatus(
        budget=to_budget(budget),
        spent=_sum(currency_code, counter.spent),
        held=_sum(currency_code, counter.held),
        remaining=_sum(currency_code, status.remaining),
        percent=to_decimal(percent),
        exhaustion_time=None if status.exhaustion_time is None else to_time(status.exhaustion_time),
        period_start=None if period.start is None else to_time(period.start),
        period_end=None if period.end is None else to_time(period.end),
        fired_thresholds=[_to_threshold(t) for t in budget.thresholds if t.percent <= counter.fired],
        stopped=counter.stopped,
        as_of=to_time(status.as_of),
    )


def to_alert(stored: StoredAlert) -> budget_pb2.Alert:
    """An alert."""
    alert = stored.alert
    period = alert.period or Period(None, None)

    def amount(nanos: int | None) -> MoneyMessage | None:
        return None if nanos is None else to_money(alert.currency_code, nanos)

    return budget_pb2.Alert(
        alert_id=format_alert_id(alert.alert_id),
        sequence=stored.sequence,
        kind=KIND.to_proto[alert.kind],
        level=LEVEL[alert.level],
        account_id=alert.account_id or "",
        budget_id=alert.budget_id or "",
        budget_revision=alert.revision or 0,
        threshold=None if alert.threshold is None else _to_threshold(alert.threshold),
        spent=None if alert.spent is None else _sum(alert.currency_code, alert.spent),
        held=None if alert.held is None else _sum(alert.currency_code, alert.held),
        limit=amount(alert.limit),
        balance=amount(alert.available),
        amount=amount(alert.amount),
        period_start=None if period.start is None else to_time(period.start),
        period_end=None if period.end is None else to_time(period.end),
        reservation_id=""
        if alert.reservation_id is None
        else format_reservation_id(ReservationId(alert.reservation_id)),
        call_ids=alert.call_ids,
        create_time=to_time(alert.create_time),
        acknowledge_time=None if stored.acknowledge_time is None else to_time(stored.acknowledge_time),
        acknowledged_by=stored.acknowledged_by,
    )
