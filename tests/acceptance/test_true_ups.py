"""TrueUpCost through gRPC."""

import grpc
import pytest
from google.type.money_pb2 import Money

from imprest.v1 import account_pb2, account_service_pb2, ledger_service_pb2, transaction_pb2, usage_service_pb2
from tests.conftest import Database
from tests.support.server import running_server


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
