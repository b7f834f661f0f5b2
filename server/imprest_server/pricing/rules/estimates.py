"""How long a call can go on with what was granted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from math import gcd

from imprest_server.core.usage import UsageReport
from imprest_server.pricing.meters import METERS
from imprest_server.pricing.model import CounterKey
from imprest_server.pricing.rules.catalog import Payer
from imprest_server.pricing.rules.counters import MonthCounters
from imprest_server.pricing.rules.formula import SCALE, scaled
from imprest_server.pricing.rules.rating import exact_cost, exact_price, round_up
from imprest_server.pricing.rules.tariff import Match, Tariff

MAX_DURATION = timedelta(days=30)
_MAX_SECONDS = MAX_DURATION // timedelta(seconds=1)
_MICROSECOND = timedelta(microseconds=1)


def affordable_duration(
    usage: UsageReport,
    tariff: Tariff,
    counters: Mapping[CounterKey, Decimal],
    payer: Payer,
    at: datetime,
    granted_nanos: int,
) -> timedelta | None:
    """The longest duration t for which the estimate, scaled by t / T, fits what was granted.

    T is end_time − start_time or, without these, the largest quantity on a meter in seconds; None when the estimate
    contains no time. t is in whole seconds, rounded down, as that is what calls are ended by, and at most 30 days.
    Every line is scaled, exactly, and priced as an estimate (Rounding.UP_TO), so t is at least T, in whole seconds,
    when all that was asked for was granted. Raises PriceNotFound.
    """
    total = _duration(usage)
    if not total:
        return None
    # quantity × t / T in whole numbers: quantities as integers of 10**-18 / factor.
    common = gcd(total, SCALE)
    factor, per_second = total // common, SCALE // common
    straight: list[tuple[int, int]] = []
    other: list[tuple[Match, int]] = []
    for line in usage.lines:
        match, quantity = tariff.match(line), scaled(line.quantity) * per_second
        if match.straight is not None:
            unit, denominator, _, _ = match.straight
            straight.append((quantity * unit, denominator * factor))
        else:
            other.append((match.refined(factor), quantity))
    month = MonthCounters(counters, payer, at, factor)

    def price(seconds: int) -> int:
        month.moved.clear()
        nanos = sum(round_up(numerator * seconds, denominator) for numerator, denominator in straight)
        for match, quantity in other:
            cost, cost_denominator = exact_cost(match, quantity * seconds, month, True)
            nanos += round_up(*exact_price(match, quantity * seconds, month, True, cost, cost_denominator))
        return nanos

    return timedelta(seconds=largest(price, granted_nanos, total // SCALE))


def _duration(usage: UsageReport) -> int:
    """T in 10**-18 seconds; 0 when there is none."""
    if usage.start_time is not None and usage.end_time is not None and usage.end_time > usage.start_time:
        return (usage.end_time - usage.start_time) // _MICROSECOND * (SCALE // 10**6)
    return max((scaled(line.quantity) for line in usage.lines if METERS[line.meter].unit == "second"), default=0)


def largest(price: Callable[[int], int], granted: int, guess: int) -> int:
    """The largest number of seconds up to 30 days whose price is granted; `price` never falls, and is 0 at 0.

    Prices are mostly straight lines: it interpolates, which looks beside the result next; each third step halves.
    """
    low, low_price = 0, 0
    high, high_price = _MAX_SECONDS, price(_MAX_SECONDS)
    if high_price <= granted:
        return high
    seconds, steps = guess, 0
    while high - low > 1:
        seconds = min(max(seconds, low + 1), high - 1)
        nanos = price(seconds)
        if nanos <= granted:
            low, low_price = seconds, nanos
        else:
            high, high_price = seconds, nanos
        steps += 1
        if steps % 3:
            seconds = low + (granted - low_price) * (high - low) // (high_price - low_price)
        else:
            seconds = (low + high) // 2
    return low
