"""Budgets and alerts as the server answers them: frozen dataclasses, money as Decimal, times with a zone.

The comments in `proto/imprest/v1/budget.proto` define every field.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class BudgetBasis(StrEnum):
    """What a budget counts: what customers pay or owe, or what providers charge."""

    CHARGED = "CHARGED"
    COST = "COST"
    UNKNOWN = "UNKNOWN"


class BudgetPeriod(StrEnum):
    """How long a budget's period lasts."""

    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"
    TOTAL = "TOTAL"
    UNKNOWN = "UNKNOWN"


class ThresholdAction(StrEnum):
    """What a threshold does besides its alert."""

    NOTIFY = "NOTIFY"
    BLOCK = "BLOCK"
    STOP_CALLS = "STOP_CALLS"
    UNKNOWN = "UNKNOWN"


class ThresholdProfile(StrEnum):
    """Thresholds that are ready to use: alerts at 80, 95 and 100 %; or at 80 and 100 %, and a stop at 150 %."""

    WARN = "WARN"
    EMERGENCY_STOP = "EMERGENCY_STOP"
    UNKNOWN = "UNKNOWN"


class AlertLevel(StrEnum):
    """How bad it is, from bad to worse."""

    INFO = "INFO"
    WARNING = "WARNING"
    CRITICAL = "CRITICAL"
    EMERGENCY = "EMERGENCY"
    UNKNOWN = "UNKNOWN"


class AlertKind(StrEnum):
    """What an alert is about."""

    BUDGET = "BUDGET"
    LOW_BALANCE = "LOW_BALANCE"
    OVERRUN = "OVERRUN"
    RECEIVABLE = "RECEIVABLE"
    LATE_COMMIT = "LATE_COMMIT"
    RESERVATION_EXPIRED = "RESERVATION_EXPIRED"
    ANOMALY = "ANOMALY"
    UNKNOWN = "UNKNOWN"


# ── budgets ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Threshold:
    """What happens when so many percent of a limit are spent. `action_label` is your own word, for your automation."""

    percent: Decimal
    level: AlertLevel = AlertLevel.WARNING
    action: ThresholdAction = ThresholdAction.NOTIFY
    action_label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A limit in one revision. Of `account_id` and `label`, a key and its value, one is set; none: the whole tenant."""

    budget_id: str
    display_name: str
    account_id: str
    label: tuple[str, str] | None
    meter_prefix: str
    basis: BudgetBasis
    period: BudgetPeriod
    time_zone: str
    limit: Decimal
    currency_code: str
    thresholds: tuple[Threshold, ...]
    revision: int
    create_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetStatus:
    """How a budget stands in the period that holds `as_of`; times that do not apply are None."""

    budget: Budget
    spent: Decimal
    held: Decimal
    remaining: Decimal
    percent: Decimal
    exhaustion_time: datetime | None
    period_start: datetime | None
    period_end: datetime | None
    fired_thresholds: tuple[Threshold, ...]
    stopped: bool
    as_of: datetime


# ── alerts ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """That something happened, once. What does not apply to its kind is empty or None; amounts are in one currency."""

    alert_id: str
    sequence: int
    kind: AlertKind
    level: AlertLevel
    account_id: str
    budget_id: str
    budget_revision: int
    threshold: Threshold | None
    currency_code: str
    spent: Decimal | None
    held: Decimal | None
    limit: Decimal | None
    balance: Decimal | None
    amount: Decimal | None
    period_start: datetime | None
    period_end: datetime | None
    reservation_id: str
    call_ids: tuple[str, ...]
    create_time: datetime
    acknowledge_time: datetime | None
    acknowledged_by: str


# ── receipts ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class BudgetReceipt:
    """A budget was set, or stays as it is because nothing differs."""

    budget: Budget
    replayed: bool


@dataclass(frozen=True, slots=True)
class DeleteBudgetReceipt:
    """A budget counts no more."""

    replayed: bool


@dataclass(frozen=True, slots=True)
class ResumeReceipt:
    """A budget's stop was lifted, if there was one."""

    status: BudgetStatus
    replayed: bool


@dataclass(frozen=True, slots=True)
class AlertReceipt:
    """An alert was acknowledged, now or by somebody before."""

    alert: Alert
    replayed: bool
