"""What is wrong with a request by itself, before any state is looked at: INVALID_ARGUMENT."""

import re

from tests.oracle.model import DAY, SECOND, Denied, Request
from tests.oracle.money import MONEY_MAX_NANOS, MONEY_MIN_NANOS, nanos_from_text

READS = frozenset(["get_account", "get_balance", "get_reservation"])
"""Operations that change nothing and have no key."""

AMOUNT_FIELDS = frozenset(["amount", "min_amount", "payment_fee", "new_total", "used", "credit_limit", "max_overrun"])
"""Fields that hold decimal texts in the request's currency."""

UNIT_FIELDS = {"amount": "units", "new_total": "total_units", "used": "used_units"}
"""Fields that give usage in place of an amount: decimal texts of units, sold for 1 and costing 0.25 each."""

DEFAULT_TTL_S = 900
_MAX_TTL_S = 30 * 86_400
_MAX_AGE = 35 * DAY
_PRINTABLE_KEY = re.compile(r"[ -~]{1,255}")
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


def price_of(request: Request, name: str) -> int | None:
    """The named amount, or the price of the units given in its place; None if neither is set."""
    amount = amount_of(request, name)
    return amount_of(request, UNIT_FIELDS[name]) if amount is None else amount


def cost_of(request: Request, name: str) -> int | None:
    """What the units given in place of the named amount cost us: a quarter, halves to even; None for an amount."""
    units = amount_of(request, UNIT_FIELDS[name])
    return None if units is None else quotient(units, 4)


def quotient(dividend: int, divisor: int) -> int:
    """The nearest whole number, halves to even."""
    whole, rest = divmod(dividend, divisor)
    up = 2 * rest > divisor or (2 * rest == divisor and whole % 2 == 1)
    return whole + up


def ttl_of(request: Request, default_s: int) -> int:
    """The time to live in microseconds."""
    return int(request.get("ttl", default_s)) * SECOND


def _require(condition: object) -> None:
    if not condition:
        raise Denied("INVALID_ARGUMENT")


def _require_amount(request: Request, name: str, *, positive: bool, optional: bool = False) -> None:
    amount = amount_of(request, name)
    if amount is None:
        _require(optional)
    else:
        _require(amount > 0 if positive else amount >= 0)


def validate(request: Request) -> None:
    """Checks the fields of one request. Raises Denied(INVALID_ARGUMENT)."""
    op = request["op"]
    if op not in READS:
        key = request.get("idempotency_key")
        _require(isinstance(key, str) and _PRINTABLE_KEY.fullmatch(key))
    try:
        amounts = [amount_of(request, name) for name in (*AMOUNT_FIELDS, *UNIT_FIELDS.values())]
    except ValueError:
        raise Denied("INVALID_ARGUMENT") from None
    if any(amount is not None and not MONEY_MIN_NANOS <= amount <= MONEY_MAX_NANOS for amount in amounts):
        raise Denied("OUT_OF_RANGE")
    check = _CHECKS.get(op)
    if check is not None:
        check(request)


def validate_times(request: Request, now: int) -> None:
    """Checks the times that the clock decides about. Raises Denied(INVALID_ARGUMENT).

    Looked at only for a request that is not a retry: a retry is answered as it was, however late it comes.
    """
    effective_time = request.get("effective_time")
    if effective_time is not None:
        _require(now - _MAX_AGE <= effective_time <= now)
    as_of = request.get("as_of")
    if as_of is not None:
        _require(as_of <= now)


def _settings(request: Request) -> None:
    _require_amount(request, "credit_limit", positive=False, optional=True)
    _require_amount(request, "max_overrun", positive=False, optional=True)
    cap = request.get("max_concurrent_calls")
    _require(cap is None or cap >= 0)
    _require(request.get("overrun_policy", "COLLECT") in _POLICIES)


def _create_account(request: Request) -> None:
    _require(re.fullmatch(r"[A-Z]{3}", request.get("currency", "")))
    _settings(request)


def _credit(request: Request) -> None:
    _require_amount(request, "amount", positive=True)
    _require_amount(request, "payment_fee", positive=True, optional=True)


def _adjust(request: Request) -> None:
    amount = amount_of(request, "amount")
    _require(amount is not None and amount != 0)
    _require(request.get("reason"))


def _transfer(request: Request) -> None:
    _require_amount(request, "amount", positive=True)
    _require(request["from_account_id"] != request["to_account_id"])


def _amount_or_units(request: Request, name: str, *, optional: bool = False) -> None:
    amounts = [amount_of(request, field) for field in (name, UNIT_FIELDS[name])]
    given = [amount for amount in amounts if amount is not None]
    _require(len(given) == 1 or (optional and not given))
    _require(all(amount >= 0 for amount in given))


def _reserve(request: Request) -> None:
    _amount_or_units(request, "amount")
    _require_amount(request, "min_amount", positive=True, optional=True)
    if "amount" in request:
        _require((amount_of(request, "min_amount") or 0) <= required_amount(request))
    _ttl(request)
    _require(request.get("on_expiry", "RELEASE") in _ON_EXPIRY)


def _ttl(request: Request) -> None:
    _require(1 <= request.get("ttl", DEFAULT_TTL_S) <= _MAX_TTL_S)


def _extend(request: Request) -> None:
    _amount_or_units(request, "new_total", optional=True)
    _amount_or_units(request, "used", optional=True)
    _ttl(request)


def _usage(request: Request) -> None:
    _amount_or_units(request, "amount")


def _refund(request: Request) -> None:
    _require_amount(request, "amount", positive=True, optional=True)
    _require(("reservation_id" in request) != ("transaction_id" in request))


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
}
