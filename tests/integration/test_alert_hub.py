"""The stream of alerts on a real Postgres: in order, each once, without gaps, whatever restarts."""

# ruff: noqa: ASYNC110  # what is waited for happens in the database

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from imprest_server.budgets import service, store
from imprest_server.budgets.hub import AlertHub, Event, Filter, token_of
from imprest_server.budgets.model import AlertKind, AlertLevel, NewAlert
from imprest_server.core.errors import Draining, InvalidArgument, ResumeTokenTooOld, SlowReader, Unavailable
from imprest_server.core.ids import AccountId, TenantId
from imprest_server.db.pool import tenant_transaction
from tests.conftest import Database
from tests.support import clock
from tests.support.budgets import NOW, Desk, alert, open_desk
from tests.support.ledger import TENANT

ALL = Filter()
#: Too long to be waited for in any test.
NEVER_S = 3600.0


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    async with open_desk(database, poll_s=NEVER_S) as desk:
        yield desk


class Listener:
    """A subscription, and what has come so far: sequences of alerts, and of the last event."""

    def __init__(self, hub: AlertHub, which: Filter = ALL, *, idle_s: float = NEVER_S, **start: Any) -> None:
        self.events = hub.subscribe(TENANT, which, idle_s=idle_s, **start)
        self.seen: list[int] = []
        self.place = -1

    async def take(self) -> Event:
        event = await anext(self.events)
        assert event.sequence >= self.place
        self.place = event.sequence
        if event.stored is not None:
            assert event.stored.sequence == event.sequence
            self.seen.append(event.sequence)
        return event

    async def until(self, count: int) -> list[int]:
        """Listen until so many alerts have come."""
        while len(self.seen) < count:
            await self.take()
        return self.seen

    async def joined(self) -> "Listener":
        """Listen until all that is stored has been read."""
        while (await self.take()).stored is not None:
            pass
        return self

    async def __aenter__(self) -> "Listener":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.events.aclose()


async def test_alerts_of_this_process_come_at_once(desk: Desk) -> None:
    """The reader never polls here: it is woken."""
    async with Listener(desk.hub) as listener:
        assert await listener.take() == Event(0)
        for n in range(1, 4):
            await desk.add_many(1)
            event = await listener.take()
            assert (event.sequence, event.stored and event.stored.alert.amount) == (n, 0)


async def test_alerts_of_other_processes_are_found(database: Database, desk: Desk) -> None:
    async with open_desk(database, poll_s=0.01) as other, Listener(other.hub) as listener:
        await listener.joined()
        await desk.add_many(3)
        assert await listener.until(3) == [1, 2, 3]


async def test_where_a_stream_begins(desk: Desk) -> None:
    for n in range(5):
        await desk.add(alert(create_time=NOW + timedelta(minutes=n)))

    async def first(**start: Any) -> int | None:
        async with Listener(desk.hub, **start) as listener:
            event = await listener.take()
            return event.sequence if event.stored is not None else None

    assert await first() is None
    assert await first(resume_token=token_of(TENANT, 0)) == 1
    assert await first(resume_token=token_of(TENANT, 3)) == 4
    assert await first(resume_token=token_of(TENANT, 5)) is None
    assert await first(start_time=NOW - timedelta(days=1)) == 1
    assert await first(start_time=NOW + timedelta(minutes=2)) == 3
    assert await first(start_time=NOW + timedelta(minutes=2, microseconds=1)) == 4
    assert await first(start_time=NOW + timedelta(days=1)) is None


async def test_filters_and_the_checkpoints_beside_them(desk: Desk) -> None:
    await desk.add(
        alert(level=AlertLevel.INFO),
        alert(level=AlertLevel.EMERGENCY, account_id=AccountId("b")),
        alert(level=AlertLevel.CRITICAL, kind=AlertKind.LATE_COMMIT),
        alert(level=AlertLevel.WARNING, account_id=None),
    )
    expected = {
        Filter(min_level=AlertLevel.CRITICAL): [2, 3],
        Filter(account_id=AccountId("a")): [1, 3],
        Filter(kinds=frozenset([AlertKind.LATE_COMMIT])): [3],
        Filter(min_level=AlertLevel.EMERGENCY, account_id=AccountId("a")): [],
        ALL: [1, 2, 3, 4],
    }
    for which, sequences in expected.items():
        start = token_of(TENANT, 0)
        async with Listener(desk.hub, which, resume_token=start) as listener:
            while listener.place < 4:
                await listener.take()
            assert listener.seen == sequences
            await listener.joined()
            await desk.hub._readers[TENANT][0]._read()
    # what comes live is filtered alike, and the quiet stream's token moves on
    async with Listener(desk.hub, Filter(min_level=AlertLevel.EMERGENCY), idle_s=0.05) as listener:
        await listener.joined()
        await desk.add_many(3)
        while listener.place < 7:
            await listener.take()
        assert listener.seen == []
        await desk.add(alert(level=AlertLevel.EMERGENCY))
        assert await listener.until(1) == [8]


async def test_a_quiet_stream_says_that_it_lives(desk: Desk) -> None:
    await desk.add_many(2)
    async with Listener(desk.hub, idle_s=0.01) as listener:
        assert [await listener.take() for _ in range(3)] == [Event(2)] * 3


async def test_a_stream_that_cannot_be_read_says_no_longer_that_there_is_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that has lost the database, while others write."""
    async with open_desk(database, poll_s=0.01) as desk, open_desk(database) as other:
        read = desk.queries.alerts_after

        async def lost(*_: Any) -> Any:
            raise Unavailable

        async with await Listener(desk.hub, idle_s=0.05).joined() as listener:
            monkeypatch.setattr(desk.queries, "alerts_after", lost)
            await other.add(alert())
            with pytest.raises(Unavailable):
                await listener.until(1)
        monkeypatch.setattr(desk.queries, "alerts_after", read)
        async with Listener(desk.hub, resume_token=token_of(TENANT, listener.place)) as listener:
            assert await listener.until(1) == [1]


async def test_many_writers_and_readers_of_two_processes(database: Database, desk: Desk) -> None:
    """Everybody sees every alert, in one order, also those who join, leave and resume in between."""
    total = 120
    async with open_desk(database, poll_s=0.005) as other:

        async def write(where: Desk, count: int) -> None:
            for n in range(count // 3):
                await where.add_many(3 if n % 2 else 1)
                if not n % 2:
                    await where.add_many(2)

        async def listen(where: Desk, pause: int) -> list[int]:
            token, seen = token_of(TENANT, 0), list[int]()
            while len(seen) < total:
                async with Listener(where.hub, resume_token=token) as listener:
                    await listener.until(min(pause, total - len(seen)))
                    seen += listener.seen
                    token = token_of(TENANT, listener.place)
            return seen

        readers = [listen(where, pause) for where in (desk, other) for pause in (1, 2, 7, 50, total)]
        writers = [write(where, total // 4) for where in (desk, desk, other, other)]
        poke = asyncio.create_task(_poke(desk))
        results = await asyncio.gather(*readers, *writers)
        poke.cancel()
    assert results[: len(readers)] == [list(range(1, total + 1))] * len(readers)


async def _poke(desk: Desk) -> None:
    """Alerts of the other process are not announced to this one."""
    while True:
        desk.hub.wake(TENANT)
        await asyncio.sleep(0.005)


async def test_more_than_a_page_is_missed(desk: Desk) -> None:
    await desk.add_many(1_203)
    async with Listener(desk.hub, resume_token=token_of(TENANT, 1)) as listener:
        assert await listener.until(1_202) == list(range(2, 1_204))


async def test_a_slow_reader_is_told_and_loses_nothing(database: Database) -> None:
    async with open_desk(database, poll_s=NEVER_S, buffer=5) as desk:
        async with Listener(desk.hub) as quick, Listener(desk.hub) as slow:
            await quick.joined()
            await slow.joined()
            for n in range(1, 11):
                await desk.add_many(1)
                await quick.until(n)
            with pytest.raises(SlowReader) as told:
                await slow.take()
            assert slow.seen == []
        async with Listener(desk.hub, resume_token=told.value.resume_token) as again:
            assert await again.until(10) == list(range(1, 11))


async def test_draining_ends_all_and_refuses_more(desk: Desk) -> None:
    async with Listener(desk.hub) as waiting, Listener(desk.hub) as reading:
        await waiting.joined()
        await reading.joined()
        taken = asyncio.create_task(waiting.take())
        await asyncio.sleep(0)
        desk.hub.drain()
        for ended in (taken, reading.take(), Listener(desk.hub).take()):
            with pytest.raises(Draining):
                await ended
    assert desk.hub._readers == {}


async def test_nobody_listens_nobody_reads(desk: Desk) -> None:
    async with Listener(desk.hub) as one:
        async with Listener(desk.hub) as two:
            await one.joined()
            await two.joined()
            assert len(desk.hub._readers[TENANT][0].subscribers) == 2
        assert len(desk.hub._readers[TENANT][0].subscribers) == 1
    assert desk.hub._readers == {}


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "garbage!",
        token_of(TenantId("other"), 1),
        token_of(TENANT, 1)[:-2],
        token_of(TENANT, 3),
        "ä" * 10,
        "A" * 5000,
    ],
)
async def test_tokens_of_others_are_none(desk: Desk, token: str) -> None:
    await desk.add_many(2)
    with pytest.raises(InvalidArgument, match="resume_token"):
        await Listener(desk.hub, resume_token=token).take()


# ── retention ────────────────────────────────────────────────────────────────────────────────────────


async def prune(desk: Desk, age: timedelta) -> None:
    while await desk.admin.prune_alerts(TENANT, age):
        pass


async def test_old_alerts_are_pruned_and_their_tokens_too_old(database: Database, desk: Desk) -> None:
    clock.install(database.owner_dsn)
    async with open_desk(database, poll_s=NEVER_S) as desk:
        async with store.transaction(desk.pool, TENANT) as conn:
            now = await store.clock(conn)
        for age in (9, 8, 3, 5, 1):
            await desk.add(alert(create_time=now - timedelta(days=age)))
        await prune(desk, timedelta(days=10))
        assert [s.sequence for s in (await desk.queries.list_alerts(TENANT))[0]] == [5, 4, 3, 2, 1]
        await prune(desk, timedelta(days=4))
        assert [s.sequence for s in (await desk.queries.list_alerts(TENANT))[0]] == [5, 4, 3]
        for place in (0, 1):
            with pytest.raises(ResumeTokenTooOld) as denied:
                await Listener(desk.hub, resume_token=token_of(TENANT, place)).take()
            async with Listener(desk.hub, resume_token=denied.value.oldest_token) as listener:
                assert await listener.until(3) == [3, 4, 5]
        async with Listener(desk.hub, start_time=now - timedelta(days=30)) as listener:
            assert await listener.until(3) == [3, 4, 5]
        await prune(desk, timedelta(0))
        with pytest.raises(ResumeTokenTooOld):
            await Listener(desk.hub, resume_token=token_of(TENANT, 4)).take()
        async with Listener(desk.hub, resume_token=token_of(TENANT, 5)) as listener:
            await listener.joined()
            await desk.add_many(1)
            assert await listener.until(1) == [6]


async def test_pruning_goes_by_steps_and_takes_acknowledgements_along(
    database: Database, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "PRUNE_LIMIT", 2)
    await desk.add_many(5)
    async with store.transaction(desk.pool, TENANT) as conn:
        for stored in (await desk.queries.list_alerts(TENANT))[0]:
            await store.acknowledge(conn, TENANT, stored.alert.alert_id, "ann")
    steps = []
    while not steps or steps[-1]:
        steps.append(await desk.admin.prune_alerts(TENANT, timedelta(0)))
    assert steps == [True, True, False]
    with psycopg.connect(database.owner_dsn) as owner:
        for table in ("alerts", "alert_acknowledgements"):
            assert owner.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)  # type: ignore[arg-type]
        assert owner.execute("SELECT last_sequence, pruned_sequence FROM alert_heads").fetchone() == (5, 5)


# ── writing them ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_sequence_is_given_out_with_the_commit(database: Database, desk: Desk) -> None:
    """Whoever has seen n finds nothing below it later: the head stays locked until the end of the transaction."""
    async with open_desk(database) as other:
        async with store.transaction(desk.pool, TENANT) as conn:
            await store.insert_alerts(conn, [])
            await _insert(conn, 1)
            waiting = asyncio.create_task(other.add_many(1))
            while not await _waits(conn):
                await asyncio.sleep(0.01)
            assert await other.queries.alerts_after(TENANT, 0, 10) == []
        await waiting
    found = await desk.queries.alerts_after(TENANT, 0, 10)
    assert [stored.sequence for stored in found] == [1, 2]


async def _insert(conn: store.Connection, amount: int) -> None:
    await store.insert_alerts(conn, [NewAlert(TENANT, alert(amount))])


async def _waits(conn: store.Connection) -> bool:
    rows = await (await conn.execute("SELECT count(*) AS n FROM pg_locks WHERE NOT granted")).fetchall()
    return bool(rows[0]["n"])


async def test_an_aborted_transaction_leaves_no_gap(desk: Desk) -> None:
    await desk.add_many(1)
    async with store.transaction(desk.pool, TENANT) as conn:
        await _insert(conn, 1)
        raise psycopg.Rollback
    await desk.add_many(1)
    found = await desk.queries.alerts_after(TENANT, 0, 10)
    assert [stored.sequence for stored in found] == [1, 2]


async def test_alerts_of_several_tenants_in_one_statement(database: Database, desk: Desk) -> None:
    red = TenantId("red")
    with psycopg.connect(database.owner_dsn) as owner:
        owner.execute("INSERT INTO tenants (tenant_id, create_time) VALUES ('red', now())")
    for _ in range(2):
        async with tenant_transaction(desk.pool, [TENANT, red]) as conn:
            await store.insert_alerts(conn, [NewAlert(t, alert(n)) for n, t in enumerate((red, TENANT, red))])
    async with aclosing(desk.hub.subscribe(red, ALL, idle_s=1, resume_token=token_of(red, 0))) as events:
        seen = [(await anext(events)).stored for _ in range(4)]
    assert [(s.sequence, s.alert.amount) for s in seen if s] == [(1, 0), (2, 2), (3, 0), (4, 2)]
    found = await desk.queries.alerts_after(TENANT, 0, 10)
    assert [(s.sequence, s.alert.amount) for s in found] == [(1, 1), (2, 1)]


# ── many ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_thousand_subscribers_through_restarts(database: Database) -> None:
    """Hubs come and go while alerts are written: nobody misses or repeats one."""
    rounds, each, subscribers = 3, 10, 1_000
    places = [token_of(TENANT, 0)] * subscribers
    seen: list[list[int]] = [[] for _ in range(subscribers)]
    async with open_desk(database) as writer:
        for done in range(rounds):
            async with open_desk(database, poll_s=0.05) as desk:
                wanted = (done + 1) * each

                async def listen(n: int, hub: AlertHub = desk.hub, wanted: int = wanted) -> None:
                    async with Listener(hub, resume_token=places[n]) as listener:
                        # some are cut before they have seen all
                        await listener.until(max(0, wanted - len(seen[n]) - n % 4))
                        seen[n] += listener.seen
                        places[n] = token_of(TENANT, seen[n][-1])

                await asyncio.gather(writer.add_many(each), *(listen(n) for n in range(subscribers)))
    assert all(sequences == list(range(1, len(sequences) + 1)) for sequences in seen)
    assert {len(sequences) for sequences in seen} == {rounds * each - late for late in range(4)}
