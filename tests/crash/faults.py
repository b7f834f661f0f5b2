"""What goes wrong: each fault strikes once and returns when it is over, so that the service can recover."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.conftest import Database
from tests.crash.cluster import CrashCluster
from tests.crash.proxy import How, Point, Proxy
from tests.crash.serve import Serve
from tests.crash.storm import Fault

_PATIENCE_S = 5.0


@dataclass
class Faults:
    """All faults on one database, and how often each has struck. `serve` and `proxy` are there or not."""

    cluster: CrashCluster
    database: Database
    chance: random.Random
    proxy: Proxy | None = None
    serve: Serve | None = None
    counts: Counter[str] = field(default_factory=Counter[str])

    async def backend(self) -> None:
        """kill -9 of one session's backend: Postgres ends all sessions and recovers."""
        await asyncio.to_thread(self.cluster.kill_backend, self.database)
        self.counts["kill backend"] += 1

    async def postgres(self) -> None:
        """kill -9 of the postmaster, then a restart."""
        await asyncio.to_thread(self.cluster.kill)
        self.counts["kill postgres"] += 1
        await asyncio.to_thread(self.cluster.restart)

    async def server(self) -> None:
        """kill -9 of `imprest serve`, then a restart."""
        assert self.serve is not None
        await asyncio.to_thread(self.serve.kill)
        self.counts["kill serve"] += 1
        await asyncio.to_thread(self.serve.start)

    async def sessions(self) -> None:
        """An administrator ends all sessions."""
        await asyncio.to_thread(self.cluster.end_sessions, self.database)
        self.counts["end sessions"] += 1

    async def read_only(self) -> None:
        """The database takes no writes for a moment."""
        await self._for_a_moment("SET default_transaction_read_only = on", "RESET default_transaction_read_only")
        self.counts["read only"] += 1

    async def no_connections(self) -> None:
        """The database takes no connections for a moment."""
        await self._for_a_moment("CONNECTION LIMIT 0", "CONNECTION LIMIT -1")
        self.counts["no connections"] += 1

    async def line(self) -> None:
        """A connection breaks or stalls at some point of a batch, once or a few times in a row."""
        assert self.proxy is not None
        point, how = self.chance.choice(list(Point)), self.chance.choice(list(How))
        struck = self.proxy.struck
        times = self.chance.choice([1, 1, 2, 7]) if how in (How.CLOSE, How.RESET) else 1
        self.proxy.arm(point, how, times=times)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self.proxy.until_struck(struck + times)
        except TimeoutError:
            self.proxy.disarm()
        await asyncio.sleep(self.chance.uniform(0, 0.4) if how in (How.FREEZE, How.PARTITION) else 0)
        self.proxy.thaw()
        self.proxy.heal_partition()
        self.counts[f"line: {how.name.lower()}"] += self.proxy.struck - struck

    def some(self, count: int, until: float) -> Iterator[Fault]:
        """So many faults as chance has it, of those that are possible here, or until the monotonic clock says so."""
        possible = [self.backend, self.sessions, self.read_only, self.no_connections]
        possible += [self.line] * (4 if self.proxy else 0)
        possible += [self.server] * (3 if self.serve else 0)
        for _ in range(count):
            if time.monotonic() > until:
                return
            yield self.chance.choices([self.postgres, *possible], [2] + [1] * len(possible))[0]

    async def _for_a_moment(self, setting: str, reset: str) -> None:
        """A setting of the database, which new sessions have, and no old ones."""
        await asyncio.to_thread(self.cluster.admin, f"ALTER DATABASE {self.database.name} {setting}")
        await asyncio.to_thread(self.cluster.end_sessions, self.database)
        await asyncio.sleep(self.chance.uniform(0, 0.3))
        await asyncio.to_thread(self.cluster.admin, f"ALTER DATABASE {self.database.name} {reset}")
        await asyncio.to_thread(self.cluster.end_sessions, self.database)
