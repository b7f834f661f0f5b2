"""A lane: one database connection that posts one batch at a time, come what may.

A batch that meets a conflict or loses its connection is tried again with the same keys, which make it happen once.
A batch that fails otherwise is split until the culprit stands alone: one bad operation never fails its neighbours.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence

import psycopg
import structlog
from psycopg import errors as pg

from imprest_server.core.errors import Conflict, Unavailable
from imprest_server.db.errors import StartupError
from imprest_server.ledger.operations import Request
from imprest_server.ledger.rules import Outcome
from imprest_server.ledger.store import Connection
from imprest_server.ledger.working_set import Terms
from imprest_server.posting.batch import Postponed, run_batch
from imprest_server.posting.limits import Budgets
from imprest_server.posting.prices import Prices
from imprest_server.posting.stats import EngineStats
from imprest_server.pricing.cache import PriceCache

Connect = Callable[[], Awaitable[Connection]]
#: What becomes of a request: its answer, why there is none (a denial or a failure), or "submit it again".
Posted = Outcome | Exception | Postponed

#: Most due holds of one account that one batch expires; its operations wait for the next batch.
DUE_LIMIT = 500
#: How often a batch is tried again after a conflict or a lost connection, before it is split or given up.
MAX_RETRIES = 5
#: After how many seconds no further try is begun: callers wait for it.
RETRY_S = 5.0

#: After how many seconds the parts of a batch that failed are not tried any further: the next batches wait for it.
SPLIT_S = 15.0
#: How long the parts of a batch that waited too long for a lock wait for theirs, so that the culprit is found soon.
SPLIT_LOCK_TIMEOUT_MS = 100

_CONFLICTS = (pg.SerializationFailure, pg.DeadlockDetected, pg.UniqueViolation)
#: What batches that hold different books may both insert (docs/LOCKING.md). Whoever violates another key has a bug.
_SHARED_KEYS = frozenset(["pk_operations", "uq_transactions_external_reference", "pk_accounts"])

log = structlog.get_logger(__name__)


class Lane:
    """Posts batches on a connection of its own, which it opens anew when it is lost.

    A database that has not finished a batch after `silence_s` counts as lost, too.
    """

    def __init__(
        self,
        connect: Connect,
        terms: Terms,
        prices: PriceCache,
        budgets: Budgets,
        stats: EngineStats,
        silence_s: float,
    ) -> None:
        self._connect = connect
        self._prices = Prices(prices)
        self._budgets = budgets
        self._silence_s = silence_s
        self._terms = terms
        self._stats = stats
        self._conn: Connection | None = None
        self._unreplicated = False

    async def open(self) -> None:
        """Connect. Raises psycopg.OperationalError when the database cannot be reached."""
        self._conn = await self._connect()
        self._unreplicated = False
        self._conn.add_notice_handler(self._notice)

    async def close(self) -> None:
        """Disconnect."""
        if self._conn is not None:
            with contextlib.suppress(psycopg.Error):
                await self._conn.close()
            self._conn = None

    def cut(self) -> None:
        """Let go of a database that does not answer, without a word to it. Whoever posts has to be cancelled then."""
        if self._conn is not None:
            self._conn.pgconn.finish()

    async def post(self, requests: Sequence[Request]) -> list[Posted]:
        """Post a batch; a result per request, in order, once that is durable. Never raises."""
        try:
            return list(await self._try(requests, None))
        except _Failed as failed:
            return await self._post_parts(requests, failed, None, time.monotonic() + SPLIT_S)

    async def _post_parts(
        self, requests: Sequence[Request], failed: _Failed, lock_timeout_ms: int | None, end: float
    ) -> list[Posted]:
        """Post both halves of a batch that failed, until `end`. What is not tried any more may be tried again.

        `lock_timeout_ms`: how long to wait for locks, when not as long as the connection does.
        """
        if not failed.splittable or len(requests) == 1:
            return [failed.error] * len(requests)
        if time.monotonic() >= end:
            return [_untried()] * len(requests)
        self._stats.splits += 1
        middle = len(requests) // 2
        if failed.locked_out:
            lock_timeout_ms = SPLIT_LOCK_TIMEOUT_MS
        results: list[Posted] = []
        for part in (requests[:middle], requests[middle:]):
            if any(isinstance(result, Postponed) for result in results):  # which nothing may overtake
                results += [Postponed()] * len(part)
            elif time.monotonic() >= end:
                results += [_untried()] * len(part)
            else:
                try:
                    results += await self._try(part, lock_timeout_ms)
                except _Failed as again:
                    results += await self._post_parts(part, again, lock_timeout_ms, end)
        return results

    async def _try(self, requests: Sequence[Request], lock_timeout_ms: int | None) -> Sequence[Posted]:
        failed = _Failed(Conflict(), splittable=True)
        give_up = time.monotonic() + RETRY_S
        for attempt in range(MAX_RETRIES + 1):
            if attempt:
                self._stats.retries += 1
                await asyncio.sleep(random.uniform(0, 0.005 * 2**attempt))
                if time.monotonic() > give_up:
                    break
            posted = False
            try:
                if self._conn is None:
                    await self.open()
                assert self._conn is not None
                with _hung_up_after(self._conn, self._silence_s):
                    results = await run_batch(
                        self._conn,
                        requests,
                        self._terms,
                        self._prices,
                        self._budgets,
                        DUE_LIMIT,
                        self._stats,
                        lock_timeout_ms=lock_timeout_ms,
                    )
                if self._unreplicated:
                    raise psycopg.OperationalError("the commit may not have been replicated")
                posted = True
                return results
            except _CONFLICTS as conflict:
                if isinstance(conflict, pg.UniqueViolation) and conflict.diag.constraint_name not in _SHARED_KEYS:
                    raise _Failed(conflict, splittable=True) from conflict
                failed = _Failed(Conflict(), splittable=True)
                log.info("batch met a conflict", attempt=attempt, size=len(requests), sqlstate=conflict.sqlstate)
            except pg.LockNotAvailable as locked:
                # The others wait for this one: no second try before they are through.
                log.info("batch waited too long for a lock", size=len(requests))
                raise _Failed(Conflict(), splittable=True, locked_out=True) from locked
            except pg.QueryCanceled as late:
                raise _Failed(Unavailable(problem="The database takes too long."), splittable=True) from late
            except (psycopg.OperationalError, pg.ReadOnlySqlTransaction, pg.IdleInTransactionSessionTimeout) as lost:
                failed = _Failed(Unavailable(problem="The database cannot be reached."), splittable=False)
                log.warning("batch lost its connection", attempt=attempt, size=len(requests), sqlstate=lost.sqlstate)
            except StartupError as unusable:
                failed = _Failed(Unavailable(problem="The database cannot be used as it is."), splittable=False)
                log.error("the database is refused", problem=str(unusable))
                raise failed from unusable
            except Exception as bug:
                raise _Failed(bug, splittable=True) from bug
            finally:
                if not posted:
                    # Never go on with it: after a pipeline that failed, driver and server may disagree about which
                    # statements are prepared. The server rolls back what is left behind.
                    await self.close()
        raise failed

    def _notice(self, notice: psycopg.errors.Diagnostic) -> None:
        """Listen for a COMMIT that somebody has cancelled while it waited for the standby: Postgres says that it has
        succeeded, and warns that a failover may lose it. The same batch again, with its keys, waits for both."""
        if notice.source_function == "SyncRepWaitForLSN":
            self._unreplicated = True


def _untried() -> Unavailable:
    return Unavailable(problem="It came together with others that failed, and was not tried alone in time.")


@contextlib.contextmanager
def _hung_up_after(conn: Connection, seconds: float) -> Iterator[None]:
    """Shut the connection down when the database stays silent: the driver then raises OperationalError, as if cut.

    Cancelling instead would wait: the driver first asks the silent server to cancel.
    """

    def hang_up() -> None:
        with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(conn.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

    timer = asyncio.get_running_loop().call_later(seconds, hang_up)
    try:
        yield
    finally:
        timer.cancel()


class _Failed(Exception):
    """A batch could not be posted. `splittable`: a part of it may still be; `locked_out`: it waited for a lock."""

    def __init__(self, error: Exception, *, splittable: bool, locked_out: bool = False) -> None:
        super().__init__(error)
        self.error = error
        self.splittable = splittable
        self.locked_out = locked_out
