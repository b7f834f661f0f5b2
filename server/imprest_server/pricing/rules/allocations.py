"""A call's share of infrastructure and payment fees: lines of quotes and cost reports, never postings."""

from __future__ import annotations

from imprest_server.core.usage import RatedLine
from imprest_server.pricing.rules.rating import Rounding
from imprest_server.pricing.rules.tariff import Tariff


def allocate(tariff: Tariff, price_nanos: int, rounding: Rounding) -> tuple[RatedLine, ...]:
    """The allocations of a call that is priced at `price_nanos`: one line for each allocation meter with a COST price.

    Lines have a cost and a price of 0. Raises PriceNotFound when an exchange rate is missing.
    """
    raise NotImplementedError
