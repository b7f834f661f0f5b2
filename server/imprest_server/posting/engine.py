"""The posting engine: operations queue up, a lane takes what is there and posts it as one batch.

A lane is one database connection. Callers await a future that resolves after COMMIT has returned. A batch
that fails is retried, then split until the culprit stands alone: one bad operation never fails its neighbours.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import psycopg
import structlog
from psycopg import errors as pg

from imprest_server.core.errors import Conflict, Draining, ImprestError, QueueFull, Unavailable
from imprest_server.core.ids import uuid7
from imprest_server.ledger.operations import Operation, Request, fingerprint
from imprest_server.ledger.rules import Outcome
from imprest_server.ledger.store import Connection
from imprest_server.ledger.working_set import Terms
from imprest_server.posting.batch import Postponed, run_batch

Connect = Callable[[], Awaitable[Connection]]

#: Most due holds of one account that one batch expires; its operations wait for the next batch.
DUE_LIMIT = 500
#: How often a batch is tried again after a conflict or a lost connection, before it is split or given up.
MAX_RETRIES = 5
#: After how many seconds no further try is begun: callers wait for it.
RETRY_S = 5.0

_CONFLICTS = (pg.SerializationFailure, pg.DeadlockDetected, pg.UniqueViolation, pg.LockNotAvailable)

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Item:
    """A request and who waits for it."""

    request: Request
    future: asyncio.Future[Outcome] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

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
    (1: no batching), `queue_max` the most that may wait.
    """

    def __init__(self, connect: Connect, terms: Terms, *, batch_max: int, queue_max: int) -> None:
        self._connect = connect
        self._terms = terms
        self._batch_max = batch_max
        self._queue_max = queue_max
        self._queue: deque[_Item] = deque()
        self._wake = asyncio.Event()
        self._stopping = False
        self._conn: Connection | None = None
        self._lane: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect and start the lane. Raises psycopg.OperationalError when the database cannot be reached."""
        self._conn = await self._connect()
        self._lane = asyncio.create_task(self._run_lane(), name="posting-lane")

    async def stop(self) -> None:
        """Finish what is queued, refuse what comes later, disconnect."""
        self._stopping = True
        self._wake.set()
        if self._lane is not None:
            await self._lane
        await self._disconnect()

    async def submit(self, operation: Operation) -> Outcome:
        """Post one operation; returns when its effect is durable, raises its denial.

        Raises Unavailable when the engine is full, stopping or without a database, Conflict when retries
        did not help. Cancelling the caller does not undo the operation.
        """
        if self._stopping:
            raise Draining()
        if len(self._queue) >= self._queue_max:
            raise QueueFull()
        item = _Item(Request(operation, fingerprint(operation), first_id=uuid7(), second_id=uuid7()))
        self._queue.append(item)
        self._wake.set()
        return await item.future

    async def _run_lane(self) -> None:
        while True:
            if not self._queue:
                if self._stopping:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            items = [self._queue.popleft() for _ in range(min(self._batch_max, len(self._queue)))]
            try:
                await self._post(items)
            except Exception as bug:  # the lane must outlive it, and nobody may wait for ever
                log.error("lane failed", exc_info=bug)
                for item in items:
                    item.resolve(bug)

    async def _post(self, items: list[_Item]) -> None:
        """Post the items as one batch; on failure try again, then in halves, then give the one up."""
        try:
            results = await self._try(items)
        except _Failed as failed:
            if failed.splittable and len(items) > 1:
                middle = len(items) // 2
                await self._post(items[:middle])
                await self._post(items[middle:])
            else:
                for item in items:
                    item.resolve(failed.error)
            return
        postponed: list[_Item] = []
        for item, result in zip(items, results, strict=True):
            if isinstance(result, Postponed):
                postponed.append(item)
            else:
                item.resolve(result)
        self._queue.extendleft(reversed(postponed))

    async def _try(self, items: list[_Item]) -> list[Outcome | ImprestError | Postponed]:
        """Run one batch, again after conflicts and lost connections: the keys make it happen once."""
        requests = [item.request for item in items]
        failed = _Failed(Conflict(), splittable=True)
        give_up = time.monotonic() + RETRY_S
        for attempt in range(MAX_RETRIES + 1):
            if attempt:
                await asyncio.sleep(random.uniform(0, 0.005 * 2**attempt))
            if attempt and time.monotonic() > give_up:
                break
            try:
                if self._conn is None:
                    self._conn = await self._connect()
                return await run_batch(self._conn, requests, self._terms, DUE_LIMIT)
            except _CONFLICTS as conflict:
                await self._rollback()
                failed = _Failed(Conflict(), splittable=True)
                log.info("batch met a conflict", attempt=attempt, size=len(items), sqlstate=conflict.sqlstate)
            except pg.QueryCanceled as late:
                await self._rollback()
                raise _Failed(Unavailable(problem="The database takes too long."), splittable=True) from late
            except (psycopg.OperationalError, pg.ReadOnlySqlTransaction) as lost:
                await self._disconnect()
                failed = _Failed(Unavailable(problem="The database cannot be reached."), splittable=False)
                log.warning("batch lost its connection", attempt=attempt, size=len(items), sqlstate=lost.sqlstate)
            except Exception as bug:  # a bug in one operation must not take the lane down
                if self._conn is not None and self._conn.closed:
                    # Whatever the error's class says: a session that was ended from the other side.
                    self._conn = None
                    failed = _Failed(Unavailable(problem="The database ended the connection."), splittable=False)
                    continue
                await self._rollback()
                raise _Failed(bug, splittable=True) from bug
        raise failed

    async def _rollback(self) -> None:
        """Leave the failed transaction; a connection that cannot is given up."""
        if self._conn is None:
            return
        try:
            await self._conn.execute("ROLLBACK")
        except psycopg.Error:
            await self._disconnect()

    async def _disconnect(self) -> None:
        if self._conn is not None:
            with contextlib.suppress(psycopg.Error):
                await self._conn.close()
            self._conn = None


class _Failed(Exception):
    """A batch could not be posted. `splittable`: a part of it may still be possible."""

    def __init__(self, error: Exception, *, splittable: bool) -> None:
        super().__init__(error)
        self.error = error
        self.splittable = splittable
