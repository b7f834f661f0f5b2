"""The pricing client, async and blocking, against a server."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from imprest_client import AdminClient, PricingClient, sync
from imprest_client.errors import InvalidArgument, NotFound, PriceBookExists, PriceNotFound
from imprest_client.pricing_model import BookSide, ChargeModel, Price, PriceTier, UsageLine
from tests.conftest import Database
from tests.support.server import running_server

_INPUT = Price(
    meter="llm.input_tokens",
    provider="openai",
    model="gpt-4o",
    unit_price=Decimal("2.5"),
    per_quantity=Decimal(1000000),
)
_MINUTES = Price(
    meter="telephony.outbound_seconds",
    destination_prefix="1",
    charge_model=ChargeModel.GRADUATED,
    per_quantity=Decimal(60),
    tiers=(
        PriceTier(up_to=Decimal(6000), unit_price=Decimal("0.03")),
        PriceTier(up_to=None, unit_price=Decimal("0.02"), flat_fee=Decimal(1)),
    ),
    increment_first=Decimal(30),
    increment_next=Decimal(6),
    connect_fee=Decimal("0.01"),
    source="our rate sheet",
)


@pytest.fixture
async def target(database: Database) -> AsyncIterator[str]:
    async with running_server(database) as server:
        yield server.target


@pytest.fixture
async def pricing(target: str) -> AsyncIterator[PricingClient]:
    async with PricingClient(target, currency="USD") as client:
        yield client


@pytest.fixture
async def account(target: str) -> str:
    async with AdminClient(target, currency="USD") as admin:
        await admin.create_account("acme")
    return "acme"


async def test_books_and_their_versions(pricing: PricingClient) -> None:
    created = await pricing.create_price_book("cost", side=BookSide.COST, display_name="Costs")
    assert (created.book.side, created.book.currency_code, created.book.display_name) == (BookSide.COST, "USD", "Costs")
    await pricing.create_price_book("retail", side=BookSide.SALE, currency="EUR")
    assert [book.price_book_id async for book in pricing.list_price_books(page_size=1)] == ["cost", "retail"]
    assert [book.price_book_id async for book in pricing.list_price_books(side=BookSide.SALE)] == ["retail"]
    assert [b async for b in pricing.list_price_books(side=BookSide.SALE, currency_code="USD")] == []
    with pytest.raises(PriceBookExists) as refused:
        await pricing.create_price_book("cost", side=BookSide.COST)
    assert refused.value.price_book_id == "cost"

    state = await pricing.get_price_book("cost")
    assert (state.book, state.current, state.latest) == (created.book, None, None)
    first = await pricing.publish_prices("cost", [_INPUT, _MINUTES])
    assert (first.count.added, first.count.total, len(first.differences)) == (2, 2, 2)
    assert {d.after for d in first.differences} == {_INPUT, _MINUTES}
    assert all(d.before is None for d in first.differences)
    later = datetime.now(UTC) + timedelta(days=1)
    dearer = Price(meter=_INPUT.meter, unit_price=Decimal(3))
    second = await pricing.publish_prices("cost", [dearer], replace=True, effective_time=later)
    assert (second.count.added, second.count.removed, second.count.unchanged) == (1, 2, 0)
    state = await pricing.get_price_book("cost")
    assert (state.current, state.latest) == (first.version, second.version)
    assert [version.number async for version in pricing.list_price_versions("cost", page_size=1)] == [2, 1]

    assert [price async for price in pricing.list_prices("cost", page_size=1)] == [_INPUT, _MINUTES]
    assert [price async for price in pricing.list_prices("cost", at=later)] == [dearer]
    assert second.version is not None
    assert [p async for p in pricing.list_prices("cost", version_id=second.version.version_id)] == [dearer]
    assert [p async for p in pricing.list_prices("cost", provider="openai", model="gpt-4o")] == [_INPUT]
    with pytest.raises(NotFound):
        await pricing.get_price_book("none")


async def test_asking_changes_nothing(pricing: PricingClient) -> None:
    await pricing.create_price_book("cost", side=BookSide.COST)
    asked = await pricing.publish_prices("cost", [_INPUT], validate_only=True, idempotency_key="k")
    assert (asked.version, asked.count.added) == (None, 1)
    assert [price async for price in pricing.list_prices("cost")] == []
    done = await pricing.publish_prices("cost", [_INPUT], idempotency_key="k")
    again = await pricing.publish_prices("cost", [_INPUT], idempotency_key="k")
    assert (done.replayed, again.replayed) == (False, True)
    assert done.version == again.version


async def test_every_bad_price_is_named(pricing: PricingClient) -> None:
    await pricing.create_price_book("cost", side=BookSide.COST)
    with pytest.raises(InvalidArgument) as refused:
        await pricing.import_prices("cost", csv="meter,unit_price\nllm.input_tokens,x\nllm.output_tokens,-1\n")
    assert refused.value.details.violations == {
        "csv[2]": "unit_price: 'x' is not a number",
        "csv[3]": "unit_price: -1 must not be negative",
    }
    with pytest.raises(InvalidArgument) as refused:
        await pricing.publish_prices("cost", [Price(meter="llm.imput_tokens", unit_price=Decimal(1))])
    assert "did you mean llm.input_tokens" in str(refused.value)


async def test_an_import_says_what_it_skipped(pricing: PricingClient) -> None:
    await pricing.create_price_book("cost", side=BookSide.COST)
    content = b"""{"one": {"litellm_provider": "p", "mode": "chat", "input_cost_per_token": 5.46875e-07},
                   "none": {"litellm_provider": "p", "mode": "chat", "input_cost_per_token": 0}}"""
    answer = await pricing.import_prices("cost", litellm_json=content)
    assert (answer.price_count, answer.skipped_count) == (1, 1)
    assert [(entry.name, entry.reason) for entry in answer.skipped] == [
        ("none", "every price is zero: free, or not known")
    ]
    (price,) = [price async for price in pricing.list_prices("cost")]
    assert (price.unit_price, price.per_quantity, price.source) == (Decimal("0.546875"), 1000000, "LiteLLM one")


async def test_who_is_priced_by_what(pricing: PricingClient, account: str) -> None:
    for book, side in (("cost", BookSide.COST), ("retail", BookSide.SALE), ("special", BookSide.SALE)):
        await pricing.create_price_book(book, side=side)
    await pricing.publish_prices("cost", [_INPUT])
    await pricing.publish_prices("retail", [Price(meter="llm.*", margin_percent=Decimal(40))])
    await pricing.publish_prices("special", [Price(meter="llm.*", margin_percent=Decimal(10))])
    line = UsageLine(meter="llm.input_tokens", quantity=Decimal(1200), provider="openai", model="gpt-4o")
    with pytest.raises(PriceNotFound) as refused:
        await pricing.quote([line], account_id=account)
    assert (refused.value.side, refused.value.meter, refused.value.model) == ("SALE", "llm.input_tokens", "gpt-4o")

    assert (await pricing.assign_price_book("cost")).assignment.account_id == ""
    await pricing.assign_price_book("retail")
    quote = await pricing.quote([line], account_id=account)
    assert (quote.price, quote.cost, quote.margin) == (Decimal("0.0042"), Decimal("0.003"), Decimal("0.0012"))
    assert quote.margin_percent == Decimal("28.571429")
    assert quote.lines[0].line == line
    assert "book retail version 1" in quote.lines[0].match
    assert (await pricing.quote([line], price_book_id="special")).price == Decimal("0.0033")

    assigned = await pricing.assign_price_book("special", account_id=account)
    assert (assigned.assignment.account_id, assigned.assignment.price_book_id) == (account, "special")
    assert (await pricing.quote([line], account_id=account)).price == Decimal("0.0033")
    own = Price(meter="llm.input_tokens", unit_price=Decimal("0.000002"))
    await pricing.set_override(account, [own], side=BookSide.SALE)
    assert (await pricing.quote([line], account_id=account)).price == Decimal("0.0024")
    (overrides,) = [book async for book in pricing.list_price_books(account_id=account)]
    assert (overrides.account_id, overrides.side) == (account, BookSide.SALE)
    await pricing.set_override(account, [], side=BookSide.SALE)
    await pricing.end_assignment(account_id=account, side=BookSide.SALE)
    assert (await pricing.quote([line], account_id=account)).price == Decimal("0.0042")
    await pricing.end_assignment(side=BookSide.SALE, currency_code="USD")
    with pytest.raises(PriceNotFound):
        await pricing.quote([line], account_id=account)


async def test_costs_in_another_currency(pricing: PricingClient, account: str) -> None:
    await pricing.create_price_book("cost", side=BookSide.COST, currency="EUR")
    await pricing.create_price_book("retail", side=BookSide.SALE)
    await pricing.publish_prices("cost", [_INPUT])
    await pricing.publish_prices("retail", [Price(meter="*", margin_percent=Decimal(100))])
    await pricing.assign_price_book("cost")
    await pricing.assign_price_book("retail")
    answer = await pricing.set_exchange_rate("cost", "USD", "1.1")
    assert (answer.rate.currency_code, answer.rate.rate) == ("USD", Decimal("1.1"))
    line = UsageLine(meter="llm.input_tokens", quantity=Decimal(1000000), provider="openai", model="gpt-4o")
    quote = await pricing.quote([line], account_id=account)
    assert (quote.cost, quote.price) == (Decimal("2.75"), Decimal("5.5"))


async def test_meters(pricing: PricingClient) -> None:
    meters = {meter.name: meter async for meter in pricing.list_meters(page_size=3)}
    assert meters["llm.reasoning_tokens"].base == "llm.output_tokens"
    assert {meter.category async for meter in pricing.list_meters(category="stt")} == {"stt"}


async def test_all_of_it_blocking(target: str) -> None:
    def work() -> None:
        with sync.PricingClient(target, currency="USD") as pricing:
            pricing.create_price_book("cost", side=BookSide.COST)
            pricing.create_price_book("retail", side=BookSide.SALE)
            assert [book.price_book_id for book in pricing.list_price_books(page_size=1)] == ["cost", "retail"]
            pricing.publish_prices("cost", [_INPUT])
            pricing.import_prices("retail", csv="meter,margin_percent\nllm.*,40\n")
            assert [version.number for version in pricing.list_price_versions("cost")] == [1]
            assert list(pricing.list_prices("cost")) == [_INPUT]
            state = pricing.get_price_book("retail")
            assert state.current == state.latest
            pricing.assign_price_book("cost")
            pricing.set_exchange_rate("cost", "EUR", 1)
            line = UsageLine(meter="llm.input_tokens", quantity=Decimal(1200), provider="openai", model="gpt-4o")
            assert pricing.with_timeout(5).quote([line], price_book_id="retail").price == Decimal("0.0042")
            pricing.end_assignment(side=BookSide.COST, currency_code="USD")
            assert any(meter.name == "stt.seconds" for meter in pricing.list_meters())
            with pytest.raises(NotFound):
                pricing.set_override("nobody", [_INPUT], side=BookSide.COST)

    await asyncio.to_thread(work)
