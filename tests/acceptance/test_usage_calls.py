"""Usage through real gRPC: estimates, itemised charges, what is refused, and usage in batches."""

from collections.abc import AsyncIterator
from decimal import Decimal

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.type.decimal_pb2 import Decimal as Quantity

from imprest.v1 import account_service_pb2 as accounts
from imprest.v1 import ledger_service_pb2 as ledger
from imprest.v1 import usage_service_pb2 as usage_service
from imprest.v1.account_pb2 import Account
from imprest.v1.usage_pb2 import UsageLine, UsageReport
from imprest_client.errors import details_of
from imprest_client.money import to_decimal, to_money
from imprest_server.pricing.model import Price, PriceBookId
from tests.conftest import Database
from tests.support.prices import COST, SALE, shop_on, unit
from tests.support.server import Running, running_server

SECONDS, TOKENS = "telephony.outbound_seconds", "llm.input_tokens"


def report(*lines: tuple[str, str], **fields: str) -> UsageReport:
    """Lines as (meter, quantity)."""
    return UsageReport(
        lines=[UsageLine(meter=meter, quantity=Quantity(value=quantity)) for meter, quantity in lines], **fields
    )


@pytest.fixture
async def server(database: Database) -> AsyncIterator[Running]:
    async with shop_on(database) as shop, running_server(database) as server:
        await shop.open(SALE, [unit("0.60", SECONDS, per_quantity=Decimal(60)), unit("0.000002", TOKENS)])
        await shop.open(COST, [Price(meter=SECONDS, unit_price=Decimal("0.0025"))])
        account = Account(account_id="ann", currency_code="USD")
        await server.accounts.CreateAccount(accounts.CreateAccountRequest(account=account, idempotency_key="c"))
        await server.accounts.AddCredit(
            accounts.AddCreditRequest(account_id="ann", amount=to_money("1", "USD"), idempotency_key="a")
        )
        yield server


async def test_a_call_from_its_estimate_to_its_itemised_charge(server: Running) -> None:
    request = ledger.ReserveRequest(
        account_id="ann",
        idempotency_key="r",
        estimate=report((SECONDS, "300"), (TOKENS, "100000")),
        min_amount=to_money("0.5", "USD"),
    )
    reserved = await server.ledger.Reserve(request)
    # 300 s cost 3 and 100,000 tokens 0.2; of the 3.2 there is 1: 93.75 seconds of such a call.
    assert to_decimal(reserved.reservation.amount) == 1
    assert reserved.final_unit and reserved.affordable_duration == Duration(seconds=93)
    again = await server.ledger.Reserve(request)
    assert again.replayed and again.affordable_duration == reserved.affordable_duration

    commit = ledger.CommitRequest(
        reservation_id=reserved.reservation.reservation_id,
        idempotency_key="k",
        usage=report((SECONDS, "60.5"), (TOKENS, "30")),
    )
    commit.usage.labels["agent"] = "a1"
    reply = await server.ledger.Commit(commit)
    talk, tokens = reply.charge.lines
    assert (to_decimal(talk.price), to_decimal(talk.cost)) == (Decimal("0.605"), Decimal("0.15125"))
    assert (to_decimal(tokens.price), to_decimal(tokens.cost)) == (Decimal("0.00006"), 0)
    assert talk.exact_price.value == "0.605" and talk.price_version.startswith("ver_") and talk.cost_version
    assert tokens.cost_version == "" and tokens.match.endswith("; cost: in no book")
    assert talk.line.line_id == f"{reply.transaction_id}.1" and talk.line.labels == {"agent": "a1"}
    assert to_decimal(reply.charge.charged) == Decimal("0.60506")
    assert to_decimal(reply.charge.provider_cost) == Decimal("0.15125")
    replay = await server.ledger.Commit(commit)
    assert replay.replayed and replay.charge == reply.charge


async def test_extensions_are_priced_as_the_hold_was(server: Running) -> None:
    reserved = await server.ledger.Reserve(
        ledger.ReserveRequest(account_id="ann", idempotency_key="r", estimate=report((SECONDS, "30")))
    )
    extend = ledger.ExtendRequest(
        reservation_id=reserved.reservation.reservation_id,
        idempotency_key="e",
        estimate_total=report((SECONDS, "120")),
        used=report((SECONDS, "20")),
    )
    reply = await server.ledger.Extend(extend)
    assert reply.final_unit and reply.affordable_duration == Duration(seconds=30)
    assert to_decimal(reply.reservation.used_so_far) == Decimal("0.2")


async def test_a_meter_that_gets_its_price_while_a_call_runs_can_be_committed(
    server: Running, database: Database
) -> None:
    reserved = await server.ledger.Reserve(
        ledger.ReserveRequest(account_id="ann", idempotency_key="r", estimate=report((SECONDS, "30")))
    )
    commit = ledger.CommitRequest(
        reservation_id=reserved.reservation.reservation_id,
        idempotency_key="k1",
        usage=report((SECONDS, "30"), ("stt.seconds", "10")),
    )
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await server.ledger.Commit(commit)
    assert details_of(error.value).reason == "PRICE_NOT_FOUND"
    async with shop_on(database) as shop:
        await shop.publish(
            PriceBookId("sale"), [unit("0.90", SECONDS, per_quantity=Decimal(60)), unit("0.01", "stt.seconds")]
        )
    commit.idempotency_key = "k2"
    talk, speech = (await server.ledger.Commit(commit)).charge.lines
    assert (to_decimal(talk.price), to_decimal(speech.price)) == (Decimal("0.3"), Decimal("0.1"))
    assert talk.price_version != speech.price_version


async def test_what_cannot_be_priced_is_refused_with_its_place(server: Running) -> None:
    async def refused(usage: UsageReport) -> grpc.aio.AioRpcError:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await server.usage.RecordUsage(
                usage_service.RecordUsageRequest(account_id="ann", idempotency_key="u", usage=usage)
            )
        return error.value

    unknown = details_of(await refused(report(("llm.inptu_tokens", "1"))))
    assert unknown.reason == "INVALID_ARGUMENT" and "usage.lines[0].meter" in unknown.message
    assert "llm.input_tokens" in unknown.message
    negative = details_of(await refused(report((TOKENS, "1"), (TOKENS, "-1"))))
    assert "usage.lines[1].quantity" in negative.message
    unpriced = details_of(await refused(report(("messaging.sms_segments", "1"))))
    assert unpriced.reason == "PRICE_NOT_FOUND"


async def test_a_batch_takes_usage(server: Running) -> None:
    request = ledger.BatchExecuteRequest(
        operations=[
            ledger.BatchOperation(
                charge=ledger.ChargeRequest(account_id="ann", idempotency_key="c", usage=report((SECONDS, "12")))
            ),
            ledger.BatchOperation(
                record_usage=usage_service.RecordUsageRequest(
                    account_id="ann", idempotency_key="u", usage=report((SECONDS, "600"))
                )
            ),
        ]
    )
    charged, recorded = (await server.ledger.BatchExecute(request)).results
    assert to_decimal(charged.charge.charge.charged) == Decimal("0.12")
    breakdown = recorded.record_usage.charge
    assert to_decimal(breakdown.charged) == 6
    assert to_decimal(breakdown.from_available) + to_decimal(breakdown.receivable) == 6
