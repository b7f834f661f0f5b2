"""Fixtures for everything: a Postgres for the run, and a fresh, migrated database for each test that asks.

Each pytest-xdist worker has a cluster of its own; making one takes about half a second.
"""

import faulthandler
import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import pytest
from psycopg import sql

from imprest_server.db.data_dir import APP_ROLE, DATABASE, OWNER_ROLE, SUPERUSER
from imprest_server.db.embedded import EmbeddedPostgres

_numbers = itertools.count(1)
_standard_error = pytest.StashKey[int]()
# How long an example takes says more about the machine than about us.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")

#: How long the end of a test's fixtures may take. `timeout` strikes once, and they may hang after that.
_TEARDOWN_S = 300


def pytest_configure(config: pytest.Config) -> None:
    """Keep the standard error that is seen, and let what tests start hear Ctrl-C, also in a shell's background."""
    capture: Any = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        config.stash[_standard_error] = os.dup(2)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """A teardown that hangs shows where and ends the process; xdist reports the test and starts another."""
    faulthandler.dump_traceback_later(_TEARDOWN_S, exit=True, file=item.config.stash[_standard_error])
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@dataclass(frozen=True)
class Database:
    """A database of one test: migrated, without rows."""

    name: str
    owner_dsn: str
    app_dsn: str


@pytest.fixture(scope="session")
def scratch_dir() -> Iterator[Path]:
    """A directory that other users may pass through (pytest's own are closed): root runs Postgres as one of them."""
    path = Path(tempfile.mkdtemp(prefix="imprest-test-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def pg_cluster(scratch_dir: Path) -> Iterator[EmbeddedPostgres]:
    """A running Postgres with the roles and an empty database `imprest`."""
    with EmbeddedPostgres(scratch_dir / "cluster") as cluster:
        yield cluster


@pytest.fixture(scope="session")
def _admin(pg_cluster: EmbeddedPostgres) -> Iterator[psycopg.Connection]:
    """A superuser's connection, once the database `imprest` is migrated and so a template."""
    from imprest_server.db.migrations import upgrade  # here: tests without tables start faster

    upgrade(pg_cluster.dsn(user=OWNER_ROLE))
    with psycopg.connect(pg_cluster.dsn(SUPERUSER, SUPERUSER), autocommit=True) as connection:
        yield connection


@pytest.fixture
def new_database(
    pg_cluster: EmbeddedPostgres, _admin: psycopg.Connection
) -> Callable[[], AbstractContextManager[Database]]:
    """Makes a copy of the migrated database, dropped after use."""

    @contextmanager
    def make() -> Iterator[Database]:
        name = f"test_{next(_numbers)}"
        _admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(
                sql.Identifier(name), sql.Identifier(DATABASE), sql.Identifier(OWNER_ROLE)
            )
        )
        yield Database(name, pg_cluster.dsn(name, OWNER_ROLE), pg_cluster.dsn(name, APP_ROLE))
        _admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    return make


@pytest.fixture
def database(new_database: Callable[[], AbstractContextManager[Database]]) -> Iterator[Database]:
    """A copy of the migrated database, dropped after the test."""
    with new_database() as database:
        yield database
