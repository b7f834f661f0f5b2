"""kill -9 under load, of everything that can be killed: nothing acknowledged is lost, nothing happens twice."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from imprest_server.db.data_dir import OWNER_ROLE
from imprest_server.db.embedded import EmbeddedPostgres
from tests.conftest import Database
from tests.crash.cluster import CrashCluster
from tests.crash.faults import Faults
from tests.crash.journal import Journal
from tests.crash.load import Load, Scale
from tests.crash.ports import DirectPort, WirePort
from tests.crash.serve import Serve
from tests.crash.storm import storm
from tests.support.lanes import running_lanes


async def test_kill_of_backends_and_of_postgres(cluster: CrashCluster, crash_database: Database) -> None:
    """Two engines in this process; a killed backend takes everybody's session with it, a killed postmaster all.

    Half of the calls are rated, and counted in months and budgets.
    """
    faults = Faults(cluster, crash_database, random.Random("kills"))
    strikes = [faults.backend, faults.postgres, faults.backend]
    async with running_lanes(crash_database, engines=2) as lanes:
        load = Load(Journal("kills"), DirectPort(lanes.engines), "kills", Scale(cap=20), furnished=crash_database)
        report = await storm(load, strikes, crash_database.owner_dsn)
    print(report, dict(load.journal.doubts))
    assert report.ok, report
    assert report.in_doubt
    assert not load.journal.doubts["INTERNAL"]


async def test_kill_of_the_server(cluster: CrashCluster, crash_database: Database) -> None:
    """`imprest serve` dies in the middle of batches; its successor takes the same keys."""
    with Serve(IMPREST_DATABASE_URL=crash_database.app_dsn) as serve:
        faults = Faults(cluster, crash_database, random.Random("serve"), serve=serve)
        async with WirePort(serve.target) as port:
            load = Load(Journal("serve"), port, "serve")
            report = await storm(load, [faults.server], crash_database.owner_dsn, between=80)
            log = serve.log
    print(report, dict(load.journal.doubts))
    assert report.ok, report
    assert load.journal.doubts["UNAVAILABLE"]
    assert "internal error" not in log


async def test_kill_of_the_server_with_its_own_postgres(scratch_dir: Path) -> None:
    """The orphaned Postgres is found, stopped and started by the successor."""
    data_dir = scratch_dir / "served"
    own = EmbeddedPostgres(data_dir)
    with Serve("--data-dir", str(data_dir)) as serve:
        try:
            async with WirePort(serve.target) as port:
                load = Load(Journal("own"), port, "own")

                async def server() -> None:
                    await asyncio.to_thread(serve.restart)

                report = await storm(load, [server], own.dsn(user=OWNER_ROLE))
        finally:
            if not serve.running:
                with own:  # takes over the orphan, and stops it
                    pass
        log = serve.log
    print(report, dict(load.journal.doubts))
    assert report.ok, report
    assert "internal error" not in log
