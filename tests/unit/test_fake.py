"""What users of the fake server may rely on beside its decisions: its clock, its faults, its lists."""

from datetime import UTC, datetime, timedelta

import grpc
import pytest

from imprest.v1 import account_service_pb2, ledger_service_pb2
from imprest.v1.ledger_service_pb2_grpc import LedgerServiceStub
from imprest_client import AdminClient, Retryable
from imprest_client.errors import NotFound
from imprest_client.model import ReservationState, TransactionKind
from imprest_client.money import to_money
from imprest_client.testing import FakeImprest
from tests.support.patience import once, outage, patient

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


async def opened(admin: AdminClient) -> str:
    await admin.create_account("acme")
    await admin.add_credit("acme", 10)
    held = await admin.reserve("acme", 2, ttl=timedelta(minutes=1))
    await admin.extend(held.reservation.reservation_id, used_so_far=1)
    return held.reservation.reservation_id


async def test_its_clock_stands_where_it_is_put_and_moves_when_told() -> None:
    async with FakeImprest(NOON) as server, AdminClient(server.target, currency="USD") as admin:
        await opened(admin)
        assert (await admin.get_balance("acme")).as_of == server.now == NOON
        server.advance(timedelta(hours=1))
        assert (await admin.get_balance("acme")).as_of == server.now == NOON + timedelta(hours=1)


async def test_its_clock_runs_by_itself_otherwise() -> None:
    async with FakeImprest() as server:
        before = datetime.now(UTC)
        assert before <= server.now <= datetime.now(UTC) + timedelta(microseconds=1)
        server.advance(timedelta(days=1))
        assert server.now >= before + timedelta(days=1)


async def test_what_is_due_has_ended_for_every_reader() -> None:
    async with FakeImprest(NOON) as server, AdminClient(server.target, currency="USD") as admin:
        reservation_id = await opened(admin)
        server.advance(timedelta(minutes=1))
        (listed,) = [reservation async for reservation in admin.list_reservations()]
        assert (listed.state, listed.end_time) == (ReservationState.EXPIRED, NOON + timedelta(minutes=1))
    async with FakeImprest(NOON) as server, AdminClient(server.target, currency="USD") as admin:
        reservation_id = await opened(admin)
        server.advance(timedelta(minutes=2))
        *_, last = [transaction async for transaction in admin.list_transactions("acme")]
        assert (last.kind, last.reservation_id) == (TransactionKind.EXPIRE, reservation_id)
        assert last.effective_time == NOON + timedelta(minutes=1)


async def test_an_outage_does_nothing_and_a_lost_answer_everything() -> None:
    async with FakeImprest() as server, patient(server) as connection:
        admin = AdminClient(connection, currency="USD")
        with outage(server, connection), pytest.raises(Retryable):
            await admin.create_account("acme")
        with pytest.raises(NotFound):
            await admin.get_account("acme")
        server.lose_answers(1)
        with once(connection), pytest.raises(Retryable):
            await admin.create_account("acme")
        assert (await admin.get_account("acme")).account_id == "acme"


async def test_a_batch() -> None:
    async with FakeImprest() as server, grpc.aio.insecure_channel(server.target) as channel:
        request = ledger_service_pb2.BatchExecuteRequest()
        create = request.operations.add().create_account
        create.CopyFrom(account_service_pb2.CreateAccountRequest(idempotency_key="k"))
        create.account.account_id, create.account.currency_code = "acme", "USD"
        request.operations.add().reserve.CopyFrom(
            ledger_service_pb2.ReserveRequest(account_id="acme", amount=to_money(1, "USD"), idempotency_key="k")
        )
        request.operations.add()
        reply = await LedgerServiceStub(channel).BatchExecute(request)
        created, denied, nothing = reply.results
        assert created.create_account.account.account_id == "acme"
        assert denied.error.code == grpc.StatusCode.FAILED_PRECONDITION.value[0]
        assert nothing.error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
