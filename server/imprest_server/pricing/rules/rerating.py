"""A posted usage line at other prices: the same quantity, at the place in the month's tiers that it had then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from imprest_server.core.errors import PriceNotFound
from imprest_server.core.usage import RatedLine, UsageReport
from imprest_server.pricing.model import BookSide
from imprest_server.pricing.rules.catalog import Payer
from imprest_server.pricing.rules.counters import counter_keys
from imprest_server.pricing.rules.rating import Rounding, rate
from imprest_server.pricing.rules.tariff import Tariff


class NoPositionError(Exception):
    """A price counts the month's quantity, and the line was posted at one that did not: nobody knows its place."""


def rerate(
    posted: RatedLine,
    positions: Mapping[str, Decimal],
    tariff: Tariff,
    payer: Payer,
    at: datetime,
    side: BookSide | None,
) -> RatedLine:
    """The line as the tariff prices it; with `side`, only that side of it, and as it was when that has no price.

    `positions` is where the month's count stood for each side; a price derived from the cost needs that of the cost.
    Raises PriceNotFound, NoPositionError, AmountOutOfRange.
    """
    usage = UsageReport(lines=(posted.line,))
    try:
        derived = tariff.match(posted.line).sale.price.derived
        keys = counter_keys(usage, tariff, payer, at)
    except PriceNotFound:
        if side is not None:
            return posted
        raise
    counters = {}
    for key in keys:
        if side in (None, key.side) or (side is BookSide.SALE and derived):
            if key.side not in positions:
                raise NoPositionError
            counters[key] = positions[key.side]
    (rated,) = rate(usage, tariff, counters, payer, at, Rounding.HALF_EVEN).lines
    if side is BookSide.SALE:
        cost = replace(posted, match=rated.match)
        return replace(cost, price=rated.price, exact_price=rated.exact_price, price_version=rated.price_version)
    if side is BookSide.COST:
        if rated.cost_version is None:
            return posted
        price = replace(posted, match=rated.match)
        return replace(price, cost=rated.cost, exact_cost=rated.exact_cost, cost_version=rated.cost_version)
    return rated
