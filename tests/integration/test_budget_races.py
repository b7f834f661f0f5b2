"""Budgets set while money moves: nothing is counted twice, nothing is missed, whoever was quicker."""

# what is waited for happens in the database

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import psycopg
import pytest

from imprest_server.budgets.model import BudgetBasis, BudgetId, Scope
from imprest_server.budgets.operations import SetBudget
from imprest_server.budgets.service import BudgetAdmin
from imprest_server.core.periods import PeriodKind
from imprest_server.ledger import operations as ops
from tests.conftest import Database
from tests.support import clock
from tests.support.budgets import Desk, open_desk, threshold
from tests.support.ledger import TENANT, House, house_on, units


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    clock.install(database.owner_dsn)
    async with open_desk(database) as desk:
        yield desk


@pytest.fixture
async def houses(database: Database) -> AsyncIterator[list[House]]:
    """Two processes that post."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(house_on(database)) for _ in range(2)]


async def test_a_sum_meets_every_charge_once(database: Database, desk: Desk, houses: list[House]) -> None:
    """A budget that is set under load has seen exactly what was written before it: its sum is one that the ledger had.

    Charges of 1 are posted by two processes; each sum must be at least what was answered when it began, and at most
    what was asked for when it ended. The clock runs fast, so that most of it is summed before the lock.
    """
    accounts = [f"a{n}" for n in range(4)]
    for account in accounts:
        await houses[0].open(account, credit=1_000_000)
    asked = answered = 0
    stop = asyncio.Event()

    async def charge(house: House, account: str, worker: int) -> None:
        nonlocal asked, answered
        n = 0
        while not stop.is_set():
            asked += 1
            await house.do(ops.Charge, account_id=account, amount=1, idempotency_key=f"{account}/{worker}/{n}")
            answered += 1
            n += 1

    workers = [
        asyncio.create_task(charge(houses[n % 2], account, worker))
        for worker in range(3)
        for n, account in enumerate(accounts)
    ]
    for n in range(12):
        await asyncio.to_thread(clock.advance, database.owner_dsn, 40)
        before = answered
        await desk.set(f"b{n}", 1_000_000, period=PeriodKind.TOTAL)
        after = asked
        counter = (await desk.status(f"b{n}")).counter
        assert before * 10**9 <= counter.spent <= after * 10**9
    stop.set()
    await asyncio.gather(*workers)
    await desk.set("last", 1_000_000, period=PeriodKind.TOTAL)
    assert (await desk.status("last")).counter.spent == answered * 10**9


async def _blocked(database: Database, task: asyncio.Task[Any]) -> None:
    """Return when the database says that somebody waits for a lock."""
    async with await psycopg.AsyncConnection.connect(database.owner_dsn, autocommit=True) as watcher:
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        while (await (await watcher.execute(waiting)).fetchone()) == (0,):
            assert not task.done()
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("half", ["before the sum without a lock", "before the rest is summed"])
async def test_a_sum_waits_for_batches_under_way(
    database: Database, desk: Desk, houses: list[House], half: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch holds its tenant's row until it commits: what it writes may be older than what is summed already."""
    await houses[0].open("a", credit=100)
    batch = await psycopg.AsyncConnection.connect(database.owner_dsn)

    async def begin_batch() -> None:
        await batch.execute("SELECT 1 FROM tenants FOR KEY SHARE")

    summed = BudgetAdmin._sum_before

    async def sum_then_begin(*arguments: Any) -> Any:
        found = await summed(*arguments)
        await begin_batch()
        return found

    async with batch:
        if half == "before the rest is summed":
            monkeypatch.setattr(BudgetAdmin, "_sum_before", sum_then_begin)
            setting = asyncio.create_task(desk.set("b"))
        else:
            await begin_batch()
            operation = SetBudget(
                tenant_id=TENANT,
                idempotency_key="k",
                budget_id=None,
                display_name="",
                scope=Scope(),
                limit=units(1),
                basis=BudgetBasis.CHARGED,
                period=PeriodKind.DAY,
                time_zone="UTC",
                thresholds=(threshold(80),),
            )
            setting = asyncio.create_task(desk.admin._sum_before(operation, BudgetId("b")))  # type: ignore[arg-type]
        await _blocked(database, setting)
        await batch.commit()
        await setting


async def test_two_who_set_the_same_budget(database: Database, desk: Desk) -> None:
    """Each change is a revision of its own, and an alert fires once per revision."""
    async with open_desk(database, prefix="other") as other, house_on(database) as house:
        await house.open("a", credit=1_000)
        await house.do(ops.Charge, account_id="a", amount=100)
        once = (threshold(10),)
        limits = range(100, 120)
        written = await asyncio.gather(
            *(where.set("b", limit, thresholds=once) for limit in limits for where in (desk, other))
        )
        revisions = sorted({w.value.revision for w in written})
        assert revisions == list(range(1, len(revisions) + 1))
        alerts, _ = await desk.queries.list_alerts(TENANT, page_size=1000)
        assert [(s.sequence, s.alert.revision) for s in reversed(alerts)] == [(n, n) for n in revisions]
        assert (await desk.status("b")).budget.revision == revisions[-1]


async def test_twins_with_one_key(database: Database, desk: Desk) -> None:
    async with open_desk(database) as other:
        written = await asyncio.gather(
            *(where.set(None, 100, idempotency_key="twin") for where in (desk, other) for _ in range(4))
        )
    assert len({w.value.budget_id for w in written}) == 1
    assert sorted(w.replayed for w in written) == [False] + [True] * 7
    assert (await desk.status(BudgetId(written[0].value.budget_id))).budget.revision == 1
