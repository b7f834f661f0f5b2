"""Quotes: what usage would cost, by the rules and the prices that posting uses; nothing is written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal

from imprest_server.core.errors import InvalidArgument, NotFound
from imprest_server.core.ids import AccountId, TenantId
from imprest_server.core.money import check_range
from imprest_server.core.usage import RatedLine, UsageReport
from imprest_server.db.pool import ReadPool
from imprest_server.pricing import store
from imprest_server.pricing.cache import PriceCache
from imprest_server.pricing.model import BookSide, PriceBookId
from imprest_server.pricing.rules import (
    Allocation,
    Catalog,
    Chains,
    Payer,
    Rounding,
    Tariff,
    allocate,
    check_usage,
    counter_keys,
    rate,
)
from imprest_server.pricing.store import Connection

_PERCENT_STEP = Decimal("0.000001")
# Wide enough for any two amounts, of which one may be a nano.
_WIDE = Context(prec=80, rounding=ROUND_HALF_EVEN)
_NOBODY = AccountId("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quoted:
    """A quote. Amounts are nanos of `currency_code`; `cost` is without allocations."""

    currency_code: str
    price: int
    cost: int
    lines: tuple[RatedLine, ...]
    allocations: tuple[Allocation, ...]

    @property
    def margin(self) -> int:
        """What is left of the price after cost and allocations; negative for a loss."""
        return self.price - self.cost - sum(allocation.cost for allocation in self.allocations)

    @property
    def margin_percent(self) -> Decimal | None:
        """The margin as percentage of the price, rounded half to even to 6 decimals; None for a price of 0."""
        if not self.price:
            return None
        return _WIDE.divide(100 * Decimal(self.margin), Decimal(self.price)).quantize(_PERCENT_STEP, context=_WIDE)


class Quotes:
    """Prices usage for readers. All raise InvalidArgument, NotFound, PriceNotFound, AmountOutOfRange, Unavailable."""

    def __init__(self, pool: ReadPool, cache: PriceCache) -> None:
        self._pool = pool
        self._cache = cache

    async def for_account(
        self, tenant_id: TenantId, account_id: AccountId, usage: UsageReport, at: datetime | None = None
    ) -> Quoted:
        """What an account would pay at an instant (None: when the usage began, else now), as its month stands."""

        async def chosen(conn: Connection, catalog: Catalog, epoch: int, at: datetime) -> tuple[Payer, Chains]:
            payer = await store.find_account(conn, tenant_id, account_id)
            return payer, catalog.chains(payer, epoch, at)

        return await self._quote(tenant_id, usage, at, chosen)

    async def for_book(
        self, tenant_id: TenantId, price_book_id: PriceBookId, usage: UsageReport, at: datetime | None = None
    ) -> Quoted:
        """What a SALE book asks of an account in its currency that has used nothing this month.

        Costs are those of the tenant's default books.
        """

        async def chosen(_: Connection, catalog: Catalog, epoch: int, at: datetime) -> tuple[Payer, Chains]:
            book = catalog.books.get(price_book_id)
            if book is None:
                raise NotFound(resource="price book", id=price_book_id)
            if book.side is not BookSide.SALE:
                raise InvalidArgument(field="price_book_id", problem="must be a SALE book")
            payer = Payer(tenant_id, _NOBODY, None, book.currency_code, "UTC")
            sale = catalog.chain_of(price_book_id, book.currency_code, epoch, at)
            return payer, Chains(sale=sale, cost=catalog.chains(payer, epoch, at).cost)

        return await self._quote(tenant_id, usage, at, chosen)

    async def _quote(
        self,
        tenant_id: TenantId,
        usage: UsageReport,
        at: datetime | None,
        chosen: Callable[[Connection, Catalog, int, datetime], Awaitable[tuple[Payer, Chains]]],
    ) -> Quoted:
        if not usage.lines:
            raise InvalidArgument(field="usage.lines", problem="must have at least one line")
        check_usage(usage)
        async with store.transaction(self._pool, tenant_id) as conn:
            epoch = await store.read_epoch(conn, tenant_id)
            catalog = await self._cache.catalog(conn, tenant_id, epoch)
            instant = at or usage.start_time or await store.clock(conn, tenant_id, epoch)
            payer, chains = await chosen(conn, catalog, epoch, instant)
            versions = [(tenant_id, version_id) for version_id in chains.version_ids]
            tariff = Tariff(chains, await self._cache.tables(conn, versions))
            keys = counter_keys(usage, tariff, payer, instant)
            counters = await store.load_counters(conn, keys) if keys and payer.account_id else {}
        rated = rate(usage, tariff, counters, payer, instant, Rounding.UP)
        quoted = Quoted(
            currency_code=payer.currency_code,
            price=rated.price,
            cost=rated.cost,
            lines=rated.lines,
            allocations=allocate(tariff, rated.price, Rounding.UP),
        )
        check_range(quoted.margin, "margin")
        return quoted
