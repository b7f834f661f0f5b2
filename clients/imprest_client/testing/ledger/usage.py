"""Usage in place of amounts, at flat prices: one price and one cost for each unit of a meter.

Captures round each line to even, estimates up; both once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from imprest_client.testing.ledger.model import DAY, SECOND, Denied, Line, Parts, Rated, Usage, new_id
from imprest_client.testing.ledger.money import NANOS_PER_UNIT

_LONGEST_S = 30 * DAY // SECOND


@dataclass(frozen=True)
class UnitPrice:
    """What one unit of a meter is sold for, and what its provider charges; Decimals, ints or texts, never floats."""

    price: Decimal | int | str
    cost: Decimal | int | str = 0

    def __post_init__(self) -> None:
        """Refuse what has been rounded already."""
        for number in (self.price, self.cost):
            if isinstance(number, float) or Decimal(number) < 0:
                raise TypeError("a price is a Decimal, an int or a str that is not negative")


Prices = Mapping[str, UnitPrice]
"""Unit prices by meter."""


def rate(usage: Usage, prices: Prices, *, is_estimate: bool) -> tuple[Rated, ...]:
    """Every line with its price and cost. Raises Denied(PRICE_NOT_FOUND)."""
    return tuple(_rated(line, prices, is_estimate) for line in usage.lines)


def _rated(line: Line, prices: Prices, is_estimate: bool) -> Rated:
    if line.meter not in prices:
        raise Denied(
            "PRICE_NOT_FOUND",
            side="SALE",
            missing="price",
            meter=line.meter,
            provider=line.provider,
            model=line.model,
            destination=line.destination,
        )
    unit, quantity = prices[line.meter], Fraction(line.quantity)
    price, cost = quantity * Fraction(Decimal(unit.price)), quantity * Fraction(Decimal(unit.cost))
    rounded = math.ceil if is_estimate else round  # round() goes to even
    return Rated(line, rounded(price * NANOS_PER_UNIT), rounded(cost * NANOS_PER_UNIT), price, cost)


def total(lines: tuple[Rated, ...]) -> int:
    """What the lines are sold for."""
    return sum(line.price for line in lines)


def parts_of(lines: tuple[Rated, ...]) -> Parts:
    """The lines by meter, price and cost."""
    return tuple((rated.line.meter, rated.price, rated.cost) for rated in lines)


def sum_of(parts: Parts, prefix: str = "") -> tuple[int, int]:
    """Price and cost of the parts on meters that begin so."""
    counted = [(price, cost) for meter, price, cost in parts if meter.startswith(prefix)]
    return sum(price for price, _ in counted), sum(cost for _, cost in counted)


def total_cost(lines: tuple[Rated, ...]) -> int:
    """What the lines cost."""
    return sum(line.cost for line in lines)


def named(lines: tuple[Rated, ...], transaction_id: str | None) -> tuple[Rated, ...]:
    """The lines of a capture with ids: its transaction's, and their place, for those that came without one."""
    own = transaction_id or new_id("txn")
    return tuple(
        replace(rated, line=replace(rated.line, line_id=rated.line.line_id or f"{own}.{number}"))
        for number, rated in enumerate(lines, 1)
    )


def affordable_s(usage: Usage, prices: Prices, granted: int) -> int | None:
    """For how many whole seconds of the estimate's rate the grant pays; None when the estimate takes no time."""
    takes_s = Fraction(usage.takes, SECOND)
    if not takes_s:
        quantities = [Fraction(line.quantity) for line in usage.lines if line.meter.endswith("seconds")]
        takes_s = max(quantities, default=Fraction(0))
    if not takes_s:
        return None
    exact = [line.exact_price * NANOS_PER_UNIT / takes_s for line in rate(usage, prices, is_estimate=True)]
    low, high = 0, _LONGEST_S
    while low < high:
        seconds = (low + high + 1) // 2
        fits = sum(math.ceil(per_second * seconds) for per_second in exact) <= granted
        low, high = (seconds, high) if fits else (low, seconds - 1)
    return low
