"""What an admin asks of budgets and alerts, and what is answered: one frozen dataclass per mutating request."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from enum import IntEnum
from typing import Any, ClassVar, Generic, TypeVar

from imprest_server.budgets.model import AlertId, BudgetBasis, BudgetId, Scope, Threshold
from imprest_server.core.ids import TenantId
from imprest_server.core.money import Money
from imprest_server.core.periods import PeriodKind
from imprest_server.core.usage import format_decimal

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A mutating request. `kind` and key name it among the tenant's operations, beside those of the ledger."""

    kind: ClassVar[str]
    tenant_id: TenantId
    idempotency_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetBudget(Operation):
    """Make a budget, or change one as a whole; without an id a new one is made."""

    kind = "SET_BUDGET"
    budget_id: BudgetId | None
    display_name: str
    scope: Scope
    limit: Money
    basis: BudgetBasis
    period: PeriodKind
    time_zone: str
    thresholds: tuple[Threshold, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteBudget(Operation):
    """Have a budget count no more."""

    kind = "DELETE_BUDGET"
    budget_id: BudgetId


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeCalls(Operation):
    """Lift the stop of a budget whose STOP_CALLS threshold has fired."""

    kind = "RESUME_CALLS"
    budget_id: BudgetId
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcknowledgeAlert(Operation):
    """Note that somebody has seen an alert."""

    kind = "ACKNOWLEDGE_ALERT"
    alert_id: AlertId
    acknowledged_by: str = ""


@dataclass(frozen=True, slots=True)
class Written(Generic[T]):
    """What a request has led to, and whether an earlier one with the same key had."""

    value: T
    replayed: bool = False


def fingerprint(operation: Operation) -> bytes:
    """SHA-256 over the fields that were set, without tenant and key: equal content, equal fingerprint."""
    content = {
        f.name: _plain(value)
        for f in fields(operation)
        if f.name not in ("tenant_id", "idempotency_key") and (value := getattr(operation, f.name)) is not None
    }
    return hashlib.sha256(_to_json([operation.kind, content]).encode()).digest()


_to_json = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def _plain(value: Any) -> Any:
    """A value as JSON has it, the same for equal values in every version."""
    if isinstance(value, Decimal):
        return format_decimal(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, IntEnum):
        return value.name
    if is_dataclass(value) and not isinstance(value, type):
        # Fields that have their default are left out, so that a later field changes no fingerprint.
        return {f.name: _plain(item) for f in fields(value) if (item := getattr(value, f.name)) != f.default}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value if isinstance(value, str | int | None) else value.hex
