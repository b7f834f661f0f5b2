"""The server's connections: least privilege, time limits, and reads that see the rows of their tenants only."""

from collections.abc import AsyncIterator

import psycopg
import pytest
from psycopg import IsolationLevel
from psycopg.errors import InsufficientPrivilege, LockNotAvailable, QueryCanceled

from imprest_server.core.ids import TenantId
from imprest_server.db.data_dir import APP_ROLE, OWNER_ROLE, SUPERUSER
from imprest_server.db.embedded import EmbeddedPostgres
from imprest_server.db.errors import AppRoleError
from imprest_server.db.pool import ReadPool, connect_engine, read_pool, tenant_transaction
from tests.conftest import Database
from tests.support.seed import seed

LIMITS = {"statement_timeout_ms": 5000, "lock_timeout_ms": 2000}
RED, BLUE = TenantId("red"), TenantId("blue")

SESSION = """
SELECT session_user::text AS login, current_user::text AS role, current_setting('statement_timeout') AS statement,
       current_setting('lock_timeout') AS lock, current_setting('idle_in_transaction_session_timeout') AS idle,
       current_setting('TimeZone') AS zone, current_setting('application_name') AS name,
       current_setting('search_path') AS path,
       -- of the session itself: no later change of the configuration reaches it
       (SELECT setting || ' by ' || source FROM pg_settings WHERE name = 'synchronous_commit') AS durability
"""
EXPECTED = {
    "login": APP_ROLE,
    "role": APP_ROLE,
    "statement": "5s",
    "lock": "2s",
    "idle": "10s",
    "zone": "UTC",
    "name": "imprest",
    "path": "test_clock, public",
    "durability": "on by session",
}


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[ReadPool]:
    with psycopg.connect(database.owner_dsn) as connection:
        connection.execute(f'ALTER DATABASE "{database.name}" SET search_path = test_clock, public')  # type: ignore[arg-type]
        seed(connection, RED)
        seed(connection, BLUE)
    async with read_pool(database.app_dsn, **LIMITS) as pool:
        yield pool


async def test_sessions(pool: ReadPool, database: Database) -> None:
    async with await connect_engine(database.app_dsn, **LIMITS) as connection:
        assert connection.autocommit
        row = await (await connection.execute(SESSION)).fetchone()
        assert row is not None
        assert list(row) == list(EXPECTED.values())
    async with tenant_transaction(pool, [RED]) as reader:
        assert await (await reader.execute(SESSION)).fetchone() == EXPECTED


async def test_url_names_the_application(database: Database) -> None:
    async with await connect_engine(f"{database.app_dsn}&application_name=other", **LIMITS) as connection:
        row = await (await connection.execute("SHOW application_name")).fetchone()
        assert row == ("other",)


async def test_time_limits_hold(pool: ReadPool, database: Database) -> None:
    del pool  # it has put rows there
    async with await connect_engine(database.app_dsn, statement_timeout_ms=500, lock_timeout_ms=0) as connection:
        with pytest.raises(QueryCanceled):
            await connection.execute("SELECT pg_sleep(600)")
    async with await connect_engine(database.app_dsn, statement_timeout_ms=120_000, lock_timeout_ms=50) as connection:
        with psycopg.connect(database.owner_dsn) as other:
            other.execute("SELECT 1 FROM books FOR UPDATE")
            await connection.execute("SELECT set_config('imprest.tenants', 'red', false)")
            with pytest.raises(LockNotAvailable):
                await connection.execute("SELECT 1 FROM books FOR NO KEY UPDATE")


# ---- role --------------------------------------------------------------------------------------------------------


async def test_the_owners_login_serves_without_the_owners_power(
    pool: ReadPool, database: Database, pg_cluster: EmbeddedPostgres
) -> None:
    del pool
    with psycopg.connect(pg_cluster.dsn(SUPERUSER, SUPERUSER), autocommit=True) as admin:
        admin.execute(f"GRANT {APP_ROLE} TO {OWNER_ROLE}")
        try:
            async with await connect_engine(database.owner_dsn, **LIMITS) as connection:
                row = await (await connection.execute("SELECT session_user::text, current_user::text")).fetchone()
                assert row == (OWNER_ROLE, APP_ROLE)
                assert await (await connection.execute("SELECT 1 FROM books")).fetchall() == []
                with pytest.raises(InsufficientPrivilege):
                    await connection.execute("DELETE FROM books")
        finally:
            admin.execute(f"REVOKE {APP_ROLE} FROM {OWNER_ROLE}")


async def test_a_login_that_may_not_become_the_role(database: Database) -> None:
    with pytest.raises(AppRoleError, match="GRANT imprest_app TO imprest_owner"):
        await connect_engine(database.owner_dsn, **LIMITS)


# ---- reading -----------------------------------------------------------------------------------------------------


async def tenants(connection: psycopg.AsyncConnection[dict[str, object]]) -> list[object]:
    return [row["tenant_id"] async for row in await connection.execute("SELECT tenant_id FROM books ORDER BY 1")]


async def test_reads_see_their_tenants(pool: ReadPool) -> None:
    async with tenant_transaction(pool, [RED]) as connection:
        assert await tenants(connection) == [RED]
    async with tenant_transaction(pool, [RED, BLUE]) as connection:
        assert await tenants(connection) == [BLUE, RED]
    async with tenant_transaction(pool, []) as connection:
        assert await tenants(connection) == []
    async with pool.connection() as connection:
        assert await tenants(connection) == []


async def test_a_failed_read_leaves_nothing_behind(pool: ReadPool) -> None:
    with pytest.raises(ZeroDivisionError):
        async with tenant_transaction(pool, [RED]) as connection:
            raise ZeroDivisionError
    async with pool.connection() as connection:
        assert await tenants(connection) == []


async def test_isolation(pool: ReadPool) -> None:
    async def level(isolation: IsolationLevel | None) -> object:
        async with tenant_transaction(pool, [RED], isolation=isolation) as connection:
            row = await (await connection.execute("SHOW transaction_isolation")).fetchone()
            assert row is not None
            return row["transaction_isolation"]

    for _ in range(2):
        assert await level(IsolationLevel.REPEATABLE_READ) == "repeatable read"
        assert await level(None) == "read committed"


async def test_a_connection_that_died_is_replaced(pool: ReadPool, database: Database) -> None:
    async with pool.connection() as connection:
        backend = connection.info.backend_pid
    with psycopg.connect(database.app_dsn) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [backend])
    async with tenant_transaction(pool, [RED]) as connection:
        assert await tenants(connection) == [RED]
        assert connection.info.backend_pid != backend
