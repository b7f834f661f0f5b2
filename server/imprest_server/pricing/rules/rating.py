"""What a usage report costs: exact amounts, one rounding per line and side.

Lines are rated in order. Lines that share a month counter move it one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Context, Decimal, Inexact, InvalidOperation
from enum import Enum

from imprest_server.core.money import check_range
from imprest_server.core.usage import RatedLine, UsageReport
from imprest_server.core.values import value
from imprest_server.pricing.model import BookSide, CounterKey
from imprest_server.pricing.rules.catalog import Payer
from imprest_server.pricing.rules.counters import MonthCounters
from imprest_server.pricing.rules.formula import scaled
from imprest_server.pricing.rules.tariff import Match, Tariff

# Wide enough for the largest quantity at the largest price, rate and margin; what would not be exact raises.
_EXACT = Context(prec=150, traps=[Inexact, InvalidOperation])


class Rounding(Enum):
    """How a line's exact amount becomes nanos, and what for.

    HALF_EVEN: posted amounts. UP: quotes of exactly this usage. UP_TO: estimates, rounded up too, of the most that any
    usage up to this one may come to (only tiers make a difference: more can be cheaper).
    """

    HALF_EVEN = "HALF_EVEN"
    UP = "UP"
    UP_TO = "UP_TO"


@value
class Rated:
    """A rated report. `price` and `cost` are the sums of the lines, in nanos of the payer's currency.

    `advances` is by how much each month counter moves when the report is posted; quotes and estimates drop it.
    """

    lines: tuple[RatedLine, ...]
    price: int
    cost: int
    advances: Mapping[CounterKey, Decimal]


def rate(
    usage: UsageReport,
    tariff: Tariff,
    counters: Mapping[CounterKey, Decimal],
    payer: Payer,
    at: datetime,
    rounding: Rounding,
) -> Rated:
    """Price and cost of a report that has passed `check_usage`.

    `at` is when the usage was: it picks the month of the counters, nothing else. `counters` holds the month's
    quantities before the report; a missing one is 0. Raises PriceNotFound, and AmountOutOfRange.
    """
    month = MonthCounters(counters, payer, at)
    up, up_to = rounding is not Rounding.HALF_EVEN, rounding is Rounding.UP_TO
    lines: list[RatedLine] = []
    total_price = total_cost = 0
    for line in usage.lines:
        match = tariff.match(line)
        quantity = scaled(line.quantity)
        if match.straight is not None:
            price_unit, price_denominator, cost_unit, cost_denominator = match.straight
            price, cost = quantity * price_unit, quantity * cost_unit
        else:
            cost, cost_denominator = exact_cost(match, quantity, month, up_to)
            price, price_denominator = exact_price(match, quantity, month, up_to, cost, cost_denominator)
        price_nanos, shown_price = settled(price, price_denominator, up)
        cost_nanos, shown_cost = settled(cost, cost_denominator, up)
        total_price += price_nanos
        total_cost += cost_nanos
        lines.append(
            RatedLine(
                line=line,
                price=price_nanos,
                cost=cost_nanos,
                exact_price=shown_price,
                exact_cost=shown_cost,
                price_version=match.price_version,
                cost_version=match.cost_version,
                match=match.words,
            )
        )
    check_range(total_price, "price")
    check_range(total_cost, "cost")
    advances = {key: _unscaled(moved) for key, moved in month.moved.items() if moved}
    return Rated(tuple(lines), total_price, total_cost, advances)


def exact_cost(match: Match, quantity: int, month: MonthCounters, up_to: bool) -> tuple[int, int]:
    """A line's cost in nanos of the payer's currency, as numerator and denominator; 0 when no COST book knows it."""
    entry, formula = match.cost, match.cost_formula
    if entry is None or formula is None:
        return 0, 1
    amount = month.amount(BookSide.COST, entry, formula, formula.billed(quantity), up_to)
    return amount * match.rate_numerator, formula.denominator * match.rate_denominator


def exact_price(
    match: Match, quantity: int, month: MonthCounters, up_to: bool, cost: int, cost_denominator: int
) -> tuple[int, int]:
    """A line's price in nanos, as numerator and denominator; a derived one from the line's exact cost."""
    formula = match.sale_formula
    billed = formula.billed(quantity)
    if formula.derived:
        return formula.from_cost(billed, cost, cost_denominator)
    return month.amount(BookSide.SALE, match.sale, formula, billed, up_to), formula.denominator


def settled(numerator: int, denominator: int, up: bool) -> tuple[int, Decimal]:
    """An exact amount in nanos, not negative, rounded to nanos, and as it is shown: major units with 18 decimals.

    Nanos are rounded up or else HALF_EVEN, what is shown always HALF_EVEN.
    """
    nanos, rest = divmod(numerator, denominator)
    if not rest:
        return nanos, _unscaled(nanos * 10**9)
    shown = _unscaled(nanos * 10**9 + round_half_even(rest * 10**9, denominator))
    if up:
        return nanos + 1, shown
    return nanos + _half_even(nanos, rest, denominator), shown


def round_half_even(numerator: int, denominator: int) -> int:
    """The nearest integer to a ratio that is not negative; of two, the even one."""
    quotient, rest = divmod(numerator, denominator)
    return quotient + _half_even(quotient, rest, denominator)


def _half_even(quotient: int, rest: int, denominator: int) -> bool:
    twice = 2 * rest
    return twice > denominator or (twice == denominator and quotient % 2 == 1)


def round_up(numerator: int, denominator: int) -> int:
    """The smallest integer not below a ratio."""
    return -(-numerator // denominator)


def _unscaled(value: int) -> Decimal:
    return Decimal(value).scaleb(-18, _EXACT)
