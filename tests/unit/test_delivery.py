"""Commits that survive: a hangup without a network, refusals with nobody to hear them, processes that die."""

import asyncio
import logging
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from imprest_client import AdminClient, AgentClient, CallController, Connection, Spool
from imprest_client.errors import InvalidArgument, ReservationCommitted, ReservationVoided
from imprest_client.spool import SpoolState
from imprest_client.testing import FakeImprest
from tests.support.patience import PATIENCE_S, SOON_S, once, outage, patient


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
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool.db"


@pytest.fixture
def spool(path: Path) -> Iterator[Spool]:
    """The same file, opened once more."""
    with Spool(path) as opened:
        yield opened


@pytest.fixture
async def connection(server: FakeImprest) -> AsyncIterator[Connection]:
    async with patient(server) as opened:
        yield opened


@pytest.fixture
async def agent(connection: Connection, path: Path) -> AsyncIterator[AgentClient]:
    async with AgentClient(connection, currency="USD", spool=path) as client:
        yield client


async def hold(admin: AdminClient, amount: int = 2) -> str:
    return (await admin.reserve("acme", amount)).reservation.reservation_id


async def books(admin: AdminClient) -> tuple[Decimal, Decimal]:
    balance = await admin.get_balance("acme")
    return balance.wallet, balance.held


async def emptied(spool: Spool) -> None:
    """Wait until nothing is pending."""
    while spool.count(SpoolState.PENDING):  # noqa: ASYNC110  # other processes may be at it, too
        await asyncio.sleep(0.01)


async def test_a_commit_that_is_answered_leaves_nothing_behind(
    admin: AdminClient, agent: AgentClient, spool: Spool
) -> None:
    receipt = await agent.hang_up(await hold(admin), "0.5")
    assert receipt is not None
    assert receipt.charge.charged == Decimal("0.5")
    assert spool.entries() == []


async def test_a_commit_without_a_network_is_delivered_later(
    server: FakeImprest,
    admin: AdminClient,
    agent: AgentClient,
    connection: Connection,
    spool: Spool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    reservation_id = await hold(admin)
    with outage(server, connection):
        assert await agent.hang_up(reservation_id, "0.5", idempotency_key="k") is None
        (entry,) = spool.entries()
        assert (entry.subject, entry.idempotency_key, entry.state) == (reservation_id, "k", SpoolState.PENDING)
        assert "kept in the spool" in caplog.text
    await emptied(spool)
    assert await books(admin) == (Decimal("9.5"), 0)
    again = await agent.hang_up(reservation_id, "0.5", idempotency_key="k")
    assert again is not None
    assert again.replayed


async def test_a_lost_answer_charges_once(
    server: FakeImprest, admin: AdminClient, agent: AgentClient, connection: Connection, spool: Spool
) -> None:
    reservation_id = await hold(admin)
    server.lose_answers(3)
    with once(connection):
        assert await agent.hang_up(reservation_id, "0.5") is None
    await emptied(spool)
    assert await books(admin) == (Decimal("9.5"), 0)


async def test_a_call_that_ends_without_a_network_is_committed_later(
    admin: AdminClient, connection: Connection, server: FakeImprest, path: Path, spool: Spool
) -> None:
    async with CallController(connection, currency="USD", spool=path) as controller:
        with ExitStack() as without:
            async with controller.call("acme", 2) as call:
                call.used("0.75")
                without.enter_context(outage(server, connection))
            assert call.is_spooled
            assert call.receipt is None
        await emptied(spool)
    assert await books(admin) == (Decimal("9.25"), 0)


async def test_what_an_earlier_process_left_is_delivered_at_the_start(
    server: FakeImprest, admin: AdminClient, connection: Connection, path: Path, spool: Spool
) -> None:
    reservation_ids = [await hold(admin, 1) for _ in range(5)]
    with outage(server, connection):
        async with AgentClient(connection, currency="USD", spool=path) as gone:
            for reservation_id in reservation_ids:
                await gone.hang_up(reservation_id, "0.5")
    assert spool.count(SpoolState.PENDING) == 5
    async with AgentClient(server.target, spool=path):
        await emptied(spool)
    assert await books(admin) == (Decimal("7.5"), 0)


async def test_flush_delivers_at_once_and_says_what_is_left(
    server: FakeImprest, admin: AdminClient, agent: AgentClient, connection: Connection, spool: Spool
) -> None:
    reservation_id = await hold(admin)
    await agent._courier.stop()  # or it could be earlier
    with outage(server, connection):
        await agent.hang_up(reservation_id, "0.5")
        assert await agent.flush(0.1) == 1
    spool.postpone(1, 60, "as if for a long time")
    assert await agent.flush(PATIENCE_S) == 0
    assert await books(admin) == (Decimal("9.5"), 0)


async def test_a_refusal_is_the_callers_when_there_is_one(admin: AdminClient, agent: AgentClient, spool: Spool) -> None:
    reservation_id = await hold(admin)
    await admin.void(reservation_id)
    with pytest.raises(ReservationVoided):
        await agent.hang_up(reservation_id, 1)
    with pytest.raises(InvalidArgument):
        await agent.hang_up("nonsense", 1)
    assert spool.entries() == []


async def test_a_refusal_that_nobody_hears_is_kept(
    server: FakeImprest,
    admin: AdminClient,
    connection: Connection,
    path: Path,
    spool: Spool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    refused, other = await hold(admin), await hold(admin)
    with outage(server, connection):
        async with AgentClient(connection, currency="USD", spool=path) as gone:
            await gone.hang_up(refused, 1)
            await gone.hang_up(other, 1)
    await admin.void(refused)
    async with AgentClient(connection, spool=path):
        await emptied(spool)
    (entry,) = spool.entries(SpoolState.REFUSED)
    assert entry.subject == refused
    assert entry.error.startswith("RESERVATION_VOIDED: ")
    assert "refused, kept in the spool" in caplog.text
    assert await books(admin) == (9, 0)


async def test_a_commit_does_not_overtake_the_one_before(
    server: FakeImprest, admin: AdminClient, agent: AgentClient, connection: Connection, spool: Spool
) -> None:
    reservation_id = await hold(admin)
    await agent._courier.stop()  # or it could deliver the first meanwhile
    with outage(server, connection):
        await agent.hang_up(reservation_id, 1)
    server.rpcs.clear()
    assert await agent.hang_up(reservation_id, "0.25") is None
    assert server.rpcs == []
    assert await agent.flush(PATIENCE_S) == 0
    (entry,) = spool.entries(SpoolState.REFUSED)
    assert entry.error.startswith("RESERVATION_COMMITTED")
    assert await books(admin) == (9, 0)


async def test_one_entry_that_fails_does_not_hold_the_others_up(
    server: FakeImprest,
    admin: AdminClient,
    agent: AgentClient,
    connection: Connection,
    spool: Spool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A fault of the server that only concerns one request."""
    poisoned, other = await hold(admin), await hold(admin)
    answer = server._answer

    def faulty(rpc: str, request: Any) -> Any:
        if rpc == "Commit" and request.reservation_id == poisoned:
            raise RuntimeError("a bug")  # becomes UNKNOWN
        return answer(rpc, request)

    monkeypatch.setattr(server, "_answer", faulty)
    logging.getLogger("grpc").setLevel(logging.CRITICAL)
    assert await agent.hang_up(poisoned, 1) is None
    with outage(server, connection):
        assert await agent.hang_up(other, 1) is None
    while spool.count(SpoolState.PENDING) > 1:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert (await books(admin))[0] == 9
    monkeypatch.undo()
    assert await agent.flush(PATIENCE_S) == 0
    assert (await books(admin))[0] == 8


async def test_an_entry_that_cannot_even_be_sent_does_not_end_the_delivery(
    server: FakeImprest, admin: AdminClient, agent: AgentClient, spool: Spool
) -> None:
    """As a damaged file may have one."""
    spool.add("rsv_x", "/method", "k", b"", 3600)
    spool._connection.execute("UPDATE entries SET request = 'text', not_before_s = 0")
    reservation_id = await hold(admin)
    with server.outage():
        assert await agent.hang_up(reservation_id, 1) is None
    while spool.count(SpoolState.PENDING) > 1:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert await books(admin) == (9, 0)
    (entry,) = spool.entries()
    assert "Error" in entry.error


async def test_a_spool_that_cannot_be_written_does_not_stop_a_commit(
    admin: AdminClient, agent: AgentClient, spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    reservation_id = await hold(admin)
    assert agent._courier.spool is not None
    agent._courier.spool.close()
    receipt = await agent.hang_up(reservation_id, 1)
    assert receipt is not None
    assert "sent without it" in caplog.text
    assert await books(admin) == (9, 0)


async def test_a_cancelled_hangup_is_delivered(
    server: FakeImprest, admin: AdminClient, agent: AgentClient, spool: Spool
) -> None:
    reservation_id = await hold(admin)
    with server.outage():
        hanging_up = asyncio.create_task(agent.hang_up(reservation_id, 1))
        while "Commit" not in server.rpcs:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        hanging_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging_up
    assert spool.count(SpoolState.PENDING) == 1
    assert await agent.flush(PATIENCE_S) == 0
    assert await books(admin) == (9, 0)


AGENT = textwrap.dedent("""
    import asyncio, sys
    from imprest_client import AgentClient, Connection

    async def main(target, path, *reservation_ids):
        connection = Connection(target, connections=1, timeout_s=float(sys.argv[1]))
        async with connection, AgentClient(connection, currency="USD", spool=path) as agent:
            print("hangs up", flush=True)
            await asyncio.gather(*(agent.hang_up(one, 1) for one in reservation_ids))
            print("spooled", flush=True)
            await asyncio.Event().wait()

    asyncio.run(main(*sys.argv[2:]))
""")


@pytest.mark.parametrize("when", ["while sending", "when spooled"])
async def test_a_killed_agent_loses_no_commit(
    server: FakeImprest, admin: AdminClient, path: Path, spool: Spool, when: str
) -> None:
    reservation_ids = [await hold(admin) for _ in range(3)]
    with server.outage():
        server.rpcs.clear()
        timeout_s = str(PATIENCE_S if when == "while sending" else SOON_S)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", AGENT, timeout_s, server.target, path, *reservation_ids), stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"hangs up\n"
        if when == "when spooled":
            assert await process.stdout.readline() == b"spooled\n"
        while "Commit" not in server.rpcs or spool.count(SpoolState.PENDING) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        await process.wait()
    assert spool.count(SpoolState.PENDING) == 3
    async with AgentClient(server.target, spool=path) as agent:
        assert await agent.flush(PATIENCE_S) == 0
    assert await books(admin) == (7, 0)
    assert spool.entries() == []


async def test_an_earlier_commit_by_another_key_is_told(admin: AdminClient, agent: AgentClient) -> None:
    reservation_id = await hold(admin)
    await agent.hang_up(reservation_id, 1)
    with pytest.raises(ReservationCommitted):
        await agent.hang_up(reservation_id, 1)
    assert await books(admin) == (9, 0)
