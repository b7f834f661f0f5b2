"""What the admin's client tells of one hold and of one transaction, and who it says is asking."""

from collections.abc import AsyncIterator
from decimal import Decimal

import grpc
import pytest

from imprest.v1.account_service_pb2 import GetBalanceResponse
from imprest_client import AdminClient, Connection
from imprest_client.model import RefundAllocation, TransactionKind
from tests.conftest import Database
from tests.support.server import running_server


@pytest.fixture
async def admin(database: Database) -> AsyncIterator[AdminClient]:
    async with running_server(database) as server, AdminClient(server.target, currency="USD") as client:
        await client.create_account("acme")
        await client.add_credit("acme", 100)
        yield client


async def test_the_transactions_of_a_hold_and_their_refunds(admin: AdminClient) -> None:
    hold = (await admin.reserve("acme", 10)).reservation.reservation_id
    other = (await admin.reserve("acme", 10)).reservation.reservation_id
    first = await admin.commit(hold, 2, final=False)
    await admin.commit(other, 5)
    last = await admin.commit(hold, 3)
    refund = await admin.refund(reservation_id=hold, amount="3.5")

    found = [t async for t in admin.list_transactions("acme", reservation_id=hold, page_size=1)]
    assert [t.kind for t in found] == [TransactionKind.COMMIT, TransactionKind.COMMIT, TransactionKind.REFUND]
    assert [t.transaction_id for t in found] == [
        first.transaction_id,
        last.transaction_id,
        refund.transaction.transaction_id,
    ]

    def part(captured: str, amount: str) -> RefundAllocation:
        return RefundAllocation(captured, refund.transaction.transaction_id, Decimal(amount), Decimal(0))

    given_back = await admin.get_transaction_refunds(refund.transaction.transaction_id)
    assert given_back.transaction == refund.transaction
    assert given_back.refund_of == (part(first.transaction_id, "0.5"), part(last.transaction_id, "3"))
    assert given_back.refunded_by == ()
    captured = await admin.get_transaction_refunds(last.transaction_id)
    assert (captured.refunded_by, captured.refund_of) == ((part(last.transaction_id, "3"),), ())


async def test_a_token_travels_with_every_request() -> None:
    seen: list[str | bytes | None] = []

    async def answer(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        seen.append(dict(context.invocation_metadata() or ()).get("authorization"))
        return GetBalanceResponse().SerializeToString()

    server = grpc.aio.server()
    method = grpc.unary_unary_rpc_method_handler(answer)
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("imprest.v1.AccountService", {"GetBalance": method})]
    )
    target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        for token in ("secret", None):
            async with Connection(target, token=token) as connection:
                await AdminClient(connection).get_balance("acme")
    finally:
        await server.stop(None)
    assert seen == ["Bearer secret", None]
