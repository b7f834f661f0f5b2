"""Between the messages of BudgetService and the library's values."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Final

from google.protobuf.message import Message
from google.type.decimal_pb2 import Decimal as DecimalMessage

from imprest.v1 import budget_pb2, budget_service_pb2
from imprest_client import budget_model as model
from imprest_client.connection import Method, Reply
from imprest_client.money import exact, to_decimal
from imprest_client.times import from_time
from imprest_client.wire import member


def _rpc(name: str, reply: type[Reply]) -> Method[Reply]:
    return Method(f"/imprest.v1.BudgetService/{name}", reply)


SET_BUDGET: Final = _rpc("SetBudget", budget_service_pb2.SetBudgetResponse)
GET_BUDGET_STATUS: Final = _rpc("GetBudgetStatus", budget_service_pb2.GetBudgetStatusResponse)
LIST_BUDGETS: Final = _rpc("ListBudgets", budget_service_pb2.ListBudgetsResponse)
DELETE_BUDGET: Final = _rpc("DeleteBudget", budget_service_pb2.DeleteBudgetResponse)
RESUME_CALLS: Final = _rpc("ResumeCalls", budget_service_pb2.ResumeCallsResponse)
BUDGET_ALERTS: Final = _rpc("BudgetAlerts", budget_service_pb2.BudgetAlertsResponse)
LIST_ALERTS: Final = _rpc("ListAlerts", budget_service_pb2.ListAlertsResponse)
ACKNOWLEDGE_ALERT: Final = _rpc("AcknowledgeAlert", budget_service_pb2.AcknowledgeAlertResponse)


# ── requests ─────────────────────────────────────────────────────────────────────────────────────────


def to_threshold(threshold: model.Threshold) -> budget_pb2.BudgetThreshold:
    """A threshold as a message."""
    return budget_pb2.BudgetThreshold(
        percent=DecimalMessage(value=format(exact(threshold.percent), "f")),
        level=to_level(threshold.level),
        action=f"THRESHOLD_ACTION_{threshold.action}",
        action_label=threshold.action_label,
    )


def to_level(level: model.AlertLevel | None) -> str | None:
    """A level of a request; None: every one."""
    return None if level is None else f"ALERT_LEVEL_{level}"


def to_kinds(kinds: Iterable[model.AlertKind]) -> list[str]:
    """The kinds of a filter."""
    return [f"ALERT_KIND_{kind}" for kind in kinds]


# ── replies ──────────────────────────────────────────────────────────────────────────────────────────


def _amount(message: Message, name: str) -> Decimal | None:
    return to_decimal(getattr(message, name)) if message.HasField(name) else None


def _time(message: Message, name: str) -> datetime | None:
    return from_time(getattr(message, name)) if message.HasField(name) else None


def _level(number: budget_pb2.AlertLevel) -> model.AlertLevel:
    return member(model.AlertLevel, budget_pb2.AlertLevel, "ALERT_LEVEL_", number)


def _threshold(message: budget_pb2.BudgetThreshold) -> model.Threshold:
    return model.Threshold(
        percent=Decimal(message.percent.value),
        level=_level(message.level),
        action=member(model.ThresholdAction, budget_pb2.ThresholdAction, "THRESHOLD_ACTION_", message.action),
        action_label=message.action_label,
    )


def budget(message: budget_pb2.Budget) -> model.Budget:
    """A budget."""
    return model.Budget(
        budget_id=message.budget_id,
        display_name=message.display_name,
        account_id=message.account_id,
        label=(message.label.key, message.label.value) if message.HasField("label") else None,
        meter_prefix=message.meter_prefix,
        basis=member(model.BudgetBasis, budget_pb2.BudgetBasis, "BUDGET_BASIS_", message.basis),
        period=member(model.BudgetPeriod, budget_pb2.BudgetPeriod, "BUDGET_PERIOD_", message.period),
        time_zone=message.time_zone,
        limit=to_decimal(message.limit),
        currency_code=message.limit.currency_code,
        thresholds=tuple(map(_threshold, message.thresholds)),
        revision=message.revision,
        create_time=from_time(message.create_time),
    )


def status(message: budget_pb2.BudgetStatus) -> model.BudgetStatus:
    """How a budget stands."""
    return model.BudgetStatus(
        budget=budget(message.budget),
        spent=to_decimal(message.spent),
        held=to_decimal(message.held),
        remaining=to_decimal(message.remaining),
        percent=Decimal(message.percent.value),
        exhaustion_time=_time(message, "exhaustion_time"),
        period_start=_time(message, "period_start"),
        period_end=_time(message, "period_end"),
        fired_thresholds=tuple(map(_threshold, message.fired_thresholds)),
        stopped=message.stopped,
        as_of=from_time(message.as_of),
    )


_AMOUNTS: Final = ("spent", "held", "limit", "balance", "amount")


def alert(message: budget_pb2.Alert) -> model.Alert:
    """An alert."""
    codes = [getattr(message, name).currency_code for name in _AMOUNTS if message.HasField(name)]
    return model.Alert(
        alert_id=message.alert_id,
        sequence=message.sequence,
        kind=member(model.AlertKind, budget_pb2.AlertKind, "ALERT_KIND_", message.kind),
        level=_level(message.level),
        account_id=message.account_id,
        budget_id=message.budget_id,
        budget_revision=message.budget_revision,
        threshold=_threshold(message.threshold) if message.HasField("threshold") else None,
        currency_code=codes[0] if codes else "",
        spent=_amount(message, "spent"),
        held=_amount(message, "held"),
        limit=_amount(message, "limit"),
        balance=_amount(message, "balance"),
        amount=_amount(message, "amount"),
        period_start=_time(message, "period_start"),
        period_end=_time(message, "period_end"),
        reservation_id=message.reservation_id,
        call_ids=tuple(message.call_ids),
        create_time=from_time(message.create_time),
        acknowledge_time=_time(message, "acknowledge_time"),
        acknowledged_by=message.acknowledged_by,
    )
