"""The server's connections: one per engine lane, and a small pool for reading.

All of them work as `imprest_app` (see `roles`), in UTC, and with time limits. The search path is the database's:
tests move the clock with it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection, IsolationLevel
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, TupleRow, dict_row
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool

from imprest_server.core.ids import TenantId
from imprest_server.db.data_dir import APP_ROLE
from imprest_server.db.errors import DatabaseUnreachableError
from imprest_server.db.roles import cannot_become

ReadPool = AsyncConnectionPool[AsyncConnection[DictRow]]

# What the URL may override. A server that vanished without a word is noticed within half a minute.
_CONNECT_DEFAULTS = {
    "fallback_application_name": "imprest",
    "connect_timeout": "10",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
_POOL_WAIT_S = 5.0
# After an outage the pool tries again with growing pauses; this ends them, and the next caller begins anew.
_RECONNECT_S = 1.0
# A process that is stopped in the middle of a transaction must not keep its locks.
_IDLE_IN_TRANSACTION_MS = 10_000
_HAS_TRANSACTION_TIMEOUT = 170_000

# What was checked when the session began (see `safety`) stays so in it, whatever an administrator sets meanwhile.
_SESSION_SQL = """
SELECT set_config('TimeZone', 'UTC', false),
       set_config('statement_timeout', %(statement_timeout_ms)s, false),
       set_config('lock_timeout', %(lock_timeout_ms)s, false),
       set_config('idle_in_transaction_session_timeout', %(idle_ms)s, false),
       set_config('synchronous_commit', current_setting('synchronous_commit'), false),
       set_config('role', %(role)s, false)
"""

# The engine finds few rows by full keys. What pays for a table of ten rows is kept in prepared statements, and in the
# checks of foreign keys, while the table grows.
_FULL_KEYS_SQL = """
SELECT set_config('enable_seqscan', 'off', false),
       set_config('enable_hashjoin', 'off', false),
       set_config('enable_mergejoin', 'off', false),
       set_config('plan_cache_mode', 'force_generic_plan', false)
"""


def transaction_limit_ms(statement_timeout_ms: int, lock_timeout_ms: int) -> int:
    """How long a transaction may last in all.

    The idle limit alone is not enough: psycopg ends a pipeline with a Flush, which Postgres does not count as idle,
    so a session whose client vanished would keep its locks until TCP notices.
    """
    return _IDLE_IN_TRANSACTION_MS + statement_timeout_ms + lock_timeout_ms


@contextmanager
def reachable() -> Iterator[None]:
    """Around the first connections of a process: one that cannot be made is told in a sentence.

    Raises:
        DatabaseUnreachableError: no connection.
    """
    try:
        yield
    except psycopg.OperationalError as error:
        raise DatabaseUnreachableError(f"cannot connect to the database: {error}") from error


def _loads(text: str | bytes) -> Any:
    """JSON; nearly all of it are the labels of what has none."""
    return {} if text == b"{}" else json.loads(text)


async def connect_engine(dsn: str, *, statement_timeout_ms: int, lock_timeout_ms: int) -> AsyncConnection[TupleRow]:
    """Open the connection of an engine lane, in autocommit: the engine sends BEGIN and COMMIT itself.

    Raises:
        psycopg.OperationalError: no connection.
        AppRoleError: this login may not become the server's role.
    """
    connection = await AsyncConnection.connect(_conninfo(dsn), autocommit=True)
    try:
        await _configure(connection, statement_timeout_ms, lock_timeout_ms)
        await connection.execute(_FULL_KEYS_SQL)
        set_json_loads(_loads, connection)
    except BaseException:
        await connection.close()
        raise
    return connection


def read_pool(dsn: str, *, statement_timeout_ms: int, lock_timeout_ms: int, max_size: int = 4) -> ReadPool:
    """Return a pool for reads, closed: open it with `async with`. Use it through `tenant_transaction`.

    A connection that died while it was idle is replaced before anybody gets it.
    """

    async def configure(connection: AsyncConnection[Any]) -> None:
        await _configure(connection, statement_timeout_ms, lock_timeout_ms)

    return AsyncConnectionPool(
        _conninfo(dsn),
        connection_class=AsyncConnection[DictRow],
        kwargs={"autocommit": True, "row_factory": dict_row},
        min_size=1,
        max_size=max_size,
        timeout=_POOL_WAIT_S,
        reconnect_timeout=_RECONNECT_S,
        configure=configure,
        check=AsyncConnectionPool.check_connection,
        name="imprest-read",
        open=False,
    )


@asynccontextmanager
async def tenant_transaction(
    pool: ReadPool, tenant_ids: Sequence[TenantId], *, isolation: IsolationLevel | None = None
) -> AsyncIterator[AsyncConnection[DictRow]]:
    """A transaction on a pooled connection that sees the rows of these tenants and of nobody else.

    Args:
        pool: an open pool.
        tenant_ids: whose rows; none means no rows.
        isolation: REPEATABLE_READ where several statements must agree; absent is READ COMMITTED.

    Raises:
        psycopg_pool.PoolTimeout: all connections stayed busy, or the database is down (an OperationalError).
    """
    async with pool.connection() as connection:
        await connection.set_isolation_level(isolation)  # kept on our side, and sent with BEGIN
        async with connection.transaction():
            await connection.execute("SELECT set_config('imprest.tenants', %s, true)", [tenants_setting(tenant_ids)])
            yield connection


def tenants_setting(tenant_ids: Sequence[TenantId]) -> str:
    """The value of `imprest.tenants` that row-level security reads."""
    assert not any("," in tenant_id for tenant_id in tenant_ids)
    return ",".join(tenant_ids)


def _conninfo(dsn: str) -> str:
    return psycopg.conninfo.make_conninfo("", **{**_CONNECT_DEFAULTS, **conninfo_to_dict(dsn)})


async def _configure(connection: AsyncConnection[Any], statement_timeout_ms: int, lock_timeout_ms: int) -> None:
    values = {
        "statement_timeout_ms": str(statement_timeout_ms),
        "lock_timeout_ms": str(lock_timeout_ms),
        "idle_ms": str(_IDLE_IN_TRANSACTION_MS),
        "role": APP_ROLE,
    }
    try:
        await connection.execute(_SESSION_SQL, values)
    except psycopg.Error as error:
        raise cannot_become(connection, error) from error
    if connection.info.server_version >= _HAS_TRANSACTION_TIMEOUT:
        limit_ms = transaction_limit_ms(statement_timeout_ms, lock_timeout_ms)
        await connection.execute("SELECT set_config('transaction_timeout', %s, false)", [str(limit_ms)])
