"""Writes of prices on a real Postgres: once per key, in one order for everybody, nothing lost to a race."""

# ruff: noqa: ASYNC110  # what is waited for happens in the database

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, LiteralString

import psycopg
import pytest

from imprest_server.core.errors import (
    Conflict,
    CurrencyMismatch,
    IdempotencyKeyReused,
    InvalidArgument,
    NotFound,
    PriceBookExists,
    PriceNotFound,
)
from imprest_server.core.ids import AccountId, TenantId
from imprest_server.ledger import operations as ledger_ops
from imprest_server.pricing.model import BookSide, ChargeModel, Price, PriceBookId
from imprest_server.pricing.operations import Published, Written
from imprest_server.pricing.validation import MAX_PRICES
from tests.conftest import Database
from tests.support import clock
from tests.support.ledger import House, house_on
from tests.support.price_admin import INPUT, OUTPUT, TENANT, Shop, open_shop, price, usage

TABLES = ("price_books", "price_versions", "prices", "price_assignments", "exchange_rates", "operations")


@pytest.fixture
async def shop(database: Database) -> AsyncIterator[Shop]:
    async with open_shop(database) as shop:
        yield shop


@pytest.fixture
async def other(database: Database) -> AsyncIterator[Shop]:
    """Another process."""
    async with open_shop(database, prefix="other") as other:
        yield other


@pytest.fixture
async def house(database: Database) -> AsyncIterator[House]:
    """A posting engine in a process of its own."""
    async with house_on(database) as house:
        yield house


def rows(database: Database) -> dict[str, int]:
    """The tenant's epoch, and how many rows the tables of prices have."""
    with psycopg.connect(database.owner_dsn) as owner:
        counts = ", ".join(f"(SELECT count(*) FROM {table})" for table in TABLES)
        row = owner.execute(f"SELECT price_epoch, {counts} FROM tenants WHERE tenant_id = 'default'").fetchone()  # type: ignore[arg-type]
    assert row is not None
    return dict(zip(("epoch", *TABLES), row, strict=True))


def changes(written: Written[Published]) -> list[tuple[str, str | None, str | None]]:
    """Differences in short: model (or meter), unit price before and after."""
    return [
        (
            d.key.model or d.key.meter,
            None if d.before is None else f"{d.before.unit_price:f}",
            None if d.after is None else f"{d.after.unit_price:f}",
        )
        for d in written.value.differences
    ]


async def listed(shop: Shop, book: str = "retail", **which: Any) -> dict[str, str]:
    """The prices of a book by model, or by meter."""
    found, _, token = await shop.queries.list_prices(TENANT, PriceBookId(book), page_size=1000, **which)
    assert token == ""
    return {p.model or p.meter: f"{p.unit_price:f}" for p in found}


# ── books and versions ───────────────────────────────────────────────────────────────────────────────


async def test_a_book_is_created_once(shop: Shop, database: Database) -> None:
    created = await shop.book("retail", display_name="Retail", idempotency_key="k")
    assert (created.value.price_book_id, created.value.display_name, created.replayed) == ("retail", "Retail", False)
    again = await shop.book("retail", display_name="Retail", idempotency_key="k")
    assert (again.value, again.replayed) == (created.value, True)
    with pytest.raises(IdempotencyKeyReused):
        await shop.book("retail", display_name="Other", idempotency_key="k")
    with pytest.raises(PriceBookExists, match="retail"):
        await shop.book("retail", BookSide.COST)
    made = await shop.book(None)
    assert made.value.price_book_id.startswith("pbk_")
    assert rows(database) | {"epoch": 2, "price_books": 2, "operations": 2} == rows(database)


@pytest.mark.parametrize("wrong", ["", "ä", "a" * 65, "ovr_1", "pbk_1", "a b"])
async def test_a_books_id_has_a_shape(shop: Shop, wrong: str) -> None:
    with pytest.raises(InvalidArgument, match=r"price_book\.price_book_id"):
        await shop.book(wrong)


async def test_versions_are_merged_or_replaced(shop: Shop, database: Database) -> None:
    await shop.book("retail")
    first = await shop.publish("retail", price(model="a"), price(model="b"))
    assert changes(first) == [("a", None, "0.5"), ("b", None, "0.5")]
    merged = await shop.publish("retail", price(model="b", unit_price="0.7"), price(model="c"))
    assert changes(merged) == [("b", "0.5", "0.7"), ("c", None, "0.5")]
    assert merged.value.unchanged == 1
    assert await listed(shop) == {"a": "0.5", "b": "0.7", "c": "0.5"}
    replaced = await shop.publish("retail", price(model="c"), replace=True)
    assert changes(replaced) == [("a", "0.5", None), ("b", "0.7", None)]
    assert await listed(shop) == {"c": "0.5"}
    numbers = [w.value.version.number for w in (first, merged, replaced) if w.value.version]
    assert numbers == [1, 2, 3]
    assert rows(database)["epoch"] == 4
    versions, _ = await shop.queries.list_versions(TENANT, PriceBookId("retail"))
    assert [(v.number, v.epoch) for v in versions] == [(3, 4), (2, 3), (1, 2)]


async def test_what_changes_nothing_makes_no_version(shop: Shop, database: Database) -> None:
    await shop.book("retail")
    assert (await shop.publish("retail")).value == Published(version=None)
    first = await shop.publish("retail", price(model="a"), price(model="b"))
    before = rows(database)
    same = await shop.publish("retail", price(model="a", unit_price="0.500"), idempotency_key="same")
    assert (same.value.version, same.value.differences, same.value.unchanged) == (first.value.version, (), 2)
    await shop.publish("retail", price(model="c"))
    again = await shop.publish("retail", price(model="a", unit_price="0.5"), idempotency_key="same")
    assert (again.value.version, again.value.unchanged, again.replayed) == (first.value.version, 2, True)
    assert rows(database)["price_versions"] == before["price_versions"] + 1


async def test_asking_writes_nothing(shop: Shop, house: House, database: Database) -> None:
    await house.open("a")
    await shop.book("retail")
    await shop.publish("retail", price(model="a"))
    before = rows(database)
    asked = await shop.publish("retail", price(model="b"), validate_only=True, idempotency_key="k")
    assert (changes(asked), asked.value.version) == ([("b", None, "0.5")], None)
    await shop.override("a", price(model="z"), validate_only=True)
    with pytest.raises(CurrencyMismatch):
        await shop.override("a", price(model="z"), currency_code="EUR", validate_only=True)
    with pytest.raises(InvalidArgument, match="is not a meter"):
        await shop.publish("retail", price("llm.input_token"), validate_only=True)
    assert rows(database) == before
    done = await shop.publish("retail", price(model="b"), idempotency_key="k")
    assert (changes(done), done.replayed) == ([("b", None, "0.5")], False)


async def test_a_retry_gets_the_first_answer(shop: Shop, other: Shop, database: Database) -> None:
    await shop.book("retail")
    await shop.publish("retail", price(model="a"), price(model="b"))
    first = await shop.publish("retail", price(model="a", unit_price="0.9"), idempotency_key="k")
    await other.publish("retail", price(model="a", unit_price="1"), price(model="c"))
    before = rows(database)
    for process in (shop, other):
        again = await process.publish("retail", price(model="a", unit_price="0.90"), idempotency_key="k")
        assert (again.value, again.replayed) == (first.value, True)
        with pytest.raises(IdempotencyKeyReused):
            await process.publish("retail", price(model="a", unit_price="0.91"), idempotency_key="k")
        with pytest.raises(IdempotencyKeyReused):
            await process.publish("retail", price(model="a", unit_price="0.9"), replace=True, idempotency_key="k")
    assert rows(database) == before


async def test_a_refusal_leaves_nothing_behind(shop: Shop, database: Database) -> None:
    await shop.book("retail")
    before = rows(database)
    with pytest.raises(InvalidArgument, match=r"prices\[1\]\.meter"):
        await shop.publish("retail", price(), price("llm.inputs"), idempotency_key="k")
    with pytest.raises(NotFound):
        await shop.publish("wholesale", price(), idempotency_key="k")
    assert rows(database) == before
    assert not (await shop.publish("retail", price(), idempotency_key="k")).replayed


async def test_too_many_prices(shop: Shop) -> None:
    await shop.book("retail")
    with pytest.raises(InvalidArgument, match="at most"):
        await shop.publish("retail", *[price(model=str(n)) for n in range(MAX_PRICES + 1)])


# ── when ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_versions_take_effect_when_they_say(shop: Shop, house: House) -> None:
    await house.open("a")
    await shop.book("retail")
    await shop.assign("retail")
    now = datetime.now(UTC)
    tomorrow, yesterday = now + timedelta(days=1), now - timedelta(days=1)
    await shop.publish("retail", price(unit_price="1"))
    await shop.publish("retail", price(unit_price="3"), effective_time=tomorrow)
    assert await shop.asked("a") == 1_000_000_000
    assert await shop.asked("a", at=tomorrow) == 3_000_000_000
    with pytest.raises(PriceNotFound):
        await shop.asked("a", at=yesterday)
    # The assignment, too, is of now.
    await shop.publish("retail", price(unit_price="7"), effective_time=yesterday)
    await shop.assign("retail", effective_time=yesterday)
    assert await shop.asked("a", at=yesterday) == 7_000_000_000
    assert await shop.asked("a") == 1_000_000_000
    merged = await shop.publish("retail", price(OUTPUT, unit_price="9"), effective_time=tomorrow)
    assert (merged.value.version is not None, merged.value.unchanged) == (True, 1)
    assert await listed(shop, which=tomorrow) == {INPUT: "3", OUTPUT: "9"}


async def test_what_is_published_later_holds_later_though_the_clock_steps_back(database: Database) -> None:
    """As after a failover to a machine that is behind: else a correction would be shadowed by what it corrects."""
    clock.install(database.owner_dsn)
    async with open_shop(database) as shop, house_on(database) as house:
        await house.open("a")
        await shop.book("retail")
        await shop.assign("retail")
        await shop.publish("retail", price(unit_price="1"))
        clock.advance(database.owner_dsn, -3600)
        await shop.publish("retail", price(unit_price="2"))
        assert await shop.asked("a") == 2_000_000_000
        await shop.override("a", price(unit_price="3"))
        await shop.override("a", price(unit_price="4"))
        assert await shop.asked("a") == 4_000_000_000


@pytest.mark.parametrize("days", [-36, 3700])
async def test_not_too_far_from_now(shop: Shop, days: int) -> None:
    await shop.book("cost", BookSide.COST)
    instant = datetime.now(UTC) + timedelta(days=days)
    for write in (
        shop.publish("cost", price(), effective_time=instant),
        shop.assign("cost", effective_time=instant),
        shop.rate("cost", "EUR", "0.9", effective_time=instant),
    ):
        with pytest.raises(InvalidArgument, match="effective_time"):
            await write


# ── who ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_nearest_book_prices_an_account(shop: Shop, house: House) -> None:
    await house.open("parent")
    await house.open("child", parent_account_id="parent")
    for amount, book in enumerate(("default", "parents", "own"), start=1):
        await shop.book(book)
        await shop.publish(book, price(unit_price=str(amount)))
    await shop.assign("default")
    assert await shop.asked("child") == 1_000_000_000
    await shop.assign("parents", "parent")
    assert await shop.asked("child") == 2_000_000_000
    await shop.assign("own", "child")
    assert await shop.asked("child") == 3_000_000_000
    await shop.override("child", price(unit_price="4"))
    assert await shop.asked("child") == 4_000_000_000
    assert await shop.asked("parent") == 2_000_000_000
    ended = await shop.override("child")
    assert changes(ended) == [(INPUT, "4", None)]
    assert await shop.asked("child") == 3_000_000_000
    await shop.assign(None, "child", side=BookSide.SALE)
    assert await shop.asked("child") == 2_000_000_000
    await shop.assign(None, "parent", side=BookSide.SALE)
    await shop.assign(None, side=BookSide.SALE, currency_code="USD")
    with pytest.raises(PriceNotFound):
        await shop.asked("child")


async def test_an_assignment_is_made_once(shop: Shop, house: House, database: Database) -> None:
    await house.open("a")
    await shop.book("retail")
    first = await shop.assign("retail", "a", idempotency_key="k")
    before = rows(database)
    again = await shop.assign("retail", "a", idempotency_key="k")
    assert (again.value, again.replayed) == (first.value, True)
    with pytest.raises(IdempotencyKeyReused):
        await shop.assign("retail", idempotency_key="k")
    assert rows(database) == before


async def test_a_denial_is_kept_with_its_key(shop: Shop, house: House, database: Database) -> None:
    await house.open("a")
    await shop.book("euros", currency_code="EUR")
    before = rows(database)
    for replayed in (False, True):
        with pytest.raises(CurrencyMismatch) as denial:
            await shop.assign("euros", "a", idempotency_key="k")
        assert denial.value.replayed is replayed
    assert rows(database) == before | {"operations": before["operations"] + 1}
    with pytest.raises(IdempotencyKeyReused):
        await shop.assign("euros", idempotency_key="k")


async def test_what_cannot_be_assigned(shop: Shop, house: House) -> None:
    await house.open("a")
    await shop.book("retail")
    overrides = await shop.override("a", price())
    assert overrides.value.version is not None
    for field, write in {
        "price_book_id": shop.assign(overrides.value.version.price_book_id, "a"),
        "side": shop.assign("retail", side=BookSide.COST),
        "currency_code": shop.assign("retail", currency_code="EUR"),
    }.items():
        with pytest.raises(InvalidArgument) as problem:
            await write
        assert problem.value.field == field
    with pytest.raises(InvalidArgument, match="SetOverride"):
        await shop.publish(overrides.value.version.price_book_id, price())
    for missing in (shop.assign("nothing"), shop.assign("retail", "nobody"), shop.override("nobody", price())):
        with pytest.raises(NotFound):
            await missing


async def test_a_cost_book_in_another_currency_needs_a_rate(shop: Shop, house: House) -> None:
    await house.open("a", currency_code="EUR")
    await shop.book("retail", currency_code="EUR")
    await shop.publish("retail", price(unit_price="2"))
    await shop.book("providers", BookSide.COST)
    await shop.publish("providers", price(unit_price="1"))
    await shop.assign("retail")
    await shop.assign("providers")
    with pytest.raises(PriceNotFound, match="exchange rate from USD to EUR"):
        await shop.asked("a")
    first = await shop.rate("providers", "EUR", "0.9", idempotency_key="k")
    assert (await shop.rate("providers", "EUR", "0.90", idempotency_key="k")).value == first.value
    quoted = await shop.quotes.for_account(TENANT, AccountId("a"), usage())
    assert (quoted.price, quoted.cost, quoted.margin) == (2_000_000_000, 900_000_000, 1_100_000_000)
    assert quoted.margin_percent == Decimal(55)
    for wrong in (
        shop.rate("retail", "USD", "1"),
        shop.rate("providers", "USD", "1"),
        shop.rate("providers", "EUR", "0"),
    ):
        with pytest.raises(InvalidArgument):
            await wrong


# ── several processes ────────────────────────────────────────────────────────────────────────────────


async def test_what_one_process_publishes_the_next_operation_of_another_is_priced_by(
    shop: Shop, other: Shop, house: House
) -> None:
    await house.open("a", credit=100)
    await shop.book("retail")
    await shop.assign("retail")
    for amount in (1, 2, 3):
        await shop.publish("retail", price(unit_price=str(amount)))
        reply = await house.do(ledger_ops.Charge, account_id="a", usage=usage("2"))
        assert reply.charge is not None
        assert reply.charge.charged == 2 * amount * 10**9
        assert await other.asked("a", usage("2")) == 2 * amount * 10**9


async def test_publishing_at_once_loses_nothing(shop: Shop, other: Shop, database: Database) -> None:
    """Every merge starts from the version before it, whoever published that."""
    await shop.book("retail")
    await asyncio.gather(
        *[process.publish("retail", price(model=f"{name}{n}")) for n in range(5) for name, process in
          (("a", shop), ("b", other))]
    )  # fmt: skip
    assert set(await listed(shop)) == {f"{name}{n}" for n in range(5) for name in "ab"}
    versions, _ = await shop.queries.list_versions(TENANT, PriceBookId("retail"))
    assert [version.number for version in versions] == list(range(10, 0, -1))
    assert [version.epoch for version in versions] == list(range(11, 1, -1))
    with psycopg.connect(database.owner_dsn) as owner:
        orphans = owner.execute(
            "SELECT count(*) FROM prices WHERE version_id NOT IN (SELECT version_id FROM price_versions)"
        )
        assert orphans.fetchone() == (0,)


async def test_twins_publish_once(shop: Shop, other: Shop, database: Database) -> None:
    await shop.book("retail")
    written = await asyncio.gather(
        *[process.publish("retail", price(model="a"), idempotency_key="k") for process in (shop, other) * 3]
    )
    assert sorted(w.replayed for w in written) == [False] + [True] * 5
    assert len({w.value.version for w in written}) == 1
    assert rows(database)["price_versions"] == 1
    assigned = await asyncio.gather(*[process.assign("retail", idempotency_key="k") for process in (shop, other) * 3])
    assert sorted(w.replayed for w in assigned) == [False] + [True] * 5
    assert len({w.value.epoch for w in assigned}) == 1
    assert rows(database)["price_assignments"] == 1


async def test_first_overrides_of_an_account_at_once(shop: Shop, other: Shop, house: House) -> None:
    """Both find no book of overrides; one makes it, the other publishes in it."""
    await house.open("a")
    await asyncio.gather(shop.override("a", price(model="x")), other.override("a", price(model="y")))
    ((book,), _) = await shop.queries.list_books(TENANT, account_id=AccountId("a"))
    assert set(await listed(shop, book.price_book_id)) == {"x", "y"}


# Somebody waits for a row that is locked, with new prices inserted already.
WAITING = """
SELECT 1 FROM pg_locks AS waiting
INNER JOIN pg_locks AS holding ON holding.pid = waiting.pid
WHERE
    NOT waiting.granted AND holding.granted AND holding.mode = 'RowExclusiveLock'
    AND holding.relation = 'prices'::regclass
"""


#: Whoever is about to insert.
INSERTING = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'prices'::regclass"


async def somebody_waits(database: Database, how: LiteralString = WAITING) -> None:
    async with await psycopg.AsyncConnection.connect(database.owner_dsn, autocommit=True) as watch:
        while not await (await watch.execute(how)).fetchall():
            await asyncio.sleep(0.01)


async def test_publishing_waits_for_the_batch_under_way_but_not_for_ever(database: Database) -> None:
    async with (
        open_shop(database, lock_timeout_ms=100) as hasty,
        open_shop(database, prefix="patient") as patient,
        await psycopg.AsyncConnection.connect(database.owner_dsn) as batch,
    ):
        await hasty.book("retail")
        await batch.execute("SELECT 1 FROM tenants FOR KEY SHARE")
        with pytest.raises(Conflict):
            await hasty.publish("retail", price(), idempotency_key="k")
        publishing = asyncio.create_task(patient.publish("retail", price(), idempotency_key="k"))
        await somebody_waits(database)
        await batch.rollback()
        assert not (await publishing).replayed


async def test_calls_go_on_while_prices_are_inserted(shop: Shop, house: House, database: Database) -> None:
    """Publishing locks the tenant last: whoever only inserts prices holds up nobody."""
    await house.open("a", credit=10)
    await shop.book("retail")
    async with await psycopg.AsyncConnection.connect(database.owner_dsn) as other:
        await other.execute("LOCK TABLE prices IN SHARE MODE")
        publishing = asyncio.create_task(shop.publish("retail", *[price(model=str(n)) for n in range(2000)]))
        await somebody_waits(database, INSERTING)
        assert await house.reserve("a", 1)
        await other.rollback()
        assert (await publishing).value.version is not None


async def test_thousands_of_prices(shop: Shop, other: Shop, house: House) -> None:
    await house.open("a")
    await shop.book("retail")
    await shop.assign("retail")
    many = [price(model=f"m{n:05}", unit_price=f"0.{n + 1:018}") for n in range(10_000)]
    published = await shop.publish("retail", *many)
    assert len(published.value.differences) == 10_000
    again = await shop.publish("retail", *many[:1], price(model="one more"))
    assert (len(again.value.differences), again.value.unchanged) == (1, 10_000)
    assert await other.asked("a", usage("1e9", model="m04999")) == 5000
    found: list[Price] = []
    token = ""
    while True:
        page, _, token = await other.queries.list_prices(
            TENANT, PriceBookId("retail"), page_size=1000, page_token=token
        )
        found += page
        if not token:
            break
    assert len(found) == 10_001
    assert {p.key: p for p in many}.items() <= {p.key: p for p in found}.items()


# ── reads ────────────────────────────────────────────────────────────────────────────────────────────


async def test_books_are_listed_by_id(shop: Shop, house: House) -> None:
    await house.open("a")
    for name, side, currency in (("c", "SALE", "USD"), ("a", "COST", "USD"), ("b", "SALE", "EUR")):
        await shop.book(name, BookSide(side), currency)
    await shop.override("a", price())

    async def ids(**filters: Any) -> list[str]:
        books, _ = await shop.queries.list_books(TENANT, **filters)
        return [book.price_book_id for book in books]

    assert await ids() == ["a", "b", "c"]
    assert await ids(side=BookSide.SALE) == ["b", "c"]
    assert await ids(currency_code="USD") == ["a", "c"]
    assert [i[:4] for i in await ids(account_id=AccountId("a"))] == ["ovr_"]
    assert await ids(account_id=AccountId("b")) == []
    first, token = await shop.queries.list_books(TENANT, page_size=2)
    rest, end = await shop.queries.list_books(TENANT, page_size=2, page_token=token)
    assert ([b.price_book_id for b in (*first, *rest)], end) == (["a", "b", "c"], "")
    with pytest.raises(InvalidArgument, match="page_token"):
        await shop.queries.list_books(TENANT, side=BookSide.SALE, page_token=token)


async def test_assignments_in_force_and_to_come(shop: Shop, house: House) -> None:
    await house.open("a")
    await house.open("b")
    for name, side in (("retail", "SALE"), ("vip", "SALE"), ("cost", "COST")):
        await shop.book(name, BookSide(side))
    now = datetime.now(UTC)
    soon, past = now + timedelta(days=1), now - timedelta(days=2)

    async def found(**filters: Any) -> list[tuple[str | None, str | None]]:
        assignments, token = await shop.queries.list_assignments(TENANT, **filters)
        assert token == ""
        return [(one.account_id, one.price_book_id) for one in assignments]

    assert await found() == []
    await shop.assign("retail")
    await shop.assign("vip")
    await shop.assign("cost")
    await shop.assign("retail", "a", effective_time=past)
    await shop.assign("vip", "a", effective_time=soon)
    await shop.assign("retail", "b")
    await shop.assign(None, "b", side=BookSide.SALE)
    # Of the tenant's SALE books the one that was assigned last is in force; what has ended is left out.
    assert await found() == [("a", "vip"), ("a", "retail"), (None, "cost"), (None, "vip")]
    assert await found(account_id=AccountId("a")) == [("a", "vip"), ("a", "retail")]
    assert await found(account_id=AccountId("b")) == []
    assert await found(tenant_default=True) == [(None, "cost"), (None, "vip")]
    assert await found(price_book_id=PriceBookId("vip")) == [("a", "vip"), (None, "vip")]
    # At another instant: what has been replaced by then is gone, what was in force then and is not now is there.
    assert await found(at=soon, account_id=AccountId("a")) == [("a", "vip")]
    await shop.assign("vip", "a")
    assert await found(account_id=AccountId("a")) == [("a", "vip"), ("a", "vip")]
    assert await found(at=past, account_id=AccountId("a")) == [("a", "vip"), ("a", "vip"), ("a", "retail")]
    # An end to come is one without a book; at its instant the earlier one is over.
    await shop.assign(None, side=BookSide.COST, currency_code="USD", effective_time=soon)
    assert await found(tenant_default=True) == [(None, None), (None, "cost"), (None, "vip")]
    assert await found(tenant_default=True, at=soon) == [(None, "vip")]
    # Of equal instants the one made last holds.
    await shop.assign("retail", "a", effective_time=soon)
    assert await found(account_id=AccountId("a"), at=soon) == [("a", "retail")]
    assert await found(account_id=AccountId("a")) == [("a", "retail"), ("a", "vip")]

    first, token = await shop.queries.list_assignments(TENANT, page_size=2)
    rest, end = await shop.queries.list_assignments(TENANT, page_size=9, page_token=token)
    whole, _ = await shop.queries.list_assignments(TENANT)
    assert ([*first, *rest], end, len(first)) == (whole, "", 2)
    with pytest.raises(InvalidArgument, match="page_token"):
        await shop.queries.list_assignments(TENANT, tenant_default=True, page_token=token)


async def test_pages_stay_with_their_version(shop: Shop) -> None:
    await shop.book("retail")
    await shop.publish("retail", *[price(model=m) for m in "abcd"], price(OUTPUT, model="a"))
    book = PriceBookId("retail")
    page, version, token = await shop.queries.list_prices(TENANT, book, page_size=2)
    assert [p.model for p in page] == ["a", "b"]
    await shop.publish("retail", price(model="z"), replace=True)
    rest, same, end = await shop.queries.list_prices(TENANT, book, page_size=9, page_token=token)
    assert ([(p.meter, p.model) for p in rest], same, end) == (
        [(INPUT, "c"), (INPUT, "d"), (OUTPUT, "a")],
        version,
        "",
    )
    assert await listed(shop) == {"z": "0.5"}
    assert version is not None
    assert set(await listed(shop, which=version.version_id)) == set("abcd")
    for filters, models in (({"meter": OUTPUT}, ["a"]), ({"model": "a"}, ["a", "a"]), ({"provider": "x"}, [])):
        found, _, _ = await shop.queries.list_prices(TENANT, book, which=version.version_id, **filters)
        assert [p.model for p in found] == models
    with pytest.raises(InvalidArgument, match="page_token"):
        await shop.queries.list_prices(TENANT, book, meter=INPUT, page_token=token)
    with pytest.raises(NotFound):
        await shop.queries.list_prices(TENANT, PriceBookId("other"))


async def test_a_quote_counts_the_month_and_leaves_it(shop: Shop, house: House, database: Database) -> None:
    """Ten tokens are free each month. Posting counts them, a quote only looks."""
    await house.open("a", credit=100)
    await shop.book("retail")
    await shop.assign("retail")
    await shop.publish("retail", price(unit_price="1", free_quantity=Decimal(10)))
    for _ in range(2):
        assert await shop.asked("a", usage("12")) == 2_000_000_000
    charged = await house.do(ledger_ops.Charge, account_id="a", usage=usage("7"))
    assert charged.charge is not None
    assert charged.charge.charged == 0
    for _ in range(2):
        assert await shop.asked("a", usage("12")) == 9_000_000_000
    by_book = await shop.quotes.for_book(TENANT, PriceBookId("retail"), usage("12"))
    assert by_book.price == 2_000_000_000
    charged = await house.do(ledger_ops.Charge, account_id="a", usage=usage("12"))
    assert charged.charge is not None
    assert charged.charge.charged == 9_000_000_000


async def test_a_quote_has_a_line_for_each(shop: Shop, house: House) -> None:
    await house.open("a")
    await shop.book("retail")
    await shop.book("providers", BookSide.COST)
    await shop.assign("retail")
    await shop.assign("providers")
    await shop.publish("retail", price("llm.*", "0", margin_percent=Decimal(50)))
    await shop.publish(
        "providers",
        price(unit_price="0.0000000005"),
        price("infrastructure.hosting", "0.02", charge_model=ChargeModel.FLAT),
    )
    quoted = await shop.quotes.for_account(TENANT, AccountId("a"), usage("1"))
    (line,) = quoted.lines
    # Half a nano of cost and three quarters of price, both rounded up.
    assert (line.price, line.cost, quoted.price, quoted.cost) == (1, 1, 1, 1)
    assert (line.exact_price, line.exact_cost) == (Decimal("7.5e-10"), Decimal("5e-10"))
    assert "retail" in line.match
    assert [(a.meter, a.cost) for a in quoted.allocations] == [("infrastructure.hosting", 20_000_000)]
    assert quoted.margin == -20_000_000
    assert (await shop.quotes.for_account(TENANT, AccountId("a"), usage("0"))).margin_percent is None
    with pytest.raises(InvalidArgument, match="SALE"):
        await shop.quotes.for_book(TENANT, PriceBookId("providers"), usage())
    for missing in (
        shop.quotes.for_book(TENANT, PriceBookId("none"), usage()),
        shop.quotes.for_account(TENANT, AccountId("none"), usage()),
    ):
        with pytest.raises(NotFound):
            await missing


# ── tenants ──────────────────────────────────────────────────────────────────────────────────────────


async def test_another_tenant_sees_nothing_and_shares_no_id(shop: Shop, house: House, database: Database) -> None:
    await house.open("a")
    await shop.book("retail", idempotency_key="k")
    published = await shop.publish("retail", price(model="a"))
    assert published.value.version is not None
    blue = TenantId("blue")
    with psycopg.connect(database.owner_dsn) as owner:
        owner.execute("INSERT INTO tenants (tenant_id, create_time) VALUES ('blue', now())")
    for attempt in (
        shop.publish("retail", price(), tenant_id=blue),
        shop.assign("retail", tenant_id=blue),
        shop.override("a", price(), tenant_id=blue),
        shop.queries.get_book(blue, PriceBookId("retail")),
        shop.queries.list_prices(blue, PriceBookId("retail"), which=published.value.version.version_id),
        shop.quotes.for_account(blue, AccountId("a"), usage()),
        shop.quotes.for_book(blue, PriceBookId("retail"), usage()),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert await shop.queries.list_books(blue) == ([], "")
    theirs = await shop.book("retail", tenant_id=blue, idempotency_key="k")
    assert (theirs.value.tenant_id, theirs.replayed) == ("blue", False)
    await shop.publish("retail", price(model="b"), tenant_id=blue)
    assert await listed(shop) == {"a": "0.5"}
    assert rows(database)["epoch"] == 2
