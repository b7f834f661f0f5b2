"""Connections that break at every point of a batch: the engine asks again with the same keys, and all happens once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from imprest_server.db import pool
from imprest_server.posting import lane
from tests.conftest import Database
from tests.crash import journal as journal_module
from tests.crash.checker import check
from tests.crash.cluster import CrashCluster
from tests.crash.journal import Answer, Journal
from tests.crash.load import UNIT, Load, Scale
from tests.crash.ports import DirectPort, WirePort
from tests.crash.proxy import COMMITTED, How, Point, Proxy, proxied
from tests.crash.storm import storm
from tests.support.lanes import running_lanes
from tests.support.ledger import LIMITS
from tests.support.patience import PATIENCE_S
from tests.support.server import running_server

ALWAYS = 1_000


@dataclass
class Bench:
    """A ledger behind a proxy: one engine, patient callers, three accounts."""

    proxy: Proxy
    journal: Journal
    load: Load
    database: Database

    async def struck(self, point: Point, how: How, times: int = 1) -> list[Answer]:
        """One operation of each kind, all at once, whose batch meets the fault; returns their answers."""
        load, (giver, taker, _) = self.load, self.load.accounts
        holds = [(await load.reserve(giver, 3 * UNIT)).response.reservation.reservation_id for _ in range(3)]
        paid = await load.commit(holds[0], UNIT)
        self.proxy.arm(point, how, times=times)
        return await asyncio.gather(
            load.credit(giver, 7 * UNIT),
            load.transfer(giver, taker, UNIT + 1),
            load.reserve(taker, UNIT // 3),
            load.commit(holds[1], 2 * UNIT),
            load.void(holds[2]),
            load.refund(holds[0], paid.response.transaction_id, UNIT // 2),
        )

    async def assert_right(self) -> None:
        """The books are what the callers know."""
        self.proxy.disarm()
        report = await check(self.journal, self.database.owner_dsn, self.load.port)
        assert report.ok, report


@pytest.fixture
async def bench(
    cluster: CrashCluster, crash_database: Database, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Bench]:
    monkeypatch.setattr(lane, "RETRY_S", PATIENCE_S)
    monkeypatch.setattr(journal_module, "_ANSWER_S", PATIENCE_S)
    async with (
        proxied(cluster.socket_path) as proxy,
        running_lanes(replace(crash_database, app_dsn=proxy.dsn(crash_database))) as lanes,
    ):
        journal = Journal("cuts", impatient=0, twins=0)
        load = Load(journal, DirectPort(lanes.engines), "cuts", Scale(hot=1, cold=2))
        await load.open()
        yield Bench(proxy, journal, load, crash_database)
        proxy.thaw()


@pytest.mark.parametrize("point", Point)
async def test_a_batch_cut_at_any_point_happens_once(bench: Bench, point: Point) -> None:
    """The callers wait a little longer and notice nothing else."""
    for round_, how in enumerate((How.CLOSE, How.RESET), start=1):
        answers = await bench.struck(point, how)
        await bench.load.credit("hot-0", 1)  # finds the connection gone that was cut behind an answer
        assert bench.proxy.struck == round_
        assert all(answer.granted for answer in answers)
        if point is not Point.COMMIT_RACED:
            resubmitted = point in COMMITTED and point is not Point.COMMIT_ANSWERED
            assert any(answer.replayed for answer in answers) == resubmitted
    assert not bench.journal.doubts
    await bench.assert_right()


@pytest.mark.parametrize("point", [Point.BEFORE_WRITE, Point.COMMIT_UNANSWERED])
async def test_a_connection_that_always_breaks_leaves_callers_in_doubt(bench: Bench, point: Point) -> None:
    """They are told to try again, and a later try with the same key finds what has happened."""
    asked = asyncio.create_task(bench.struck(point, How.RESET, times=ALWAYS))
    while not bench.journal.doubts:  # noqa: ASYNC110  # what is waited for is another task's count
        await asyncio.sleep(0.01)
    bench.proxy.disarm()
    answers = await asked
    assert set(bench.journal.doubts) == {"DATABASE_UNAVAILABLE"}
    assert all(answer.granted for answer in answers)
    assert any(answer.replayed for answer in answers) == (point in COMMITTED)
    await bench.assert_right()


async def test_a_database_that_refuses_connections_is_found_again(bench: Bench) -> None:
    bench.proxy.refuses = True
    asked = asyncio.create_task(bench.struck(Point.COMMIT_UNANSWERED, How.RESET))
    bench.proxy.cut_all()
    while not bench.journal.doubts:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    bench.proxy.refuses = False
    assert all(answer.granted for answer in await asked)
    await bench.assert_right()


@pytest.mark.parametrize(
    "point",
    [Point.LOADING, Point.BEFORE_WRITE, Point.COMMIT_UNSENT],
)
async def test_a_session_that_outlives_its_client_lets_go_of_its_locks(
    bench: Bench, point: Point, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database has not heard that the client is gone: the batch's second try waits for the first one's locks."""
    monkeypatch.setattr(pool, "transaction_limit_ms", lambda *_: 1_000)
    bench.proxy.cut_all()  # the next connection has that limit
    asked = asyncio.create_task(bench.struck(point, How.PARTITION))
    await bench.proxy.until_struck(1)
    try:
        async with asyncio.timeout(LIMITS["lock_timeout_ms"] / 2_000):
            answers = await asyncio.shield(asked)
    finally:
        bench.proxy.heal_partition()
        await asked
    assert all(answer.granted and not answer.replayed for answer in answers)
    assert not bench.journal.doubts
    await bench.assert_right()


@pytest.mark.parametrize("point", [Point.LOADING, Point.COMMIT_UNSENT, Point.COMMIT_UNANSWERED])
async def test_a_stall_only_takes_time(bench: Bench, point: Point) -> None:
    asked = asyncio.create_task(bench.struck(point, How.FREEZE))
    await bench.proxy.until_struck(1)
    finished, _ = await asyncio.wait([asked], timeout=0.1)
    assert not finished
    bench.proxy.thaw()
    answers = await asked
    assert all(answer.granted and not answer.replayed for answer in answers)
    assert not bench.journal.doubts
    await bench.assert_right()


async def test_a_stalled_server_keeps_no_locks(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database ends a transaction that does not go on; others post meanwhile, and the stalled one tries again."""
    monkeypatch.setattr(pool, "transaction_limit_ms", lambda *_: 1_000)
    bench.proxy.cut_all()
    asked = asyncio.create_task(bench.struck(Point.BEFORE_WRITE, How.FREEZE))
    await bench.proxy.until_struck(1)
    async with running_lanes(bench.database) as others:
        straight = Load(bench.journal, DirectPort(others.engines), "straight", Scale(hot=1, cold=2))
        credit = asyncio.create_task(straight.credit("hot-0", UNIT))
        try:
            async with asyncio.timeout(LIMITS["lock_timeout_ms"] / 2_000):
                await asyncio.shield(credit)
        finally:
            bench.proxy.thaw()
            answers = [await credit, *await asked]
    assert all(answer.granted and not answer.replayed for answer in answers)
    await bench.assert_right()


async def test_a_silent_database_is_given_up(cluster: CrashCluster, crash_database: Database) -> None:
    """A connection that hangs without an end: callers are answered in time, by another connection."""
    async with proxied(cluster.socket_path) as proxy:
        behind = replace(crash_database, app_dsn=proxy.dsn(crash_database))
        async with running_server(behind, statement_timeout_ms=1_000, lock_timeout_ms=1_000) as server:
            journal = Journal("silence", impatient=0, twins=0)
            load = Load(journal, WirePort(server.target), "silence", Scale(hot=1, cold=2))
            await load.open()
            proxy.arm(Point.COMMIT_UNANSWERED, How.FREEZE)
            asked = asyncio.create_task(load.credit("hot-0", UNIT))
            try:
                async with asyncio.timeout(PATIENCE_S):
                    assert (await asyncio.shield(asked)).replayed
            finally:
                proxy.thaw()
                await asked
            report = await check(journal, crash_database.owner_dsn, load.port)
    assert report.ok, report


async def test_load_over_a_bad_line(cluster: CrashCluster, crash_database: Database) -> None:
    """Two engines whose connections break somewhere every few batches."""
    chance = random.Random("line")
    async with (
        proxied(cluster.socket_path) as proxy,
        running_lanes(replace(crash_database, app_dsn=proxy.dsn(crash_database)), engines=2) as lanes,
    ):

        async def fault() -> None:
            proxy.arm(chance.choice(list(Point)), chance.choice([How.CLOSE, How.RESET]), times=chance.choice([1, 1, 7]))

        load = Load(Journal("line"), DirectPort(lanes.engines), "line")
        report = await storm(load, [fault] * 12, crash_database.owner_dsn, between=20)
    print(report, dict(load.journal.doubts), f"{proxy.struck} faults")
    assert report.ok, report
    assert proxy.struck >= 12
    assert not load.journal.doubts["INTERNAL"]
