"""The stream of alerts through restarts of its database: nothing is missed, nothing comes twice."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing

from imprest_server.budgets.hub import AlertHub, Filter, token_of
from imprest_server.core.errors import ImprestError
from tests.conftest import Database
from tests.crash.cluster import CrashCluster
from tests.support.budgets import Desk, open_desk
from tests.support.ledger import TENANT

SUBSCRIBERS = 100


async def follow(hub: AlertHub, total: int) -> list[int]:
    """Like a client: whatever ends the stream, begin again with the token of the last message."""
    token, seen = token_of(TENANT, 0), list[int]()
    while len(seen) < total:
        try:
            async with aclosing(hub.subscribe(TENANT, Filter(), resume_token=token, idle_s=60)) as events:
                async for event in events:
                    token = token_of(TENANT, event.sequence)
                    if event.stored is not None:
                        seen.append(event.sequence)
                    if len(seen) == total:
                        break
        except ImprestError:
            await asyncio.sleep(0.05)
    return seen


async def write(desk: Desk, count: int) -> None:
    """So many alerts, each in a transaction of its own; one that fails is known not to have happened, or found."""
    while await last_of(desk) < count:
        try:
            await desk.add_many(1)
        except ImprestError:
            await asyncio.sleep(0.05)


async def last_of(desk: Desk) -> int:
    """The newest alert's sequence, as soon as there is a database to ask."""
    while True:
        try:
            return (await desk.queries.head(TENANT)).last
        except ImprestError:
            await asyncio.sleep(0.05)


async def test_subscribers_of_two_processes_outlive_the_database(
    cluster: CrashCluster, crash_database: Database
) -> None:
    """Sessions are ended, a session's server is killed, the whole Postgres is killed and restarted."""
    async with AsyncExitStack() as stack:
        writer, *desks = [await stack.enter_async_context(open_desk(crash_database, poll_s=0.02)) for _ in range(3)]
        rounds, each = 4, 15
        readers = [asyncio.create_task(follow(desks[n % 2].hub, rounds * each)) for n in range(SUBSCRIBERS)]

        def kill_and_restart() -> None:
            cluster.kill()
            cluster.restart()

        faults = (
            lambda: cluster.end_sessions(crash_database),
            lambda: cluster.kill_backend(crash_database),
            kill_and_restart,
            lambda: None,
        )
        for done, fault in enumerate(faults, start=1):
            writing = asyncio.create_task(write(writer, done * each))
            await asyncio.to_thread(fault)
            await writing
        assert await asyncio.gather(*readers) == [list(range(1, rounds * each + 1))] * SUBSCRIBERS
