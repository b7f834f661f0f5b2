"""Rerate through gRPC."""

from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp
from google.type.decimal_pb2 import Decimal
from google.type.money_pb2 import Money

from imprest.v1 import account_pb2, account_service_pb2, price_pb2, pricing_service_pb2, usage_pb2, usage_service_pb2
from tests.conftest import Database
from tests.support.server import Running, running_server

METER = "telephony.outbound_seconds"


async def publish(server: Running, price: str) -> str:
    published = await server.pricing.PublishPrices(
        pricing_service_pb2.PublishPricesRequest(
            price_book_id="retail",
            prices=[price_pb2.Price(meter=METER, unit_price=Decimal(value=price))],
            idempotency_key=price,
        )
    )
    return str(published.version.version_id)


async def test_a_period_is_rerated(database: Database) -> None:
    async with running_server(database) as server:
        await server.accounts.CreateAccount(
            account_service_pb2.CreateAccountRequest(
                account=account_pb2.Account(account_id="ann", currency_code="USD"), idempotency_key="a"
            )
        )
        book = price_pb2.PriceBook(price_book_id="retail", side=price_pb2.BOOK_SIDE_SALE, currency_code="USD")
        await server.pricing.CreatePriceBook(
            pricing_service_pb2.CreatePriceBookRequest(price_book=book, idempotency_key="b")
        )
        await publish(server, "1")
        await server.pricing.AssignPriceBook(
            pricing_service_pb2.AssignPriceBookRequest(price_book_id="retail", tenant_default=True, idempotency_key="c")
        )
        line = usage_pb2.UsageLine(meter=METER, quantity=Decimal(value="3"))
        charged = await server.usage.RecordUsage(
            usage_service_pb2.RecordUsageRequest(
                account_id="ann", idempotency_key="u", usage=usage_pb2.UsageReport(lines=[line])
            )
        )
        now = datetime.now(UTC)
        start, end = Timestamp(), Timestamp()
        start.FromDatetime(now - timedelta(hours=1))
        end.FromDatetime(now + timedelta(hours=1))
        request = pricing_service_pb2.RerateRequest(
            start_time=start,
            end_time=end,
            version_id=await publish(server, "2"),
            validate_only=True,
            idempotency_key="r",
        )
        (asked,) = (await server.pricing.Rerate(request)).items
        assert asked.transaction_id == charged.transaction_id
        assert (asked.price_before, asked.price_after) == (
            Money(currency_code="USD", units=3),
            Money(currency_code="USD", units=6),
        )
        assert not asked.rerate_transaction_id
        request.validate_only = False
        (done,) = (await server.pricing.Rerate(request)).items
        assert done.charge.receivable == Money(currency_code="USD", units=3)
        posted = await server.accounts.GetTransaction(
            account_service_pb2.GetTransactionRequest(transaction_id=done.rerate_transaction_id)
        )
        assert posted.transaction.postings[0].amount == Money(currency_code="USD", units=3)
        again = await server.pricing.Rerate(request)
        assert again.replayed and not again.items
