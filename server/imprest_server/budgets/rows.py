"""Rows of the database as model values, and model values as rows to write, in the column order of sql/*.sql."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from imprest_server.budgets.model import (
    Alert,
    AlertKind,
    AlertLevel,
    Budget,
    BudgetBasis,
    BudgetKey,
    Counter,
    NewAlert,
    Scope,
    StoredAlert,
    Threshold,
    ThresholdAction,
)
from imprest_server.core.money import nanos_of
from imprest_server.core.periods import Period, PeriodKind
from imprest_server.core.usage import format_decimal
from imprest_server.db.arrays import (
    NULL,
    boolean,
    decimal,
    integer,
    numeric,
    optional_numeric,
    optional_text,
    text,
    timestamp,
    uuid,
)

#: A row to write: elements of array literals.
Row = tuple[str, ...]


def budget_of(row: Sequence[Any]) -> tuple[Budget, bool]:
    """A row of load_budgets: a definition, and whether it is the one that deletes the budget."""
    tenant_id, budget_id, revision, display_name, account_id, label_key, label_value, meter_prefix, *rest = row
    currency_code, basis, period, time_zone, limit, thresholds, create_time, deleted = rest
    budget = Budget(
        tenant_id=tenant_id,
        budget_id=budget_id,
        revision=revision,
        display_name=display_name,
        scope=Scope(account_id, None if label_key is None else (label_key, label_value), meter_prefix),
        currency_code=currency_code,
        basis=BudgetBasis(basis),
        period=PeriodKind(period),
        time_zone=time_zone,
        limit=nanos_of(limit),
        thresholds=tuple(map(_threshold_of, thresholds)),
        create_time=create_time,
    )
    return budget, deleted


def thresholds_text(thresholds: Sequence[Threshold]) -> str:
    """Thresholds as JSON: [percent, level, action, action_label] each."""
    return json.dumps([[format_decimal(t.percent), t.level, t.action, t.action_label] for t in thresholds])


def _threshold_of(item: Sequence[Any]) -> Threshold:
    percent, level, action, action_label = item
    return Threshold(Decimal(percent), AlertLevel(level), ThresholdAction(action), action_label)


def counter_of(row: Sequence[Any]) -> tuple[BudgetKey, Counter]:
    """A row of lock_counters."""
    tenant_id, budget_id, revision, period_start, period_end, spent, held, fired_percent, stopped = row
    counter = Counter(
        revision=revision,
        period=Period(period_start, period_end),
        spent=nanos_of(spent),
        held=nanos_of(held),
        fired=fired_percent,
        stopped=stopped,
    )
    return (tenant_id, budget_id), counter


def counter_row(key: BudgetKey, counter: Counter) -> Row:
    """A row for update_counters."""
    tenant_id, budget_id = key
    return (
        text(tenant_id),
        text(budget_id),
        integer(counter.revision),
        timestamp(counter.period.start),
        timestamp(counter.period.end),
        numeric(counter.spent),
        numeric(counter.held),
        decimal(counter.fired),
        boolean(counter.stopped),
    )


def alert_row(new: NewAlert) -> Row:
    """A row for insert_alerts."""
    alert, scope = new.alert, new.scope
    threshold, period = alert.threshold, alert.period
    label_key, label_value = scope.label or (None, None)
    return (
        text(new.tenant_id),
        uuid(alert.alert_id),
        text(alert.kind),
        integer(alert.level),
        timestamp(alert.create_time),
        text(alert.currency_code),
        optional_text(alert.account_id),
        uuid(alert.reservation_id),
        text(json.dumps(alert.call_ids)),
        optional_text(alert.budget_id),
        integer(alert.revision),
        NULL if threshold is None else decimal(threshold.percent),
        NULL if threshold is None else text(threshold.action),
        NULL if threshold is None else text(threshold.action_label),
        NULL if period is None else timestamp(period.start),
        NULL if period is None else timestamp(period.end),
        optional_numeric(alert.spent),
        optional_numeric(alert.held),
        optional_numeric(alert.limit),
        optional_numeric(alert.available),
        optional_numeric(alert.amount),
        optional_text(label_key),
        optional_text(label_value),
        text(scope.meter_prefix),
    )


def alert_of(row: Sequence[Any]) -> StoredAlert:
    """A row of read_alerts."""
    tenant_id, sequence, alert_id, kind, level, create_time, currency_code, account_id, reservation_id, *rest = row
    call_ids, budget_id, revision, percent, action, action_label, period_start, period_end, *rest = rest
    *amounts, acknowledge_time, acknowledged_by = rest
    spent, held, limit, available, amount = (None if value is None else nanos_of(value) for value in amounts)
    threshold = period = None
    if percent is not None:
        threshold = Threshold(percent, AlertLevel(level), ThresholdAction(action), action_label)
        period = Period(period_start, period_end)
    alert = Alert(
        alert_id=alert_id,
        kind=AlertKind(kind),
        level=AlertLevel(level),
        create_time=create_time,
        currency_code=currency_code,
        account_id=account_id,
        reservation_id=reservation_id,
        call_ids=tuple(call_ids),
        budget_id=budget_id,
        revision=revision,
        threshold=threshold,
        period=period,
        spent=spent,
        held=held,
        limit=limit,
        available=available,
        amount=amount,
    )
    return StoredAlert(tenant_id, sequence, alert, acknowledge_time, acknowledged_by or "")
