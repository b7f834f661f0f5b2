"""The posting engine: operations queue up, a lane takes what is there and posts it as one batch.

Callers await a future that resolves after COMMIT has returned. `waiting.py` decides who is next and when, `lane.py`
gets a batch through, `batch.py` is the batch itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from imprest_server.budgets.cache import BudgetCache
from imprest_server.core.errors import DeadlineTooShort, Draining, QueueFull, Unavailable
from imprest_server.core.ids import uuid7
from imprest_server.ledger.operations import Operation, Request, Transfer, fingerprint
from imprest_server.ledger.rules import Outcome
from imprest_server.ledger.working_set import Terms
from imprest_server.posting.batch import Postponed
from imprest_server.posting.lane import Connect, Lane, Posted
from imprest_server.posting.limits import Budgets, Wake
from imprest_server.posting.stats import EngineStats
from imprest_server.posting.waiting import FairQueue, Linger
from imprest_server.pricing.cache import PriceCache

#: How long a batch may wait to fill, at most.
LONGEST_LINGER_S = 0.005
#: How long `stop` waits for what is queued. The server stops it when callers have had their time.
STOP_S = 2.0

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Item:
    """A request, who waits for it, since when, and until when (by time.monotonic)."""

    request: Request
    future: asyncio.Future[Outcome]
    deadline: float | None
    since: float = field(default_factory=time.monotonic)

    def resolve(self, result: Outcome | Exception) -> None:
        """Answer, unless the caller has gone: its operation has happened all the same."""
        if self.future.done():
            return
        if isinstance(result, Exception):
            self.future.set_exception(result)
        else:
            self.future.set_result(result)


class Engine:
    """All writes of money go through here.

    `connect` opens a connection as the app role; `batch_max` is the most operations in one transaction
    (1: no batching), `queue_max` the most that may wait. A database that takes longer than `silence_s` over a batch
    counts as lost. `prices` is what this process keeps of prices; `wake` is told of tenants that have new alerts, once
    they can be read.
    """

    def __init__(
        self,
        connect: Connect,
        terms: Terms,
        *,
        batch_max: int,
        queue_max: int,
        silence_s: float = 30.0,
        prices: PriceCache | None = None,
        wake: Wake | None = None,
    ) -> None:
        self.stats = EngineStats()
        budgets = Budgets(BudgetCache(), wake)
        self._lane = Lane(connect, terms, prices or PriceCache(), budgets, self.stats, silence_s)
        self._batch_max = batch_max
        self._queue: FairQueue[_Item] = FairQueue(queue_max)
        self._linger = Linger(LONGEST_LINGER_S)
        self._stopping = False
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect and start the lane. Raises psycopg.OperationalError when the database cannot be reached."""
        await self._lane.open()
        self._running = asyncio.create_task(self._run(), name="posting-lane")

    async def stop(self) -> None:
        """Finish what is queued, refuse what comes later, disconnect.

        What takes longer than STOP_S, as with a database that hangs, is cut as in a crash: who still waits is answered
        Unavailable, and a retry with the same key will tell.
        """
        self._stopping = True
        self._queue.wake()
        if self._running is not None:
            try:
                await asyncio.wait([self._running], timeout=STOP_S)
            finally:
                if not self._running.done():
                    log.warning("what is queued takes too long: it is cut", waiting=len(self._queue))
                    self._lane.cut()
                    self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        await self._lane.close()

    async def submit(self, operation: Operation, *, bulk: bool = False, timeout_s: float | None = None) -> Outcome:
        """Post one operation; returns when its effect is durable, raises its denial.

        Bulk operations wait in a queue of their own, with which other calls take turns. Raises QueueFull or
        Draining when the engine does not take it, DeadlineTooShort when `timeout_s` ran out before its batch began,
        Unavailable without a database, Conflict when retries did not help. Cancelling the caller does not undo the
        operation.
        """
        if self._stopping:
            raise Draining()
        second_id = uuid7() if isinstance(operation, Transfer) else None
        request = Request(operation, fingerprint(operation), uuid7(), second_id)
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        item = _Item(request, asyncio.get_running_loop().create_future(), deadline)
        try:
            self._queue.put((operation.tenant_id, bulk), item, bulk=bulk)
        except QueueFull:
            self.stats.refused += 1
            raise
        return await item.future

    async def _run(self) -> None:
        try:
            while self._queue or not self._stopping:
                if not self._queue:
                    await self._queue.holds(1)
                    continue
                ready = time.monotonic()
                await self._queue.holds(min(self._linger.target, self._batch_max), self._linger.longest_s)
                self.stats.linger.observe(time.monotonic() - ready)
                await self._post_next()
        finally:
            for _, item in self._queue.take(len(self._queue)):
                item.resolve(_cut())

    async def _post_next(self) -> None:
        """Take a batch and see it through."""
        taken = self._queue.take(self._batch_max)
        now = time.monotonic()
        batch = []
        for stream, item in taken:
            if item.deadline is not None and item.deadline < now:
                self.stats.out_of_time += 1
                item.resolve(DeadlineTooShort())
            else:
                self.stats.queue_wait.observe(now - item.since)
                batch.append((stream, item))
        self._linger.note(len(taken))
        if not batch:
            return
        results: Sequence[Posted]
        try:
            results = await self._lane.post([item.request for _, item in batch])
        except Exception as bug:  # nobody may wait for ever
            log.error("the lane failed", exc_info=bug)
            results = [bug] * len(batch)
        except asyncio.CancelledError:
            for _, item in batch:
                item.resolve(_cut())
            raise
        self.stats.batch_size.observe(len(batch))
        self.stats.batch_time.observe(time.monotonic() - now)
        answered = list(zip(batch, results, strict=True))
        for (_, item), result in answered:
            if not isinstance(result, Postponed):
                item.resolve(result)
        for (stream, item), result in reversed(answered):
            if isinstance(result, Postponed):
                self._queue.put_back(stream, item)


def _cut() -> Unavailable:
    return Unavailable(problem="The server stops, and the database has not answered.")
