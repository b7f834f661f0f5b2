"""Exact money: integers of nanos (10**-9 of a currency's major unit).

Every amount in Imprest has this one resolution, for every currency. Inside a book, which is in one
currency, amounts are plain `int` nanos in names that end in `_nanos` or in the book's balances; where an
amount crosses a boundary its currency travels with it as `Money`.
"""

from __future__ import annotations

from decimal import Context, Decimal, Inexact, InvalidOperation

from imprest_server.core.errors import AmountOutOfRange
from imprest_server.core.values import value

NANOS_PER_UNIT = 10**9
#: The largest magnitude google.type.Money can carry: int64 units and 999,999,999 nanos.
MAX_NANOS = 2**63 * NANOS_PER_UNIT - 1

# Wide enough for NUMERIC(38,9); a result that would not be exact raises instead of being rounded.
_EXACT = Context(prec=60, traps=[Inexact, InvalidOperation])
_integral = _EXACT.to_integral_exact


@value
class Money:
    """An amount of one currency.

    `currency_code` is an ISO 4217 code, `nanos` a signed integer of 10**-9 major units.
    """

    currency_code: str
    nanos: int

    def __str__(self) -> str:
        return f"{format_nanos(self.nanos)} {self.currency_code}"


def check_range(nanos: int, what: str) -> int:
    """Return `nanos` when google.type.Money can carry it; raises AmountOutOfRange naming `what`."""
    if not -MAX_NANOS <= nanos <= MAX_NANOS:
        raise AmountOutOfRange(what=what)
    return nanos


def nanos_of(amount: Decimal) -> int:
    """The nanos of a NUMERIC(38,9) value as Postgres returns it. Raises when that would not be exact."""
    return int(_integral(amount.scaleb(9, _EXACT))) if amount else 0  # most of a book's columns are zero


def format_nanos(nanos: int) -> str:
    """A plain decimal string without trailing zeros: `1500000000` is `"1.5"`, `0` is `"0"`."""
    units, rest = divmod(abs(nanos), NANOS_PER_UNIT)
    sign = "-" if nanos < 0 else ""
    return f"{sign}{units}" if not rest else f"{sign}{units}.{rest:09d}".rstrip("0")


def pro_rata(total_nanos: int, part: int, whole: int) -> int:
    """`total_nanos * part / whole`, rounded once, HALF_EVEN. All three are not negative, `whole` > 0.

    Called with a growing `part`, the differences between successive results add up to `total_nanos`
    when `part` reaches `whole`: nothing is lost to rounding.
    """
    quotient, remainder = divmod(total_nanos * part, whole)
    twice = 2 * remainder
    return quotient + (1 if twice > whole or (twice == whole and quotient % 2) else 0)
