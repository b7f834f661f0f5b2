"""`imprest serve --workers 2` and what the system knows about its processes (Linux)."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from tests.support.command import READY_S, serving

#: Without the first, channels with the same address share one connection, and so one worker.
OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),
]


@dataclass
class Workers:
    """A supervisor and what it started."""

    process: subprocess.Popen[str]
    target: str
    line: str
    log: Path

    @property
    def pids(self) -> list[int]:
        """The worker processes, in the order of their numbers."""
        found = sorted((number, pid) for pid, number in worker_processes(self.process.pid))
        return [pid for _, pid in found]

    def logged(self) -> str:
        return self.log.read_text()

    def spread(self) -> list[int]:
        """How many connections each worker has."""
        port = int(self.target.rpartition(":")[2])
        return [connections(pid, port) for pid in self.pids]


#: What waits for a lock, or for a slow machine, waits on.
PATIENT = {"IMPREST_LOCK_TIMEOUT_MS": "120000", "IMPREST_STATEMENT_TIMEOUT_MS": "120000"}


@contextmanager
def serving_workers(scratch: Path, *arguments: str, **environment: str) -> Iterator[Workers]:
    """Two patient workers that are ready; whatever is left of them at the end is killed."""
    path = scratch / f"workers-{time.monotonic_ns()}.log"
    with ExitStack() as stack:
        log = stack.enter_context(path.open("w"))
        process, target, line = stack.enter_context(
            serving("--workers", "2", *arguments, log=log, **PATIENT, **environment)
        )
        workers = Workers(process, target, line, path)
        started = workers.pids
        try:
            yield workers
        finally:
            if process.poll() is None:
                started = workers.pids
                process.kill()
                process.wait()
            for pid in started:
                if is_worker(pid):
                    os.kill(pid, 9)


@contextmanager
def channels(target: str, count: int) -> Iterator[list[grpc.Channel]]:
    """Channels with a connection each: among 16 that all fall to one of two workers one in 32,768."""
    with ExitStack() as stack:
        yield [stack.enter_context(grpc.insecure_channel(target, OPTIONS)) for _ in range(count)]


@asynccontextmanager
async def aio_channels(target: str, count: int) -> AsyncIterator[list[grpc.aio.Channel]]:
    """The same for coroutines."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(grpc.aio.insecure_channel(target, OPTIONS)) for _ in range(count)]


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for it, for as long as a start may take."""
    deadline = time.monotonic() + READY_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)


def worker_processes(parent: int) -> Iterator[tuple[int, int]]:
    """The pid and number of each worker that `parent` has at the moment."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            pid = int(entry.name)
            if _parent(pid) == parent and is_worker(pid):
                yield pid, int(_command(pid)[-1])


def is_worker(pid: int) -> bool:
    """Tell whether it runs and is a worker, not a stranger with the same pid."""
    return "imprest_server.worker" in _command(pid)


def connections(pid: int, port: int) -> int:
    """How many established connections to our port the process has accepted."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            inodes.update(re.findall(r"socket:\[(\d+)\]", os.readlink(link)))
        except FileNotFoundError:
            continue
    tables = (Path(f"/proc/{pid}/net/{name}").read_text().splitlines() for name in ("tcp", "tcp6"))
    lines = [line.split() for table in tables for line in table]
    return sum(
        1
        for fields in lines
        if len(fields) > 9 and fields[1].endswith(f":{port:04X}") and fields[3] == "01" and fields[9] in inodes
    )


def _command(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None
