"""Fixtures for tests of the schema, which run on every supported Postgres that this machine has, and of the reads."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from imprest_server.db import pool
from imprest_server.db.data_dir import OWNER_ROLE
from imprest_server.db.embedded import EmbeddedPostgres
from imprest_server.db.migrations import upgrade
from tests.conftest import Database
from tests.support import clock
from tests.support.ledger import House, house_on
from tests.support.patience import PATIENCE_S
from tests.support.postgres import cluster_of, database_of, other_installations


@pytest.fixture(
    scope="session", params=[None, *other_installations()], ids=lambda p: f"pg{p.parent.name}" if p else "pg"
)
def any_cluster(
    request: pytest.FixtureRequest, pg_cluster: EmbeddedPostgres, scratch_dir: Path
) -> Iterator[EmbeddedPostgres]:
    """A cluster whose database `imprest` is migrated."""
    if request.param is None:
        upgrade(pg_cluster.dsn(user=OWNER_ROLE))
        yield pg_cluster
        return
    with cluster_of(request.param, scratch_dir / request.param.parent.name) as cluster:
        upgrade(cluster.dsn(user=OWNER_ROLE))
        yield cluster


@pytest.fixture
def migrated(any_cluster: EmbeddedPostgres) -> Iterator[Database]:
    """A migrated database without rows."""
    with database_of(any_cluster) as database:
        yield database


@pytest.fixture
def empty(any_cluster: EmbeddedPostgres) -> Iterator[Database]:
    """A database without tables."""
    with database_of(any_cluster, template="template0") as database:
        yield database


@pytest.fixture
async def house(database: Database) -> AsyncIterator[House]:
    """An engine and its reads, on a database whose clock can be moved."""
    clock.install(database.owner_dsn)
    async with house_on(database) as house:
        yield house


@pytest.fixture(autouse=True)
def patient_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads wait for a connection of their pool as long as a slow machine may need."""
    monkeypatch.setattr(pool, "_POOL_WAIT_S", PATIENCE_S)
