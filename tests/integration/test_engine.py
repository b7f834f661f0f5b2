"""The engine when things go wrong: culprits, conflicts, lost connections, overload, deadlines, callers that leave."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import psycopg
import pytest

from imprest_server.core.errors import (
    Conflict,
    DeadlineTooShort,
    Draining,
    QueueFull,
    Unavailable,
)
from imprest_server.db.data_dir import SUPERUSER
from imprest_server.db.embedded import EmbeddedPostgres
from imprest_server.db.pool import connect_engine
from imprest_server.ledger import operations as ops
from imprest_server.ledger.operations import Reply, Request
from imprest_server.ledger.rules import Outcome
from imprest_server.ledger.rules.decide import RULES
from imprest_server.ledger.rules.holds import reserve as reserve_rule
from imprest_server.ledger.working_set import Ledger, Terms
from imprest_server.posting.engine import Engine
from tests.conftest import Database
from tests.support.lanes import Standing, running_lanes
from tests.support.ledger import LIMITS


class Culprit(Exception):
    """What a bug raises."""


@pytest.fixture
def reserve_fails_for(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Calls whose Reserve hits a bug after it has changed the working set."""
    calls: set[str] = set()

    def rule(ledger: Ledger, request: Request, op: ops.Reserve, now: datetime) -> Reply:
        reply = reserve_rule(ledger, request, op, now)
        if op.call_id in calls:
            raise Culprit
        return reply

    monkeypatch.setitem(RULES, ops.Reserve, rule)
    return calls


async def test_a_bug_in_one_operation_does_not_fail_its_neighbours(
    database: Database, reserve_fails_for: set[str]
) -> None:
    reserve_fails_for |= {"call-13", "call-40"}
    async with running_lanes(database) as lanes:
        account = await lanes.open("acme", credit="100")
        operations = [lanes.reserve(account, "1", call_id=f"call-{n}") for n in range(60)]
        results = await asyncio.gather(*map(lanes.post, operations), return_exceptions=True)
        assert [n for n, result in enumerate(results) if isinstance(result, Culprit)] == [13, 40]
        assert sum(isinstance(result, Outcome) for result in results) == 58
        assert lanes.standing(account) == Standing("100", held="58", receivable="0", open_count=58)
        assert lanes.engines[0].stats.splits > 0


async def test_a_book_that_cannot_be_locked_stands_alone(database: Database) -> None:
    """Somebody holds one account's book; the others go on, that one gets ABORTED."""

    async def connect() -> psycopg.AsyncConnection[tuple[Any, ...]]:
        return await connect_engine(database.app_dsn, **{**LIMITS, "lock_timeout_ms": 50})

    engine = Engine(connect, Terms(), batch_max=250, queue_max=100)
    async with running_lanes(database) as lanes:
        free, taken = await lanes.open("free", credit="10"), await lanes.open("taken", credit="10")
        await engine.start()
        with psycopg.connect(database.owner_dsn) as blocker:
            blocker.execute("SELECT 1 FROM books WHERE account_id = 'taken' FOR UPDATE")
            operations = [lanes.reserve(account, "1") for account in (free, taken, free)]
            results = await asyncio.gather(*map(engine.submit, operations), return_exceptions=True)
        await engine.stop()
        assert [type(result) for result in results] == [Outcome, Conflict, Outcome]
        assert lanes.standing(free).held == "2"
        assert lanes.standing(taken).held == "0"


async def test_the_search_for_culprits_ends(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """With many of them, or a database that is slow for everybody, others would wait for each part."""
    monkeypatch.setattr("imprest_server.posting.lane.SPLIT_S", 0)

    async def connect() -> psycopg.AsyncConnection[tuple[Any, ...]]:
        return await connect_engine(database.app_dsn, statement_timeout_ms=5_000, lock_timeout_ms=50)

    engine = Engine(connect, Terms(), batch_max=250, queue_max=100)
    async with running_lanes(database) as lanes:
        free, taken = await lanes.open("free", credit="10"), await lanes.open("taken", credit="10")
        await engine.start()
        with psycopg.connect(database.owner_dsn) as blocker:
            blocker.execute("SELECT 1 FROM books WHERE account_id = 'taken' FOR UPDATE")
            operations = [lanes.reserve(account, "1") for account in (free, taken, free)]
            results = await asyncio.gather(*map(engine.submit, operations), return_exceptions=True)
        assert [type(result) for result in results] == [Unavailable] * 3
        assert isinstance(await engine.submit(operations[0]), Outcome)
        await engine.stop()
        assert lanes.standing(free).held == "1"


async def test_a_killed_connection_is_replaced(database: Database, pg_cluster: EmbeddedPostgres) -> None:
    async with running_lanes(database) as lanes:
        account = await lanes.open("acme", credit="10")
        with psycopg.connect(pg_cluster.dsn(SUPERUSER, SUPERUSER)) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database.name]
            )
        await lanes.post(lanes.reserve(account, "1"))
        assert lanes.standing(account).held == "1"


async def test_without_a_database_callers_are_told_and_the_engine_recovers(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imprest_server.posting.lane.RETRY_S", 0.05)
    reachable = True

    async def connect() -> psycopg.AsyncConnection[tuple[Any, ...]]:
        if not reachable:
            raise psycopg.OperationalError("no route")
        return await connect_engine(database.app_dsn, **LIMITS)

    engine = Engine(connect, Terms(), batch_max=250, queue_max=100)
    await engine.start()
    async with running_lanes(database) as lanes:
        account = await lanes.open("acme", credit="10")
        reachable = False
        await engine._lane.close()
        with pytest.raises(Unavailable):
            await engine.submit(lanes.reserve(account, "1"))
        reachable = True
        await engine.submit(lanes.reserve(account, "1"))
        assert lanes.standing(account).held == "1"
    await engine.stop()


async def test_an_unexpected_failure_to_connect_is_answered_too(database: Database) -> None:
    """Whatever `connect` raises: the lane lives on and nobody waits for ever."""
    broken = False

    async def connect() -> psycopg.AsyncConnection[tuple[Any, ...]]:
        if broken:
            raise Culprit
        return await connect_engine(database.app_dsn, **LIMITS)

    engine = Engine(connect, Terms(), batch_max=250, queue_max=100)
    await engine.start()
    async with running_lanes(database) as lanes:
        account = await lanes.open("acme", credit="10")
        await engine._lane.close()
        broken = True
        with pytest.raises(Culprit):
            await engine.submit(lanes.reserve(account, "1"))
        broken = False
        assert isinstance(await engine.submit(lanes.reserve(account, "1")), Outcome)
    await engine.stop()


async def test_overload_is_refused_and_what_was_taken_happens(database: Database) -> None:
    async with running_lanes(database) as lanes:
        account = await lanes.open("acme", credit="100")
        engine = lanes.engines[0]
        engine._queue._limit = 20
        results = await asyncio.gather(
            *(lanes.attempt(lanes.reserve(account, "1")) for _ in range(60)), return_exceptions=True
        )
        granted = sum(isinstance(result, Outcome) for result in results)
        refused = sum(isinstance(result, QueueFull) for result in results)
        assert granted + refused == 60
        assert refused >= 20
        assert engine.stats.refused == refused
        assert lanes.standing(account).open_count == granted


async def test_an_operation_out_of_time_is_not_begun(database: Database) -> None:
    async with running_lanes(database) as lanes:
        account = await lanes.open("acme", credit="100")
        engine = lanes.engines[0]
        results = await asyncio.gather(
            engine.submit(lanes.reserve(account, "1"), timeout_s=-1.0),
            engine.submit(lanes.reserve(account, "1"), timeout_s=60.0),
            return_exceptions=True,
        )
        assert [type(result) for result in results] == [DeadlineTooShort, Outcome]
        assert lanes.standing(account).held == "1"


async def test_a_caller_that_leaves_neither_breaks_nor_undoes_anything(database: Database) -> None:
    async with running_lanes(database) as lanes:
        account = await lanes.open("acme", credit="100")
        calls = [asyncio.create_task(lanes.post(lanes.reserve(account, "1"))) for _ in range(20)]
        await asyncio.sleep(0)
        for call in calls[::2]:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await lanes.post(lanes.reserve(account, "1"))
        assert lanes.standing(account).open_count == 21


async def test_stopping_finishes_what_waits_and_refuses_the_rest(database: Database) -> None:
    async with running_lanes(database) as lanes:
        account = await lanes.open("acme", credit="100")
        calls = [asyncio.create_task(lanes.post(lanes.reserve(account, "1"))) for _ in range(10)]
        await asyncio.sleep(0)
        await lanes.engines[0].stop()
        assert all(isinstance(outcome, Outcome) for outcome in await asyncio.gather(*calls))
        with pytest.raises(Draining):
            await lanes.post(lanes.reserve(account, "1"))
        assert lanes.standing(account).open_count == 10


async def test_bulk_operations_and_calls_take_turns(database: Database) -> None:
    """A call that comes while a thousand bulk operations wait is answered long before the last of them."""
    async with running_lanes(database, batch_max=50) as lanes:
        account = await lanes.open("acme", credit="2000")
        engine, order = lanes.engines[0], []

        async def post(name: str, *, bulk: bool) -> None:
            await engine.submit(lanes.reserve(account, "1"), bulk=bulk)
            order.append(name)

        bulk = [asyncio.create_task(post("bulk", bulk=True)) for _ in range(1000)]
        await asyncio.sleep(0)
        await post("call", bulk=False)
        assert order.index("call") <= 150
        await asyncio.gather(*bulk)


async def test_batches_form_by_themselves(database: Database) -> None:
    async with running_lanes(database) as lanes:
        account = await lanes.open("acme", credit="2000")
        stats = lanes.engines[0].stats
        before = stats.batch_size.count
        for _ in range(5):
            await lanes.post(lanes.reserve(account, "1"))
        assert stats.batch_size.count - before == 5
        before = stats.batch_size.count
        await asyncio.gather(*(lanes.post(lanes.reserve(account, "1")) for _ in range(500)))
        assert stats.batch_size.count - before <= 500 // 250 + 2
        assert stats.queue_wait.count >= 505
