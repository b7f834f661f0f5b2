"""`make soak-alerts`: many readers of the stream of alerts, while the server and its database are killed.

Each has to see every alert exactly once. Also says what a reader costs in memory, in its own process and the server's.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path

from imprest_client import AdminClient, AlertStream, BudgetClient, Connection
from imprest_client.budget_model import BudgetPeriod, Threshold
from tests.crash.serve import Serve

EACH = 10
_BEGIN_S = 120.0


def memory_kib(pid: int) -> int:
    """What a process and its descendants keep in memory, shared pages counted once; Postgres left out."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    if status["Name"].strip() == "postgres":
        return 0
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    own = next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
    return own + sum(memory_kib(int(child)) for child in children)


async def follow(alerts: AlertStream, last: int) -> tuple[int, ...]:
    """The sequences that come, up to the last one."""
    seen = [0]
    while seen[-1] < last:
        seen.append((await anext(alerts)).sequence)
    return tuple(seen[1:])


async def write(client: BudgetClient, number: int) -> None:
    """So many alerts, whatever happens meanwhile."""
    for n in range(EACH):
        thresholds = [Threshold(Decimal(100))]
        await client.set_budget(f"{number}-{n}", 1, period=BudgetPeriod.TOTAL, thresholds=thresholds)


async def play(serve: Serve, data_dir: Path, readers: int, restarts: int) -> Counter[tuple[int, ...]]:
    """What the readers have seen, counted, when server and database were killed in turn."""
    async with Connection(serve.target, timeout_s=120) as connection:
        admin, client = AdminClient(connection, currency="USD"), BudgetClient(connection, currency="USD")
        await admin.create_account("acme")
        await admin.add_credit("acme", 100)
        await client.charge("acme", 5)
        before = memory_kib(os.getpid()), memory_kib(serve.pid)
        streams = [client.alerts() for _ in range(readers)]
        await asyncio.gather(*(alerts.begin(_BEGIN_S) for alerts in streams))
        after = memory_kib(os.getpid()), memory_kib(serve.pid)
        reader, server = ((b - a) / readers for a, b in zip(before, after, strict=True))
        print(f"memory per reader: {reader:.1f} KiB here, {server:.1f} KiB in the server", flush=True)
        following = [asyncio.create_task(follow(alerts, (restarts + 1) * EACH)) for alerts in streams]
        for number in range(restarts):
            writing = asyncio.create_task(write(client, number))
            began = time.monotonic()
            if number % 2:
                pid = int((data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0])
                os.kill(pid, signal.SIGKILL)
                await asyncio.to_thread(serve.wait)
                await asyncio.to_thread(serve.start)
            else:
                await asyncio.to_thread(serve.restart)
            await writing
            print(
                f"{('server', 'postgres')[number % 2]} killed, back {time.monotonic() - began:.1f} s later", flush=True
            )
        await write(client, restarts)
        return Counter(await asyncio.gather(*following))


def main() -> int:
    """Exit status 1 when a reader has missed or repeated an alert."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readers", type=int, default=1_000)
    parser.add_argument("--restarts", type=int, default=4)
    options = parser.parse_args()
    logging.getLogger("imprest_client").setLevel(logging.ERROR)
    directory = Path(tempfile.mkdtemp(prefix="imprest-alerts-"))
    directory.chmod(0o711)
    serve = Serve("--data-dir", str(directory / "data"))
    try:
        serve.start()
        seen = asyncio.run(play(serve, directory / "data", options.readers, options.restarts))
        expected = tuple(range(1, (options.restarts + 1) * EACH + 1))
        right = seen[expected]
        print(f"{right} of {options.readers} readers have seen each of {len(expected)} alerts once, in order")
        return 0 if right == options.readers else 1
    finally:
        serve.stop()
        serve.close()
        shutil.rmtree(directory)


if __name__ == "__main__":
    sys.exit(main())
