"""A call's share of infrastructure and payment fees: lines of quotes and cost reports, never postings.

They are prices in COST books: FLAT on the meters of the category `infrastructure` (so much per call), FLAT or
PERCENTAGE on those of `fee` (a percentage of the call's price and, as connect fee, a fixed part).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from imprest_server.core.usage import UsageLine
from imprest_server.pricing.meters import METERS
from imprest_server.pricing.model import ChargeModel, Price, PriceVersionId
from imprest_server.pricing.rules.rating import Rounding, settled
from imprest_server.pricing.rules.tariff import Tariff

_PER_CALL = tuple(UsageLine(meter=meter.name, quantity=Decimal(1)) for meter in METERS.values() if meter.is_allocation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """One share of our own costs: `cost` in nanos of the payer's currency, rounded once from `exact_cost`."""

    meter: str
    cost: int
    exact_cost: Decimal
    cost_version: PriceVersionId
    match: str


def allocate(tariff: Tariff, price_nanos: int, rounding: Rounding) -> tuple[Allocation, ...]:
    """The allocations of one call that is priced at `price_nanos`: one for each such meter with a COST price.

    Raises PriceNotFound when an exchange rate is missing.
    """
    allocations: list[Allocation] = []
    for line in _PER_CALL:
        found = tariff.cost(line)
        if found is None:
            continue
        exact = _amount(found.price, price_nanos, found.rate)
        cost, shown_cost = settled(*exact.as_integer_ratio(), rounding is not Rounding.HALF_EVEN)
        allocations.append(
            Allocation(
                meter=line.meter,
                cost=cost,
                exact_cost=shown_cost,
                cost_version=found.version_id,
                match=found.words,
            )
        )
    return tuple(allocations)


def _amount(price: Price, price_nanos: int, rate: Decimal) -> Fraction:
    """Exact nanos. The percentage is of the price and so in the payer's currency; sums are in the book's."""
    nanos = Fraction(rate) * 10**9
    if price.charge_model is ChargeModel.PERCENTAGE:
        if not price_nanos:
            return Fraction(0)
        amount = price_nanos * Fraction(price.unit_price) * Fraction(1, 100)
    else:
        amount = Fraction(price.unit_price) * nanos
    amount += Fraction(price.connect_fee) * nanos
    if price.minimum_charge is not None:
        amount = max(amount, Fraction(price.minimum_charge) * nanos)
    if price.maximum_charge is not None:
        amount = min(amount, Fraction(price.maximum_charge) * nanos)
    return amount
