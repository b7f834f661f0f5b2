"""Rating written a second time, slowly and in Fractions, from the rules' text and not from their code.

Quantities of tiers, increments and free units are whole numbers here, so a month can be walked unit by unit.
"""

from fractions import Fraction
from math import ceil

from imprest_server.core.usage import UsageLine
from imprest_server.pricing.model import ChargeModel, Price, Tier
from imprest_server.pricing.rules.matching import candidates

ZERO = Fraction(0)


def best_price(prices: list[Price], usage: UsageLine) -> Price | None:
    """The most specific price for a line: all that match, ranked."""
    names = list(candidates(usage.meter))
    matching = [
        price
        for price in prices
        if price.meter in names
        and price.provider in ("", usage.provider)
        and price.model in ("", usage.model)
        and usage.destination.startswith(price.destination_prefix)
    ]

    def rank(price: Price) -> tuple[int, bool, bool, int]:
        return (
            -names.index(price.meter),
            bool(price.provider),
            bool(price.model),
            len(price.destination_prefix),
        )

    return max(matching, key=rank, default=None)


def billed(price: Price, quantity: Fraction) -> Fraction:
    """The quantity that is billed."""
    if quantity == 0:
        return quantity
    quantity = max(quantity, Fraction(price.minimum_quantity))
    if price.increment_first is None or price.increment_next is None:
        return quantity
    reached = Fraction(price.increment_first)
    while reached < quantity:
        reached += Fraction(price.increment_next)
    return reached


def amount(price: Price, quantity: Fraction, before: Fraction = ZERO) -> Fraction:
    """What a line costs in major units, `before` being the month's quantity so far."""
    billable = billed(price, quantity)
    if billable == 0:
        return ZERO
    after = before + billable
    free = Fraction(price.free_quantity)
    charged = after - max(before, min(free, after))
    match price.charge_model:
        case ChargeModel.PER_UNIT:
            usage = charged * unit(price, price.unit_price)
        case ChargeModel.PACKAGE:
            usage = ceil(charged / Fraction(price.per_quantity)) * Fraction(price.unit_price)
        case ChargeModel.FLAT:
            usage = Fraction(price.unit_price)
        case ChargeModel.VOLUME:
            _, tier = tier_at(price, after)
            usage = (charged * unit(price, tier.unit_price) + Fraction(tier.flat_fee)) if charged else ZERO
        case ChargeModel.GRADUATED:
            usage = integral(price, before, after)
        case ChargeModel.PERCENTAGE:
            raise ValueError("a percentage is of a price, not of a quantity")
    usage += Fraction(price.connect_fee)
    if charged and price.minimum_charge is not None:
        usage = max(usage, Fraction(price.minimum_charge))
    if price.maximum_charge is not None:
        usage = min(usage, Fraction(price.maximum_charge))
    return usage


def unit(price: Price, money: object) -> Fraction:
    """The price of one unit of the meter."""
    return Fraction(str(money)) / Fraction(price.per_quantity)


def tier_at(price: Price, position: Fraction) -> tuple[int, Tier]:
    """The tier that holds a position: (lower, upper]."""
    for index, tier in enumerate(price.tiers):
        if tier.up_to is None or position <= Fraction(tier.up_to):
            return index, tier
    raise ValueError("the last tier is open")


def integral(price: Price, before: Fraction, after: Fraction) -> Fraction:
    """GRADUATED, a unit at a time; the fee of a tier comes with its first unit that is not free."""
    total, position, step = ZERO, ZERO, Fraction(1)
    entered: set[int] = set()
    while position < after:
        # A unit is cut where the report begins and ends, so that every piece is wholly inside or outside.
        cuts = [position // 1 + 1, after] + ([before] if before > position else [])
        step = min(cut for cut in cuts if cut > position) - position
        index, tier = tier_at(price, position + step)
        if position >= Fraction(price.free_quantity):
            cost = step * unit(price, tier.unit_price)
            if index not in entered:
                entered.add(index)
                cost += Fraction(tier.flat_fee)
            if position >= before:
                total += cost
        position += step
    return total


def half_even(value: Fraction) -> int:
    """The nearest integer; of two, the even one."""
    below = value.numerator // value.denominator
    rest = value - below
    if rest == Fraction(1, 2):
        return below + below % 2
    return below + (rest > Fraction(1, 2))
