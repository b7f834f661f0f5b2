"""A price compiled to integers: quantities in, exact amounts out.

Quantities are integers of 10**-18 of the meter's unit, or of a given fraction of that (`fraction`, for quantities
scaled by a ratio); amounts are numerators of nanos over the formula's denominator. Nothing here rounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from imprest_server.pricing.model import ChargeModel, Price

QUANTITY_SCALE: Final = 10**18
_PRICE_SCALE: Final = 10**18
#: Money is in nanos: a price's integer at _PRICE_SCALE is this many times too large.
_PER_NANO: Final = _PRICE_SCALE // 10**9


def scaled(value: Decimal) -> int:
    """A decimal with at most 18 decimals as an integer of 10**-18. Raises ValueError for one with more."""
    numerator, denominator = value.as_integer_ratio()
    factor, rest = divmod(QUANTITY_SCALE, denominator)
    if rest:
        raise ValueError(f"{value} has more than 18 decimals")
    return numerator * factor


@dataclass(frozen=True, slots=True)
class _Tier:
    """(lower, upper] of the month's quantity; amounts over the formula's denominator."""

    lower: int
    upper: int | None
    unit: int
    flat_fee: int


class Formula:
    """The amounts of one price. Immutable; made once for a version and used for every line."""

    __slots__ = (
        "_connect_fee",
        "_first",
        "_free",
        "_maximum",
        "_minimum",
        "_minimum_quantity",
        "_model",
        "_next",
        "_package",
        "_plain",
        "_tiers",
        "_unit",
        "counted",
        "denominator",
        "derived",
        "margin_denominator",
        "margin_numerator",
        "rounds_quantity",
    )

    def __init__(self, price: Price, fraction: int = 1) -> None:
        per_quantity = scaled(price.per_quantity)
        #: An amount is quantity × unit price: unit prices count as they are, lump sums times this.
        lump = fraction * per_quantity
        self.denominator = _PER_NANO * lump

        def amount(value: Decimal | None) -> int | None:
            return None if value is None else scaled(value) * lump

        def quantity(value: Decimal | None) -> int | None:
            return None if value is None else scaled(value) * fraction

        self._model = price.charge_model
        self.derived = price.derived
        self.counted = price.counted
        self._unit = scaled(price.unit_price if price.markup is None else price.markup)
        if self._model in (ChargeModel.PACKAGE, ChargeModel.FLAT):
            self._unit *= lump
        self._package = lump
        self._first = quantity(price.increment_first)
        self._next = quantity(price.increment_next)
        self._minimum_quantity = quantity(price.minimum_quantity) or 0
        self._free = quantity(price.free_quantity) or 0
        self._connect_fee = amount(price.connect_fee) or 0
        self._minimum = amount(price.minimum_charge)
        self._maximum = amount(price.maximum_charge)
        self._tiers = self._compile_tiers(price, fraction, lump)
        self.rounds_quantity = self._first is not None or self._minimum_quantity > 0
        self._plain = (
            self._model is ChargeModel.PER_UNIT
            and not self.derived
            and not self._free
            and not self._connect_fee
            and self._minimum is None
            and self._maximum is None
        )
        margin = Decimal(0) if price.margin_percent is None else price.margin_percent
        self.margin_numerator = 100 * _PRICE_SCALE + scaled(margin)
        self.margin_denominator = 100 * _PRICE_SCALE

    @staticmethod
    def _compile_tiers(price: Price, fraction: int, lump: int) -> tuple[_Tier, ...]:
        tiers: list[_Tier] = []
        lower = 0
        for tier in price.tiers:
            upper = None if tier.up_to is None else scaled(tier.up_to) * fraction
            tiers.append(_Tier(lower, upper, scaled(tier.unit_price), scaled(tier.flat_fee) * lump))
            lower = upper or 0
        return tuple(tiers)

    def billed(self, quantity: int) -> int:
        """The quantity after minimum and increments; 0 stays 0."""
        if not self.rounds_quantity or not quantity:
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
        charged = billed
        if self._free:
            charged = min(billed, max(0, before + billed - self._free))
        match self._model:
            case ChargeModel.GRADUATED:
                usage = self._integral(before + billed) - self._integral(before)
            case ChargeModel.VOLUME:
                usage = self._at_tier(self._tier_of(before + billed), charged)
            case _:
                usage = self._usage(charged)
        return self._bounded(usage, charged)

    def most(self, billed: int, least_before: int, most_before: int) -> int:
        """The highest amount of any quantity up to this one, billed from anywhere between the two positions.

        Only VOLUME can get cheaper with more.
        """
        if self._model is not ChargeModel.VOLUME:
            return self.amount(billed, most_before)
        if not billed:
            return 0
        best = best_charged = 0
        for tier in self._tiers:
            end = most_before + billed
            if tier.upper is not None:
                end = min(end, tier.upper)
            quantity = min(billed, end - least_before)
            if least_before == most_before:
                quantity = self._billable_up_to(quantity)
                end = least_before + quantity
            if quantity <= 0 or end <= tier.lower:
                continue
            charged = max(0, min(quantity, end - self._free))
            best = max(best, self._at_tier(tier, charged))
            best_charged = max(best_charged, charged)
        return self._bounded(best, best_charged)

    def _billable_up_to(self, quantity: int) -> int:
        """The largest quantity that can be billed and is not above this one; 0 when there is none."""
        if quantity < self.billed(1):
            return 0
        first, following = self._first, self._next
        if first is None or following is None:
            return quantity
        return first + (quantity - first) // following * following

    def _usage(self, charged: int) -> int:
        match self._model:
            case ChargeModel.PACKAGE:
                return -(-charged // self._package) * self._unit
            case ChargeModel.FLAT:
                return self._unit
            case _:
                return charged * self._unit

    def _integral(self, position: int) -> int:
        """What the month's first `position` units cost; the free ones nothing."""
        total = 0
        for tier in self._tiers:
            start = max(tier.lower, self._free)
            if position <= start:
                break
            end = position if tier.upper is None else min(position, tier.upper)
            if end > start:
                total += tier.flat_fee + (end - start) * tier.unit
        return total

    def _tier_of(self, position: int) -> _Tier:
        for tier in self._tiers:
            if tier.upper is None or position <= tier.upper:
                return tier
        raise AssertionError("the last tier is open")

    @staticmethod
    def _at_tier(tier: _Tier, charged: int) -> int:
        return charged * tier.unit + tier.flat_fee if charged else 0

    def _bounded(self, usage: int, charged: int) -> int:
        """With the connect fee, and within minimum and maximum; free units alone meet no minimum."""
        usage += self._connect_fee
        if charged and self._minimum is not None and usage < self._minimum:
            usage = self._minimum
        if self._maximum is not None and usage > self._maximum:
            usage = self._maximum
        return usage

    def from_cost(self, billed: int, cost: int, cost_denominator: int) -> tuple[int, int]:
        """The derived amount, with its own denominator: margin on the cost, or the cost plus the markup."""
        if not billed:
            return 0, 1
        share = cost_denominator * self.margin_denominator
        denominator = self.denominator
        amount = cost * self.margin_numerator * denominator + (billed * self._unit + self._connect_fee) * share
        if self._minimum is not None:
            amount = max(amount, self._minimum * share)
        if self._maximum is not None:
            amount = min(amount, self._maximum * share)
        return amount, denominator * share
