"""Many operations in few requests, against the fake server."""

import inspect
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from imprest.v1.ledger_service_pb2 import BatchOperation
from imprest_client import AdminClient, AgentClient, Batch, Connection, UsageLine, sync
from imprest_client.bulk import SIZE
from imprest_client.client import LedgerClient
from imprest_client.errors import InsufficientFunds, NotFound, Retryable
from imprest_client.testing import FakeImprest, UnitPrice
from imprest_client.testing.ledger.model import Denied


@pytest.fixture
async def server() -> AsyncIterator[FakeImprest]:
    async with FakeImprest() as fake:
        yield fake


@pytest.fixture
async def admin(server: FakeImprest) -> AsyncIterator[AdminClient]:
    async with AdminClient(server.target, currency="USD") as client:
        await client.create_account("acme")
        await client.add_credit("acme", 10)
        yield client


async def test_operations_of_all_kinds_have_a_result_or_an_error_each(server: FakeImprest, admin: AdminClient) -> None:
    batch = Batch(admin)
    opened = batch.create_account("globex", currency="EUR")
    charged = batch.charge("acme", "0.25", call_id="c-1", idempotency_key="k")
    denied = batch.charge("acme", 100)
    unknown = batch.void("rsv_" + "0" * 32)
    held = batch.reserve("acme", 1)
    server.rpcs.clear()
    with pytest.raises(ValueError, match="not executed"):
        held.result  # noqa: B018
    assert await batch.execute() == [denied, unknown]
    assert server.rpcs == ["BatchExecute"]
    assert (opened.result.account.account_id, opened.result.account.currency_code) == ("globex", "EUR")
    assert (charged.result.charge.charged, charged.idempotency_key, charged.error) == (Decimal("0.25"), "k", None)
    assert isinstance(denied.error, InsufficientFunds)
    assert (denied.error.available, denied.error.idempotency_key) == (Decimal("9.75"), denied.idempotency_key)
    with pytest.raises(NotFound):
        unknown.result  # noqa: B018
    assert held.result.reservation.amount == 1
    assert [one.idempotency_key for one in batch.operations][1] == "k"


async def test_many_are_sent_in_pieces_and_once(server: FakeImprest, admin: AdminClient) -> None:
    batch = Batch(admin)
    fees = [batch.charge("acme", "0.01", call_id=str(number)) for number in range(2 * SIZE + 1)]
    server.rpcs.clear()
    assert await batch.execute() == []
    assert server.rpcs == ["BatchExecute"] * 3
    assert await batch.execute() == []
    assert server.rpcs == ["BatchExecute"] * 3
    assert fees[-1].result.balance.wallet == Decimal("4.99")
    assert [t.call_id async for t in admin.list_transactions("acme")][1:] == [str(n) for n in range(2 * SIZE + 1)]


async def test_large_ones_are_sent_in_smaller_pieces(server: FakeImprest, admin: AdminClient) -> None:
    labels = {f"{number:02}": "v" * 255 for number in range(64)}
    usage = [UsageLine(meter="x", quantity=Decimal(1), labels=labels) for _ in range(200)]  # 3 MiB
    batch = Batch(admin)
    unpriced = [batch.charge("acme", usage=usage) for _ in range(3)]
    server.rpcs.clear()
    assert await batch.execute() == unpriced
    assert server.rpcs == ["BatchExecute"] * 3
    assert {one.error and one.error.reason for one in unpriced} == {"PRICE_NOT_FOUND"}


async def test_what_is_wrong_by_itself_is_refused_at_once(admin: AdminClient) -> None:
    batch = Batch(admin)
    with pytest.raises(TypeError, match="float"):
        batch.charge("acme", 0.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="give amount or usage"):
        batch.charge("acme")
    assert batch.operations == []
    assert await batch.execute() == []


async def test_lost_answers_charge_once(server: FakeImprest, admin: AdminClient) -> None:
    batch = Batch(admin)
    fees = [batch.charge("acme", 1) for _ in range(3)]
    server.lose_answers(2)
    assert await batch.execute() == []
    assert all(fee.result.replayed for fee in fees)
    assert (await admin.get_balance("acme")).wallet == 7


async def test_what_stays_undecided_can_be_executed_again(server: FakeImprest, admin: AdminClient) -> None:
    batch = Batch(admin.with_timeout(0.05))
    fees = [batch.charge("acme", 1) for _ in range(3)]
    server.lose_answers(10**6)
    assert await batch.execute() == fees
    assert all(isinstance(fee.error, Retryable) for fee in fees)
    assert [fee.error and fee.error.idempotency_key for fee in fees] == [fee.idempotency_key for fee in fees]
    server.lose_answers(0)
    batch._sender = admin
    assert await batch.execute() == []
    assert (await admin.get_balance("acme")).wallet == 7


async def test_only_what_is_left_open_is_sent_again(
    server: FakeImprest, admin: AdminClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that is gone for a moment, in the middle of a batch."""
    answer, seen = server._answer, list[str]()

    def flaky(rpc: str, request: Any) -> Any:
        if rpc == "Charge":
            seen.append(request.idempotency_key)
            if len(seen) in (2, 4):
                raise Denied("DATABASE_UNAVAILABLE", problem="as told")
        return answer(rpc, request)

    monkeypatch.setattr(server, "_answer", flaky)
    batch = Batch(admin)
    for key in "abc":
        batch.charge("acme", 1, idempotency_key=key)
    assert await batch.execute() == []
    assert seen == ["a", "b", "c", "b", "b"]
    assert (await admin.get_balance("acme")).wallet == 7


def test_every_operation_that_a_client_has_is_there() -> None:
    for name in (field.name for field in BatchOperation.DESCRIPTOR.fields):
        kind = LedgerClient if hasattr(LedgerClient, name) else AdminClient
        theirs, mine = inspect.signature(getattr(kind, name)), inspect.signature(getattr(Batch, name))
        assert theirs.parameters.keys() == mine.parameters.keys()
        assert getattr(sync.Batch, name) is getattr(Batch, name)


async def test_usage_and_the_connection_of_an_agent() -> None:
    async with FakeImprest(prices={"messaging.sms_segments": UnitPrice("0.01")}) as server:
        async with Connection(server.target) as connection:
            admin = AdminClient(connection, currency="USD")
            await admin.create_account("acme")
            batch = Batch(AgentClient(connection))
            sent = batch.record_usage("acme", usage=[UsageLine(meter="messaging.sms_segments", quantity=Decimal(3))])
            assert await batch.execute() == []
        assert sent.result.charge.lines[0].price == Decimal("0.03")


def test_a_blocking_batch() -> None:
    with FakeImprest() as server, sync.AdminClient(server.target, currency="USD") as admin:
        batch = sync.Batch(admin)
        batch.create_account("acme")
        assert batch.execute() == []
        paid, denied = batch.add_credit("acme", 3), batch.charge("acme", 4)
        assert batch.execute() == [denied]
        assert paid.result.balance.wallet == 3
