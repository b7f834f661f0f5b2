"""Usage that is recorded without waiting."""

# ruff: noqa: PT012  # the end of a recorder's block is what is tested

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from imprest_client import AdminClient, AgentClient, Connection, RecorderFull, Spool, UndeliveredUsage
from imprest_client import recorder as recorder_module
from imprest_client.errors import InsufficientFunds
from imprest_client.spool import SpoolState
from imprest_client.testing import FakeImprest
from tests.support.patience import PATIENCE_S, outage, patient


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


@pytest.fixture
async def connection(server: FakeImprest) -> AsyncIterator[Connection]:
    async with patient(server) as opened:
        yield opened


@pytest.fixture
async def agent(connection: Connection) -> AsyncIterator[AgentClient]:
    async with AgentClient(connection, currency="USD") as client:
        yield client


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with Spool(tmp_path / "spool.db") as opened:
        yield opened


@pytest.fixture
async def careful(connection: Connection, spool: Spool) -> AsyncIterator[AgentClient]:
    """An agent with a spool."""
    async with AgentClient(connection, currency="USD", spool=spool) as client:
        yield client


async def wallet(admin: AdminClient) -> Decimal:
    return (await admin.get_balance("acme")).wallet


async def emptied(spool: Spool) -> None:
    while spool.count(SpoolState.PENDING):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_recording_does_not_wait_and_the_end_of_the_block_does(
    server: FakeImprest, admin: AdminClient, agent: AgentClient
) -> None:
    server.rpcs.clear()
    async with agent.recorder(exit_timeout_s=PATIENCE_S) as recorder:
        for number in range(100):
            recorder.charge("acme", "0.01", call_id=f"c-{number}", labels={"n": str(number)})
        assert server.rpcs == []
        assert recorder.pending_count == 100
    assert set(server.rpcs) == {"BatchExecute"}
    assert await wallet(admin) == 9
    statement = [transaction async for transaction in admin.list_transactions("acme")]
    assert {(t.call_id, t.labels["n"]) for t in statement[1:]} == {(f"c-{n}", str(n)) for n in range(100)}


async def test_recording_goes_on_after_a_pause(admin: AdminClient, agent: AgentClient) -> None:
    async with agent.recorder(exit_timeout_s=PATIENCE_S) as recorder:
        for left in (9, 8, 7):
            recorder.charge("acme", 1)
            assert await recorder.flush(PATIENCE_S) == 0
            assert await wallet(admin) == left


async def test_an_outage_only_delays(
    server: FakeImprest, admin: AdminClient, agent: AgentClient, connection: Connection
) -> None:
    async with agent.recorder(exit_timeout_s=PATIENCE_S) as recorder:
        with outage(server, connection):
            for _ in range(40):
                recorder.charge("acme", "0.1")
            assert await recorder.flush(0.3) == 40
        server.lose_answers(5)
    assert await wallet(admin) == 6


async def test_what_is_not_delivered_is_told(
    server: FakeImprest,
    admin: AdminClient,
    agent: AgentClient,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recorder_module, "_FIRST_PAUSE_S", PATIENCE_S)
    with outage(server, connection), pytest.raises(UndeliveredUsage) as told:
        async with agent.recorder(exit_timeout_s=0) as recorder:
            key = recorder.charge("acme", "0.25", call_id="c-1")
            recorder.charge("acme", "0.5", currency="EUR", idempotency_key="mine")
            recorder.charge("acme", 1)
            # None is on its way when all is well again.
            while server.rpcs.count("Charge") < 3 or recorder._under_way:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    charges = {charge.idempotency_key: charge for charge in told.value.charges}
    assert len(charges) == 3
    assert (charges[key].account_id, charges[key].amount, charges[key].call_id) == ("acme", Decimal("0.25"), "c-1")
    assert charges["mine"].error is None
    text = str(told.value)
    assert text.startswith("3 recorded charges were not delivered, 1.25 USD, 0.5 EUR in total:\n")
    assert "0.5 EUR of acme, key mine: not answered" in text
    again = charges[key]
    await agent.charge("acme", again.amount, call_id=again.call_id, idempotency_key=again.idempotency_key)
    assert await wallet(admin) == Decimal("9.75")


async def test_what_is_refused_is_told(admin: AdminClient, agent: AgentClient) -> None:
    with pytest.raises(UndeliveredUsage) as told:
        async with agent.recorder(exit_timeout_s=PATIENCE_S) as recorder:
            recorder.charge("acme", 8)
            recorder.charge("acme", 3)
            assert await recorder.flush(PATIENCE_S) == 0
    (charge,) = told.value.charges
    assert isinstance(charge.error, InsufficientFunds)
    assert "INSUFFICIENT_FUNDS" in str(told.value)
    assert await wallet(admin) in (2, 7)


async def test_the_blocks_own_error_is_not_hidden(
    server: FakeImprest, agent: AgentClient, caplog: pytest.LogCaptureFixture
) -> None:
    with server.outage(), pytest.raises(ZeroDivisionError):
        async with agent.recorder(exit_timeout_s=0.1) as recorder:
            recorder.charge("acme", 1)
            raise ZeroDivisionError
    assert "1 recorded charges were not delivered, 1 USD in total" in caplog.text


async def test_the_buffer_is_bounded(server: FakeImprest, agent: AgentClient) -> None:
    with server.outage(), pytest.raises(UndeliveredUsage) as told:
        async with agent.recorder(capacity=20, exit_timeout_s=0.1) as recorder:
            for _ in range(20):
                recorder.charge("acme", 1)
            with pytest.raises(RecorderFull, match="20 charges are waiting"):
                recorder.charge("acme", 1)
            await asyncio.sleep(0)  # some are under way now, and count
            with pytest.raises(RecorderFull):
                recorder.charge("acme", 1)
    assert len(told.value.charges) == 20


async def test_a_full_buffer_overflows_into_the_spool(
    server: FakeImprest, admin: AdminClient, careful: AgentClient, connection: Connection, spool: Spool
) -> None:
    with outage(server, connection):
        async with careful.recorder(capacity=5, exit_timeout_s=0) as recorder:
            for _ in range(8):
                recorder.charge("acme", "0.5")
            assert spool.count(SpoolState.PENDING) == 3
        assert spool.count(SpoolState.PENDING) == 8
    await emptied(spool)
    assert await wallet(admin) == 6


async def test_offline_it_goes_to_the_spool(
    server: FakeImprest, admin: AdminClient, careful: AgentClient, connection: Connection, spool: Spool
) -> None:
    async with careful.recorder(exit_timeout_s=PATIENCE_S) as recorder:
        with outage(server, connection):
            for _ in range(20):
                recorder.charge("acme", "0.1")
            assert await recorder.flush(PATIENCE_S) == 0
            assert spool.count(SpoolState.PENDING) == 20
        await emptied(spool)
    assert await wallet(admin) == 8


async def test_a_refusal_is_kept_in_the_spool(admin: AdminClient, careful: AgentClient, spool: Spool) -> None:
    async with careful.recorder(exit_timeout_s=PATIENCE_S) as recorder:
        recorder.charge("acme", 11, idempotency_key="k")
    (entry,) = spool.entries(SpoolState.REFUSED)
    assert entry.idempotency_key == "k"
    assert entry.error.startswith("INSUFFICIENT_FUNDS")
    assert await wallet(admin) == 10


async def test_a_broken_spool_is_no_place(
    server: FakeImprest, careful: AgentClient, connection: Connection, spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    with outage(server, connection), pytest.raises(UndeliveredUsage) as told:
        async with careful.recorder(exit_timeout_s=0.5) as recorder:
            recorder.charge("acme", 1)
            spool.close()
    assert len(told.value.charges) == 1
    assert "cannot be written" in caplog.text


async def test_nonsense_is_refused_at_once(agent: AgentClient) -> None:
    async with agent.recorder() as recorder:
        with pytest.raises(TypeError, match="float"):
            recorder.charge("acme", 0.1)  # type: ignore[arg-type]
        assert recorder.pending_count == 0


async def test_a_cancelled_end_keeps_what_is_left(
    careful: AgentClient, spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    leaving = asyncio.Event()
    await careful._courier.stop()  # the spool stays as it is

    async def record(agent: AgentClient) -> None:
        async with agent.recorder(exit_timeout_s=3600) as recorder:
            for _ in range(40):
                recorder.charge("acme", "0.1")
            recorder._task.cancel()  # type: ignore[union-attr]  # nothing is sent any more
            leaving.set()

    recording = asyncio.create_task(record(careful))
    await leaving.wait()
    for _ in range(3):
        recording.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await recording
    assert spool.count(SpoolState.PENDING) == 40
    assert "not delivered" not in caplog.text


async def test_after_its_end_it_takes_nothing(agent: AgentClient) -> None:
    async with agent.recorder() as recorder:
        pass
    with pytest.raises(ValueError, match="has ended"):
        recorder.charge("acme", 1)


async def test_a_full_buffer_and_a_broken_spool(server: FakeImprest, careful: AgentClient, spool: Spool) -> None:
    with server.outage(), pytest.raises(UndeliveredUsage) as told:
        async with careful.recorder(capacity=1, exit_timeout_s=0) as recorder:
            recorder.charge("acme", 1, effective_time=datetime(2026, 1, 2, tzinfo=UTC), labels={"team": "a"})
            spool.close()
            with pytest.raises(RecorderFull, match="the spool fails"):
                recorder.charge("acme", 1)
    (charge,) = told.value.charges
    assert (charge.effective_time, charge.labels) == (datetime(2026, 1, 2, tzinfo=UTC), {"team": "a"})
