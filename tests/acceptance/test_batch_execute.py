"""BatchExecute through gRPC: a result each, in order, independent, in the same key scope as alone."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo

from imprest.v1 import ledger_service_pb2 as pb
from imprest.v1.account_pb2 import Account
from imprest.v1.account_service_pb2 import AddCreditRequest, CreateAccountRequest, GetBalanceRequest, TransferRequest
from imprest_client.errors import details_of
from imprest_client.money import to_decimal, to_money
from tests.conftest import Database
from tests.support.server import Running, running_server


@pytest.fixture
async def server(database: Database) -> AsyncIterator[Running]:
    async with running_server(database) as running:
        yield running


def create(account_id: str) -> pb.BatchOperation:
    account = Account(account_id=account_id, currency_code="USD")
    return pb.BatchOperation(
        create_account=CreateAccountRequest(account=account, idempotency_key=f"create {account_id}")
    )


def credit(account_id: str, amount: str) -> pb.BatchOperation:
    return pb.BatchOperation(
        add_credit=AddCreditRequest(
            account_id=account_id, amount=to_money(amount, "USD"), idempotency_key=f"credit {account_id}"
        )
    )


def reserve(account_id: str, amount: str, key: str) -> pb.BatchOperation:
    return pb.BatchOperation(
        reserve=pb.ReserveRequest(account_id=account_id, amount=to_money(amount, "USD"), idempotency_key=key)
    )


async def execute(server: Running, *operations: pb.BatchOperation) -> list[str]:
    """The kind of each result: the reply's name, `replayed`, or the reason of its error."""
    response = await server.ledger.BatchExecute(pb.BatchExecuteRequest(operations=operations))
    assert len(response.results) == len(operations)
    return [outcome_of(result) for result in response.results]


def outcome_of(result: pb.BatchResult) -> str:
    kind = result.WhichOneof("result")
    if kind != "error":
        return "replayed" if getattr(result, kind).replayed else kind
    info = ErrorInfo()
    assert any(detail.Unpack(info) for detail in result.error.details)
    return info.reason


async def balance(server: Running, account_id: str) -> tuple[str, str]:
    found = (await server.accounts.GetBalance(GetBalanceRequest(account_id=account_id))).balance
    return str(to_decimal(found.wallet)), str(to_decimal(found.held))


async def test_mixed_operations_have_their_results_in_order(server: Running) -> None:
    assert await execute(server, create("a"), create("b")) == ["create_account", "create_account"]
    assert await execute(server, credit("a", "10")) == ["add_credit"]
    transfer = TransferRequest(from_account_id="a", to_account_id="b", amount=to_money(4, "USD"), idempotency_key="t")
    assert await execute(
        server,
        reserve("a", "5", "r1"),
        reserve("a", "7", "r2"),
        reserve("nobody", "1", "r3"),
        pb.BatchOperation(),
        pb.BatchOperation(transfer=transfer),
        reserve("a", "-1", "r4"),
        reserve("a", "1", "r5"),
    ) == [
        "reserve",
        "INSUFFICIENT_FUNDS",
        "NOT_FOUND",
        "INVALID_ARGUMENT",
        "transfer",
        "INVALID_ARGUMENT",
        "reserve",
    ]
    assert await balance(server, "a") == ("6", "6")
    assert await balance(server, "b") == ("4", "0")


async def test_a_key_means_the_same_alone_and_in_a_batch(server: Running) -> None:
    await execute(server, create("a"))
    await execute(server, credit("a", "10"))
    alone = await server.ledger.Reserve(reserve("a", "2", "k").reserve)
    assert await execute(server, reserve("a", "2", "k"), reserve("a", "3", "k")) == [
        "replayed",
        "IDEMPOTENCY_KEY_REUSED",
    ]
    assert sorted(await execute(server, reserve("a", "1", "twin"), reserve("a", "1", "twin"))) == [
        "replayed",
        "reserve",
    ]
    again = await server.ledger.Reserve(reserve("a", "2", "k").reserve)
    assert again.replayed
    assert again.reservation == alone.reservation
    assert await balance(server, "a") == ("10", "3")


async def test_a_large_batch_takes_what_is_there(server: Running) -> None:
    await execute(server, create("a"))
    await execute(server, credit("a", "600"))
    counts = Counter(await execute(server, *(reserve("a", "1", f"r{n}") for n in range(1000))))
    assert counts == {"reserve": 600, "INSUFFICIENT_FUNDS": 400}
    assert await balance(server, "a") == ("600", "600")


async def test_calls_are_answered_while_batches_run(server: Running) -> None:
    await execute(server, create("a"))
    await execute(server, credit("a", "9000"))
    batches = [
        asyncio.create_task(execute(server, *(reserve("a", "1", f"r{batch}-{n}") for n in range(1000))))
        for batch in range(3)
    ]
    await asyncio.sleep(0)
    await server.ledger.Reserve(reserve("a", "1", "call").reserve)
    assert not all(batch.done() for batch in batches)
    await asyncio.gather(*batches)
    assert await balance(server, "a") == ("9000", "3001")


@pytest.mark.parametrize("count", [0, 1001])
async def test_the_size_of_a_batch_is_limited(server: Running, count: int) -> None:
    with pytest.raises(grpc.RpcError) as error:
        await execute(server, *(reserve("a", "1", f"r{n}") for n in range(count)))
    assert details_of(error.value).violations.keys() == {"operations"}
