"""Databases that are there but do not want to: callers are told to try again, and nobody restarts anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import psycopg
import pytest

from imprest.v1.account_service_pb2 import AddCreditRequest, GetBalanceRequest
from imprest_client.errors import details_of
from imprest_server.core.errors import Unavailable
from imprest_server.db.data_dir import SUPERUSER
from imprest_server.ledger.rules import Outcome
from tests.conftest import Database
from tests.crash.checker import check
from tests.crash.cluster import CrashCluster
from tests.crash.journal import Journal
from tests.crash.load import UNIT, Load, Scale, money
from tests.crash.ports import WirePort
from tests.support.lanes import Standing, running_lanes
from tests.support.server import Running, running_server


@asynccontextmanager
async def one_account(database: Database) -> AsyncIterator[tuple[Running, Load]]:
    """A server with few accounts; in the end its books are what its callers know."""
    async with running_server(database) as server, WirePort(server.target) as port:
        load = Load(Journal("unwilling", impatient=0, twins=0), port, "unwilling", Scale(hot=1, cold=1))
        await load.open()
        yield server, load
        assert "INTERNAL" not in load.journal.doubts
        report = await check(load.journal, database.owner_dsn, port)
        assert report.ok, report


async def refused(server: Running, key: str) -> bool:
    """Ask for credit; whether that was refused, which must be done with UNAVAILABLE and a hint when to come again."""
    request = AddCreditRequest(account_id="hot-0", amount=money(UNIT), idempotency_key=key)
    try:
        await server.accounts.AddCredit(request)
    except grpc.aio.AioRpcError as error:
        details = details_of(error)
        assert (details.code, details.reason) == (grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE")
        assert details.retry_after_s == 1
        return True
    return False


async def asked_during(load: Load, server: Running, outage: str) -> asyncio.Task[object]:
    """A caller who asks while the database refuses, and goes on asking; returns once it was refused twice."""
    asked: asyncio.Task[object] = asyncio.create_task(load.credit("hot-0", 3 * UNIT))
    while load.journal.doubts["DATABASE_UNAVAILABLE"] < 2 and not asked.done():  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert not asked.done(), f"{outage}: the caller was answered"
    assert await refused(server, outage)
    return asked


async def test_read_only(cluster: CrashCluster, crash_database: Database) -> None:
    """As after a failover that is not over yet, or a full disk: reads go on, writes wait."""
    reload = "SELECT pg_reload_conf()"
    async with one_account(crash_database) as (server, load):
        try:
            await asyncio.to_thread(cluster.admin, "ALTER SYSTEM SET default_transaction_read_only = on", reload)
            session = await psycopg.AsyncConnection.connect(crash_database.app_dsn, autocommit=True)
            async with session:
                while (await (await session.execute("SHOW transaction_read_only")).fetchone()) != ("on",):
                    pass
            asked = await asked_during(load, server, "read only")
            assert (await server.accounts.GetBalance(GetBalanceRequest(account_id="hot-0"))).balance.wallet.units
        finally:
            await asyncio.to_thread(cluster.admin, "ALTER SYSTEM RESET default_transaction_read_only", reload)
        await asked


@pytest.mark.parametrize(("hot", "says"), [(False, "not accepting connections|starting up"), (True, "")])
async def test_a_standby_until_it_is_promoted(
    cluster: CrashCluster, crash_database: Database, hot: bool, says: str
) -> None:
    """It is starting up and answers nobody, or (hot) reads only; once promoted it is the database."""
    async with one_account(crash_database) as (server, load):
        await asyncio.to_thread(cluster.stop)
        starting = await asyncio.to_thread(cluster.start_as_standby, hot=hot)
        if says:
            with pytest.raises(psycopg.OperationalError, match=says):
                await psycopg.AsyncConnection.connect(crash_database.app_dsn)
        asked = await asked_during(load, server, "standby")
        await asyncio.to_thread(cluster.promote)
        await asyncio.to_thread(starting.result)
        await asked


async def test_no_connection_left(cluster: CrashCluster, crash_database: Database) -> None:
    """Others have taken all connections: the engine lost its own and gets none, until there is one again."""
    limit = f"ALTER DATABASE {crash_database.name} CONNECTION LIMIT"
    async with one_account(crash_database) as (server, load):
        await asyncio.to_thread(cluster.admin, f"{limit} 0")
        await asyncio.to_thread(cluster.end_sessions, crash_database)
        with pytest.raises(psycopg.OperationalError, match="too many connections"):
            await psycopg.AsyncConnection.connect(crash_database.app_dsn)
        asked = await asked_during(load, server, "no connection")
        await asyncio.to_thread(cluster.admin, f"{limit} -1")
        await asked


async def test_sessions_that_an_administrator_ends(cluster: CrashCluster, crash_database: Database) -> None:
    """The engine connects again by itself; no caller is told."""
    async with one_account(crash_database) as (_, load):
        for _ in range(3):
            await asyncio.to_thread(cluster.end_sessions, crash_database)
            assert not (await load.credit("hot-0", 1)).replayed
        assert not load.journal.doubts


async def test_an_engine_stops_while_the_database_hangs(
    cluster: CrashCluster, crash_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not wait for what may never come: callers are told, and with its old key everything happens once."""
    monkeypatch.setattr("imprest_server.posting.engine.STOP_S", 0.1)
    async with running_lanes(crash_database, batch_max=1) as lanes:
        account = await lanes.open("acme", credit="100")
        reserves = [lanes.reserve(account, "1") for _ in range(5)]
        with cluster.hung():
            calls = [asyncio.create_task(lanes.attempt(reserve)) for reserve in reserves]
            await asyncio.sleep(0)
            async with asyncio.timeout(60):
                await lanes.engines[0].stop()
                answers = await asyncio.gather(*calls)
    assert [type(answer) for answer in answers] == [Unavailable] * 5
    async with running_lanes(crash_database) as lanes:
        for reserve in reserves:
            assert isinstance(await lanes.attempt(reserve), Outcome)
        assert lanes.standing(account) == Standing("100", held="5", receivable="0", open_count=5)


async def test_a_commit_that_is_not_replicated_is_not_answered(cluster: CrashCluster, crash_database: Database) -> None:
    """Whoever cancels a COMMIT that waits for its standby gets a warning and success: a failover may still lose it."""
    reload = "SELECT pg_reload_conf()"
    waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND datname = %s"
    async with running_lanes(crash_database) as lanes:
        account = await lanes.open("acme", credit="10")
        with psycopg.connect(cluster.postgres.dsn(SUPERUSER, SUPERUSER), autocommit=True) as admin:
            try:
                await asyncio.to_thread(cluster.admin, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'", reload)
                call = asyncio.create_task(lanes.post(lanes.reserve(account, "1")))
                for _ in range(2):  # the batch again waits for the standby again
                    while not (found := admin.execute(waiting, [crash_database.name]).fetchall()):
                        assert not call.done(), "answered without a standby"
                        await asyncio.sleep(0.01)
                    assert admin.execute("SELECT pg_cancel_backend(%s)", found[0]).fetchone() == (True,)
                    while admin.execute(waiting, [crash_database.name]).fetchall() == found:  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
            finally:
                await asyncio.to_thread(cluster.admin, "ALTER SYSTEM RESET synchronous_standby_names", reload)
            assert (await call).replayed
        assert lanes.standing(account).held == "1"
