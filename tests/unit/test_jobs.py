"""Jobs and the loop around them: what they hand on, and how they live with failures."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest
from structlog.testing import capture_logs

from imprest_server.core.errors import Conflict, Unavailable
from imprest_server.core.ids import AccountId, AccountKey, TenantId
from imprest_server.jobs import ending, expire_holds
from imprest_server.jobs.expire_holds import ExpireHolds
from imprest_server.jobs.repeat import repeat
from imprest_server.ledger.operations import ExpireDue, Operation
from tests.support.patience import PATIENCE_S

T = TenantId("t")


def account(name: str) -> AccountKey:
    return (T, AccountId(name))


def listing(*names: str) -> Callable[[int], Awaitable[list[AccountKey]]]:
    async def due_accounts(limit: int) -> list[AccountKey]:
        return [account(name) for name in names][:limit]

    return due_accounts


class Engine:
    """Notes what is submitted; some accounts fail."""

    def __init__(self, *failing: str) -> None:
        self.failing = failing
        self.done: list[str] = []

    async def submit(self, operation: Operation) -> None:
        assert isinstance(operation, ExpireDue)
        await asyncio.sleep(0)
        if operation.account_id in self.failing:
            raise Conflict
        self.done.append(operation.account_id)


async def test_each_account_is_expired_once() -> None:
    engine = Engine()
    assert not await ExpireHolds(listing("a", "b", "a"), engine.submit).run_once()
    assert sorted(engine.done) == ["a", "b"]


async def test_a_full_list_means_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expire_holds, "LIMIT", 2)
    assert await ExpireHolds(listing("a", "b", "c"), Engine().submit).run_once()


async def test_one_failing_account_keeps_no_other() -> None:
    engine = Engine("a")
    with pytest.raises(Conflict):
        await ExpireHolds(listing("a", "b", "c"), engine.submit).run_once()
    assert sorted(engine.done) == ["b", "c"]


async def test_the_loop_survives_and_says_so_once() -> None:
    rounds = iter([True, Unavailable(), Unavailable(), ValueError("bug"), False, Unavailable(), False, None])
    finished = asyncio.Event()

    async def run_once() -> bool:
        result = next(rounds)
        if result is None:
            finished.set()
            return False
        if isinstance(result, Exception):
            raise result
        return result

    with capture_logs() as logged:
        task = asyncio.create_task(repeat("job", run_once, 0))
        await finished.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [entry["event"] for entry in logged] == ["job fails", "job works again"] * 2
    assert logged[0]["exc_info"] is False


async def test_a_cancellation_that_a_job_swallows_ends_it_all_the_same() -> None:
    begun = asyncio.Event()

    async def swallow() -> bool:
        begun.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return False

    task = asyncio.create_task(repeat("job", swallow, interval_s=3600))
    await begun.wait()
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=PATIENCE_S)
    assert task in done and task.cancelled()


async def test_a_task_that_waits_for_a_hung_database_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelled once, the driver waits for the database to cancel, too; only cancelled again it gives up."""
    monkeypatch.setattr(ending, "LET_GO_S", 0.01)

    async def driver(*, hung: bool) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            if hung:
                await asyncio.Event().wait()

    tasks = [asyncio.create_task(driver(hung=hung)) for hung in (True, False, True)]
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await ending.end(tasks)
    assert all(task.cancelled() for task in tasks)
