"""The engine finds every row by a full key, whatever Postgres knows about the tables.

A prepared statement keeps its plan, which was made when nobody had counted rows yet, or from counts that stopped
being true: what is planned for an empty table must be good for ten million rows.
"""

import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

import psycopg
import pytest
from sqlalchemy.dialects import postgresql

from imprest_server.budgets.store import SQL as BUDGETS_SQL
from imprest_server.core.ids import TenantId
from imprest_server.db.embedded import EmbeddedPostgres
from imprest_server.db.pool import connect_engine, read_pool, tenant_transaction
from imprest_server.db.tables import metadata
from imprest_server.ledger.queries import SQL as READ_SQL
from imprest_server.ledger.store import SQL
from imprest_server.pricing.store import SQL as PRICING_SQL
from tests.conftest import Database
from tests.support.ledger import LIMITS
from tests.support.plans import PERIODS, faults, plan
from tests.support.postgres import database_of
from tests.support.seed import seed

STATEMENTS = {name: text for name, text in SQL.items() if name not in ("begin", "commit")} | {
    f"pricing {name}": text
    for name, text in PRICING_SQL.items()
    if name.startswith(("load_", "read_", "lock_", "set_", "insert_prices"))
}
STATEMENTS |= {
    f"budgets {name}": text
    for name, text in BUDGETS_SQL.items()
    if name.startswith(("load_", "read_", "lock_", "set_", "update_"))
}
POSTGRES = postgresql.dialect()
MODES = ("force_generic_plan", "force_custom_plan")


@pytest.fixture(scope="module", params=["fresh", "grown, never analysed", "grown since analysed", "large and analysed"])
def tables(request: pytest.FixtureRequest, any_cluster: EmbeddedPostgres) -> Iterator[Database]:
    """A database in one of the states that it goes through, kept there: nothing analyses it behind our back."""
    with database_of(any_cluster) as database:
        with psycopg.connect(database.owner_dsn, autocommit=True) as owner:
            for table in metadata.tables:
                owner.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")  # type: ignore[arg-type]
            if request.param == "grown since analysed":
                seed(owner, "red", accounts=3, each=20)
                owner.execute("ANALYZE")
            if request.param != "fresh":
                seed(owner, "blue", accounts=1000, each=10)
            if request.param == "large and analysed":
                owner.execute("ANALYZE")
        yield database


@pytest.fixture
async def engine(tables: Database) -> AsyncIterator[psycopg.AsyncConnection]:
    async with await connect_engine(tables.app_dsn, **LIMITS) as connection:
        await connection.execute("SELECT set_config('imprest.tenants', 'red,blue', false)")
        yield connection


async def faults_of(
    connection: psycopg.AsyncConnection, statement: str, modes: Sequence[str] = MODES
) -> dict[tuple[str, int], list[str]]:
    """What is wrong with the plans of a statement, with and without known parameters, for one key and for many."""
    found = {
        (mode, keys): faults(await plan(connection, statement, mode=mode, keys=keys))
        for mode in modes
        for keys in (1, 250)
    }
    return {which: wrong for which, wrong in found.items() if wrong}


@pytest.mark.parametrize("statement", STATEMENTS)
async def test_rows_are_found_by_their_full_key(engine: psycopg.AsyncConnection, statement: str) -> None:
    assert await faults_of(engine, STATEMENTS[statement]) == {}


async def test_alerts_read_only_running_calls_besides_full_keys(engine: psycopg.AsyncConnection) -> None:
    """Those of the account or the tenant that is stopped, from one of the indexes that hold nothing else."""
    found = await faults_of(engine, BUDGETS_SQL["insert_alerts"])
    assert found != {}
    others = [f for wrong in found.values() for f in wrong if not re.search("ix_reservations_(due|sweep)", f)]
    assert others == []


async def test_foreign_keys_are_checked_by_their_full_key(tables: Database, engine: psycopg.AsyncConnection) -> None:
    """Postgres' own statements for each key, which run as the owner, with the settings of the engine's session.

    Of these only the plan that a session keeps: the first five are planned for the tenant at hand, and for one that the
    last count has not seen any index looks good enough.
    """
    settings = await (await engine.execute("SELECT name, setting FROM pg_settings WHERE name ~ '^enable_'")).fetchall()
    keys = [key for table in metadata.tables.values() for key in table.foreign_key_constraints]
    assert keys
    async with await psycopg.AsyncConnection.connect(tables.owner_dsn, autocommit=True) as owner:
        for name, setting in settings:
            await owner.execute("SELECT set_config(%s, %s, false)", [name, setting])
        for key in keys:
            columns = [element.column for element in key.elements]
            where = " AND ".join(f"{column.name} = (%s::{column.type.compile(POSTGRES)}[])[1]" for column in columns)
            check = f"SELECT 1 FROM ONLY {key.referred_table.name} AS x WHERE {where} FOR KEY SHARE OF x"
            assert await faults_of(owner, check, modes=["force_generic_plan"]) == {}, key.name


# ---- reads of the journal, for a tenant that has been counted ------------------------------------------------------

READS = {
    "list_transactions of a reservation": READ_SQL["list_transactions"].replace(
        "{filters}", READ_SQL["transactions_of_reservation"]
    ),
    "get_transaction": READ_SQL["get_transaction"],
    "usage_of_transaction": READ_SQL["usage_of_transaction"],
}
SUMS = {
    f"{block} of {scope}": BUDGETS_SQL[block].replace("{scope}", BUDGETS_SQL[scope])
    for block in ("sum_spent", "sum_metered")
    for scope in ("one_account", "all_accounts")
}
VALUES = {
    "account": "'acc_1'",
    "from": "now()",
    "to": "now()",
    "period_start": "now()",
    "label_key": "'agent'",
    "label_value": "'x'",
    "meter_prefix": "'llm'",
    "currency": "'USD'",
    "reservation": "md5('redrsv1/2')::uuid",
    "transaction": "md5('redtxn1/2')::uuid",
    "after": "0",
    "limit": "101",
    "horizon": "NULL",
    "refunds_limit": "10000",
    "seq": "1",
}
JOURNAL = re.compile("transactions|postings|refunds|usage_lines")


async def journal_faults(
    tables: Database, read: str, mode: str, also: Mapping[str, tuple[str, ...]] | None = None
) -> list[str]:
    with psycopg.connect(tables.owner_dsn) as owner:
        counted = "SELECT (most_common_vals::text::text[])[1] FROM pg_stats WHERE tablename = %s AND attname = %s"
        row = owner.execute(counted, ["transactions", "tenant_id"]).fetchone()
        assert row is not None
    async with (
        read_pool(tables.app_dsn, **LIMITS) as pool,
        tenant_transaction(pool, [TenantId(row[0])]) as connection,
    ):
        found = faults(await plan(connection, read, mode=mode, values={**VALUES, "tenant": f"'{row[0]}'"}), also)
    return [fault for fault in found if JOURNAL.search(fault)]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("read", READS)
async def test_what_belongs_to_one_id_is_found_by_its_full_key(tables: Database, read: str, mode: str) -> None:
    assert await journal_faults(tables, READS[read], mode) == []


@pytest.mark.parametrize("read", SUMS)
async def test_a_period_is_summed_by_full_keys(tables: Database, read: str) -> None:
    """These are planned anew each time."""
    assert await journal_faults(tables, SUMS[read], "force_custom_plan", PERIODS) == []


@pytest.mark.parametrize("mode", MODES)
async def test_a_read_of_a_whole_book_is_seen(tables: Database, mode: str) -> None:
    by_call = READ_SQL["list_transactions"].replace("{filters}", "AND t.call_id = 'call'")
    assert await journal_faults(tables, by_call, mode) != []


# ---- the checker catches what it is for --------------------------------------------------------------------------

PLANTED = {
    "an array of keys": """
        SELECT 1 FROM operations
        WHERE tenant_id = (%(t)s::text[])[1] AND kind = (%(t)s::text[])[1] AND idempotency_key = ANY (%(keys)s::text[])
    """,
    "no tenant": "SELECT 1 FROM reservations WHERE reservation_id = (%(ids)s::uuid[])[1]",
    "half a key": """
        SELECT 1 FROM unnest(%(t)s::text[], %(k)s::text[]) AS w (tenant_id, kind)
        CROSS JOIN LATERAL (SELECT 1 FROM operations WHERE tenant_id = w.tenant_id AND kind = w.kind LIMIT 1) AS o
    """,
    "a clock that no index can be searched by": """
        SELECT 1 FROM reservations
        WHERE tenant_id = (%(t)s::text[])[1] AND account_id = (%(a)s::text[])[1] AND state = 'ACTIVE'
            AND expire_time <= clock_timestamp()
    """,
    "the whole table": "SELECT count(*) FROM books",
}


@pytest.mark.parametrize("planted", PLANTED)
async def test_a_bad_plan_is_seen(engine: psycopg.AsyncConnection, planted: str) -> None:
    assert len(await faults_of(engine, PLANTED[planted])) == 4


async def test_without_the_sample_plans_would_be_bad(any_cluster: EmbeddedPostgres) -> None:
    """Migration 0001 shows Postgres a sample of rows; this is what it would do without."""
    with database_of(any_cluster) as database:
        with psycopg.connect(database.owner_dsn, autocommit=True) as owner:
            counted = "SELECT count(*) FROM pg_stats WHERE schemaname = 'public' AND tablename = 'accounts'"
            assert owner.execute(counted).fetchone() == (16,)
            owner.execute("ALTER TABLE reservations RENAME TO old")
            owner.execute("CREATE TABLE reservations (LIKE old INCLUDING ALL)")
            owner.execute("GRANT SELECT ON reservations TO imprest_app")
        async with await connect_engine(database.app_dsn, **LIMITS) as connection:
            wrong = await faults_of(connection, SQL["load_reservations"])
            assert re.search(r"Index Scan on \w+ without any column", str(wrong))
