"""Databases that must not hold money are refused, and the text says what to change."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from imprest_server.db.data_dir import APP_ROLE, SUPERUSER
from imprest_server.db.embedded import EmbeddedPostgres
from imprest_server.db.errors import UnsafeDatabaseError
from imprest_server.db.safety import refuse_unsafe, unsafe_findings

SAFE = ("on", "on", "on", "UTF8", 180004, "18.4")


async def check(dsn: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        await refuse_unsafe(connection)


@pytest.fixture(scope="module")
def unsafe_cluster(scratch_dir: Path) -> Iterator[EmbeddedPostgres]:
    path = scratch_dir / "unsafe"
    settings = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
    with EmbeddedPostgres(path, settings=settings) as cluster:
        yield cluster
    shutil.rmtree(path)


async def test_embedded_is_safe(pg_cluster: EmbeddedPostgres) -> None:
    await check(pg_cluster.dsn())


async def test_every_finding_is_named(unsafe_cluster: EmbeddedPostgres) -> None:
    with psycopg.connect(unsafe_cluster.dsn(SUPERUSER, SUPERUSER), autocommit=True) as admin:
        admin.execute("CREATE DATABASE ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C' LOCALE_PROVIDER libc")
    with pytest.raises(UnsafeDatabaseError) as refusal:
        await check(unsafe_cluster.dsn("ascii"))
    named = [finding.split(" ", 1)[0] for finding in refusal.value.findings]
    assert named == ["fsync", "full_page_writes", "synchronous_commit", "server_encoding"]
    assert all(finding in str(refusal.value) for finding in refusal.value.findings)


async def test_a_setting_of_the_role_counts(pg_cluster: EmbeddedPostgres) -> None:
    with psycopg.connect(pg_cluster.dsn(SUPERUSER, SUPERUSER), autocommit=True) as admin:
        admin.execute(f"ALTER ROLE {APP_ROLE} SET synchronous_commit = off")
        try:
            with pytest.raises(UnsafeDatabaseError, match="synchronous_commit is off"):
                await check(pg_cluster.dsn())
            admin.execute(f"ALTER ROLE {APP_ROLE} SET synchronous_commit = local")
            await check(pg_cluster.dsn())
        finally:
            admin.execute(f"ALTER ROLE {APP_ROLE} RESET synchronous_commit")


@pytest.mark.parametrize("synchronous_commit", ["on", "local", "remote_write", "remote_apply"])
def test_only_off_is_unsafe(synchronous_commit: str) -> None:
    assert unsafe_findings("on", "on", synchronous_commit, *SAFE[3:]) == []


def test_oldest_version() -> None:
    assert unsafe_findings(*SAFE[:4], 150000, "15.0") == []
    assert unsafe_findings(*SAFE[:4], 140017, "14.17") == ["PostgreSQL 14.17 is too old; use 15 or newer"]
