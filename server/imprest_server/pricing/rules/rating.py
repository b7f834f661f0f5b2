"""What a usage report costs: exact amounts, one rounding per line and side.

Lines are rated in order. Lines that share a counter advance it one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Context, Decimal, Inexact, InvalidOperation
from enum import Enum
from zoneinfo import ZoneInfo

from imprest_server.core.money import check_range
from imprest_server.core.usage import RatedLine, UsageReport
from imprest_server.pricing.model import BookSide, CounterKey
from imprest_server.pricing.rules.catalog import Payer
from imprest_server.pricing.rules.formula import Formula, scaled
from imprest_server.pricing.rules.matching import Entry
from imprest_server.pricing.rules.tariff import Tariff

# Wide enough for any amount that passes check_range, with 18 decimals; whatever would not be exact raises.
_EXACT = Context(prec=60, traps=[Inexact, InvalidOperation])


class Rounding(Enum):
    """How a line's exact amount becomes nanos, and what for.

    HALF_EVEN: posted amounts. UP: quotes, of exactly this usage. UP_TO: estimates: the most that any usage up to this
    one may come to, rounded up (only VOLUME prices make a difference: they can get cheaper with more).
    """

    HALF_EVEN = "HALF_EVEN"
    UP = "UP"
    UP_TO = "UP_TO"


@dataclass(frozen=True, slots=True)
class Rated:
    """A rated report. `price` and `cost` are the sums of the lines, in nanos of the payer's currency.

    `advances` is by how much each month counter moves when the report is posted; quotes and estimates drop it.
    """

    lines: tuple[RatedLine, ...]
    price: int
    cost: int
    advances: Mapping[CounterKey, Decimal]


def month_of(at: datetime, time_zone: str) -> date:
    """The first day of the calendar month that an instant falls into, in an IANA zone."""
    local = at.astimezone(ZoneInfo(time_zone))
    return date(local.year, local.month, 1)


class MonthCounters:
    """The month's quantities while a report is rated, as integers of 10**-18."""

    __slots__ = ("_at", "_month", "_payer", "_stored", "moved")

    def __init__(self, stored: Mapping[CounterKey, Decimal], payer: Payer, at: datetime) -> None:
        self._stored = stored
        self._payer = payer
        self._at = at
        self._month: date | None = None
        self.moved: dict[CounterKey, int] = {}

    def key(self, side: BookSide, entry: Entry) -> CounterKey:
        """The counter of a price."""
        if self._month is None:
            self._month = month_of(self._at, self._payer.time_zone)
        return CounterKey(self._payer.tenant_id, self._payer.account_id, self._month, side, entry.price.key)

    def stored(self, key: CounterKey) -> int:
        """Where the counter stood before this report."""
        quantity = self._stored.get(key)
        return 0 if quantity is None else scaled(quantity)


def counter_keys(usage: UsageReport, tariff: Tariff, payer: Payer, at: datetime) -> tuple[CounterKey, ...]:
    """The counters that rating this report reads, each once. Raises PriceNotFound."""
    counters = MonthCounters({}, payer, at)
    keys: dict[CounterKey, None] = {}
    for line in usage.lines:
        match = tariff.match(line)
        if match.sale.formula.counted:
            keys[counters.key(BookSide.SALE, match.sale)] = None
        if match.cost is not None and match.cost.formula.counted:
            keys[counters.key(BookSide.COST, match.cost)] = None
    return tuple(keys)


def rate(
    usage: UsageReport,
    tariff: Tariff,
    counters: Mapping[CounterKey, Decimal],
    payer: Payer,
    at: datetime,
    rounding: Rounding,
) -> Rated:
    """Price and cost of a report. `at` is when the usage was: it picks the month of the counters, nothing else.

    `counters` holds the month's quantities before the report; a missing one is 0. The report has passed
    `checks.check_usage`. Raises PriceNotFound, and AmountOutOfRange.
    """
    month = MonthCounters(counters, payer, at)
    up_to = rounding is Rounding.UP_TO
    round_ = round_half_even if rounding is Rounding.HALF_EVEN else round_up
    lines: list[RatedLine] = []
    total_price = total_cost = 0
    for line in usage.lines:
        match = tariff.match(line)
        quantity = scaled(line.quantity)
        cost, cost_denominator = 0, 1
        cost_entry, cost_link = match.cost, match.cost_link
        if cost_entry is not None:
            formula = cost_entry.formula
            billed = formula.billed(quantity)
            cost = _amount(formula, billed, month, BookSide.COST, cost_entry, up_to) * match.rate_numerator
            cost_denominator = formula.denominator * match.rate_denominator
        formula = match.sale.formula
        billed = formula.billed(quantity)
        if formula.derived:
            price, price_denominator = formula.from_cost(billed, cost, cost_denominator)
        else:
            price = _amount(formula, billed, month, BookSide.SALE, match.sale, up_to)
            price_denominator = formula.denominator
        price_nanos = round_(price, price_denominator)
        cost_nanos = round_(cost, cost_denominator)
        total_price += price_nanos
        total_cost += cost_nanos
        check_range(total_price, "price")
        check_range(total_cost, "cost")
        lines.append(
            RatedLine(
                line=line,
                price=price_nanos,
                cost=cost_nanos,
                exact_price=_exact(price, price_denominator),
                exact_cost=_exact(cost, cost_denominator),
                price_version=match.sale_link.version.version_id,
                cost_version=None if cost_link is None else cost_link.version.version_id,
                match=match.words,
            )
        )
    advances = {key: _decimal(moved) for key, moved in month.moved.items() if moved}
    return Rated(tuple(lines), total_price, total_cost, advances)


def _amount(formula: Formula, billed: int, month: MonthCounters, side: BookSide, entry: Entry, up_to: bool) -> int:
    if not formula.counted:
        return formula.amount(billed, 0)
    key = month.key(side, entry)
    stored = month.stored(key)
    moved = month.moved.get(key, 0)
    month.moved[key] = moved + billed
    if up_to:
        return formula.most(billed, stored, stored + moved)
    return formula.amount(billed, stored + moved)


def round_half_even(numerator: int, denominator: int) -> int:
    """The nearest integer of a ratio that is not negative; a tie goes to the even one."""
    quotient, remainder = divmod(numerator, denominator)
    twice = 2 * remainder
    return quotient + (1 if twice > denominator or (twice == denominator and quotient % 2) else 0)


def round_up(numerator: int, denominator: int) -> int:
    """The smallest integer not below a ratio."""
    return -(-numerator // denominator)


def _exact(numerator: int, denominator: int) -> Decimal:
    """An amount in nanos as a decimal of the major unit, with 18 decimals."""
    return _decimal(round_half_even(numerator * 10**9, denominator))


def _decimal(scaled_value: int) -> Decimal:
    return Decimal(scaled_value).scaleb(-18, _EXACT)
