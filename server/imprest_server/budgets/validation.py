"""What can be wrong with a request about budgets by itself."""

from __future__ import annotations

import re
from collections.abc import Collection
from decimal import Decimal
from functools import cache
from zoneinfo import available_timezones

from imprest_server.budgets.model import BudgetId, Threshold
from imprest_server.budgets.operations import AcknowledgeAlert, DeleteBudget, Operation, ResumeCalls, SetBudget
from imprest_server.core.currencies import currency_problem
from imprest_server.core.errors import InvalidArgument

#: Ids of budgets that the server makes begin with this.
BUDGET_PREFIX = "bdg_"
MAX_TEXT = 255
MAX_REASON = 1024
MAX_LABEL_KEY = 63
MAX_THRESHOLDS = 20
MAX_PERCENT = 1000
MAX_ACTION_LABEL = 63

_KEY = re.compile(r"[ -~]{1,255}")
_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def validate(op: Operation, meters: Collection[str]) -> None:
    """Check a request's own content; raises InvalidArgument. `meters` are the names of those there are."""
    if not _KEY.fullmatch(op.idempotency_key):
        raise InvalidArgument(field="idempotency_key", problem="must be 1–255 printable ASCII characters")
    match op:
        case SetBudget():
            _set_budget(op, meters)
        case DeleteBudget():
            check_budget_id(op.budget_id)
        case ResumeCalls():
            check_budget_id(op.budget_id)
            _text(op.reason, "reason", MAX_REASON)
        case AcknowledgeAlert():
            _text(op.acknowledged_by, "acknowledged_by", MAX_TEXT)
        case _:
            raise AssertionError(f"{type(op).__name__} has no check")


def check_budget_id(budget_id: str, field: str = "budget_id") -> BudgetId:
    """A budget's id of the right shape."""
    if not _ID.fullmatch(budget_id):
        problem = "must be 1–64 characters of A-Z a-z 0-9 . _ : -" if budget_id else "is required"
        raise InvalidArgument(field=field, problem=problem)
    return BudgetId(budget_id)


def _set_budget(op: SetBudget, meters: Collection[str]) -> None:
    if op.budget_id is not None:
        check_budget_id(op.budget_id, "budget.budget_id")
    _text(op.display_name, "budget.display_name", MAX_TEXT)
    if op.scope.label is not None:
        key, value = op.scope.label
        if not key:
            raise InvalidArgument(field="budget.label.key", problem="is required")
        _text(key, "budget.label.key", MAX_LABEL_KEY)
        _text(value, "budget.label.value", MAX_TEXT)
    _meter_prefix(op.scope.meter_prefix, meters)
    if problem := currency_problem(op.limit.currency_code):
        raise InvalidArgument(field="budget.limit.currency_code", problem=problem)
    if op.limit.nanos <= 0:
        raise InvalidArgument(field="budget.limit", problem="must be above zero")
    if op.time_zone not in _time_zones():
        raise InvalidArgument(field="budget.time_zone", problem="must be the IANA name of a time zone")
    _thresholds(op.thresholds)


def _meter_prefix(prefix: str, meters: Collection[str]) -> None:
    """It begins with a whole first part of a meter's name, so that a slip of the pen does not count nothing."""
    if not prefix:
        return
    parts = {meter.partition(".")[0] for meter in meters}
    if prefix.partition(".")[0] not in parts or not any(meter.startswith(prefix) for meter in meters):
        known = ", ".join(sorted(parts))
        problem = f"must be the beginning of a meter's name with its whole first part, one of {known}"
        raise InvalidArgument(field="budget.meter_prefix", problem=problem)


def _thresholds(thresholds: tuple[Threshold, ...]) -> None:
    if len(thresholds) > MAX_THRESHOLDS:
        raise InvalidArgument(
            field="budget.thresholds", problem=f"must be at most {MAX_THRESHOLDS}, not {len(thresholds)}"
        )
    last = Decimal(0)
    for n, threshold in enumerate(thresholds):
        field = f"budget.thresholds[{n}]"
        percent = threshold.percent
        # Its limits first: an exponent may be any.
        if not 0 < percent <= MAX_PERCENT:
            raise InvalidArgument(field=f"{field}.percent", problem=f"must be above 0 and at most {MAX_PERCENT}")
        if percent != percent.quantize(Decimal("0.01")):
            raise InvalidArgument(field=f"{field}.percent", problem="must have at most two decimals")
        if percent <= last:
            raise InvalidArgument(field=f"{field}.percent", problem="must be above the one before")
        last = percent
        _text(threshold.action_label, f"{field}.action_label", MAX_ACTION_LABEL)


def _text(text: str, field: str, limit: int) -> None:
    if len(text) > limit:
        raise InvalidArgument(field=field, problem=f"must be at most {limit} characters, not {len(text)}")
    if _CONTROL.search(text):
        raise InvalidArgument(field=field, problem="must not hold control characters")


@cache
def _time_zones() -> frozenset[str]:
    """The names this system knows. UTC needs no data, and there are systems without any."""
    return frozenset(available_timezones() | {"UTC"})
