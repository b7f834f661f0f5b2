"""The movable clock of tests does what tests rely on, through the connections that the server uses."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from imprest_server.core.ids import TenantId
from imprest_server.db.pool import connect_engine, read_pool, tenant_transaction
from tests.conftest import Database
from tests.support import clock

HOUR = timedelta(hours=1)
NEAR = timedelta(minutes=1)
LIMITS = {"statement_timeout_ms": 5000, "lock_timeout_ms": 2000}


def ahead(value: object) -> timedelta:
    assert isinstance(value, datetime)
    return value - datetime.now(UTC)


async def shown(connection: psycopg.AsyncConnection) -> timedelta:
    row = await (await connection.execute("SELECT clock_timestamp()")).fetchone()
    assert row is not None
    return ahead(row[0])


async def test_true_until_moved_and_then_moved_for_everybody(database: Database) -> None:
    clock.install(database.owner_dsn)
    async with await connect_engine(database.app_dsn, **LIMITS) as connection:
        assert abs(await shown(connection)) < NEAR
        clock.advance(database.owner_dsn, 3600)
        assert abs(await shown(connection) - HOUR) < NEAR
        clock.advance(database.owner_dsn, -1800.5)
        assert abs(await shown(connection) - HOUR / 2) < NEAR


async def test_prepared_statements_and_open_transactions_see_it_move(database: Database) -> None:
    clock.install(database.owner_dsn)
    async with await connect_engine(database.app_dsn, **LIMITS) as connection:
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        await connection.execute("BEGIN")
        for hours in range(8):  # from the fifth on psycopg prepares it
            assert abs(await shown(connection) - hours * HOUR) < NEAR
            clock.advance(database.owner_dsn, 3600)
        await connection.execute("COMMIT")
        row = await (await connection.execute("SELECT count(*) FROM pg_prepared_statements")).fetchone()
        assert row is not None and row[0] > 0


async def test_now_stays_true(database: Database) -> None:
    """So that code which asks `now()` for money, frozen at BEGIN, fails its tests."""
    clock.install(database.owner_dsn)
    clock.advance(database.owner_dsn, 3600)
    async with await connect_engine(database.app_dsn, **LIMITS) as connection:
        row = await (await connection.execute("SELECT now(), current_timestamp")).fetchone()
        assert row is not None
        assert all(abs(ahead(value)) < NEAR for value in row)


async def test_under_row_level_security(database: Database) -> None:
    clock.install(database.owner_dsn)
    clock.advance(database.owner_dsn, 3600)
    async with (
        read_pool(database.app_dsn, **LIMITS) as pool,
        tenant_transaction(pool, [TenantId("default")]) as connection,
    ):
        row = await (await connection.execute("SELECT tenant_id, clock_timestamp() AS now FROM tenants")).fetchone()
        assert row is not None
        assert row["tenant_id"] == "default"
        assert abs(ahead(row["now"]) - HOUR) < NEAR


def test_the_server_cannot_move_it(database: Database) -> None:
    clock.install(database.owner_dsn)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        clock.advance(database.app_dsn, 1)


def test_other_databases_keep_theirs(database: Database, pg_cluster: object) -> None:
    clock.install(database.owner_dsn)
    clock.advance(database.owner_dsn, 3600)
    with psycopg.connect(database.app_dsn, dbname="imprest") as connection:
        row = connection.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        assert abs(ahead(row[0])) < NEAR
