"""Amounts as `decimal.Decimal` here and `google.type.Money` on the wire, exactly or not at all."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, InvalidOperation, Overflow

from google.type.money_pb2 import Money

_NANOS_PER_UNIT = 10**9
_MAX_NANOS = 2**63 * _NANOS_PER_UNIT - 1
_EXACT = Context(prec=60, traps=[Inexact, InvalidOperation, Overflow])
_NANO = Decimal("1e-9")
_ROUNDING = Context(prec=60, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, Overflow])


def exact(amount: Decimal | int | str) -> Decimal:
    """The amount as a Decimal, with all its decimals.

    Raises:
        TypeError: the amount is a float, which has been rounded already.
        ValueError: it is not a finite number.
    """
    if isinstance(amount, float):
        raise TypeError("an amount of money is a Decimal, an int or a str, not a float")
    try:
        found = Decimal(amount)
    except InvalidOperation:
        raise ValueError(f"{amount!r} is not an amount") from None
    if not found.is_finite():
        raise ValueError(f"{amount} is not a finite amount")
    return found


def plus(one: Decimal, other: Decimal) -> Decimal:
    """The sum with up to 60 digits, whatever the caller's decimal context is."""
    return _ROUNDING.add(one, other)


def to_nano(amount: Decimal) -> Decimal:
    """The amount rounded to nine decimals, half to even: what the ledger can carry.

    Raises:
        ValueError: it is beyond all that the ledger can carry.
    """
    try:
        return amount.quantize(_NANO, context=_ROUNDING)
    except InvalidOperation:
        raise ValueError(f"{amount} is beyond the range of an amount") from None


def to_money(amount: Decimal | int | str, currency_code: str) -> Money:
    """The amount as a message: `to_money("1.25", "USD")`.

    A float is refused, for it has been rounded already.

    Raises:
        TypeError: the amount is a float.
        ValueError: it is not a finite number, has more than nine decimals, or is beyond the range of Money.
    """
    given = exact(amount)
    try:
        nanos = int(given.scaleb(9, _EXACT).to_integral_exact(context=_EXACT))
    except (Inexact, InvalidOperation, OverflowError, ValueError):
        raise ValueError(f"{amount} is not a finite amount with at most nine decimals") from None
    if abs(nanos) > _MAX_NANOS:
        raise ValueError(f"{amount} is beyond the range of google.type.Money")
    units, rest = divmod(abs(nanos), _NANOS_PER_UNIT)
    sign = -1 if nanos < 0 else 1
    return Money(currency_code=currency_code, units=sign * units, nanos=sign * rest)


def to_decimal(money: Money) -> Decimal:
    """The amount of a message, without trailing zeros: 1.25 units read `Decimal("1.25")`, none `Decimal("0")`."""
    nanos = money.units * _NANOS_PER_UNIT + money.nanos
    units, rest = divmod(abs(nanos), _NANOS_PER_UNIT)
    text = f"{units}.{rest:09d}".rstrip("0").rstrip(".")
    return Decimal(f"-{text}" if nanos < 0 else text)
