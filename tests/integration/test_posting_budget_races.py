"""Budgets in the money transaction, on a real Postgres and under concurrency: never exceeded, never fired twice."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from imprest_server.core.ids import AccountId
from imprest_server.ledger import operations as ops
from imprest_server.ledger.rules import Outcome
from imprest_server.ledger.verify import verify
from imprest_server.posting.audit import differences
from tests.conftest import Database
from tests.support import clock
from tests.support.budgets import Desk, open_desk, threshold
from tests.support.lanes import TENANT, Lanes, running_lanes, usd

SETUPS = {"one lane": (1, 250), "two lanes": (2, 250), "four lanes, no batching": (4, 1)}
BLOCK = (threshold(80), threshold(100, "BLOCK"))


@pytest.fixture(params=SETUPS.values(), ids=SETUPS.keys())
async def lanes(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[Lanes]:
    """Engines in each set-up."""
    clock.install(database.owner_dsn)
    engines, batch_max = request.param
    async with running_lanes(database, engines=engines, batch_max=batch_max) as lanes:
        yield lanes


@pytest.fixture
async def desk(database: Database, lanes: Lanes) -> AsyncIterator[Desk]:
    async with open_desk(database) as desk:
        yield desk


async def together(lanes: Lanes, operations: list[Any]) -> Counter[str]:
    """All at once, in an order of chance; how often each answer was given."""
    random.shuffle(operations)
    results = await asyncio.gather(*(lanes.attempt(operation) for operation in operations))
    return Counter("OK" if isinstance(r, Outcome) else r.reason for r in results)


async def counter(desk: Desk, budget_id: str) -> tuple[int, int]:
    """What a budget has spent and held, in whole units."""
    found = (await desk.status(budget_id)).counter
    return found.spent // 10**9, found.held // 10**9


async def fired(desk: Desk) -> list[str]:
    """The stream so far: each alert's budget and percent, or kind; sequences without gaps."""
    stored = await desk.queries.alerts_after(TENANT, 0, 1_000)
    assert [alert.sequence for alert in stored] == list(range(1, len(stored) + 1))
    return [
        f"{s.alert.budget_id} {s.alert.threshold.percent:.0f}" if s.alert.threshold else s.alert.kind.value
        for s in stored
    ]


async def assert_verified(lanes: Lanes) -> None:
    report = await verify(lanes.database.owner_dsn, all_differences=True, beside=differences)
    assert [str(difference) for difference in report.differences] == []


async def test_reserves_never_exceed_two_overlapping_budgets(lanes: Lanes, desk: Desk) -> None:
    accounts = [await lanes.open(name, credit="1000") for name in ("a", "b", "c")]
    await desk.set("all", 60, thresholds=BLOCK)
    await desk.set("team", 25, label=("team", "blue"), thresholds=BLOCK)
    operations = [
        lanes.reserve(random.choice(accounts), "1", labels={"team": "blue"} if n % 2 else {"team": "red"})
        for n in range(160)
    ]
    counts = await together(lanes, operations)
    assert counts == {"OK": 60, "BUDGET_EXCEEDED": 100}
    assert await counter(desk, "all") == (0, 60)
    assert (await counter(desk, "team"))[1] <= 25
    await assert_verified(lanes)


async def test_fifty_commits_cross_a_threshold_once(lanes: Lanes, desk: Desk) -> None:
    accounts = [await lanes.open(f"a{n}", credit="1000") for n in range(10)]
    await desk.set("all", 50, thresholds=(threshold(50), threshold(90), threshold(100)))
    await desk.set("one", 3, account=AccountId("a1"), thresholds=(threshold(100),))
    holds = [await lanes.hold(account, "1") for account in accounts for _ in range(5)]
    assert await counter(desk, "all") == (0, 50)
    assert await together(lanes, [lanes.commit(hold, "1") for hold in holds]) == {"OK": 50}
    assert await counter(desk, "all") == (50, 0)
    assert sorted(await fired(desk)) == ["all 100", "all 50", "all 90", "one 100"]
    assert [name for name in await fired(desk) if name.startswith("all")] == ["all 50", "all 90", "all 100"]
    await assert_verified(lanes)


async def test_mixed_traffic_on_shared_budgets_deadlocks_nowhere(lanes: Lanes, desk: Desk) -> None:
    accounts = [await lanes.open(f"a{n}", credit="1000") for n in range(6)]
    await desk.set("z-all", 10_000, thresholds=BLOCK)
    for account in accounts:
        await desk.set(f"of-{account}", 5_000, account=account, thresholds=BLOCK)
    await desk.set("blue", 10_000, label=("team", "blue"), thresholds=BLOCK)

    async def call(n: int) -> None:
        labels = {"team": "blue"} if n % 2 else {}
        hold = await lanes.hold(accounts[n % 6], "2", labels=labels)
        await lanes.post(
            ops.Charge(
                tenant_id=TENANT,
                idempotency_key=lanes.key(),
                account_id=accounts[(n + 1) % 6],
                amount=usd("1"),
                labels=labels,
            )
        )
        if n % 3:
            outcome = await lanes.post(lanes.commit(hold, "3"))
            if n % 5 == 0:
                await lanes.post(
                    ops.Refund(
                        tenant_id=TENANT,
                        idempotency_key=lanes.key(),
                        transaction_id=outcome.reply.transaction_id,
                        amount=usd("1"),
                    )
                )
        else:
            await lanes.post(lanes.void(hold))

    async def set_again() -> None:
        """Revisions all the while: each sums anew what has been, and counts on from there."""
        for limit in itertools.count(10_001):
            await desk.set("z-all", limit, thresholds=BLOCK)
            await desk.set("blue", limit, label=("team", "blue"), thresholds=BLOCK)

    setting = asyncio.create_task(set_again())
    await asyncio.gather(*(call(n) for n in range(120)))
    setting.cancel()
    spent = 120 + 80 * 3 - len([n for n in range(120) if n % 3 and n % 5 == 0])
    assert await counter(desk, "z-all") == (spent, 0)
    assert sum([(await counter(desk, f"of-{account}"))[0] for account in accounts]) == spent
    assert sum(engine.stats.retries for engine in lanes.engines) == 0
    await assert_verified(lanes)
