"""What can be wrong with a list of prices by itself. Every problem is found, and names its price and field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from imprest_server.core.errors import InvalidArgument
from imprest_server.pricing.meters import CATEGORIES, EVERY_METER, METERS, nearest
from imprest_server.pricing.model import BookSide, ChargeModel, Difference, Price, PriceKey
from imprest_server.pricing.rules.values import Problem, number_problem, text_problem

MAX_DECIMALS = 18
MAX_TIERS = 100
MAX_NAME = 255
MAX_SOURCE = 1024
MAX_PREFIX = 15
#: Enough of a key to find the price by; names that are much too long need not be repeated.
_MAX_NAMED = 120

_TIERED = (ChargeModel.GRADUATED, ChargeModel.VOLUME)
#: Amounts that do not depend on the quantity, and so know neither increments nor free units.
_LUMP = (ChargeModel.FLAT, ChargeModel.PERCENTAGE)
_ALLOCATED = {
    "infrastructure": (ChargeModel.FLAT,),
    "fee": (ChargeModel.FLAT, ChargeModel.PERCENTAGE),
}


def check_prices(prices: Sequence[Price], side: BookSide, places: Sequence[str] = ()) -> None:
    """The prices may be published in a book of this side; raises InvalidArgument with every problem found.

    `places` says where each price stands in what was sent, if not in `prices[n]`.
    """
    if problems := price_problems(prices, side, places):
        raise InvalidArgument.of(problems)


def price_problems(prices: Sequence[Price], side: BookSide, places: Sequence[str] = ()) -> list[Problem]:
    """Every problem as (path of the field, what is wrong with it), in the order of the prices."""
    problems: list[Problem] = []
    first: dict[PriceKey, str] = {}
    for index, price in enumerate(prices):
        path = places[index] if places else f"prices[{index}]"
        problems.extend((f"{path}.{name}", f"{problem} ({named(price.key)})") for name, problem in _price(price, side))
        earlier = first.setdefault(price.key, path)
        if earlier != path:
            problems.append((path, f"is for the same as {earlier} ({named(price.key)})"))
    return problems


def differences(before: Iterable[Price], after: Iterable[Price]) -> list[Difference]:
    """What publishing `after` in place of `before` adds, removes and changes, ordered by key."""
    old = {price.key: price for price in before}
    new = {price.key: price for price in after}
    return [
        Difference(key, old.get(key), new.get(key))
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]


def named(key: PriceKey) -> str:
    """A price's key for people: `llm.input_tokens openai/gpt-4o`."""
    words = [key.meter or "no meter"]
    if key.provider or key.model:
        words.append(f"{key.provider or '*'}/{key.model or '*'}")
    if key.destination_prefix:
        words.append(f"to {key.destination_prefix}")
    return " ".join(words)[:_MAX_NAMED]


# ── one price ────────────────────────────────────────────────────────────────────────────────────────


def _price(price: Price, side: BookSide) -> Iterator[Problem]:
    numbers = list(_numbers(price))
    yield from _key(price)
    yield from numbers
    if numbers:
        return  # What is not a number cannot be compared.
    yield from _kind(price, side)
    yield from _quantities(price)
    if price.tiers or price.charge_model in _TIERED:
        yield from _tiers(price)
    least, most = price.minimum_charge, price.maximum_charge
    if least is not None and most is not None and least > most:
        yield "minimum_charge", "must not be above maximum_charge"


def _key(price: Price) -> Iterator[Problem]:
    category, by_destination = _scope(price.meter)
    if not price.meter:
        yield "meter", "is required"
    elif category is None:
        yield "meter", unknown_meter(price.meter[:MAX_NAME])
    elif price.meter not in METERS and not price.derived:
        yield "meter", "may stand for several meters only in a price derived from the cost"
    for name, text, limit in (
        ("provider", price.provider, MAX_NAME),
        ("model", price.model, MAX_NAME),
        ("source", price.source, MAX_SOURCE),
    ):
        if problem := text_problem(text, limit):
            yield name, problem
    prefix = price.destination_prefix
    if not prefix:
        return
    if not (prefix.isascii() and prefix.isdigit()) or len(prefix) > MAX_PREFIX:
        yield "destination_prefix", f"must be at most {MAX_PREFIX} digits, without the plus"
    if category is not None and not by_destination:
        yield "destination_prefix", "is only for meters of calls and messages, which have a destination"


def _scope(meter: str) -> tuple[str | None, bool]:
    """The category that a price's meter belongs to, and whether its lines have destinations; None: no such meter."""
    if (known := METERS.get(meter)) is not None:
        return known.category, known.by_destination
    if meter == EVERY_METER:
        return EVERY_METER, False
    category, dot, star = meter.partition(".")
    if dot and star == EVERY_METER and category in CATEGORIES and category not in _ALLOCATED:
        return category, any(m.by_destination for m in METERS.values() if m.category == category)
    return None, False


def unknown_meter(name: str) -> str:
    """What is wrong with a meter that is not in the catalogue, with the names most like it."""
    names = nearest(name)
    return "is not a meter" + (f"; did you mean {' or '.join(names)}?" if names else "")


def _numbers(price: Price) -> Iterator[Problem]:
    for name in (
        "unit_price",
        "per_quantity",
        "increment_first",
        "increment_next",
        "minimum_quantity",
        "connect_fee",
        "minimum_charge",
        "maximum_charge",
        "free_quantity",
        "margin_percent",
        "markup",
    ):
        value: Decimal | None = getattr(price, name)
        if value is not None and (problem := number_problem(value, MAX_DECIMALS)):
            yield name, problem
    for index, tier in enumerate(price.tiers):
        for name, value in (("up_to", tier.up_to), ("unit_price", tier.unit_price), ("flat_fee", tier.flat_fee)):
            if value is not None and (problem := number_problem(value, MAX_DECIMALS)):
                yield f"tiers[{index}].{name}", problem


def _kind(price: Price, side: BookSide) -> Iterator[Problem]:
    """What the side, the category and the charge model allow."""
    known = METERS.get(price.meter)
    if known is not None and known.is_allocation:
        yield from _allocation(price, side, _ALLOCATED[known.category])
    elif price.charge_model is ChargeModel.PERCENTAGE:
        yield "charge_model", "PERCENTAGE is only for meters of the category fee, in COST books"
    if price.derived:
        yield from _derived(price, side)
    if price.charge_model in _TIERED and price.unit_price:
        yield "unit_price", f"must be left out: {price.charge_model.value} has its prices in tiers"
    if price.charge_model in _LUMP:
        for name in ("increment_first", "increment_next", "minimum_quantity", "free_quantity"):
            if getattr(price, name):
                yield name, f"must be left out: {price.charge_model.value} does not depend on the quantity"
        if price.per_quantity != 1:
            yield "per_quantity", f"must be left out: {price.charge_model.value} does not depend on the quantity"


def _allocation(price: Price, side: BookSide, models: tuple[ChargeModel, ...]) -> Iterator[Problem]:
    if side is not BookSide.COST:
        yield "meter", "is a share of our own costs, only for COST books"
    if price.charge_model not in models:
        yield "charge_model", f"must be {' or '.join(model.value for model in models)} for this meter"
    for name in ("provider", "model"):
        if getattr(price, name):
            yield name, "must be left out: it counts for every call"


def _derived(price: Price, side: BookSide) -> Iterator[Problem]:
    if side is not BookSide.SALE:
        yield "margin_percent" if price.markup is None else "markup", "is only for SALE books"
    if price.margin_percent is not None and price.markup is not None:
        yield "markup", "must not stand beside margin_percent"
    if price.charge_model is not ChargeModel.PER_UNIT:
        yield "charge_model", "must be PER_UNIT in a price derived from the cost"
    for name in ("unit_price", "free_quantity"):
        if getattr(price, name):
            yield name, "must be left out in a price derived from the cost"
    if price.markup is None:
        for name in ("increment_first", "increment_next", "minimum_quantity"):
            if getattr(price, name):
                yield name, "must be left out beside margin_percent: the cost has its own"
        if price.per_quantity != 1:
            yield "per_quantity", "must be left out beside margin_percent"


def _quantities(price: Price) -> Iterator[Problem]:
    if not price.per_quantity:
        yield "per_quantity", "must be above zero"
    for name, value, other in (
        ("increment_first", price.increment_first, price.increment_next),
        ("increment_next", price.increment_next, price.increment_first),
    ):
        if value is None and other is not None:
            yield name, "is required beside the other increment"
        elif value is not None and not value:
            yield name, "must be above zero"


def _tiers(price: Price) -> Iterator[Problem]:
    if price.charge_model not in _TIERED:
        yield "tiers", "are only for GRADUATED and VOLUME"
        return
    if not price.tiers:
        yield "tiers", f"are required for {price.charge_model.value}"
        return
    if len(price.tiers) > MAX_TIERS:
        yield "tiers", f"must be at most {MAX_TIERS}, not {len(price.tiers)}"
    lower = Decimal(0)
    last = len(price.tiers) - 1
    for index, tier in enumerate(price.tiers):
        path = f"tiers[{index}].up_to"
        if index == last:
            if tier.up_to is not None:
                yield path, "must be left out in the last tier, which has no end"
        elif tier.up_to is None:
            yield path, "is required in every tier but the last"
        elif tier.up_to <= lower:
            yield path, f"must be above {lower:f}, where the tier begins"
        else:
            lower = tier.up_to
