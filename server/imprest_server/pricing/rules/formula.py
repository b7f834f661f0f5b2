"""A price compiled to integers: quantities in, exact amounts out.

Quantities are integers of 10**-18 of the meter's unit; amounts are numerators of nanos over the formula's
`denominator`. Nothing here rounds.

A line of quantity 0 costs nothing at all: no connect fee, no minimum, no package. Of a month's free quantity every
unit is free wherever it falls into the tiers; a line of free units alone costs its connect fee and meets no minimum.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate
from math import gcd
from typing import Final, Self

from imprest_server.pricing.model import ChargeModel, Price

#: Prices and quantities have at most 18 decimals.
SCALE: Final = 10**18
#: Money is in nanos: a price's integer is this many times too large.
_PER_NANO: Final = SCALE // 10**9


def scaled(value: Decimal) -> int:
    """A decimal with at most 18 decimals as an integer of 10**-18. Raises ValueError for one with more."""
    numerator, denominator = value.as_integer_ratio()
    factor, rest = divmod(SCALE, denominator)
    if rest:
        raise ValueError(f"{value} has more than 18 decimals")
    return numerator * factor


@dataclass(frozen=True, slots=True)
class _Tier:
    """(lower, upper] of the month's quantity; it is charged from `start` on, where neither below nor free."""

    lower: int
    upper: int | None
    start: int
    unit: int
    flat_fee: int


class Formula:
    """The amounts of one price. Immutable; made once for a version and used for every line."""

    __slots__ = (
        "_charged",
        "_charged_before",
        "_charged_from",
        "_connect_fee",
        "_first",
        "_free",
        "_lump",
        "_margin",
        "_maximum",
        "_minimum",
        "_minimum_quantity",
        "_model",
        "_next",
        "_plain",
        "_tiers",
        "_unit",
        "_whole_quantities",
        "counted",
        "denominator",
        "derived",
        "per_unit",
    )

    def __init__(self, price: Price) -> None:
        # An amount is quantity × unit price / per_quantity: so unit prices count as they are, and sums of money,
        # such as the connect fee, times `_lump`, which is also the size of a package.
        self._lump = scaled(price.per_quantity)
        self.denominator = _PER_NANO * self._lump
        self.derived = price.derived
        self.counted = price.counted
        self._model = price.charge_model
        self._unit = scaled(price.unit_price if price.markup is None else price.markup)
        if self._model in (ChargeModel.PACKAGE, ChargeModel.FLAT):
            self._unit *= self._lump
        self._first = _optional(price.increment_first)
        self._next = _optional(price.increment_next)
        self._minimum_quantity = scaled(price.minimum_quantity)
        self._free = scaled(price.free_quantity)
        self._connect_fee = scaled(price.connect_fee) * self._lump
        self._minimum = _optional(price.minimum_charge, self._lump)
        self._maximum = _optional(price.maximum_charge, self._lump)
        self._margin = 100 * SCALE + (_optional(price.margin_percent) or 0)
        self._sum_up(tuple(_tiers(price, self._free, self._lump)))
        self._whole_quantities = self._first is None and not self._minimum_quantity
        self._plain = (
            self._model is ChargeModel.PER_UNIT
            and not self._free
            and not self._connect_fee
            and self._minimum is None
            and self._maximum is None
        )
        if self._plain:  # Then only the ratio counts, and small integers are quicker.
            common = gcd(self._unit, self.denominator)
            self._unit //= common
            self.denominator //= common
        #: What a unit costs, for a price that is nothing but quantity × unit price.
        self.per_unit = self._unit if self._plain and self._whole_quantities and not self.derived else None

    def refined(self, factor: int) -> Self:
        """The same price for quantities that are integers of 10**-18 / `factor`."""
        new = copy(self)
        new.denominator *= factor
        new._lump *= factor
        if self._model in (ChargeModel.PACKAGE, ChargeModel.FLAT):
            new._unit *= factor
        new._first = None if self._first is None else self._first * factor
        new._next = None if self._next is None else self._next * factor
        new._minimum_quantity *= factor
        new._free *= factor
        new._connect_fee *= factor
        new._minimum = None if self._minimum is None else self._minimum * factor
        new._maximum = None if self._maximum is None else self._maximum * factor
        new._sum_up(
            tuple(
                _Tier(
                    tier.lower * factor,
                    None if tier.upper is None else tier.upper * factor,
                    tier.start * factor,
                    tier.unit,
                    tier.flat_fee * factor,
                )
                for tier in self._tiers
            )
        )
        return new

    def _sum_up(self, tiers: tuple[_Tier, ...]) -> None:
        """Keep the tiers, and of those that are not wholly free what is charged before each."""
        self._tiers = tiers
        self._charged = tuple(tier for tier in tiers if tier.upper is None or tier.upper > tier.start)
        self._charged_from = [tier.start for tier in self._charged]
        whole = (tier.flat_fee + ((tier.upper or tier.start) - tier.start) * tier.unit for tier in self._charged)
        self._charged_before = list(accumulate(whole, initial=0))

    def billed(self, quantity: int) -> int:
        """The quantity after minimum and increments; 0 stays 0."""
        if self._whole_quantities or not quantity:
            return quantity
        quantity = max(quantity, self._minimum_quantity)
        first, following = self._first, self._next
        if first is None or following is None:
            return quantity
        if quantity <= first:
            return first
        return first - (first - quantity) // following * following

    def amount(self, billed: int, before: int) -> int:
        """The amount of a billed quantity when the month has seen `before` on its counter."""
        if self._plain:
            return billed * self._unit
        if not billed:
            return 0
        charged = min(billed, max(0, before + billed - self._free)) if self._free else billed
        match self._model:
            case ChargeModel.GRADUATED:
                usage = self._integral(before + billed) - self._integral(before)
            case ChargeModel.VOLUME:
                usage = _at_tier(self._tier_of(before + billed), charged)
            case ChargeModel.PACKAGE:
                usage = -(-charged // self._lump) * self._unit
            case ChargeModel.FLAT:
                usage = self._unit
            case _:
                usage = charged * self._unit
        return self._bounded(usage, charged)

    def from_cost(self, billed: int, cost: int, cost_denominator: int) -> tuple[int, int]:
        """The derived amount with its own denominator: the cost with margin, or with the markup."""
        if not billed:
            return 0, 1
        share = cost_denominator * 100 * SCALE
        amount = cost * self._margin * self.denominator + (billed * self._unit + self._connect_fee) * share
        if self._minimum is not None:
            amount = max(amount, self._minimum * share)
        if self._maximum is not None:
            amount = min(amount, self._maximum * share)
        return amount, self.denominator * share

    def most(self, billed: int, least_before: int, most_before: int) -> int:
        """The most that any quantity up to this one comes to, begun anywhere between the two positions of the month.

        It never falls when a quantity or `most_before` grows. A price that gets cheaper with more is taken at its
        dearest: VOLUME at every tier in reach, GRADUATED from every position in reach.
        """
        if not billed:
            return 0
        match self._model:
            case ChargeModel.GRADUATED:
                return max(self.amount(billed, s) for s in self._starts(billed, least_before, most_before))
            case ChargeModel.VOLUME:
                return self._most_of_tiers(billed, least_before, most_before)
            case _:
                return self.amount(billed, most_before)

    def _starts(self, billed: int, least: int, most: int) -> Iterator[int]:
        """The positions where an amount of this quantity can be highest: where it begins or ends at a tier's start."""
        yield least
        if least == most:
            return
        yield most
        for tier in self._tiers:
            for start in (tier.start, tier.start - billed, tier.start - billed + 1):
                if least < start < most:
                    yield start

    def _most_of_tiers(self, billed: int, least: int, most: int) -> int:
        best = 0
        for tier in self._tiers:
            end = most + billed if tier.upper is None else min(most + billed, tier.upper)
            quantity = min(billed, end - least)
            if least == most:
                quantity = self._billable_up_to(quantity)
                end = least + quantity
            if quantity > 0 and end > tier.lower:
                charged = max(0, min(quantity, end - self._free))
                best = max(best, self._bounded(_at_tier(tier, charged), charged))
        return best

    def _billable_up_to(self, quantity: int) -> int:
        """The largest billed quantity not above this one; 0 when there is none."""
        if quantity < self.billed(1):
            return 0
        if self._first is None or self._next is None:
            return quantity
        return self._first + (quantity - self._first) // self._next * self._next

    def _integral(self, position: int) -> int:
        """What the month's first `position` units cost."""
        last = bisect_left(self._charged_from, position) - 1
        if last < 0:
            return 0
        tier = self._charged[last]
        return self._charged_before[last] + tier.flat_fee + (position - tier.start) * tier.unit

    def _tier_of(self, position: int) -> _Tier:
        return next(tier for tier in self._tiers if tier.upper is None or position <= tier.upper)

    def _bounded(self, usage: int, charged: int) -> int:
        usage += self._connect_fee
        if charged and self._minimum is not None:
            usage = max(usage, self._minimum)
        return usage if self._maximum is None else min(usage, self._maximum)


def _optional(value: Decimal | None, factor: int = 1) -> int | None:
    return None if value is None else scaled(value) * factor


def _tiers(price: Price, free: int, lump: int) -> Iterator[_Tier]:
    lower = 0
    for tier in price.tiers:
        upper = _optional(tier.up_to)
        yield _Tier(lower, upper, max(lower, free), scaled(tier.unit_price), scaled(tier.flat_fee) * lump)
        lower = upper or 0


def _at_tier(tier: _Tier, charged: int) -> int:
    return charged * tier.unit + tier.flat_fee if charged else 0
