"""An admin sets prices up over gRPC, and calls are priced by them."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.decimal_pb2 import Decimal as DecimalMessage

from imprest.v1 import ledger_service_pb2, pricing_service_pb2, usage_pb2
from imprest.v1.account_pb2 import Account
from imprest.v1.account_service_pb2 import AddCreditRequest, CreateAccountRequest
from imprest.v1.price_pb2 import (
    BOOK_SIDE_COST,
    BOOK_SIDE_SALE,
    CHARGE_MODEL_FLAT,
    CHARGE_MODEL_GRADUATED,
    CHARGE_MODEL_PER_UNIT,
    CHARGE_MODEL_PERCENTAGE,
    Price,
    PriceBook,
    PriceTier,
)
from imprest.v1.pricing_service_pb2_grpc import PricingServiceStub
from imprest_client.errors import ErrorDetails, details_of
from imprest_client.money import to_decimal, to_money
from tests.conftest import Database
from tests.support.server import Running, running_server

REQUESTS = {
    name.removesuffix("Request"): message
    for name, message in vars(pricing_service_pb2).items()
    if name.endswith("Request")
}


def number(text: str) -> DecimalMessage:
    return DecimalMessage(value=text)


def price(meter: str, unit_price: str = "0", **fields: Any) -> Price:
    decimals = {name: number(value) for name, value in fields.items() if isinstance(value, str) and name not in TEXTS}
    return Price(meter=meter, unit_price=number(unit_price), **{**fields, **decimals})


TEXTS = {"provider", "model", "destination_prefix", "source"}


def usage(**lines: str) -> usage_pb2.UsageReport:
    """A report with a line per meter, whose dots are written as two underscores."""
    return usage_pb2.UsageReport(
        lines=[
            usage_pb2.UsageLine(meter=meter.replace("__", "."), quantity=number(quantity), provider="openai")
            for meter, quantity in lines.items()
        ]
    )


def stamp(instant: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(instant)
    return message


class Admin:
    """Calls PricingService; mutating requests get a new key unless one is given."""

    def __init__(self, server: Running) -> None:
        self._stub = PricingServiceStub(server.channel)  # type: ignore[no-untyped-call]
        self._keys = 0

    async def __call__(self, method: str, **fields: Any) -> Any:
        request = REQUESTS[method]
        if "idempotency_key" in request.DESCRIPTOR.fields_by_name:
            self._keys += 1
            fields.setdefault("idempotency_key", f"key-{self._keys}")
        return await getattr(self._stub, method)(request(**fields))

    async def refused(self, method: str, **fields: Any) -> ErrorDetails:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await self(method, **fields)
        return details_of(error.value)

    async def book(self, book: str, side: int, *prices: Price, currency: str = "USD") -> None:
        """A book with prices that is the tenant's default."""
        await self("CreatePriceBook", price_book=PriceBook(price_book_id=book, side=side, currency_code=currency))
        await self("PublishPrices", price_book_id=book, prices=prices)
        await self("AssignPriceBook", price_book_id=book, tenant_default=True)


@pytest.fixture
async def server(database: Database) -> AsyncIterator[Running]:
    async with running_server(database) as server:
        yield server


@pytest.fixture
async def admin(server: Running) -> Admin:
    return Admin(server)


async def open_account(server: Running, account_id: str, **fields: Any) -> None:
    account = Account(account_id=account_id, currency_code="USD", **fields)
    await server.accounts.CreateAccount(CreateAccountRequest(account=account, idempotency_key=account_id))
    credit = AddCreditRequest(account_id=account_id, amount=to_money("100", "USD"), idempotency_key=account_id)
    await server.accounts.AddCredit(credit)


async def quoted(admin: Admin, account_id: str, report: usage_pb2.UsageReport, **fields: Any) -> str:
    reply = await admin("Quote", account_id=account_id, usage=report, **fields)
    return str(to_decimal(reply.price))


async def test_an_admin_sets_prices_and_a_call_is_priced_by_them(server: Running, admin: Admin) -> None:
    await open_account(server, "shop")
    await admin.book(
        "providers",
        BOOK_SIDE_COST,
        price("llm.input_tokens", "2.50", provider="openai", per_quantity="1000000", source="list price, 2026-01-01"),
        price("telephony.outbound_seconds", "0.006", per_quantity="60"),
        price("infrastructure.hosting", "0.001", charge_model=CHARGE_MODEL_FLAT),
        price("fee.payment", "3", charge_model=CHARGE_MODEL_PERCENTAGE),
    )
    await admin.book(
        "retail",
        BOOK_SIDE_SALE,
        Price(meter="llm.*", margin_percent=number("100")),
        price("telephony.outbound_seconds", "0.03", per_quantity="60", increment_first="60", increment_next="60"),
    )
    report = usage(llm__input_tokens="1200", telephony__outbound_seconds="145")
    quote = await admin("Quote", account_id="shop", usage=report)
    # 1200 tokens at 2 × 2.50 per million, three begun minutes at 0.03; providers take 0.003 and 145 s at 0.006.
    assert to_decimal(quote.price) == Decimal("0.096")
    assert to_decimal(quote.cost) == Decimal("0.0175")
    assert [(a.meter, str(to_decimal(a.cost))) for a in quote.allocations] == [
        ("infrastructure.hosting", "0.001"),
        ("fee.payment", "0.00288"),
    ]
    assert to_decimal(quote.margin) == Decimal("0.07462")
    assert quote.margin_percent.value == "77.729167"
    tokens, seconds = quote.lines
    assert (tokens.exact_price.value, tokens.exact_cost.value) == ("0.006", "0.003")
    assert "book retail version 1" in tokens.match
    assert "book providers version 1" in tokens.match
    book = await admin("GetPriceBook", price_book_id="retail")
    assert tokens.price_version == seconds.price_version == book.current_version.version_id

    charge = ledger_service_pb2.ChargeRequest(account_id="shop", idempotency_key="c", usage=report)
    charged = await server.ledger.Charge(charge)
    assert to_decimal(charged.charge.charged) == Decimal("0.096")
    assert to_decimal(charged.charge.provider_cost) == Decimal("0.0175")
    assert [line.match for line in charged.charge.lines] == [tokens.match, seconds.match]


async def test_every_field_of_a_price_comes_back(admin: Admin) -> None:
    prices = [
        Price(
            meter="telephony.outbound_seconds",
            provider="carrier",
            model="route",
            destination_prefix="49",
            charge_model=CHARGE_MODEL_GRADUATED,
            per_quantity=number("60"),
            tiers=[
                PriceTier(up_to=number("500"), unit_price=number("0.06"), flat_fee=number("1")),
                PriceTier(unit_price=number("0.000000000000000001")),
            ],
            increment_first=number("30"),
            increment_next=number("6"),
            minimum_quantity=number("30"),
            connect_fee=number("0.01"),
            minimum_charge=number("0.02"),
            maximum_charge=number("1000000"),
            free_quantity=number("100"),
            source="contract of 2026-01-01",
        ),
        Price(meter="*", charge_model=CHARGE_MODEL_PER_UNIT, margin_percent=number("12.5")),
    ]
    await admin("CreatePriceBook", price_book=PriceBook(price_book_id="b", side=BOOK_SIDE_SALE, currency_code="USD"))
    published = await admin("PublishPrices", price_book_id="b", prices=prices)
    by_meter = sorted(prices, key=lambda p: p.meter)
    assert sorted([d.after for d in published.differences], key=lambda p: p.meter) == by_meter
    listed = await admin("ListPrices", price_book_id="b")
    assert sorted(listed.prices, key=lambda p: p.meter) == by_meter
    assert listed.version == published.version
    again = await admin("PublishPrices", price_book_id="b", prices=listed.prices, replace=True)
    assert (again.version, list(again.differences), again.summary.unchanged) == (published.version, [], 2)


async def test_overrides_assignments_and_times(server: Running, admin: Admin) -> None:
    await open_account(server, "a")
    await open_account(server, "b")
    await admin.book("default", BOOK_SIDE_SALE, price("api.requests", "1"))
    await admin("CreatePriceBook", price_book=PriceBook(price_book_id="vip", side=BOOK_SIDE_SALE, currency_code="USD"))
    tomorrow = stamp(datetime.now(UTC) + timedelta(days=1))
    await admin("PublishPrices", price_book_id="vip", prices=[price("api.requests", "0.5")])
    await admin("PublishPrices", price_book_id="vip", prices=[price("api.requests", "0.25")], effective_time=tomorrow)
    assigned = await admin("AssignPriceBook", account_id="a", price_book_id="vip")
    assert (assigned.assignment.account_id, assigned.assignment.side) == ("a", BOOK_SIDE_SALE)
    one = usage(api__requests="1")
    assert [await quoted(admin, account, one) for account in "ab"] == ["0.5", "1"]
    assert await quoted(admin, "a", one, at=tomorrow) == "0.25"
    override = await admin("SetOverride", account_id="a", side=BOOK_SIDE_SALE, prices=[price("api.requests", "0.1")])
    assert override.summary.added == 1
    assert [await quoted(admin, account, one) for account in "ab"] == ["0.1", "1"]
    books = await admin("ListPriceBooks")
    assert [book.price_book_id for book in books.price_books] == ["default", "vip"]
    (own,) = (await admin("ListPriceBooks", account_id="a")).price_books
    assert own.price_book_id == override.version.price_book_id
    ended = await admin("SetOverride", account_id="a", side=BOOK_SIDE_SALE)
    assert ended.summary.removed == 1
    await admin("AssignPriceBook", account_id="a", side=BOOK_SIDE_SALE)
    assert await quoted(admin, "a", one) == "1"
    book = await admin("GetPriceBook", price_book_id="vip")
    assert (book.current_version.number, book.latest_version.number) == (1, 2)
    versions = await admin("ListPriceVersions", price_book_id="vip", page_size=1)
    assert [version.number for version in versions.versions] == [2]
    rest = await admin("ListPriceVersions", price_book_id="vip", page_size=1, page_token=versions.next_page_token)
    assert ([version.number for version in rest.versions], rest.next_page_token) == ([1], "")


async def test_a_file_is_imported(admin: Admin) -> None:
    await admin("CreatePriceBook", price_book=PriceBook(price_book_id="c", side=BOOK_SIDE_COST, currency_code="USD"))
    csv = "meter,provider,unit_price\napi.requests,acme,0.25\n"
    asked = await admin("ImportPrices", price_book_id="c", csv=csv, validate_only=True)
    assert (asked.HasField("version"), asked.price_count, asked.summary.added) == (False, 1, 1)
    done = await admin("ImportPrices", price_book_id="c", csv=csv, idempotency_key="k")
    assert (done.version.number, done.replayed) == (1, False)
    again = await admin("ImportPrices", price_book_id="c", csv=csv, idempotency_key="k")
    assert (again.version, again.replayed) == (done.version, True)
    reused = await admin.refused("ImportPrices", price_book_id="c", csv=csv + "\n", idempotency_key="k")
    assert reused.reason == "IDEMPOTENCY_KEY_REUSED"
    model = b'{"gpt": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 2.5e-06, "x": 1}}'
    merged = await admin("ImportPrices", price_book_id="c", litellm_json=model)
    assert (merged.summary.added, merged.summary.unchanged) == (1, 1)
    listed = await admin("ListPrices", price_book_id="c", meter="llm.input_tokens")
    assert [(p.provider, p.model) for p in listed.prices] == [("openai", "gpt")]
    for wrong in ({}, {"csv": "meter\nnothing\n"}, {"litellm_json": b"[]"}):
        refusal = await admin.refused("ImportPrices", price_book_id="c", **wrong)
        assert refusal.reason == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    "file",
    [{"csv": "meter,unit_price\n"}, {"litellm_json": b'{"m": {"litellm_provider": "p", "input_cost_per_token": 0}}'}],
    ids=["csv", "litellm_json"],
)
async def test_a_file_without_a_price_empties_no_book(admin: Admin, file: dict[str, Any]) -> None:
    await admin.book("c", BOOK_SIDE_COST, price("api.requests", "1"))
    refused = await admin.refused("ImportPrices", price_book_id="c", replace=True, **file)
    assert set(refused.violations) == set(file)
    assert len((await admin("ListPrices", price_book_id="c")).prices) == 1


async def test_a_large_file_is_imported_and_the_reply_can_be_received(admin: Admin) -> None:
    """Larger than what gRPC takes by default, with more prices than the reply lists."""
    await admin("CreatePriceBook", price_book=PriceBook(price_book_id="c", side=BOOK_SIDE_COST, currency_code="USD"))
    entry = {
        "litellm_provider": "openai",
        "mode": "chat",
        "input_cost_per_token": 1e-06,
        "output_cost_per_token": 2e-06,
    }
    models = {f"openai/model-{n}": {**entry, "comment": "x" * 1000} for n in range(4500)}
    content = json.dumps(models).encode()
    assert len(content) > 4 * 1024 * 1024
    reply = await admin("ImportPrices", price_book_id="c", litellm_json=content)
    assert (reply.price_count, reply.summary.added, len(reply.differences)) == (9000, 9000, 5000)
    again = await admin("ImportPrices", price_book_id="c", litellm_json=content)
    assert (again.version, again.summary.unchanged) == (reply.version, 9000)


async def test_meters(admin: Admin) -> None:
    meters = await admin("ListMeters", category="stt")
    assert {meter.category for meter in meters.meters} == {"stt"}
    names, token = [], ""
    while True:
        page = await admin("ListMeters", page_size=10, page_token=token)
        names += [meter.name for meter in page.meters]
        token = page.next_page_token
        if not token:
            break
    assert names == sorted(set(names))
    assert "llm.input_tokens" in names


async def test_refusals_name_what_is_wrong(server: Running, admin: Admin) -> None:
    await open_account(server, "a")
    book = PriceBook(price_book_id="b", side=BOOK_SIDE_SALE, currency_code="EUR")
    await admin("CreatePriceBook", price_book=book)
    one = usage(api__requests="1")
    refusals: list[tuple[str, dict[str, Any], str, str]] = [
        ("CreatePriceBook", {"price_book": book}, "PRICE_BOOK_EXISTS", ""),
        ("CreatePriceBook", {"price_book": PriceBook(currency_code="USD")}, "INVALID_ARGUMENT", "price_book.side"),
        (
            "CreatePriceBook",
            {"price_book": PriceBook(side=BOOK_SIDE_SALE, currency_code="usd")},
            "INVALID_ARGUMENT",
            "price_book.currency_code",
        ),
        ("PublishPrices", {"price_book_id": "b", "idempotency_key": ""}, "INVALID_ARGUMENT", "idempotency_key"),
        ("PublishPrices", {"price_book_id": "none"}, "NOT_FOUND", ""),
        (
            "PublishPrices",
            {"price_book_id": "b", "prices": [price("api.requests", "x")]},
            "INVALID_ARGUMENT",
            "prices[0].unit_price",
        ),
        (
            "PublishPrices",
            {"price_book_id": "b", "prices": [price("api.requests", "-1")]},
            "INVALID_ARGUMENT",
            "prices[0].unit_price",
        ),
        (
            "PublishPrices",
            {"price_book_id": "b", "prices": [price("api.calls")]},
            "INVALID_ARGUMENT",
            "prices[0].meter",
        ),
        ("AssignPriceBook", {"price_book_id": "b"}, "INVALID_ARGUMENT", "target"),
        ("AssignPriceBook", {"price_book_id": "b", "tenant_default": False}, "INVALID_ARGUMENT", "target"),
        ("AssignPriceBook", {"account_id": "a"}, "INVALID_ARGUMENT", "side"),
        ("AssignPriceBook", {"account_id": "a", "price_book_id": "b"}, "CURRENCY_MISMATCH", ""),
        ("SetOverride", {"account_id": "a"}, "INVALID_ARGUMENT", "side"),
        ("SetOverride", {"account_id": "none", "side": BOOK_SIDE_SALE}, "NOT_FOUND", ""),
        ("SetExchangeRate", {"price_book_id": "b", "currency_code": "USD"}, "INVALID_ARGUMENT", "rate"),
        ("Quote", {"account_id": "a"}, "INVALID_ARGUMENT", "usage"),
        ("Quote", {"usage": one}, "INVALID_ARGUMENT", "payer"),
        ("Quote", {"account_id": "a", "usage": one}, "PRICE_NOT_FOUND", ""),
        ("Quote", {"account_id": "a", "usage": usage_pb2.UsageReport()}, "INVALID_ARGUMENT", "usage.lines"),
        ("Quote", {"account_id": "a", "usage": usage(api__calls="1")}, "INVALID_ARGUMENT", "usage.lines[0].meter"),
        ("ListPrices", {"price_book_id": "b", "version_id": "ver_1"}, "INVALID_ARGUMENT", "version_id"),
        ("ListPrices", {"price_book_id": "b", "page_size": -1}, "INVALID_ARGUMENT", "page_size"),
        ("ListPrices", {"price_book_id": "b", "version_id": "ver_" + "0" * 32}, "NOT_FOUND", ""),
        ("GetPriceBook", {}, "INVALID_ARGUMENT", "price_book_id"),
    ]
    for method, fields, reason, field in refusals:
        refusal = await admin.refused(method, **fields)
        assert (refusal.reason, refusal.metadata.get("field", "")) == (reason, field), (method, fields)
