"""`imprest serve --workers N`: starts N server processes on one port, replaces those that die, drains them all.

The processes are spawned, never forked: gRPC does not survive a fork. They share nothing but the port and the
database, so each is what a single server is (see `worker`). Money is right with any number of them, for every
invariant lives on a locked row.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final, NoReturn

import structlog

from imprest_server import worker
from imprest_server.config import Settings
from imprest_server.db.errors import DatabaseUnreachableError, StartupError
from imprest_server.shared_port import held_port

#: How long a worker may take to become ready.
START_MAX_S: Final = 60.0
#: The pause before a worker that died is replaced: doubled each time, and the first again after a steady life.
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0
STEADY_S: Final = 10.0
#: After so many replacements in a row that were not even ready once, something is wrong that a further one won't mend.
MAX_FAILED_STARTS: Final = 5
#: A worker ends itself when draining takes too long; one that cannot even do that is killed so much later.
_GRACE_S: Final = 2.0

log = structlog.get_logger(__name__)


class WorkerError(StartupError):
    """A worker cannot serve."""


@asynccontextmanager
async def supervised(settings: Settings, dsn: str, stop: asyncio.Event) -> AsyncIterator[str]:
    """As many workers as the settings say on a prepared database; gives their address once all are ready.

    A worker that dies is replaced. When that fails again and again, `stop` is set, and leaving raises why. Leaving
    lets the workers finish what they have begun; being cancelled meanwhile hurries them.

    Raises:
        StartupError: the address is taken, or a worker cannot serve.
    """
    if sys.platform != "linux":
        raise StartupError(
            "several workers need Linux, which spreads connections over the processes that share a port: use one here"
        )
    with held_port(settings.listen) as address:
        orders = worker.orders(settings.model_copy(update={"listen": address}), dsn)
        workers = [Worker(number, orders) for number in range(settings.workers)]
        keepers: list[asyncio.Task[NoReturn]] = []
        try:
            for each in workers:
                await each.spawn()
            for each in workers:
                await each.until_ready()
            keepers += [asyncio.create_task(_keep(each, stop)) for each in workers]
            yield address
        finally:
            ends = await _cancelled(keepers)
            await _drain(workers)
        for end in ends:
            if not isinstance(end, asyncio.CancelledError):
                raise end


class Worker:
    """A worker process, and after it its successors: one at a time. `was_ready` is about the present one."""

    def __init__(self, number: int, orders: bytes) -> None:
        self.number = number
        self._orders = orders
        self._process: subprocess.Popen[bytes] | None = None
        self._answer = asyncio.StreamReader()
        self.was_ready = False

    @property
    def pid(self) -> int | None:
        """Its process id; none before the first was spawned."""
        return self._process.pid if self._process else None

    async def spawn(self) -> None:
        """Start a process and give it its orders.

        Raises:
            WorkerError: the system has no room for one.
        """
        try:
            process = _process(self.number)
        except OSError as error:
            raise WorkerError(f"worker {self.number} cannot be started: {error}") from error
        self._process, self._answer, self.was_ready = process, asyncio.StreamReader(), False
        self._tell(self._orders)
        protocol = asyncio.StreamReaderProtocol(self._answer)
        try:
            await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, process.stdout)
        except BaseException:
            self._answer.feed_eof()
            process.kill()
            raise

    async def until_ready(self) -> None:
        """Return when it answers calls and reports SERVING.

        Raises:
            StartupError: it ended instead, or took too long; the message says so, in its words if it had any.
        """
        try:
            async with asyncio.timeout(START_MAX_S):
                answer = await self._answer.readline()
        except TimeoutError:
            self.kill()
            await self.ended()
            raise WorkerError(f"worker {self.number} was not ready within {START_MAX_S:.0f} s") from None
        if answer == worker.READY:
            self.was_ready = True
            log.info("worker ready", worker=self.number, pid=self.pid)
            return
        answer += await self._answer.read()
        status = await self.ended()
        kind = DatabaseUnreachableError if status == worker.NO_DATABASE else WorkerError
        words = answer.decode(errors="replace").strip()
        raise kind(words or f"worker {self.number} {_how(status)} before it was ready; its log may say why")

    async def ended(self) -> int:
        """Wait until it is gone; returns its status as `subprocess` has it (negative: a signal). May be repeated."""
        if self._process is None:
            return 0
        while await self._answer.read(4096):  # its death closes the pipe
            pass
        status = await asyncio.to_thread(self._process.wait)
        assert self._process.stdin is not None
        self._process.stdin.close()
        return status

    def drain(self) -> None:
        """Have it finish what it has begun. One that is not ready yet has begun nothing."""
        if self.was_ready:
            self._tell(worker.DRAIN)
        else:
            self.kill()

    def hurry(self) -> None:
        """Have it cut what is still running."""
        self._tell(worker.HURRY)

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()

    def _tell(self, words: bytes) -> None:
        if self._process is None or self._process.stdin is None or self._process.stdin.closed:
            return
        with suppress(BrokenPipeError):  # it is gone, which `ended` notices
            self._process.stdin.write(words)


def _process(number: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-m", worker.__name__, str(number)]
    # The orders hold all settings. What else libpq and Python look for stays.
    environment = {name: value for name, value in os.environ.items() if not name.upper().startswith("IMPREST_")}
    signal.pthread_sigmask(signal.SIG_BLOCK, worker.SIGNALS)  # inherited, see there; ours wait that moment
    try:
        return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, worker.SIGNALS)


async def _keep(each: Worker, stop: asyncio.Event) -> NoReturn:
    """Replace the worker whenever it ends, until cancelled.

    A database that cannot be reached is waited for: the other workers do so, too.

    Raises:
        StartupError: no replacement became ready, several times in a row; `stop` is set then.
    """
    pause_s, failed = FIRST_PAUSE_S, 0
    try:
        while True:
            born = time.monotonic()
            pid, status = each.pid, await each.ended()
            if time.monotonic() - born >= STEADY_S:
                pause_s = FIRST_PAUSE_S
            log.error("worker ended", worker=each.number, pid=pid, how=_how(status), restart_in_s=pause_s)
            while True:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                try:
                    await each.spawn()
                    await each.until_ready()
                except StartupError as error:
                    failed += not isinstance(error, DatabaseUnreachableError)
                    if failed >= MAX_FAILED_STARTS:
                        raise WorkerError(f"worker {each.number} failed to start {failed} times: {error}") from error
                    log.error("worker failed to start", worker=each.number, error=str(error), restart_in_s=pause_s)
                else:
                    failed = 0
                    break
    finally:
        stop.set()


async def _cancelled(keepers: Sequence[asyncio.Task[NoReturn]]) -> list[BaseException]:
    """Cancel the keepers; return how each ended."""
    for keeper in keepers:
        keeper.cancel()
    return list(await asyncio.gather(*keepers, return_exceptions=True))


async def _drain(workers: Sequence[Worker]) -> None:
    """Let all finish, in bounded time. Being cancelled hurries them."""
    for each in workers:
        each.drain()
    try:
        await _all_ended(workers, worker.DRAIN_MAX_S + _GRACE_S)
    except asyncio.CancelledError:
        for each in workers:
            each.hurry()
        await _all_ended(workers, worker.HURRY_MAX_S + _GRACE_S)
        raise


async def _all_ended(workers: Sequence[Worker], limit_s: float) -> None:
    try:
        async with asyncio.timeout(limit_s):
            statuses = await asyncio.gather(*(each.ended() for each in workers))
    except TimeoutError:
        for each in workers:
            each.kill()
        statuses = await asyncio.gather(*(each.ended() for each in workers))
    for each, status in zip(workers, statuses, strict=True):
        if status < 0 and each.was_ready:
            log.warning("worker did not finish in time", worker=each.number, how=_how(status))


def _how(status: int) -> str:
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
