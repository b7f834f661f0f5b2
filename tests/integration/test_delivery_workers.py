"""Worker processes that deliver side by side, are killed, and meet at the locks of channels."""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest

from imprest_server.budgets.channels import store
from imprest_server.budgets.channels.model import ChannelId, DeliveryState
from imprest_server.budgets.store import transaction
from imprest_server.jobs.deliver_alerts import LEASE, MOST_TRIES, MOST_TRIES_PER_CHANNEL
from tests.conftest import Database
from tests.support import clock
from tests.support.budgets import alert
from tests.support.channels import Post, deliver, open_post
from tests.support.ledger import TENANT
from tests.support.plans import faults, plan
from tests.support.receivers import Hook, hook

CHANNEL = ChannelId("hook")

_MANY = """
INSERT INTO alerts (tenant_id, sequence, alert_id, kind, level, create_time, currency_code, call_ids)
SELECT 'default', n, gen_random_uuid(), 'OVERRUN', 2, now(), 'USD', '{}' FROM generate_series(1, 30000) AS n;
INSERT INTO alert_deliveries (
    tenant_id, channel_id, sequence, state, attempts, last_attempt, create_time, next_time, detail
)
SELECT
    'default', 'hook', n, CASE n % 2 WHEN 0 THEN 'PENDING' ELSE 'DELIVERED' END, 1, 12, now(),
    now() + n * interval '1 minute', ''
FROM generate_series(1, 30000) AS n
"""


@pytest.fixture
async def post(database: Database) -> AsyncIterator[Post]:
    clock.install(database.owner_dsn)
    async with open_post(database) as post:
        yield post


@pytest.fixture
async def receiver() -> AsyncIterator[Hook]:
    async with hook() as receiver:
        yield receiver


@asynccontextmanager
async def worker_process(database: Database) -> AsyncIterator[asyncio.subprocess.Process]:
    """Killed at the end, if it still lives then."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.support.delivering", database.app_dsn),
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def delivered(post: Post) -> Counter[int]:
    """The deliveries by their tries, once all are delivered."""
    while True:
        found = await post.deliveries(page_size=1000)
        if {delivery.state for delivery in found} == {DeliveryState.DELIVERED}:
            return Counter([delivery.attempts for delivery in found])


async def test_processes_make_one_delivery_and_send_it_once(database: Database, post: Post, receiver: Hook) -> None:
    await post.create(CHANNEL, url=receiver.url)
    async with worker_process(database), worker_process(database):
        for n in range(20):
            await post.raise_alerts(*(alert((n * 10 + m) * 10**9) for m in range(10)))
        await receiver.wait_for(200)
        assert await delivered(post) == {1: 200}
    got = Counter(json.loads(body)["sequence"] for _, body in receiver.got)
    assert got == dict.fromkeys(range(1, 201), 1)


async def test_a_process_killed_while_sending_loses_nothing(database: Database, post: Post, receiver: Hook) -> None:
    """What it was sending is sent again when its lease ends, with the same ids; all else once."""
    receiver.answers = [None] * MOST_TRIES_PER_CHANNEL
    await post.create(CHANNEL, url=receiver.url)
    await post.raise_alerts(*(alert(n) for n in range(10)))
    async with worker_process(database) as process:
        await receiver.wait_for(MOST_TRIES_PER_CHANNEL)
        process.kill()
        await process.wait()
    cut = {json.loads(body)["sequence"] for _, body in receiver.got}
    await deliver(post.worker())
    assert Counter(await post.states()) == {DeliveryState.PENDING: 4, DeliveryState.DELIVERED: 6}
    clock.advance(database.owner_dsn, LEASE.total_seconds())
    await deliver(post.worker())
    assert await delivered(post) == {1: 6, 2: 4}
    got = Counter(json.loads(body)["sequence"] for _, body in receiver.got)
    assert got == {n: 2 if n in cut else 1 for n in range(1, 11)}


async def test_a_channel_that_another_worker_is_at_is_left_alone(
    database: Database, post: Post, receiver: Hook
) -> None:
    await post.create(CHANNEL, url=receiver.url)
    await post.raise_alerts(alert(1))
    async with open_post(database) as other, transaction(other.pool, TENANT) as conn:
        await store.find_channel(conn, (TENANT, CHANNEL), lock=True)
        await deliver(post.worker())
        assert not await post.deliveries()
    await deliver(post.worker())
    assert await post.states() == [DeliveryState.DELIVERED]


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
async def test_what_is_due_is_found_among_many_that_are_not(
    database: Database, post: Post, receiver: Hook, mode: str
) -> None:
    await post.create(CHANNEL, url=receiver.url)
    with psycopg.connect(database.owner_dsn, autocommit=True) as owner:
        owner.execute(_MANY)
        owner.execute("ANALYZE")
    values = {"tenant": "'default'", "channels": "'{hook}'", "slots": "'{4}'", "lease_s": "60"}
    async with transaction(post.pool, TENANT) as conn:
        found = await plan(conn, store.SQL["claim"], mode=mode, values=values)
    assert f"LIMIT {MOST_TRIES}\n" in store.SQL["claim"]
    text = str(found)
    assert "ix_alert_deliveries_due" in text and "next_time <= " in text
    assert [fault for fault in faults(found) if "deliveries" in fault] == []
