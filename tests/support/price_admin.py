"""Prices on a real database: the writes and reads as the server builds them, with short ways to use them."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from imprest_server.core.ids import AccountId, TenantId
from imprest_server.core.usage import UsageLine, UsageReport
from imprest_server.db.pool import read_pool
from imprest_server.pricing import operations as ops
from imprest_server.pricing.cache import PriceCache
from imprest_server.pricing.model import Assignment, BookSide, Price, PriceBook, PriceBookId
from imprest_server.pricing.operations import Published, Written
from imprest_server.pricing.queries import PriceQueries
from imprest_server.pricing.quotes import Quotes
from imprest_server.pricing.service import PriceAdmin
from tests.conftest import Database
from tests.support.ledger import LIMITS

TENANT = TenantId("default")
INPUT, OUTPUT = "llm.input_tokens", "llm.output_tokens"


def price(meter: str = INPUT, unit_price: str = "0.5", **fields: Any) -> Price:
    """A price per unit for any provider and model."""
    return Price(meter=meter, unit_price=Decimal(unit_price), **fields)


def usage(quantity: str = "1", meter: str = INPUT, **fields: Any) -> UsageReport:
    """A report of one line."""
    return UsageReport(lines=(UsageLine(meter=meter, quantity=Decimal(quantity), **fields),))


@dataclass
class Shop:
    """What one process has of prices. Every request gets a new key unless one is given."""

    admin: PriceAdmin
    queries: PriceQueries
    quotes: Quotes
    cache: PriceCache
    _keys: Any

    def _fields(self, fields: dict[str, Any]) -> dict[str, Any]:
        return {"tenant_id": TENANT, "idempotency_key": next(self._keys), **fields}

    async def book(
        self, price_book_id: str | None, side: BookSide = BookSide.SALE, currency_code: str = "USD", **fields: Any
    ) -> Written[PriceBook]:
        """Create a book."""
        named = None if price_book_id is None else PriceBookId(price_book_id)
        content = {"price_book_id": named, "side": side, "currency_code": currency_code, "display_name": "", **fields}
        return await self.admin.create_book(ops.CreatePriceBook(**self._fields(content)))

    async def publish(self, price_book_id: str, *prices: Price, **fields: Any) -> Written[Published]:
        """Publish prices in a book."""
        content = {"price_book_id": PriceBookId(price_book_id), "prices": prices, **fields}
        return await self.admin.publish(ops.PublishPrices(**self._fields(content)))

    async def override(self, account_id: str, *prices: Price, **fields: Any) -> Written[Published]:
        """Publish prices of one account."""
        content = {"account_id": AccountId(account_id), "side": BookSide.SALE, "prices": prices, **fields}
        return await self.admin.set_override(ops.SetOverride(**self._fields(content)))

    async def assign(
        self, price_book_id: str | None, account_id: str | None = None, **fields: Any
    ) -> Written[Assignment]:
        """Assign a book to an account, or to the tenant."""
        book = None if price_book_id is None else PriceBookId(price_book_id)
        account = None if account_id is None else AccountId(account_id)
        content = {"price_book_id": book, "account_id": account, **fields}
        return await self.admin.assign(ops.AssignPriceBook(**self._fields(content)))

    async def rate(self, price_book_id: str, currency_code: str, rate: str, **fields: Any) -> Written[Any]:
        """Set an exchange rate."""
        content = {
            "price_book_id": PriceBookId(price_book_id),
            "currency_code": currency_code,
            "rate": Decimal(rate),
            **fields,
        }
        return await self.admin.set_exchange_rate(ops.SetExchangeRate(**self._fields(content)))

    async def asked(self, account_id: str, report: UsageReport | None = None, **fields: Any) -> int:
        """What an account would pay, in nanos."""
        return (await self.quotes.for_account(TENANT, AccountId(account_id), report or usage(), **fields)).price


@asynccontextmanager
async def open_shop(
    database: Database, *, prefix: str = "key", lock_timeout_ms: int = LIMITS["lock_timeout_ms"]
) -> AsyncIterator[Shop]:
    """One process's pool and cache; `prefix` keeps its keys apart from those of another."""
    async with read_pool(database.app_dsn, **{**LIMITS, "lock_timeout_ms": lock_timeout_ms}) as pool:
        cache = PriceCache()
        keys = (f"{prefix}-{n}" for n in itertools.count(1))
        yield Shop(PriceAdmin(pool, cache), PriceQueries(pool), Quotes(pool, cache), cache, keys)
