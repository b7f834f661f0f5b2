"""Moves the database's clock in a test.

Production code has one clock for money: `clock_timestamp()` in SQL. Here a function of that name stands in front
of the built-in one on the search path of one database. Only sessions opened after `install` see it, and only
statements that write the name without a schema, as all of ours do.
"""

from datetime import datetime

import psycopg
from psycopg import sql

_INSTALL = """
CREATE SCHEMA test_clock;
GRANT USAGE ON SCHEMA test_clock TO imprest_app;
CREATE TABLE test_clock.ahead (by interval NOT NULL, stopped_at timestamptz);
INSERT INTO test_clock.ahead VALUES (interval '0', NULL);
GRANT SELECT ON test_clock.ahead TO imprest_app;
-- VOLATILE: each call takes a new snapshot, like the real clock also in the middle of a statement. In a
-- REPEATABLE READ transaction the shift, not the time, stays as it was at its start.
CREATE FUNCTION test_clock.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
    AS 'SELECT coalesce(stopped_at, pg_catalog.clock_timestamp()) + by FROM test_clock.ahead';
GRANT EXECUTE ON FUNCTION test_clock.clock_timestamp() TO imprest_app;
"""


def install(owner_dsn: str) -> None:
    """Give the database a movable clock, which shows the true time at first. Connect the server afterwards."""
    with psycopg.connect(owner_dsn) as connection:
        connection.execute(_INSTALL)
        # pg_catalog is searched first unless it is named.
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET search_path = test_clock, pg_catalog, public").format(
                sql.Identifier(connection.info.dbname)
            )
        )


def stop(owner_dsn: str, at: datetime | None = None) -> None:
    """Let the clock stand still for all sessions, at a whole second of now or at `at`; only `advance` moves it then."""
    with psycopg.connect(owner_dsn) as connection:
        connection.execute(
            "UPDATE test_clock.ahead"
            " SET stopped_at = coalesce(%s::timestamptz, date_trunc('second', pg_catalog.clock_timestamp()))",
            [at],
        )


def advance(owner_dsn: str, seconds: float) -> None:
    """Move the clock of all sessions forward, or back when negative."""
    with psycopg.connect(owner_dsn) as connection:
        connection.execute("UPDATE test_clock.ahead SET by = by + make_interval(secs => %s)", [seconds])
