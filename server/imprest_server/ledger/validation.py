"""What can be wrong with an operation by itself, before any state is looked at.

Pure and fast: it stands before the engine's queue. Field names in errors are those of the request on the wire.
`effective_time` is not looked at here: its limits depend on the clock, so the rules check it, after the key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from imprest_server.core.currencies import currency_problem
from imprest_server.core.errors import InvalidArgument
from imprest_server.core.money import Money
from imprest_server.core.usage import UsageReport
from imprest_server.ledger import operations as ops
from imprest_server.ledger.model import Labels
from imprest_server.ledger.operations import AccountSettings, Operation

MIN_TTL = timedelta(seconds=1)
MAX_TTL = timedelta(days=30)
MAX_TEXT = 255
MAX_REASON = 1024
MAX_LINES = 200
MAX_LABELS = 64
MAX_LABEL_KEY = 63
MAX_LABEL_VALUE = 255

_KEY = re.compile(r"[ -~]{1,255}")
_ACCOUNT_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def validate(operation: Operation) -> None:
    """Check an operation's own content; raises InvalidArgument with the first problem found."""
    if not _KEY.fullmatch(operation.idempotency_key):
        raise InvalidArgument(field="idempotency_key", problem="must be 1–255 printable ASCII characters")
    CHECKS[type(operation)](operation)


# ── single values ────────────────────────────────────────────────────────────────────────────────────


def check_account_id(account_id: str, field: str = "account_id") -> None:
    """An account's id has its shape; whether there is such an account is another question."""
    if not _ACCOUNT_ID.fullmatch(account_id):
        problem = "must be 1–64 characters of A-Z a-z 0-9 . _ : -" if account_id else "is required"
        raise InvalidArgument(field=field, problem=problem)


def check_text(text: str | None, field: str, limit: int = MAX_TEXT) -> None:
    """A text, when given, is short enough and holds no control characters."""
    if not text:
        return
    if len(text) > limit:
        raise InvalidArgument(field=field, problem=f"must be at most {limit} characters, not {len(text)}")
    if _CONTROL.search(text):
        raise InvalidArgument(field=field, problem="must not hold control characters")


def _check_labels(labels: Labels | None, field: str = "labels") -> None:
    if not labels:
        return
    if len(labels) > MAX_LABELS:
        raise InvalidArgument(field=field, problem=f"must be at most {MAX_LABELS} pairs, not {len(labels)}")
    for key, value in labels.items():
        if not key:
            raise InvalidArgument(field=field, problem="must not have an empty key")
        check_text(key, field, MAX_LABEL_KEY)
        check_text(value, f"{field}[{key}]", MAX_LABEL_VALUE)


def _check_currency(currency_code: str, field: str) -> None:
    if not _CURRENCY.fullmatch(currency_code):
        problem = "must be three upper-case letters (ISO 4217)" if currency_code else "is required"
        raise InvalidArgument(field=field, problem=problem)


def _not_zero(amount: Money, field: str) -> None:
    _check_currency(amount.currency_code, f"{field}.currency_code")
    if amount.nanos == 0:
        raise InvalidArgument(field=field, problem="must not be zero")


def _positive(amount: Money | None, field: str) -> None:
    if amount is None:
        return
    _check_currency(amount.currency_code, f"{field}.currency_code")
    if amount.nanos <= 0:
        raise InvalidArgument(field=field, problem="must be above zero")


def _not_negative(amount: Money | None, field: str) -> None:
    if amount is None:
        return
    _check_currency(amount.currency_code, f"{field}.currency_code")
    if amount.nanos < 0:
        raise InvalidArgument(field=field, problem="must not be negative")


def _check_ttl(ttl: timedelta | None) -> None:
    if ttl is not None and not MIN_TTL <= ttl <= MAX_TTL:
        raise InvalidArgument(field="ttl", problem="must be from 1 second to 30 days")


@cache
def _time_zones() -> frozenset[str]:
    """The names this system knows. UTC needs no data, and there are systems without any."""
    return frozenset(available_timezones() | {"UTC"})


# ── accounts ─────────────────────────────────────────────────────────────────────────────────────────


def _check_settings(settings: AccountSettings) -> None:
    check_text(settings.get("customer_id"), "account.customer_id")
    check_text(settings.get("display_name"), "account.display_name")
    _not_negative(settings.get("credit_limit"), "account.credit_limit")
    _not_negative(settings.get("max_overrun"), "account.max_overrun")
    _not_negative(settings.get("low_balance_threshold"), "account.low_balance_threshold")
    calls = settings.get("max_concurrent_calls")
    if calls is not None and calls < 0:
        raise InvalidArgument(field="account.max_concurrent_calls", problem="must not be negative")
    time_zone = settings.get("time_zone")
    if time_zone is not None and time_zone not in _time_zones():
        raise InvalidArgument(field="account.time_zone", problem="must be the IANA name of a time zone")
    _check_labels(settings.get("labels"), "account.labels")


def _create_account(op: ops.CreateAccount) -> None:
    if op.account_id is not None:
        check_account_id(op.account_id, "account.account_id")
    if problem := currency_problem(op.currency_code):
        raise InvalidArgument(field="account.currency_code", problem=problem)
    if op.parent_account_id is not None:
        check_account_id(op.parent_account_id, "account.parent_account_id")
    _check_settings(op.settings)


def _update_account(op: ops.UpdateAccount) -> None:
    check_account_id(op.account_id, "account.account_id")
    _check_settings(op.settings)


def _account(op: ops.FreezeAccount | ops.UnfreezeAccount | ops.CloseAccount) -> None:
    check_account_id(op.account_id)


# ── credit ───────────────────────────────────────────────────────────────────────────────────────────


def _credit(op: ops.CreditOperation) -> None:
    _credit_details(op)
    _positive(op.amount, "amount")


def _credit_details(op: ops.CreditOperation) -> None:
    check_account_id(op.account_id)
    check_text(op.external_reference, "external_reference")
    check_text(op.reason, "reason", MAX_REASON)
    _check_labels(op.labels)


def _add_credit(op: ops.AddCredit) -> None:
    _credit(op)
    _positive(op.payment_fee, "payment_fee")


def _adjust(op: ops.Adjust) -> None:
    _credit_details(op)
    _not_zero(op.amount, "amount")
    if not op.reason:
        raise InvalidArgument(field="reason", problem="is required")


def _transfer(op: ops.Transfer) -> None:
    check_account_id(op.from_account_id, "from_account_id")
    check_account_id(op.to_account_id, "to_account_id")
    if op.from_account_id == op.to_account_id:
        raise InvalidArgument(field="to_account_id", problem="must be another account than from_account_id")
    _positive(op.amount, "amount")
    check_text(op.reason, "reason", MAX_REASON)


# ── holds and charges ────────────────────────────────────────────────────────────────────────────────


def _amount_or_usage(amount: Money | None, usage: UsageReport | None, usage_field: str) -> None:
    """One of the two, an amount that is not negative or usage that can be priced."""
    if (amount is None) == (usage is None):
        problem = f"is required (zero is given as an amount of zero), or {usage_field}; not both"
        raise InvalidArgument(field="amount", problem=problem)
    _not_negative(amount, "amount")


def _reserve(op: ops.Reserve) -> None:
    check_account_id(op.account_id)
    check_text(op.call_id, "call_id")
    _amount_or_usage(op.amount, op.estimate, "estimate")
    least = op.min_amount
    if least is not None:
        _positive(least, "min_amount")
        # In two currencies they cannot be compared, and at least one is not the account's: the rules say so.
        if op.amount and least.currency_code == op.amount.currency_code and least.nanos > op.amount.nanos:
            raise InvalidArgument(field="min_amount", problem="must not be above amount")
    _check_ttl(op.ttl)
    _check_labels(op.labels)


def _extend(op: ops.Extend) -> None:
    _not_negative(op.new_total, "new_total")
    _not_negative(op.used_so_far, "used_so_far")
    for one, other, field in (
        (op.new_total, op.estimate_total, "estimate_total"),
        (op.used_so_far, op.used, "used"),
    ):
        if one is not None and other is not None:
            raise InvalidArgument(field=field, problem="must be given as an amount or as usage, not both")
    _check_ttl(op.ttl)


def _commit(op: ops.Commit) -> None:
    _amount_or_usage(op.amount, op.usage, "usage")


def _void(op: ops.Void) -> None:
    check_text(op.reason, "reason", MAX_REASON)


def _charge(op: ops.Charge | ops.RecordUsage) -> None:
    check_account_id(op.account_id)
    check_text(op.call_id, "call_id")
    _amount_or_usage(op.amount, op.usage, "usage")
    _check_labels(op.labels)


def _check_target(op: ops.Refund | ops.TrueUpCost) -> None:
    if (op.transaction_id is None) == (op.reservation_id is None):
        raise InvalidArgument(field="target", problem="must be exactly one of transaction_id and reservation_id")


def _true_up_cost(op: ops.TrueUpCost) -> None:
    _check_target(op)
    if (op.cost is None) == (not op.line_costs):
        raise InvalidArgument(field="cost", problem="is required, or lines; not both")
    _not_negative(op.cost, "cost")
    if op.line_costs is not None and len(op.line_costs) > MAX_LINES:
        raise InvalidArgument(field="lines", problem=f"must be at most {MAX_LINES}, not {len(op.line_costs)}")
    for line_id, cost in (op.line_costs or {}).items():
        check_text(line_id, "lines.line_id")
        _not_negative(cost, f"lines[{line_id}].cost")
    check_text(op.reason, "reason", MAX_REASON)


def _refund(op: ops.Refund) -> None:
    _check_target(op)
    _positive(op.amount, "amount")
    check_text(op.reason, "reason", MAX_REASON)


#: One check per operation that a caller can ask for.
CHECKS: Mapping[type[Operation], Callable[[Any], None]] = {
    ops.CreateAccount: _create_account,
    ops.UpdateAccount: _update_account,
    ops.FreezeAccount: _account,
    ops.UnfreezeAccount: _account,
    ops.CloseAccount: _account,
    ops.AddCredit: _add_credit,
    ops.ReverseCredit: _credit,
    ops.GrantCredit: _credit,
    ops.Adjust: _adjust,
    ops.Withdraw: _credit,
    ops.Transfer: _transfer,
    ops.Reserve: _reserve,
    ops.Extend: _extend,
    ops.Commit: _commit,
    ops.Void: _void,
    ops.Charge: _charge,
    ops.RecordUsage: _charge,
    ops.Refund: _refund,
    ops.TrueUpCost: _true_up_cost,
}
