"""Prices for tests: of the scenarios' units, in memory and in a database."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from imprest_server.core.ids import AccountId, TenantId, uuid7
from imprest_server.core.usage import UsageLine, UsageReport
from imprest_server.db.pool import read_pool
from imprest_server.ledger.operations import Operation
from imprest_server.ledger.rules import bases
from imprest_server.ledger.working_set import Ledger
from imprest_server.posting.prices import BatchPrices
from imprest_server.pricing.cache import PriceCache
from imprest_server.pricing.model import (
    Assignment,
    BookSide,
    Price,
    PriceBook,
    PriceBookId,
    PriceVersion,
    PriceVersionId,
)
from imprest_server.pricing.operations import AssignPriceBook, CreatePriceBook, PublishPrices
from imprest_server.pricing.rules import Catalog, Payer, PriceTable, Tariff
from imprest_server.pricing.service import PriceAdmin
from tests.conftest import Database
from tests.scenarios.contract import UNIT_COST, UNIT_METER, UNIT_PRICE
from tests.support.ledger import LIMITS

TENANT = TenantId("default")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)

SALE, COST = BookSide.SALE, BookSide.COST


def unit(price: Decimal | str, meter: str = UNIT_METER, **fields: object) -> Price:
    """A price per unit."""
    return Price(meter=meter, unit_price=Decimal(price), **fields)  # type: ignore[arg-type]


def units(quantity: Decimal | str | int, line_id: str = "", meter: str = UNIT_METER, **fields: object) -> UsageReport:
    """A report of one line."""
    line = UsageLine(meter=meter, quantity=Decimal(quantity), line_id=line_id)
    return UsageReport(lines=(line,), **fields)  # type: ignore[arg-type]


def _version(book: PriceBook, number: int, epoch: int, effective_time: datetime) -> PriceVersion:
    return PriceVersion(
        price_book_id=book.price_book_id,
        version_id=PriceVersionId(uuid7()),
        number=number,
        epoch=epoch,
        effective_time=effective_time,
        create_time=LONG_AGO,
    )


def _default(book: PriceBook, epoch: int) -> Assignment:
    return Assignment(
        side=book.side,
        currency_code=book.currency_code,
        account_id=None,
        price_book_id=book.price_book_id,
        epoch=epoch,
        effective_time=LONG_AGO,
    )


class MemoryPrices:
    """One tenant's default books, in memory; each publication is an epoch."""

    def __init__(self) -> None:
        self.catalog = Catalog()
        self.tables: dict[PriceVersionId, PriceTable] = {}

    def publish(self, side: BookSide, prices: Iterable[Price], effective_time: datetime = LONG_AGO) -> None:
        """A new version of the side's book, which is the tenant's default."""
        book = PriceBook(
            tenant_id=TENANT, price_book_id=PriceBookId(side), side=side, currency_code="USD", create_time=LONG_AGO
        )
        epoch = self.catalog.epoch + 1
        version = _version(book, len(self.tables) + 1, epoch, effective_time)
        assignment = _default(book, epoch)
        self.tables[version.version_id] = PriceTable(prices)
        self.catalog.add([book], [version], [assignment], epoch=epoch)

    def rating(self, ledger: Ledger, operations: Sequence[Operation], now: datetime) -> BatchPrices:
        """What the operations are rated by."""
        tariffs = {}
        for account, basis in (needed for op in operations for needed in bases(ledger, op, now)):
            payer = Payer(
                account.tenant_id,
                account.account_id,
                account.parent_account_id,
                account.currency_code,
                account.time_zone,
            )
            epoch = self.catalog.epoch if basis.epoch is None else basis.epoch
            chains = self.catalog.chains(payer, epoch, basis.price_time)
            if basis.else_time is not None:
                chains = chains.or_else(self.catalog.chains(payer, self.catalog.epoch, basis.else_time))
            tariffs[account.key, basis.epoch, basis.price_time] = Tariff(chains, self.tables)
        return BatchPrices(tariffs, {TENANT: self.catalog.epoch})


UNIT_PRICES = MemoryPrices()
UNIT_PRICES.publish(SALE, [unit(UNIT_PRICE)])
UNIT_PRICES.publish(COST, [unit(UNIT_COST)])


@dataclass
class Shop:
    """Publishes prices in a database, as the server does."""

    admin: PriceAdmin
    _keys: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def _key(self) -> dict[str, Any]:
        return {"tenant_id": TENANT, "idempotency_key": f"price-{next(self._keys)}"}

    async def open(
        self, side: BookSide, prices: Sequence[Price], *, book: str = "", account_id: AccountId | None = None
    ) -> PriceBookId:
        """A new book in US dollars with these prices, for the account or as the default of the tenant's accounts."""
        book_id = PriceBookId(book or side.value.lower())
        await self.admin.create_book(
            CreatePriceBook(**self._key(), price_book_id=book_id, side=side, currency_code="USD", display_name=book_id)
        )
        await self.publish(book_id, prices)
        await self.admin.assign(AssignPriceBook(**self._key(), account_id=account_id, price_book_id=book_id))
        return book_id

    async def publish(
        self, book_id: PriceBookId, prices: Sequence[Price], effective_time: datetime | None = None
    ) -> PriceVersionId:
        """A new version of the book with exactly these prices, from now on unless said otherwise."""
        operation = PublishPrices(
            **self._key(), price_book_id=book_id, prices=prices, replace=True, effective_time=effective_time
        )
        version = (await self.admin.publish(operation)).value.version
        assert version is not None
        return version.version_id

    async def sell_units(self) -> None:
        """The prices of the scenarios' units."""
        await self.open(SALE, [unit(UNIT_PRICE)])
        await self.open(COST, [unit(UNIT_COST)])


@asynccontextmanager
async def shop_on(database: Database) -> AsyncIterator[Shop]:
    """A shop on the database, with a cache of its own."""
    async with read_pool(database.app_dsn, **LIMITS) as pool:
        yield Shop(PriceAdmin(pool, PriceCache()))
