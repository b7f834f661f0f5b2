"""Price books and prices between the wire and the core."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import TypeVar

from google.protobuf.message import Message

from imprest.v1 import price_pb2
from imprest_server.core.errors import InvalidArgument
from imprest_server.core.ids import format_price_version_id, parse_price_version_id
from imprest_server.pricing.meters import Meter
from imprest_server.pricing.model import (
    Assignment,
    BookSide,
    ChargeModel,
    Difference,
    ExchangeRate,
    Price,
    PriceBook,
    PriceVersion,
    PriceVersionId,
    Tier,
)
from imprest_server.pricing.operations import Published
from imprest_server.pricing.rules import Allocation
from imprest_server.transport.convert import EnumMap, parse_decimal, to_decimal, to_money, to_time

BOOK_SIDE = EnumMap(BookSide, price_pb2.BookSide, "BOOK_SIDE")
CHARGE_MODEL = EnumMap(ChargeModel, price_pb2.ChargeModel, "CHARGE_MODEL")

#: A list in a reply without pages has at most so many items, and so many bytes: gRPC clients receive 4 MiB by default.
MAX_LISTED = 5_000
MAX_LISTED_BYTES = 1_500_000

_ZERO, _ONE = Decimal(0), Decimal(1)

M = TypeVar("M", bound=Message)


def first_of(messages: Iterable[M]) -> list[M]:
    """As many from the beginning as a reply may list."""
    listed: list[M] = []
    size = 0
    for message in messages:
        size += message.ByteSize()
        if len(listed) == MAX_LISTED or size > MAX_LISTED_BYTES:
            break
        listed.append(message)
    return listed


def parse_version(text: str, field: str = "version_id") -> PriceVersionId:
    """A version's id of the right shape."""
    parsed = parse_price_version_id(text)
    if parsed is None:
        raise InvalidArgument(field=field, problem="must be ver_ and 32 hexadecimal digits" if text else "is required")
    return PriceVersionId(parsed)


def required_side(number: int, field: str) -> BookSide:
    """A side that must be given."""
    side = BOOK_SIDE.parse(number, field)
    if side is None:
        raise InvalidArgument(field=field, problem="is required")
    return side


# ── prices ───────────────────────────────────────────────────────────────────────────────────────────


def parse_prices(prices: Iterable[price_pb2.Price]) -> tuple[Price, ...]:
    """The prices of a request; what their values may be is checked with the book's side."""
    return tuple(_price_of(price, f"prices[{n}].") for n, price in enumerate(prices))


def _price_of(message: price_pb2.Price, path: str) -> Price:
    def optional(field: str) -> Decimal | None:
        return parse_decimal(message, field, path)

    def number(field: str, default: Decimal = _ZERO) -> Decimal:
        value = parse_decimal(message, field, path)
        return default if value is None else value

    return Price(
        meter=message.meter,
        provider=message.provider,
        model=message.model,
        destination_prefix=message.destination_prefix,
        charge_model=CHARGE_MODEL.parse(message.charge_model, f"{path}charge_model") or ChargeModel.PER_UNIT,
        unit_price=number("unit_price"),
        per_quantity=number("per_quantity", _ONE),
        tiers=tuple(_tier_of(tier, f"{path}tiers[{n}].") for n, tier in enumerate(message.tiers)),
        increment_first=optional("increment_first"),
        increment_next=optional("increment_next"),
        minimum_quantity=number("minimum_quantity"),
        connect_fee=number("connect_fee"),
        minimum_charge=optional("minimum_charge"),
        maximum_charge=optional("maximum_charge"),
        free_quantity=number("free_quantity"),
        margin_percent=optional("margin_percent"),
        markup=optional("markup"),
        source=message.source,
    )


def _tier_of(message: price_pb2.PriceTier, path: str) -> Tier:
    return Tier(
        up_to=parse_decimal(message, "up_to", path),
        unit_price=parse_decimal(message, "unit_price", path) or _ZERO,
        flat_fee=parse_decimal(message, "flat_fee", path) or _ZERO,
    )


def to_price(price: Price) -> price_pb2.Price:
    """A price; what has its default is left out, but for the unit price of a price that has one."""
    message = price_pb2.Price(
        meter=price.meter,
        provider=price.provider,
        model=price.model,
        destination_prefix=price.destination_prefix,
        charge_model=CHARGE_MODEL.to_proto[price.charge_model],
        tiers=[_to_tier(tier) for tier in price.tiers],
        source=price.source,
    )
    if not price.derived and not price.tiers:
        message.unit_price.CopyFrom(to_decimal(price.unit_price))
    if price.per_quantity != _ONE:
        message.per_quantity.CopyFrom(to_decimal(price.per_quantity))
    for field in ("minimum_quantity", "connect_fee", "free_quantity"):
        if value := getattr(price, field):
            getattr(message, field).CopyFrom(to_decimal(value))
    for field in (
        "increment_first",
        "increment_next",
        "minimum_charge",
        "maximum_charge",
        "margin_percent",
        "markup",
    ):
        if (value := getattr(price, field)) is not None:
            getattr(message, field).CopyFrom(to_decimal(value))
    return message


def _to_tier(tier: Tier) -> price_pb2.PriceTier:
    message = price_pb2.PriceTier(unit_price=to_decimal(tier.unit_price))
    if tier.up_to is not None:
        message.up_to.CopyFrom(to_decimal(tier.up_to))
    if tier.flat_fee:
        message.flat_fee.CopyFrom(to_decimal(tier.flat_fee))
    return message


def to_differences(differences: Iterable[Difference]) -> list[price_pb2.PriceDifference]:
    """The first differences."""
    return first_of(
        price_pb2.PriceDifference(
            before=None if difference.before is None else to_price(difference.before),
            after=None if difference.after is None else to_price(difference.after),
        )
        for difference in differences
    )


def to_summary(published: Published) -> price_pb2.PriceDifferenceSummary:
    """How many differences there are of each kind."""
    added = sum(1 for difference in published.differences if difference.before is None)
    removed = sum(1 for difference in published.differences if difference.after is None)
    return price_pb2.PriceDifferenceSummary(
        added=added,
        changed=len(published.differences) - added - removed,
        removed=removed,
        unchanged=published.unchanged,
    )


# ── books ────────────────────────────────────────────────────────────────────────────────────────────


def to_price_book(book: PriceBook) -> price_pb2.PriceBook:
    """A price book."""
    return price_pb2.PriceBook(
        price_book_id=book.price_book_id,
        side=BOOK_SIDE.to_proto[book.side],
        currency_code=book.currency_code,
        display_name=book.display_name,
        account_id=book.account_id or "",
        create_time=to_time(book.create_time),
    )


def to_version(version: PriceVersion) -> price_pb2.PriceVersion:
    """A version."""
    return price_pb2.PriceVersion(
        version_id=format_price_version_id(version.version_id),
        price_book_id=version.price_book_id,
        number=version.number,
        effective_time=to_time(version.effective_time),
        create_time=to_time(version.create_time),
        epoch=version.epoch,
    )


def to_optional_version(version: PriceVersion | None) -> price_pb2.PriceVersion | None:
    """A version, if there is one."""
    return None if version is None else to_version(version)


def to_assignment(assignment: Assignment) -> price_pb2.PriceAssignment:
    """An assignment."""
    return price_pb2.PriceAssignment(
        side=BOOK_SIDE.to_proto[assignment.side],
        currency_code=assignment.currency_code,
        account_id=assignment.account_id or "",
        price_book_id=assignment.price_book_id or "",
        effective_time=to_time(assignment.effective_time),
    )


def to_exchange_rate(rate: ExchangeRate) -> price_pb2.ExchangeRate:
    """An exchange rate."""
    return price_pb2.ExchangeRate(
        price_book_id=rate.price_book_id,
        currency_code=rate.currency_code,
        rate=to_decimal(rate.rate),
        effective_time=to_time(rate.effective_time),
    )


def to_allocation(allocation: Allocation, currency: str) -> price_pb2.Allocation:
    """A share of the operator's own costs."""
    return price_pb2.Allocation(
        meter=allocation.meter,
        cost=to_money(currency, allocation.cost),
        exact_cost=to_decimal(allocation.exact_cost),
        cost_version=format_price_version_id(allocation.cost_version),
        match=allocation.match,
    )


def to_meter(meter: Meter) -> price_pb2.Meter:
    """A meter."""
    return price_pb2.Meter(
        name=meter.name,
        category=meter.category,
        unit=meter.unit,
        description=meter.description,
        base=meter.base or "",
        by_destination=meter.by_destination,
    )
