"""Client work while the server, and its embedded Postgres, are killed and come back: the right books, nothing twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from imprest_client import AdminClient, AgentClient, CallController, Connection, Spool
from imprest_client.model import LedgerAccountCode
from imprest_client.spool import SpoolState
from tests.crash.serve import Serve
from tests.support.command import finished
from tests.support.patience import PATIENCE_S

CREDIT = 1_000
CALLERS = 6
ACCOUNTS = [f"customer-{number}" for number in range(3)]


class Life:
    """Callers at work, and what they were told."""

    def __init__(self, connection: Connection, spool: Spool) -> None:
        self._controller = CallController(connection, currency="USD", spool=spool)
        self._agent = AgentClient(connection, currency="USD", spool=spool)
        self._admin = AdminClient(connection, currency="USD")
        self._random = random.Random(7)
        self._stop = asyncio.Event()
        self.charged: Counter[str] = Counter()
        self.bought: Counter[str] = Counter()
        self.done = 0
        self.spooled = 0

    async def run(self) -> None:
        async with self._controller, self._agent, self._agent.recorder(exit_timeout_s=PATIENCE_S) as recorder:
            self._recorder = recorder
            async with asyncio.TaskGroup() as group:
                for number in range(CALLERS):
                    group.create_task(self._caller(number))
            assert await self._agent.flush(PATIENCE_S) == 0

    def stop(self) -> None:
        self._stop.set()

    async def go_on(self, living: asyncio.Task[None], count: int = 10) -> None:
        """Wait until more calls have ended."""
        until = self.done + count
        while self.done < until:
            if living.done():
                await living  # it failed
            await asyncio.sleep(0.01)

    async def _caller(self, number: int) -> None:
        while not self._stop.is_set():
            account_id = self._random.choice(ACCOUNTS)
            used = Decimal(self._random.randrange(1, 90_000)).scaleb(-4)
            async with self._controller.call(account_id, 2, call_id=f"{number}-{self.done}") as call:
                for part in range(1, 4):
                    call.used(used * part / 3)
                    await asyncio.sleep(self._random.random() / 50)
            self.charged[account_id] += call.used_so_far.quantize(Decimal("1e-9"))  # type: ignore[assignment]
            self.spooled += call.is_spooled
            self._recorder.charge(account_id, "0.001", call_id=f"{number}-{self.done}")
            self.charged[account_id] += Decimal("0.001")  # type: ignore[assignment]
            if self._random.random() < 0.3:
                await self._admin.add_credit(account_id, 10)
                self.bought[account_id] += 10
            self.done += 1


@pytest.fixture
def server(scratch_dir: Path) -> Iterator[tuple[Serve, Path]]:
    data_dir = scratch_dir / f"survives-{time.monotonic_ns()}"
    serve = Serve("--data-dir", str(data_dir))
    serve.start()
    try:
        yield serve, data_dir
        assert serve.stop() == 0, serve.log
    finally:
        serve.close()


def kill_postgres(data_dir: Path) -> None:
    pid = int((data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, signal.SIGKILL)


async def test_kills_of_server_and_postgres_cost_and_double_nothing(server: tuple[Serve, Path], tmp_path: Path) -> None:
    serve, data_dir = server
    async with Connection(serve.target, timeout_s=PATIENCE_S) as connection:
        admin = AdminClient(connection, currency="USD")
        for account_id in ACCOUNTS:
            await admin.create_account(account_id)
            await admin.add_credit(account_id, CREDIT)
        with Spool(tmp_path / "spool.db") as spool:
            life = Life(connection, spool)
            living = asyncio.create_task(life.run())
            for victim in ("server", "postgres"):
                await life.go_on(living)
                if victim == "server":
                    await asyncio.to_thread(serve.restart)
                else:
                    kill_postgres(data_dir)
                    assert await asyncio.to_thread(serve.wait) == 1
                    await asyncio.to_thread(serve.start)
            await life.go_on(living)
            life.stop()
            await living
            assert spool.count(SpoolState.PENDING) == 0
            assert spool.entries() == []
        for account_id in ACCOUNTS:
            balance = await admin.get_balance(account_id)
            expected = CREDIT + life.bought[account_id] - life.charged[account_id]
            assert (balance.wallet, balance.held, balance.receivable) == (expected, 0, 0), account_id
            (trial,) = await admin.get_trial_balance(account_id)
            lines = {line.code: line.credit_balance or line.debit_balance for line in trial.lines}
            assert lines[LedgerAccountCode.REVENUE] == life.charged[account_id]
            assert lines[LedgerAccountCode.CASH] == CREDIT + life.bought[account_id]
    status, output, _ = await asyncio.to_thread(finished, "verify", "--data-dir", str(data_dir))
    assert (status, output.splitlines()[-1]) == (0, "verify: OK")
