"""Brings a database's tables up to date, and tells whether they are.

The steps are Alembic scripts in `migrations/versions` of the source tree. A step only adds what servers that are
already running can ignore (expand); a later release takes away what nobody uses any more (contract). There is no way
down, and a server does not start on tables newer than it knows: what was wrong is mended by the next step.

Blocking: call these before the event loop starts, or in a thread.
"""

from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import NullPool, create_engine
from sqlalchemy.exc import DBAPIError

import imprest_server
from imprest_server.db.errors import (
    DatabaseUnreachableError,
    MigrationFailedError,
    MigrationsPendingError,
    SchemaTooNewError,
)
from imprest_server.db.roles import app_role_exists, become_app_role, ensure_app_role

# Of servers that start at the same time the first migrates; the others wait here and find nothing left to do.
# The number only has to differ from those of other programs in the same database.
_LOCK_KEY = 0x696D7072657374  # "imprest"
_LOCK_SQL = f"SET LOCAL lock_timeout = '2min'; SELECT pg_advisory_xact_lock({_LOCK_KEY})"
# The role is the whole cluster's: while another database of it is migrated for the first time, this one waits.
_ROLE_SQL = "SET LOCAL lock_timeout = '2min'"
# A step that waits for a table makes everybody queue up behind it: rather fail and be tried again.
_TIMEOUTS_SQL = "SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '2min'"


def upgrade(owner_dsn: str) -> None:
    """Run all missing migrations in one transaction; do nothing when there are none.

    Several processes may do so at the same time.

    Args:
        owner_dsn: a libpq URI or key-value string of a login that owns the tables, or may create them.

    Raises:
        DatabaseUnreachableError: no connection.
        AppRoleError: the role of the server is missing and cannot be created.
        SchemaTooNewError: a later version was here.
        MigrationFailedError: a step failed; nothing was changed.
    """
    engine = create_engine("postgresql+psycopg://", creator=lambda: _connect(owner_dsn), poolclass=NullPool)
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(_LOCK_SQL)
            connection.exec_driver_sql(_TIMEOUTS_SQL)
            raw = connection.connection.driver_connection
            assert isinstance(raw, psycopg.Connection)
            if _missing(raw):
                connection.exec_driver_sql(_ROLE_SQL)
                ensure_app_role(raw)
                connection.exec_driver_sql(_TIMEOUTS_SQL)
                config = _config()
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
    except (DBAPIError, psycopg.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        reason = cause.diag.message_primary if isinstance(cause, psycopg.Error) else None
        raise MigrationFailedError(f"the migrations failed and changed nothing: {reason or cause}") from error


def pending(dsn: str) -> list[str]:
    """Return the migrations that the database lacks, oldest first.

    Raises:
        DatabaseUnreachableError: no connection.
        SchemaTooNewError: the database knows one that this version does not.
    """
    with _connect(dsn) as connection:
        return _missing(connection)


def check_at_head(dsn: str) -> None:
    """Refuse to serve from tables that are older or newer than this version of Imprest.

    Args:
        dsn: how the server will connect.

    Raises:
        DatabaseUnreachableError: no connection.
        AppRoleError: this login may not become the server's role.
        MigrationsPendingError: migrations are missing.
        SchemaTooNewError: a later version migrated the database.
    """
    with _connect(dsn) as connection:
        if app_role_exists(connection):
            become_app_role(connection)
        missing = _missing(connection)
        if missing:
            found = _revision(connection)
            state = f"is at migration {found}" if found else "has no tables of Imprest yet"
            raise MigrationsPendingError(
                f"the database {state}, and this version needs {missing[-1]}: run `imprest migrate`", found
            )


def _missing(connection: psycopg.Connection) -> list[str]:
    """Return the missing migrations, oldest first."""
    known = _revisions()
    found = _revision(connection)
    if found is None:
        return list(known)
    if found not in known:
        raise SchemaTooNewError(
            f"the database is at migration {found}, of a later version of Imprest than this: start that version",
            found,
        )
    return list(known[known.index(found) + 1 :])


def _revision(connection: psycopg.Connection) -> str | None:
    if connection.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,):
        return None
    row: tuple[str] | None = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return row[0] if row else None


@cache
def _revisions() -> tuple[str, ...]:
    """The migrations of this version, oldest first."""
    scripts = ScriptDirectory.from_config(_config()).walk_revisions()
    return tuple(script.revision for script in scripts)[::-1]


def _config() -> Config:
    package = Path(imprest_server.__file__).parent
    installed = package / "_migrations"
    config = Config()
    scripts = installed if installed.is_dir() else package.parents[1] / "migrations"
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    return config


def _connect(dsn: str) -> psycopg.Connection[Any]:
    try:
        return psycopg.connect(dsn, fallback_application_name="imprest")
    except psycopg.OperationalError as error:
        raise DatabaseUnreachableError(f"cannot connect to the database: {error}") from error
