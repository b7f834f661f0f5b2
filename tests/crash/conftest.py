"""A cluster that tests may kill, and databases on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Database
from tests.crash.cluster import CrashCluster


@pytest.fixture(scope="package")
def cluster(scratch_dir: Path) -> Iterator[CrashCluster]:
    """A running Postgres; a test that kills it restarts it."""
    cluster = CrashCluster(scratch_dir / "crash")
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture
def crash_database(cluster: CrashCluster) -> Iterator[Database]:
    """A fresh database on that cluster."""
    database = cluster.database()
    yield database
    cluster.drop(database)
