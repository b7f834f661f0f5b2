"""Prices for tests: one tenant with one SALE and one COST book, and a tariff made of lists of prices."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from imprest_server.core.ids import AccountId, TenantId
from imprest_server.core.money import NANOS_PER_UNIT
from imprest_server.core.usage import UsageLine, UsageReport
from imprest_server.pricing.model import (
    BookSide,
    CounterKey,
    Price,
    PriceBook,
    PriceBookId,
    PriceVersion,
    PriceVersionId,
    Tier,
)
from imprest_server.pricing.rules import Chains, InForce, Payer, PriceTable, Rated, Rounding, Tariff, rate

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
TENANT = TenantId("t")
PAYER = Payer(TENANT, AccountId("a"), None, "EUR", "Europe/Berlin")
NOTHING: Mapping[CounterKey, Decimal] = {}

METER = "telephony.outbound_seconds"


def price(meter: str = METER, **fields: Any) -> Price:
    """A price; numbers may be given as text or int."""
    numbers = {
        name: Decimal(value) if isinstance(value, str | int) and name not in TEXTS else value
        for name, value in fields.items()
    }
    return Price(meter=meter, **numbers)


TEXTS = frozenset(["provider", "model", "destination_prefix", "source", "charge_model", "tiers"])


def tiers(*rows: tuple[str | int | None, str] | tuple[str | int | None, str, str]) -> tuple[Tier, ...]:
    """Tiers as (up_to, unit_price) or (up_to, unit_price, flat_fee)."""
    return tuple(
        Tier(
            up_to=None if row[0] is None else Decimal(row[0]),
            unit_price=Decimal(row[1]),
            flat_fee=Decimal(row[2] if len(row) > 2 else 0),
        )
        for row in rows
    )


def line(meter: str = METER, quantity: str | int | Decimal = 1, **fields: Any) -> UsageLine:
    return UsageLine(meter=meter, quantity=Decimal(quantity), **fields)


def report(*lines: UsageLine, **fields: Any) -> UsageReport:
    return UsageReport(lines=lines, **fields)


def book(name: str, side: BookSide, currency_code: str = "EUR", account_id: str | None = None) -> PriceBook:
    return PriceBook(
        tenant_id=TENANT,
        price_book_id=PriceBookId(name),
        side=side,
        currency_code=currency_code,
        account_id=None if account_id is None else AccountId(account_id),
        create_time=NOW,
    )


def version(name: str, number: int = 1, *, epoch: int = 1, effective_time: datetime = NOW) -> PriceVersion:
    return PriceVersion(
        price_book_id=PriceBookId(name),
        version_id=PriceVersionId(UUID(bytes=f"{name:>12}{number:>4}".encode())),
        number=number,
        epoch=epoch,
        effective_time=effective_time,
        create_time=NOW,
    )


def tariff_of(*levels: tuple[PriceBook, Decimal | None, Sequence[Price]]) -> Tariff:
    """A tariff of books in the order of their chains, with exchange rate and prices."""
    links = [InForce(b, version(b.price_book_id), "EUR", exchange_rate) for b, exchange_rate, _ in levels]
    tables = {link.version.version_id: PriceTable(row[2]) for link, row in zip(links, levels, strict=True)}
    return Tariff(
        Chains(
            sale=tuple(link for link in links if link.book.side is BookSide.SALE),
            cost=tuple(link for link in links if link.book.side is BookSide.COST),
        ),
        tables,
    )


def tariff(
    sale: Sequence[Price], cost: Sequence[Price] = (), *, exchange_rate: str | None = "1", currency_code: str = "EUR"
) -> Tariff:
    """A tariff of one SALE book and one COST book."""
    converted = None if exchange_rate is None else Decimal(exchange_rate)
    return tariff_of(
        (book("sale", BookSide.SALE), Decimal(1), sale),
        (book("cost", BookSide.COST, currency_code), converted, cost),
    )


def rated(
    usage: UsageReport,
    prices: Tariff,
    counters: Mapping[CounterKey, Decimal] = NOTHING,
    rounding: Rounding = Rounding.HALF_EVEN,
    payer: Payer = PAYER,
    at: datetime = NOW,
) -> Rated:
    return rate(usage, prices, counters, payer, at, rounding)


def nanos(amount: str) -> int:
    """An amount of major units, exactly."""
    value = Decimal(amount) * NANOS_PER_UNIT
    assert value == int(value)
    return int(value)
