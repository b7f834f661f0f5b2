"""`make soak`: rounds of load and faults until the time is up, each on a fresh database and checked at its end."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog

from tests.conftest import Database
from tests.crash.cluster import CrashCluster
from tests.crash.faults import Faults
from tests.crash.journal import Journal, Port
from tests.crash.load import Load, Scale
from tests.crash.ports import DirectPort, WirePort
from tests.crash.proxy import proxied
from tests.crash.serve import Serve
from tests.crash.storm import storm
from tests.support.lanes import running_lanes

_FAULTS_PER_ROUND = 12


@dataclass
class Total:
    """What all rounds came to."""

    rounds: int = 0
    operations: int = 0
    in_doubt: int = 0
    transactions: int = 0
    replays: int = 0
    lost: int = 0
    doubled: int = 0
    failed: int = 0
    faults: Counter[str] = field(default_factory=Counter[str])

    def __str__(self) -> str:
        faults = ", ".join(f"{count} × {name}" for name, count in sorted(self.faults.items()))
        return (
            f"{self.rounds} rounds, {self.operations:,} operations ({self.in_doubt:,} in doubt at some time), "
            f"{self.transactions:,} transactions, {self.replays:,} replays\n"
            f"faults: {faults}\nlost: {self.lost}, doubled: {self.doubled}, rounds that failed: {self.failed}"
        )


@asynccontextmanager
async def scene(kind: str, cluster: CrashCluster, database: Database, seed: str) -> AsyncIterator[tuple[Port, Faults]]:
    """A way to the ledger over a bad line: two engines in this process, or `imprest serve`."""
    chance = random.Random(f"faults {seed}")
    async with proxied(cluster.socket_path) as proxy:
        behind = replace(database, app_dsn=proxy.dsn(database))
        if kind == "engines":
            async with running_lanes(behind, engines=2) as lanes:
                yield DirectPort(lanes.engines), Faults(cluster, database, chance, proxy)
            return
        serve = Serve(IMPREST_DATABASE_URL=behind.app_dsn)
        await asyncio.to_thread(serve.start)
        try:
            async with WirePort(serve.target) as port:
                yield port, Faults(cluster, database, chance, proxy, serve)
            if "internal error" in serve.log:
                print(serve.log)
                raise AssertionError("the server met errors that it does not know")
        finally:
            await asyncio.to_thread(serve.stop)
            serve.close()


async def play(cluster: CrashCluster, seed: str, total: Total, end: float) -> None:
    """One round, without new faults after `end`; raises AssertionError when something was found."""
    kind = random.Random(seed).choice(["engines", "serve"])
    began = time.monotonic()
    database = await asyncio.to_thread(cluster.database)
    async with scene(kind, cluster, database, seed) as (port, faults):
        load = Load(Journal(seed), port, seed, Scale(hot=2, cold=30, callers=48), furnished=database)
        report = await storm(load, faults.some(_FAULTS_PER_ROUND, end), database.owner_dsn, between=250)
    await asyncio.to_thread(cluster.drop, database)
    total.operations += report.operations
    total.in_doubt += report.in_doubt
    total.transactions += report.transactions
    total.replays += report.replays
    total.lost += report.count("lost")
    total.doubled += report.count("doubled")
    total.faults += faults.counts
    print(f"round {seed} ({kind}, {time.monotonic() - began:.0f} s): {report}", flush=True)
    assert report.ok
    assert not load.journal.doubts["INTERNAL"], load.journal.doubts


async def soak(cluster: CrashCluster, seconds: float, seed: str) -> Total:
    """Rounds until the time is up; the last one gets no further faults then, and is still checked."""
    total = Total()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        total.rounds += 1
        try:
            await play(cluster, f"{seed}.{total.rounds}", total, end)
        except Exception as failure:  # noqa: BLE001  # the next rounds may tell more
            total.failed += 1
            print(f"round {seed}.{total.rounds} failed: {failure!r}", flush=True)
    return total


def main() -> int:
    """Exit status 1 when anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", default="")
    options = parser.parse_args()
    seed = options.seed or str(random.SystemRandom().randrange(10**6))
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    directory = Path(tempfile.mkdtemp(prefix="imprest-soak-"))
    directory.chmod(0o711)
    cluster = CrashCluster(directory / "cluster")
    print(f"soak: {options.seconds:.0f} s, seed {seed} (again with SEED={seed})", flush=True)
    try:
        cluster.start()
        with contextlib.suppress(KeyboardInterrupt):
            total = asyncio.run(soak(cluster, options.seconds, seed))
            print(f"soak, seed {seed}: {total}")
            return 1 if total.failed or total.lost or total.doubled else 0
        return 130
    finally:
        cluster.stop()
        shutil.rmtree(directory)


if __name__ == "__main__":
    sys.exit(main())
