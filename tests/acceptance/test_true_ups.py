"""TrueUpCost through gRPC."""

from contextlib import AsyncExitStack
from decimal import Decimal as PyDecimal

import grpc
import pytest
from google.type.decimal_pb2 import Decimal
from google.type.money_pb2 import Money

from imprest.v1 import (
    account_pb2,
    account_service_pb2,
    ledger_service_pb2,
    transaction_pb2,
    usage_pb2,
    usage_service_pb2,
)
from imprest_client.errors import details_of
from imprest_client.money import to_money
from tests.conftest import Database
from tests.scenarios.contract import UNIT_METER
from tests.scenarios.fake_adapter import fake_adapter
from tests.support import clock
from tests.support.prices import shop_on
from tests.support.server import running_server


def usd(amount: str) -> Money:
    return to_money(amount, "USD")


async def test_a_charge_turns_out_to_cost_something(database: Database) -> None:
    async with running_server(database) as server:
        await server.accounts.CreateAccount(
            account_service_pb2.CreateAccountRequest(
                account=account_pb2.Account(account_id="ann", currency_code="USD"), idempotency_key="a"
            )
        )
        charged = await server.usage.RecordUsage(
            usage_service_pb2.RecordUsageRequest(
                account_id="ann", idempotency_key="u", amount=Money(currency_code="USD", units=2)
            )
        )
        request = usage_service_pb2.TrueUpCostRequest(
            transaction_id=charged.transaction_id,
            idempotency_key="t",
            cost=Money(currency_code="USD", units=1, nanos=500_000_000),
            reason="invoice 7",
        )
        first = await server.usage.TrueUpCost(request)
        assert first.difference == Money(currency_code="USD", units=1, nanos=500_000_000)
        assert first.transaction.kind == transaction_pb2.TRANSACTION_KIND_TRUE_UP
        assert first.transaction.reason == "invoice 7"
        assert (first.balance.receivable, first.balance.wallet) == (charged.balance.receivable, charged.balance.wallet)
        again = await server.usage.TrueUpCost(request)
        assert again.replayed and again.transaction == first.transaction
        request.idempotency_key, request.cost.units = "t2", 0
        lower = await server.usage.TrueUpCost(request)
        assert lower.difference == Money(currency_code="USD", units=-1)
        batch = await server.ledger.BatchExecute(
            ledger_service_pb2.BatchExecuteRequest(
                operations=[
                    ledger_service_pb2.BatchOperation(
                        true_up_cost=usage_service_pb2.TrueUpCostRequest(
                            transaction_id=charged.transaction_id, idempotency_key="t3", cost=request.cost
                        )
                    )
                ]
            )
        )
        assert not batch.results[0].true_up_cost.HasField("transaction")
        with pytest.raises(grpc.aio.AioRpcError) as denied:
            await server.usage.TrueUpCost(
                usage_service_pb2.TrueUpCostRequest(transaction_id=charged.transaction_id, idempotency_key="t4")
            )
        assert denied.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_late_commit_leaves_a_cost_that_was_stated(database: Database) -> None:
    clock.install(database.owner_dsn)
    async with shop_on(database) as shop, running_server(database) as server:
        await shop.sell_units()
        await server.accounts.CreateAccount(
            account_service_pb2.CreateAccountRequest(
                account=account_pb2.Account(account_id="ann", currency_code="USD"), idempotency_key="a"
            )
        )
        await server.accounts.AddCredit(
            account_service_pb2.AddCreditRequest(
                account_id="ann", amount=Money(currency_code="USD", units=50), idempotency_key="c"
            )
        )

        def used(quantity: str) -> usage_pb2.UsageReport:
            line = usage_pb2.UsageLine(meter=UNIT_METER, quantity=Decimal(value=quantity))
            return usage_pb2.UsageReport(lines=[line])

        reserved = await server.ledger.Reserve(
            ledger_service_pb2.ReserveRequest(account_id="ann", estimate=used("20"), idempotency_key="r")
        )
        hold = reserved.reservation.reservation_id
        await server.ledger.Extend(
            ledger_service_pb2.ExtendRequest(reservation_id=hold, used=used("8"), idempotency_key="e")
        )
        clock.advance(database.owner_dsn, 3600)
        stated = await server.usage.TrueUpCost(
            usage_service_pb2.TrueUpCostRequest(
                reservation_id=hold, idempotency_key="t", cost=Money(currency_code="USD", units=5)
            )
        )
        assert stated.difference == Money(currency_code="USD", units=3)
        late = await server.ledger.Commit(
            ledger_service_pb2.CommitRequest(reservation_id=hold, usage=used("12"), idempotency_key="k")
        )
        assert late.late and late.charge.charged == Money(currency_code="USD", units=4)
        assert late.charge.provider_cost == Money(currency_code="USD")


@pytest.mark.parametrize("of", ["server", "fake"])
async def test_each_provider_states_its_lines(database: Database, of: str) -> None:
    async with AsyncExitStack() as stack:
        if of == "fake":
            server = (await stack.enter_async_context(fake_adapter()))._server
        else:
            shop = await stack.enter_async_context(shop_on(database))
            await shop.sell_units()
            server = await stack.enter_async_context(running_server(database))
        await server.accounts.CreateAccount(
            account_service_pb2.CreateAccountRequest(
                account=account_pb2.Account(account_id="ann", currency_code="USD"), idempotency_key="a"
            )
        )
        lines = [
            usage_pb2.UsageLine(meter=UNIT_METER, line_id=name, provider=name, quantity=Decimal(value="4"))
            for name in ("stt", "llm")
        ]
        charged = await server.usage.RecordUsage(
            usage_service_pb2.RecordUsageRequest(
                account_id="ann", idempotency_key="u", call_id="c", usage=usage_pb2.UsageReport(lines=lines)
            )
        )
        assert charged.charge.provider_cost == Money(currency_code="USD", units=2)

        def stating(key: str, **costs: Money) -> usage_service_pb2.TrueUpCostRequest:
            return usage_service_pb2.TrueUpCostRequest(
                transaction_id=charged.transaction_id,
                idempotency_key=key,
                lines=[usage_service_pb2.LineCost(line_id=name, cost=cost) for name, cost in costs.items()],
            )

        async def refused(request: usage_service_pb2.TrueUpCostRequest) -> str:
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await server.usage.TrueUpCost(request)
            return str(details_of(error.value).reason)

        first = await server.usage.TrueUpCost(stating("k1", stt=Money(currency_code="USD", units=3)))
        assert first.difference == Money(currency_code="USD", units=2)
        assert first.transaction.kind == transaction_pb2.TRANSACTION_KIND_TRUE_UP
        assert (await server.usage.TrueUpCost(stating("k1", stt=Money(currency_code="USD", units=3)))).replayed
        assert await refused(stating("k0", stt=usd("9"), tts=usd("1"))) == "NOT_FOUND"
        lower = await server.usage.TrueUpCost(stating("k2", stt=Money(currency_code="USD"), llm=usd("1.5")))
        assert lower.difference == usd("-2.5") and len(lower.transaction.postings) == 1
        assert await refused(stating("k3", tts=usd("1"))) == "NOT_FOUND"
        assert await refused(stating("k3", stt=usd("-1"))) == "INVALID_ARGUMENT"
        assert await refused(stating("k3", stt=Money(currency_code="EUR", units=1))) == "CURRENCY_MISMATCH"
        twice = stating("k4", stt=usd("1"))
        twice.lines.append(twice.lines[0])
        assert await refused(twice) == "INVALID_ARGUMENT"
        both = stating("k4", stt=usd("1"))
        both.cost.CopyFrom(usd("1"))
        assert await refused(both) == "INVALID_ARGUMENT"
        both.ClearField("lines")
        assert (await server.usage.TrueUpCost(both)).difference == usd("-0.5")
        assert await refused(stating("k5", stt=usd("1"))) == "INVALID_ARGUMENT"


@pytest.mark.parametrize("of", ["server", "fake"])
async def test_the_lines_of_a_late_commit(database: Database, of: str) -> None:
    """An expiry has posted a part of their cost."""
    async with AsyncExitStack() as stack:
        fake = None
        if of == "fake":
            fake = await stack.enter_async_context(fake_adapter())
            server = fake._server
        else:
            clock.install(database.owner_dsn)
            shop = await stack.enter_async_context(shop_on(database))
            await shop.sell_units()
            server = await stack.enter_async_context(running_server(database))
        await server.accounts.CreateAccount(
            account_service_pb2.CreateAccountRequest(
                account=account_pb2.Account(account_id="ann", currency_code="USD"), idempotency_key="a"
            )
        )
        await server.accounts.AddCredit(
            account_service_pb2.AddCreditRequest(account_id="ann", amount=usd("50"), idempotency_key="c")
        )

        def used(quantity: str) -> usage_pb2.UsageReport:
            line = usage_pb2.UsageLine(meter=UNIT_METER, line_id="stt", quantity=Decimal(value=quantity))
            return usage_pb2.UsageReport(lines=[line])

        reserved = await server.ledger.Reserve(
            ledger_service_pb2.ReserveRequest(account_id="ann", estimate=used("20"), idempotency_key="r")
        )
        hold = reserved.reservation.reservation_id
        await server.ledger.Extend(
            ledger_service_pb2.ExtendRequest(reservation_id=hold, used=used("8"), idempotency_key="e")
        )
        if fake is None:
            clock.advance(database.owner_dsn, 3600)
        else:
            await fake.advance(PyDecimal(3600))
        late = await server.ledger.Commit(
            ledger_service_pb2.CommitRequest(reservation_id=hold, usage=used("12"), idempotency_key="k")
        )
        assert late.late and late.charge.provider_cost == usd("1")

        def stating(cost: str, **target: str) -> usage_service_pb2.TrueUpCostRequest:
            lines = [usage_service_pb2.LineCost(line_id="stt", cost=usd(cost))]
            return usage_service_pb2.TrueUpCostRequest(idempotency_key=f"{cost} {target}", lines=lines, **target)

        with pytest.raises(grpc.aio.AioRpcError) as error:
            await server.usage.TrueUpCost(stating("0", transaction_id=late.transaction_id))
        assert details_of(error.value).reason == "INVALID_ARGUMENT"
        for cost, difference in (("0.5", "-2.5"), ("4", "3.5"), ("0", "-4")):
            assert (await server.usage.TrueUpCost(stating(cost, reservation_id=hold))).difference == usd(difference)
