"""A process's cache of prices against a real database: nothing is missed, nothing is loaded twice."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from imprest_server.core.ids import AccountId, TenantId, uuid7
from imprest_server.core.usage import UsageLine, UsageReport
from imprest_server.db.pool import connect_engine
from imprest_server.ledger.model import Account
from imprest_server.ledger.rating import Basis
from imprest_server.posting.prices import Prices
from imprest_server.pricing import cache as cache_module
from imprest_server.pricing import store
from imprest_server.pricing.cache import PriceCache
from imprest_server.pricing.model import (
    Assignment,
    BookSide,
    ChargeModel,
    Price,
    PriceBook,
    PriceBookId,
    PriceVersion,
    PriceVersionId,
    Tier,
)
from imprest_server.pricing.rows import price_of
from imprest_server.pricing.rules import Payer, PriceTable, matching
from imprest_server.pricing.rules.formula import Formula
from tests.conftest import Database
from tests.support.ledger import LIMITS
from tests.support.prices import shop_on

TENANT = TenantId("default")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PAYER = Payer(TENANT, AccountId("a"), None, "USD", "UTC")
ACCOUNT = Account(tenant_id=TENANT, account_id=AccountId("a"), currency_code="USD")

Connection = psycopg.AsyncConnection[Any]


@asynccontextmanager
async def transaction(connection: Connection) -> AsyncIterator[Connection]:
    """A transaction of the default tenant that is committed."""
    async with connection.transaction():
        await connection.execute("SELECT set_config('imprest.tenants', 'default', true)")
        yield connection


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[Connection]:
    async with await connect_engine(database.app_dsn, **LIMITS) as connection:
        yield connection


@pytest.fixture
async def other(database: Database) -> AsyncIterator[Connection]:
    """Another process's connection."""
    async with await connect_engine(database.app_dsn, **LIMITS) as connection:
        yield connection


async def add_version(
    connection: Connection, prices: list[Price], *, book: str = "retail", number: int = 1
) -> PriceVersionId:
    """Publish a version by hand; the first of a book creates it and makes it the tenant's default."""
    version_id = PriceVersionId(uuid7())
    async with transaction(connection):
        await store.insert_prices(connection, TENANT, version_id, prices)
        epoch, now = await store.lock_tenant(connection, TENANT)
        price_book_id = PriceBookId(book)
        if number == 1:
            side, currency = BookSide.SALE, "USD"
            await store.insert_book(
                connection,
                PriceBook(
                    tenant_id=TENANT, price_book_id=price_book_id, side=side, currency_code=currency, create_time=now
                ),
                epoch + 1,
            )
            assignment = Assignment(
                side=side,
                currency_code=currency,
                account_id=None,
                price_book_id=price_book_id,
                epoch=epoch + 1,
                effective_time=LONG_AGO,
            )
            await store.insert_assignment(connection, TENANT, assignment, now)
        version = PriceVersion(
            price_book_id=price_book_id,
            version_id=version_id,
            number=number,
            epoch=epoch + 1,
            effective_time=LONG_AGO,
            create_time=now,
        )
        await store.insert_version(connection, TENANT, version)
        await store.set_epoch(connection, TENANT, epoch + 1)
    return version_id


async def in_force(connection: Connection, cache: PriceCache, epoch: int | None = None) -> list[PriceVersionId]:
    """The SALE versions of an account, as known at an epoch (None: the newest)."""
    async with transaction(connection):
        newest = await store.read_epoch(connection, TENANT)
        catalog = await cache.catalog(connection, TENANT, newest)
        chains = catalog.chains(PAYER, newest if epoch is None else epoch, NOW)
        return [link.version.version_id for link in chains.sale]


def price(model: str, **fields: Any) -> Price:
    return Price(meter="llm.input_tokens", model=model, **{"unit_price": Decimal("0.5"), **fields})


async def test_a_version_of_another_process_is_seen_by_the_next_load(connection: Connection, other: Connection) -> None:
    cache, others = PriceCache(), PriceCache()
    first = await add_version(other, [price("one")])
    assert await in_force(connection, cache) == [first]
    second = await add_version(other, [price("two")], number=2)
    assert await in_force(connection, cache) == [second]
    assert await in_force(other, others) == [second]
    for known in (cache, others):
        assert await in_force(connection, known, epoch=1) == [first]
        assert await in_force(connection, known, epoch=0) == []


async def test_only_what_is_missing_is_loaded(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogs: list[tuple[int, int]] = []
    versions: list[int] = []
    load_catalog, load_prices = cache_module.load_catalog, cache_module.load_prices

    async def counted_catalog(conn: Connection, tenant_id: TenantId, after: int, epoch: int) -> store.CatalogRows:
        catalogs.append((after, epoch))
        return await load_catalog(conn, tenant_id, after, epoch)

    async def counted_prices(conn: Connection, keys: list[cache_module.VersionKey]) -> Any:
        versions.append(len(keys))
        return await load_prices(conn, keys)

    monkeypatch.setattr(cache_module, "load_catalog", counted_catalog)
    monkeypatch.setattr(cache_module, "load_prices", counted_prices)
    cache = PriceCache()
    first = await add_version(connection, [price("one")])
    for _ in range(3):
        await in_force(connection, cache)
    second = await add_version(connection, [price("two")], number=2)
    for _ in range(3):
        await in_force(connection, cache)
    assert catalogs == [(0, 1), (1, 2)]
    async with transaction(connection):
        for wanted in ([first], [first, second], [second, first]):
            tables = await cache.tables(connection, [(TENANT, version) for version in wanted])
            assert set(tables) == set(wanted)
    assert versions == [1, 1]


async def test_what_was_loaded_stays_when_the_next_version_cannot_be(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a lane whose time is up would begin at the beginning for ever."""
    keys = [(TENANT, await add_version(connection, [price(f"{n}")], number=n)) for n in (1, 2)]
    load_prices, loads = store.load_prices, 0

    async def once(conn: Connection, keys: list[cache_module.VersionKey]) -> Any:
        nonlocal loads
        loads += 1
        if loads == 2:
            raise psycopg.OperationalError("the connection is lost")
        return await load_prices(conn, keys)

    monkeypatch.setattr(cache_module, "load_prices", once)
    cache = PriceCache()
    async with transaction(connection):
        with pytest.raises(psycopg.OperationalError):
            await cache.tables(connection, keys)
        assert set(await cache.tables(connection, keys)) == {version_id for _, version_id in keys}
    assert loads == 3


async def test_who_publishes_has_the_prices_already(database: Database) -> None:
    async with shop_on(database) as shop:
        await shop.open(BookSide.SALE, [price("m", unit_price=Decimal("0.50"))])
        again = await shop.publish(PriceBookId("sale"), [price("m", unit_price=Decimal("0.75"))])
        assert [version_id for _, version_id in shop.admin._cache._tables][-1:] == [again]
        (table, count) = shop.admin._cache._tables[TENANT, again]
        found = table.find(UsageLine(meter="llm.input_tokens", model="m", quantity=Decimal(1)))
        assert (count, found and found.unit_price) == (1, Decimal("0.75"))


async def test_loading_twice_at_once_adds_rows_once(connection: Connection, other: Connection) -> None:
    """Two tasks that find the same epoch missing: the slower one's rows are dropped, or asked for again."""
    cache = PriceCache()
    await add_version(connection, [price("one")])
    async with transaction(connection), transaction(other):
        stale = await store.load_catalog(other, TENANT, 0, 1)
        load_catalog = cache_module.load_catalog

        async def overtaken(conn: Connection, tenant_id: TenantId, after: int, epoch: int) -> store.CatalogRows:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(cache_module, "load_catalog", load_catalog)
                await cache.catalog(conn, tenant_id, epoch)
            return stale

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cache_module, "load_catalog", overtaken)
            catalog = await cache.catalog(connection, TENANT, 1)
        assert catalog.epoch == 1
        assert [len(history._entries) for history in catalog._versions.values()] == [1]


async def test_no_more_than_the_epoch_that_was_read(connection: Connection) -> None:
    """Statements have snapshots of their own: a later one may see rows whose fellows an earlier one could not."""
    await add_version(connection, [price("one")])
    await add_version(connection, [price("two")], number=2)
    async with transaction(connection):
        loaded = await store.load_catalog(connection, TENANT, 0, 1)
        assert ([v.number for v in loaded.versions], len(loaded.books), len(loaded.assignments)) == ([1], 1, 1)


async def test_an_uncommitted_version_is_not_seen(connection: Connection, other: Connection) -> None:
    cache = PriceCache()
    first = await add_version(connection, [price("one")])
    async with transaction(other):
        epoch, now = await store.lock_tenant(other, TENANT)
        version = PriceVersion(
            price_book_id=PriceBookId("retail"),
            version_id=PriceVersionId(uuid7()),
            number=2,
            epoch=epoch + 1,
            effective_time=LONG_AGO,
            create_time=now,
        )
        await store.insert_version(other, TENANT, version)
        await store.set_epoch(other, TENANT, epoch + 1)
        assert await in_force(connection, cache) == [first]
    assert await in_force(connection, cache) == [version.version_id]


async def test_every_field_comes_back(connection: Connection) -> None:
    smallest, largest = Decimal("1e-18"), Decimal("99999999999999999999.999999999999999999")
    odd = 'quote " backslash \\ brace } comma , NULL'
    written = [
        Price(
            meter="telephony.outbound_seconds",
            provider=odd,
            model="NULL",
            destination_prefix="49",
            charge_model=ChargeModel.GRADUATED,
            tiers=(
                Tier(up_to=Decimal(500), unit_price=smallest, flat_fee=Decimal("0.1")),
                Tier(up_to=None, unit_price=largest),
            ),
            per_quantity=Decimal(60),
            increment_first=Decimal(30),
            increment_next=Decimal(6),
            minimum_quantity=Decimal(30),
            connect_fee=smallest,
            minimum_charge=Decimal("0.01"),
            maximum_charge=largest,
            free_quantity=Decimal("1e3"),
            source="list price, 2026-01-01",
        ),
        Price(meter="llm.*", margin_percent=Decimal("-12.5")),
        Price(meter="*", markup=Decimal("0.000000546875"), per_quantity=Decimal(1000000)),
        Price(meter="api.requests", charge_model=ChargeModel.FLAT, unit_price=largest),
    ]
    version_id = await add_version(connection, written)
    async with transaction(connection):
        loaded = await store.load_prices(connection, [(TENANT, version_id)])
    assert {p.key: p for p in loaded[version_id]} == {p.key: p for p in written}


async def test_memory_is_bounded_by_the_number_of_prices(connection: Connection) -> None:
    cache = PriceCache(max_prices=5)
    versions = [
        await add_version(connection, [price(f"{book}{n}") for n in range(2)], book=book) for book in ("a", "b", "c")
    ]
    large = await add_version(connection, [price(f"l{n}") for n in range(9)], book="large")
    keys = [(TENANT, version) for version in versions]
    async with transaction(connection):
        tables = await cache.tables(connection, keys[:2])
        await cache.tables(connection, keys[:1])
        await cache.tables(connection, keys[2:])
        assert set(cache._tables) == {keys[0], keys[2]}  # the one used longest ago went
        assert tables[versions[1]].find(UsageLine(meter="llm.input_tokens", model="b1", quantity=Decimal(1)))
        both = await cache.tables(connection, [keys[0], (TENANT, large)])
        assert set(both) == {versions[0], large}  # what is asked for at once is given, however large
        assert set(cache._tables) == {(TENANT, large)}


async def test_a_lane_keeps_no_prices_that_the_cache_has_forgotten(connection: Connection) -> None:
    def tables() -> int:
        gc.collect()
        return sum(isinstance(found, PriceTable) for found in gc.get_objects())

    others = tables()
    prices = Prices(PriceCache(max_prices=5))
    basis = Basis(epoch=None, price_time=NOW, usage_time=NOW)
    usage = UsageReport(lines=(UsageLine(meter="llm.input_tokens", model="m1", quantity=Decimal(2)),))
    for number in range(1, 5):
        version_id = await add_version(connection, [price(f"m{n}") for n in range(3)], number=number)
        for _ in range(2):
            async with transaction(connection):
                loaded = await prices.load(connection, [(ACCOUNT, basis)], {TENANT: number})
            (line,) = loaded.capture(ACCOUNT, usage, basis, {}).lines
            assert (line.rated.price_version, line.rated.price) == (version_id, 10**9)
            del loaded
            assert tables() - others == 1


async def test_others_are_served_while_thousands_of_prices_are_loaded(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    version_id = await add_version(connection, [price(f"m{n}") for n in range(3_000)])
    read, most = 0, 0

    def counted(row: Any) -> Price:
        nonlocal read
        read += 1
        return price_of(row)

    def compiled(_: Price) -> Formula:
        raise AssertionError("a formula is made when it is first needed")

    async def others() -> None:
        nonlocal read, most
        while True:
            most = max(most, read)
            read = 0
            await asyncio.sleep(0)

    monkeypatch.setattr(store, "price_of", counted)
    monkeypatch.setattr(matching, "Formula", compiled)
    served = asyncio.create_task(others())
    async with transaction(connection):
        tables = await PriceCache().tables(connection, [(TENANT, version_id)])
    served.cancel()
    monkeypatch.undo()
    assert 0 < most <= 500
    found = tables[version_id].entry(UsageLine(meter="llm.input_tokens", model="m2999", quantity=Decimal(1)))
    assert found is not None and found.formula is found.formula


async def test_nothing_of_another_tenant(connection: Connection, database: Database) -> None:
    version_id = await add_version(connection, [price("one")])
    with psycopg.connect(database.owner_dsn) as owner:
        owner.execute("INSERT INTO tenants (tenant_id, create_time) VALUES ('other', now())")
    async with connection.transaction():
        await connection.execute("SELECT set_config('imprest.tenants', 'other', true)")
        assert await store.read_epoch(connection, TENANT) == 0
        assert (await store.load_catalog(connection, TENANT, 0, 9)).books == []
        assert await store.load_prices(connection, [(TENANT, version_id)]) == {version_id: []}
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            await store.insert_prices(connection, TENANT, version_id, [price("two")])
