"""Runs the rows: rounds of all of them, so that ratios hold while the machine's speed drifts.

Every sample has a fresh copy of a migrated database with accounts, its own processes, and the machine's Postgres to
itself; it runs through a warm-up (plans, prepared statements, caches) before it is counted.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from benchmarks import seed
from benchmarks.control import Order
from benchmarks.measure import Gauge, Spent, spent
from benchmarks.rows import Row
from imprest_server.db import migrations
from imprest_server.db.data_dir import APP_ROLE, DATABASE, OWNER_ROLE, SUPERUSER
from imprest_server.db.embedded import EmbeddedPostgres

#: Longest that a process may take to start, warm up or stop, beyond the time it is told to run.
PATIENCE_S = 60.0

_ROOT = Path(__file__).parents[1]
_SEEDED = "bench_seeded"


@dataclass(frozen=True)
class Timing:
    """How long each sample warms up and counts."""

    warmup_s: float
    seconds: float


@dataclass(frozen=True)
class Sample:
    """One row, measured once. CPU in seconds by role; of a load without gRPC the server is the load itself."""

    row: str
    round: int
    operations: int
    elapsed_s: float
    p50_ms: float
    p99_ms: float
    spent: Spent

    @property
    def per_s(self) -> float:
        """Operations per second."""
        return self.operations / self.elapsed_s

    def to_dict(self) -> dict[str, Any]:
        """For a results file."""
        return asdict(self)


class Bench:
    """A cluster to measure on: `open_bench` makes it."""

    def __init__(self, cluster: EmbeddedPostgres, admin: psycopg.Connection) -> None:
        self.cluster = cluster
        self._admin = admin
        self._made = 0

    def sample(self, row: Row, timing: Timing, number: int, *, profile: Path | None = None) -> Sample:
        """Run a row once. `profile`: a directory for profiles of the Python processes.

        Raises:
            RuntimeError: a process of the row failed or did not come to an end.
        """
        with (
            self._database() as name,
            self._gauge_connection(name) as connection,
            self._server(row, name, profile) as (server, target),
        ):
            order = Order(
                load=row.load,
                dsn=self.cluster.dsn(name, APP_ROLE),
                target=target,
                in_flight=row.in_flight,
                batch=row.batch,
                connections=row.connections,
                accounts=row.accounts,
                warmup_s=timing.warmup_s,
                seconds=timing.seconds,
                profile=str(profile / "load.json") if profile else None,
            )
            with _process([sys.executable, "-m", "benchmarks.loads", order.to_json()]) as load:
                roots = {"postgres": self.cluster.pid}
                roots |= {"server": load.pid} if server is None else {"server": server.pid, "client": load.pid}
                return self._measure(row, timing, number, load, Gauge(connection, roots), server, profile)

    def _measure(
        self,
        row: Row,
        timing: Timing,
        number: int,
        load: subprocess.Popen[str],
        gauge: Gauge,
        server: subprocess.Popen[str] | None,
        profile: Path | None,
    ) -> Sample:
        _expect(load, PATIENCE_S + timing.warmup_s, row.name)
        before = gauge.begin()
        if profile and server is not None:
            server.send_signal(signal.SIGUSR2)
        _tell(load, "go")
        counted = json.loads(_expect(load, PATIENCE_S + timing.seconds, row.name))
        after = gauge.end()
        if profile and server is not None:
            server.send_signal(signal.SIGUSR2)
        _tell(load, "stop")
        try:
            if load.wait(PATIENCE_S):
                raise RuntimeError(f"{row.name}: the load failed while it stopped")
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"{row.name}: the load does not stop") from None
        return Sample(row=row.name, round=number, spent=spent(before, after), **counted)

    @contextmanager
    def _database(self) -> Iterator[str]:
        self._made += 1
        name = f"bench_{self._made}"
        self._admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(
                sql.Identifier(name), sql.Identifier(_SEEDED), sql.Identifier(OWNER_ROLE)
            )
        )
        try:
            # Every sample begins as far from the next checkpoint, which makes writes of whole pages follow it.
            self._admin.execute("CHECKPOINT")
            yield name
        finally:
            self._admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    @contextmanager
    def _gauge_connection(self, name: str) -> Iterator[psycopg.Connection]:
        with psycopg.connect(self.cluster.dsn(name, SUPERUSER), autocommit=True) as connection:
            yield connection

    @contextmanager
    def _server(self, row: Row, name: str, profile: Path | None) -> Iterator[tuple[subprocess.Popen[str] | None, str]]:
        """`imprest serve` with the row's options, and its address; nothing for a load without gRPC."""
        if row.serve is None:
            yield None, ""
            return
        command = [str(Path(sys.executable).with_name("imprest"))]
        if profile:
            command = [sys.executable, "-m", "benchmarks.profiled_serve", str(profile / "server.json")]
        options = ["serve", "--listen", "127.0.0.1:0", "--log-level", "warning", *row.serve]
        with _process([*command, *options], IMPREST_DATABASE_URL=self.cluster.dsn(name, APP_ROLE)) as server:
            line = _expect(server, PATIENCE_S, f"{row.name}: imprest serve")
            found = re.search(r" serves on (\S+:\d+)", line)
            if found is None:
                raise RuntimeError(f"{row.name}: imprest serve says {line!r}")
            yield server, found[1]
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                raise RuntimeError(f"{row.name}: imprest serve does not stop") from None


@contextmanager
def open_bench(settings: Mapping[str, str] | None = None) -> Iterator[Bench]:
    """A cluster as `imprest serve` starts it, in a directory that is removed afterwards.

    `settings` are Postgres settings that a profile needs; measurements have none.
    """
    directory = Path(tempfile.mkdtemp(prefix="imprest-bench-"))
    try:
        directory.chmod(0o711)  # root runs Postgres as somebody else, who must get through
        with EmbeddedPostgres(directory / "cluster", settings=settings) as cluster:
            migrations.upgrade(cluster.dsn(user=OWNER_ROLE))
            with psycopg.connect(cluster.dsn(SUPERUSER, SUPERUSER), autocommit=True) as admin:
                admin.execute(
                    sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(
                        sql.Identifier(_SEEDED), sql.Identifier(DATABASE), sql.Identifier(OWNER_ROLE)
                    )
                )
                seed.seed(cluster.dsn(_SEEDED, APP_ROLE))
                yield Bench(cluster, admin)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def run_rounds(
    bench: Bench, rows: Sequence[Row], timing: Timing, rounds: int, report: Callable[[Sample], None]
) -> list[Sample]:
    """All rows, then all rows again, and so on; `report` is told each sample."""
    samples = []
    for number in range(rounds):
        for row in rows:
            sample = bench.sample(row, timing, number)
            report(sample)
            samples.append(sample)
    return samples


@contextmanager
def _process(command: Sequence[str], **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A child that is spoken to in lines; killed when it has not ended by then."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("IMPREST_", "PG"))}
    process = subprocess.Popen(
        command,
        env={**inherited, **environment},
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def _tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def _expect(process: subprocess.Popen[str], timeout_s: float, what: str) -> str:
    """The next line of a child; it speaks one line at a time, so none can be buffered already."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        line = process.stdout.readline() if selector.select(timeout_s) else ""
    if not line:
        deadline = time.monotonic() + 1
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        state = "is silent" if process.poll() is None else f"ended with status {process.returncode}"
        raise RuntimeError(f"{what} {state}; its errors stand above")
    return line
