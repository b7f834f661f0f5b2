"""Every Postgres on this machine that Imprest supports, and databases on them."""

import itertools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

import imprest_server.db.binaries as binaries_module
from imprest_server.db.binaries import MIN_MAJOR
from imprest_server.db.data_dir import APP_ROLE, DATABASE, OWNER_ROLE, SUPERUSER
from imprest_server.db.embedded import EmbeddedPostgres
from tests.conftest import Database

_numbers = itertools.count(1)


def other_installations() -> list[Path]:
    """The bin directories of distribution packages, besides the Postgres that the embedded launcher prefers."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    return sorted(path for path in found if path.parent.name.isdigit() and int(path.parent.name) >= MIN_MAJOR)


@contextmanager
def cluster_of(bin_dir: Path, data_dir: Path) -> Iterator[EmbeddedPostgres]:
    """A running cluster of one installation's programs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(binaries_module, "_candidates", lambda *_: iter([bin_dir]))
        cluster = EmbeddedPostgres(data_dir)
        cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(data_dir)


@contextmanager
def database_of(cluster: EmbeddedPostgres, *, template: str = DATABASE, owner: str = OWNER_ROLE) -> Iterator[Database]:
    """A copy of a database (`template0`: an empty one), dropped at the end."""
    name = f"copy_{next(_numbers)}"
    with psycopg.connect(cluster.dsn(SUPERUSER, SUPERUSER), autocommit=True) as admin:
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}")
        admin.execute(create.format(*map(sql.Identifier, (name, template, owner))))
        yield Database(name, cluster.dsn(name, owner), cluster.dsn(name, APP_ROLE))
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
