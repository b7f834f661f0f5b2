"""What is wrong with a request by itself, before any state is looked at: INVALID_ARGUMENT."""

import re
from typing import NoReturn

from imprest_client.testing.ledger.model import DAY, SECOND, Denied, Request, Usage
from imprest_client.testing.ledger.money import MONEY_MAX_NANOS, MONEY_MIN_NANOS, nanos_from_text

READS = frozenset(["get_account", "get_balance", "get_reservation"])
"""Operations that change nothing and have no key."""

SETTING_AMOUNTS = frozenset(["credit_limit", "max_overrun", "low_balance_threshold"])
AMOUNT_FIELDS = SETTING_AMOUNTS | {"amount", "min_amount", "payment_fee", "new_total", "used", "cost"}
"""Fields that hold decimal texts in the request's currency."""

USAGE_FIELDS = {"amount": "usage", "new_total": "total_usage", "used": "used_usage"}
"""Fields that give usage in place of an amount."""

DEFAULT_TTL_S = 900
_MAX_TTL_S = 30 * 86_400
_MAX_AGE = 35 * DAY
_PRINTABLE_KEY = re.compile(r"[ -~]{1,255}")
_ACCOUNT_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_ENTRY_ID = re.compile(r"(rsv|txn|alt)_[0-9a-f]{32}")
_IDENTIFIERS = (
    *("account_id", "from_account_id", "to_account_id", "parent_account_id"),
    *("reservation_id", "transaction_id"),
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_TEXTS = {"customer_id": 255, "display_name": 255, "call_id": 255, "external_reference": 255, "reason": 1024}
_POLICIES = ("COLLECT", "CAP", "REJECT")
_ON_EXPIRY = ("CAPTURE_USED", "RELEASE")


def amount_of(request: Request, name: str) -> int | None:
    """The named amount in nanos; None if it is not set."""
    text = request.get(name)
    return None if text is None else nanos_from_text(text)


def required_amount(request: Request, name: str = "amount") -> int:
    """The named amount in nanos, of a request that was validated."""
    amount = amount_of(request, name)
    if amount is None:
        raise KeyError(name)
    return amount


def usage_of(request: Request, name: str) -> Usage | None:
    """The usage given in place of the named amount; None if it is not set."""
    return request.get(USAGE_FIELDS[name])


def quotient(dividend: int, divisor: int) -> int:
    """The nearest whole number, halves to even."""
    whole, rest = divmod(dividend, divisor)
    up = 2 * rest > divisor or (2 * rest == divisor and whole % 2 == 1)
    return whole + up


def ttl_of(request: Request, default_s: int) -> int:
    """The time to live in microseconds."""
    return int(request.get("ttl", default_s) * SECOND)


def _refuse(field: str, problem: str) -> NoReturn:
    raise Denied("INVALID_ARGUMENT", field=field, problem=problem)


def _require(condition: object, field: str, problem: str) -> None:
    if not condition:
        _refuse(field, problem)


def _require_amount(request: Request, name: str, *, positive: bool, optional: bool = False) -> None:
    amount = amount_of(request, name)
    if amount is None:
        _require(optional, name, "is required")
    elif positive:
        _require(amount > 0, name, "must be above zero")
    else:
        _require(amount >= 0, name, "must not be negative")


def validate(request: Request) -> None:
    """Checks the fields of one request. Raises Denied(INVALID_ARGUMENT)."""
    op = request["op"]
    if op not in READS:
        check_key(request.get("idempotency_key"))
    for name in sorted(AMOUNT_FIELDS & request.keys()):
        try:
            amount = amount_of(request, name)
        except ValueError:
            _refuse(name, "is not an amount")
        if amount is not None and not MONEY_MIN_NANOS <= amount <= MONEY_MAX_NANOS:
            raise Denied("OUT_OF_RANGE", what=name)
    _identifiers(request)
    _texts(request)
    check = _CHECKS.get(op)
    if check is not None:
        check(request)


def validate_times(request: Request, now: int) -> None:
    """Checks the times that the clock decides about. Raises Denied(INVALID_ARGUMENT).

    Looked at only for a request that is not a retry: a retry is answered as it was, however late it comes.
    """
    effective_time = request.get("effective_time")
    if effective_time is not None:
        _require(effective_time <= now, "effective_time", "must not be in the future")
        _require(now - _MAX_AGE <= effective_time, "effective_time", "must be at most 35 days old")
    for field in USAGE_FIELDS.values():
        usage: Usage | None = request.get(field)
        if usage is not None and usage.start_time is not None and request["op"] != "reserve":
            _require(usage.start_time <= now, f"{field}.start_time", "must not be in the future")
            _require(now - _MAX_AGE <= usage.start_time, f"{field}.start_time", "must be at most 35 days old")
    as_of = request.get("as_of")
    if as_of is not None:
        _require(as_of <= now, "as_of", "must not be in the future")


def check_key(key: object) -> None:
    """Checks an idempotency key. Raises Denied(INVALID_ARGUMENT)."""
    good = isinstance(key, str) and _PRINTABLE_KEY.fullmatch(key)
    _require(good, "idempotency_key", "must be 1–255 printable ASCII characters")


def check_shape(name: str, identifier: str) -> None:
    """Checks an id's form. Raises Denied(INVALID_ARGUMENT)."""
    _require(identifier, name, "is required")
    if name in ("reservation_id", "transaction_id", "alert_id"):
        _require(_ENTRY_ID.fullmatch(identifier), name, "must be rsv_, txn_ or alt_ and 32 hexadecimal digits")
    else:
        _require(_ACCOUNT_ID.fullmatch(identifier), name, "must be 1–64 characters of A-Z a-z 0-9 . _ : -")


def _identifiers(request: Request) -> None:
    for name in _IDENTIFIERS:
        if name in request:
            check_shape(name, request[name])


def _texts(request: Request) -> None:
    for name, limit in _TEXTS.items():
        check_text(request.get(name, ""), name, limit)
    labels = request.get("labels", {})
    _require(len(labels) <= 64, "labels", "must be at most 64 pairs")
    for key, value in labels.items():
        _require(key, "labels", "must not have an empty key")
        check_text(key, "labels", 63)
        check_text(value, f"labels[{key}]", 255)


def check_text(text: str, name: str, limit: int) -> None:
    """Checks a text's length and characters. Raises Denied(INVALID_ARGUMENT)."""
    _require(len(text) <= limit, name, f"must be at most {limit} characters, not {len(text)}")
    _require(not _CONTROL.search(text), name, "must not hold control characters")


def _settings(request: Request) -> None:
    for name in sorted(SETTING_AMOUNTS):
        _require_amount(request, name, positive=False, optional=True)
    cap = request.get("max_concurrent_calls")
    _require(cap is None or cap >= 0, "max_concurrent_calls", "must not be negative")
    _require(request.get("overrun_policy", "COLLECT") in _POLICIES, "overrun_policy", "has no such value")


def _create_account(request: Request) -> None:
    _require(
        re.fullmatch(r"[A-Z]{3}", request.get("currency", "")), "currency_code", "must be three upper-case letters"
    )
    _settings(request)


def _credit(request: Request) -> None:
    _require_amount(request, "amount", positive=True)
    _require_amount(request, "payment_fee", positive=True, optional=True)


def _adjust(request: Request) -> None:
    amount = amount_of(request, "amount")
    _require(amount is not None, "amount", "is required")
    _require(amount != 0, "amount", "must not be zero")
    _require(request.get("reason"), "reason", "is required")


def _transfer(request: Request) -> None:
    _require_amount(request, "amount", positive=True)
    other = request["from_account_id"] != request["to_account_id"]
    _require(other, "to_account_id", "must be another account than from_account_id")


def _amount_or_usage(request: Request, name: str, *, optional: bool = False) -> None:
    usage = usage_of(request, name)
    if usage is None:
        _require_amount(request, name, positive=False, optional=optional)
        return
    _require(name not in request, name, "must not be given with usage in its place")
    for line in usage.lines:
        _require(line.quantity >= 0, f"{USAGE_FIELDS[name]}.lines.quantity", "must not be negative")


def _reserve(request: Request) -> None:
    _amount_or_usage(request, "amount")
    _require_amount(request, "min_amount", positive=True, optional=True)
    amount = amount_of(request, "amount")
    fits = amount is None or (amount_of(request, "min_amount") or 0) <= amount
    _require(fits, "min_amount", "must not be above amount")
    _ttl(request)
    _require(request.get("on_expiry", "RELEASE") in _ON_EXPIRY, "on_expiry", "has no such value")


def _ttl(request: Request) -> None:
    _require(1 <= request.get("ttl", DEFAULT_TTL_S) <= _MAX_TTL_S, "ttl", "must be from 1 second to 30 days")


def _extend(request: Request) -> None:
    _amount_or_usage(request, "new_total", optional=True)
    _amount_or_usage(request, "used", optional=True)
    _ttl(request)


def _usage(request: Request) -> None:
    _amount_or_usage(request, "amount")


def _refund(request: Request) -> None:
    _target(request)
    _require_amount(request, "amount", positive=True, optional=True)


def _true_up_cost(request: Request) -> None:
    _target(request)
    lines = request.get("line_costs")
    _require((request.get("cost") is None) != (not lines), "cost", "is required, or lines; not both")
    _require_amount(request, "cost", positive=False, optional=True)
    for line_id, cost in (lines or {}).items():
        _require(nanos_from_text(cost) >= 0, f"lines[{line_id}].cost", "must not be negative")


def _target(request: Request) -> None:
    one = ("reservation_id" in request) != ("transaction_id" in request)
    _require(one, "target", "must be exactly one of transaction_id and reservation_id")


_CHECKS = {
    "create_account": _create_account,
    "update_account": _settings,
    "add_credit": _credit,
    "reverse_credit": _credit,
    "grant_credit": _credit,
    "withdraw": _credit,
    "adjust": _adjust,
    "transfer": _transfer,
    "reserve": _reserve,
    "extend": _extend,
    "commit": _usage,
    "charge": _usage,
    "record_usage": _usage,
    "refund": _refund,
    "true_up_cost": _true_up_cost,
}
