"""Budgets, the counter each one keeps, and alerts.

Amounts are `int` nanos of the budget's, or the alert's account's, currency. Everything is a value.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import NewType
from uuid import UUID

from imprest_server.core.ids import AccountId, TenantId
from imprest_server.core.periods import Period, PeriodKind
from imprest_server.core.usage import MeterAmount
from imprest_server.core.values import named_value, value

BudgetId = NewType("BudgetId", str)
AlertId = NewType("AlertId", UUID)

#: One budget of one tenant: the key of its counter, and the unit of locking.
BudgetKey = tuple[TenantId, BudgetId]


class BudgetBasis(StrEnum):
    """What counts as spent: what customers are CHARGED (paid or owed, no absorbed loss), or the provider's COST."""

    CHARGED = "CHARGED"
    COST = "COST"


class ThresholdAction(StrEnum):
    """What a threshold does besides its alert.

    BLOCK: denies a Reserve, Extend or Charge with which spent and held would exceed it, and any beyond it.
    No commit is ever denied.
    STOP_CALLS: once reached, denies all of them, and running calls are told to end at their next Extend; until the
    period ends, the budget is changed, or an admin lifts the stop.
    """

    NOTIFY = "NOTIFY"
    BLOCK = "BLOCK"
    STOP_CALLS = "STOP_CALLS"


class AlertLevel(IntEnum):
    """How bad it is; a subscriber asks for a level and above."""

    INFO = 1
    WARNING = 2
    CRITICAL = 3
    EMERGENCY = 4


class AlertKind(StrEnum):
    """What an alert is about."""

    BUDGET = "BUDGET"
    LOW_BALANCE = "LOW_BALANCE"
    OVERRUN = "OVERRUN"
    RECEIVABLE = "RECEIVABLE"
    LATE_COMMIT = "LATE_COMMIT"
    RESERVATION_EXPIRED = "RESERVATION_EXPIRED"
    ANOMALY = "ANOMALY"


@dataclass(frozen=True, slots=True)
class Threshold:
    """At `percent` of the limit (above 0, at most 1000, two decimals) fires an alert of `level`, once per period.

    `action_label` is the operator's own word for what to automate (`scale-down`); it travels with the alert.
    """

    percent: Decimal
    level: AlertLevel
    action: ThresholdAction = ThresholdAction.NOTIFY
    action_label: str = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose spending counts: one account's, that with one label value, or, with neither, all of the tenant's.

    The label is the one fixed at Reserve. `meter_prefix`, when not empty, counts only usage lines of these meters: what
    was charged or held by amount alone does not count then.
    """

    account_id: AccountId | None = None
    label: tuple[str, str] | None = None
    meter_prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A limit per period, above 0. A changed one is a new `revision`, with its thresholds armed anew.

    Thresholds ascend by percent, no two at the same.
    """

    tenant_id: TenantId
    budget_id: BudgetId
    revision: int
    display_name: str = ""
    scope: Scope
    currency_code: str
    basis: BudgetBasis = BudgetBasis.CHARGED
    period: PeriodKind
    time_zone: str = "UTC"
    limit: int
    thresholds: tuple[Threshold, ...]
    create_time: datetime | None = None

    @property
    def key(self) -> BudgetKey:
        """What its counter is found and locked by."""
        return (self.tenant_id, self.budget_id)


@named_value
class Counter:
    """What a revision of a budget has seen in its running period.

    `held` is what open holds may still spend; it is carried into the next period. `fired` is the highest percent whose
    alert has fired (0: none). `stopped`: a STOP_CALLS threshold has fired and nobody has lifted the stop.
    """

    revision: int
    period: Period
    spent: int = 0
    held: int = 0
    fired: Decimal = Decimal(0)
    stopped: bool = False


@value
class Hold:
    """What an open reservation may still spend: `charged` of the customer's credit, at a provider `cost`.

    `estimate` is what it was reserved for, by meter; empty when it was reserved by amount.
    """

    charged: int
    cost: int
    estimate: tuple[MeterAmount, ...] = ()


NO_HOLD = Hold(0, 0)


@named_value
class Spending:
    """What one operation moved, as the budgets that cover it see it. Refunds are negative.

    `usage` is the part of `charged` and `cost` that came as usage lines, by meter. `before` and `after` are the hold it
    changed.
    """

    charged: int = 0
    cost: int = 0
    usage: tuple[MeterAmount, ...] = ()
    before: Hold = NO_HOLD
    after: Hold = NO_HOLD


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """That something happened, once. `alert_id` is stable for ever.

    Which optional fields are set depends on the kind: budget, threshold and period on BUDGET; `amount` is what was
    overrun, is owed, was captured late or at expiry.
    """

    alert_id: AlertId
    kind: AlertKind
    level: AlertLevel
    create_time: datetime
    currency_code: str
    account_id: AccountId | None = None
    reservation_id: UUID | None = None
    call_ids: tuple[str, ...] = ()
    budget_id: BudgetId | None = None
    revision: int | None = None
    threshold: Threshold | None = None
    period: Period | None = None
    spent: int | None = None
    held: int | None = None
    limit: int | None = None
    available: int | None = None
    amount: int | None = None


@dataclass(frozen=True, slots=True)
class NewAlert:
    """An alert to be written. One that stops calls will name those that are running within `scope`."""

    tenant_id: TenantId
    alert: Alert
    scope: Scope = Scope()


@dataclass(frozen=True, slots=True)
class StoredAlert:
    """An alert as it stands in the tenant's stream: `sequence` counts from 1 without gaps, in the order of commits."""

    tenant_id: TenantId
    sequence: int
    alert: Alert
    acknowledge_time: datetime | None = None
    acknowledged_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetStatus:
    """How a budget stands at an instant, in the period that holds then.

    `remaining` is what the limit leaves after spent and held, and may be negative. `exhaustion_time` is when the limit
    will be reached if spending goes on as in the period so far; None: not within the period, or unknown.
    """

    budget: Budget
    counter: Counter
    as_of: datetime
    remaining: int
    exhaustion_time: datetime | None
