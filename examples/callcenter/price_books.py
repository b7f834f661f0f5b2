"""Publishes the tariff as price books: one to sell by in each currency, and one of what the providers charge."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from google.type.decimal_pb2 import Decimal as Number

from imprest.v1.price_pb2 import BookSide, Price, PriceBook
from imprest.v1.pricing_service_pb2 import (
    AssignPriceBookRequest,
    CreatePriceBookRequest,
    PublishPricesRequest,
    SetExchangeRateRequest,
)

from .customers import Customer
from .ledger import Ledger
from .tariff import RATES

_DOLLAR = "USD"
#: What a US dollar costs.
_EXCHANGE = {"EUR": Decimal("0.92"), "GBP": Decimal("0.79")}


async def publish_tariff(ledger: Ledger, customers: dict[str, Customer], suffix: str) -> None:
    """Make the books, and have just these accounts priced by them: a server may have other customers."""
    currencies = {customer.currency for customer in customers.values()}
    cost_book = f"demo-cost{suffix}"
    await _open(ledger, cost_book, BookSide.BOOK_SIDE_COST, _DOLLAR, ((rate.meter, rate.cost) for rate in RATES))
    for currency in sorted(currencies - {_DOLLAR}):
        request = SetExchangeRateRequest(
            price_book_id=cost_book,
            currency_code=currency,
            rate=Number(value=str(_EXCHANGE.get(currency, Decimal(1)))),
            idempotency_key=f"{cost_book}/{currency}",
        )
        await ledger.send("SetExchangeRate", request)
    for currency in sorted(currencies):
        prices = ((rate.meter, rate.price) for rate in RATES)
        await _open(ledger, _sale_book(currency, suffix), BookSide.BOOK_SIDE_SALE, currency, prices)
    for account_id, customer in customers.items():
        for book in (cost_book, _sale_book(customer.currency, suffix)):
            assign = AssignPriceBookRequest(
                account_id=account_id, price_book_id=book, idempotency_key=f"{account_id}/{book}"
            )
            await ledger.send("AssignPriceBook", assign)


def _sale_book(currency: str, suffix: str) -> str:
    return f"demo-sale-{currency.lower()}{suffix}"


async def _open(
    ledger: Ledger, book: str, side: BookSide, currency: str, amounts: Iterable[tuple[str, Decimal]]
) -> None:
    """A book with one version, in force from now on."""
    price_book = PriceBook(price_book_id=book, side=side, currency_code=currency, display_name="The demo's tariff")
    create = CreatePriceBookRequest(price_book=price_book, idempotency_key=book)
    await ledger.send("CreatePriceBook", create)
    by_meter = {rate.meter: rate for rate in RATES}
    prices = [
        Price(
            meter=meter,
            provider=by_meter[meter].provider,
            model=by_meter[meter].model,
            unit_price=Number(value=str(amount)),
            per_quantity=Number(value=str(by_meter[meter].per)),
        )
        for meter, amount in amounts
    ]
    publish = PublishPricesRequest(price_book_id=book, prices=prices, idempotency_key=book)
    await ledger.send("PublishPrices", publish)
