"""Migrations make exactly the tables that `db/tables` describes, once, from any number of processes."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from psycopg.conninfo import make_conninfo
from sqlalchemy import Connection, Engine, NullPool, create_engine

from imprest_server.db import migrations
from imprest_server.db.data_dir import APP_ROLE, OWNER_ROLE, SUPERUSER
from imprest_server.db.embedded import EmbeddedPostgres
from imprest_server.db.errors import (
    AppRoleError,
    DatabaseUnreachableError,
    MigrationFailedError,
    MigrationsPendingError,
    SchemaTooNewError,
)
from imprest_server.db.migrations import check_at_head, pending, upgrade
from imprest_server.db.tables import metadata
from tests.conftest import Database
from tests.support.catalog import Facts, differences, facts
from tests.support.postgres import database_of


def sqlalchemy_engine(dsn: str) -> Engine:
    return create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(dsn), poolclass=NullPool)


def alembic_differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_server_default": True})
    return list(compare_metadata(context, metadata))


def raw(connection: Connection) -> psycopg.Connection:
    driver_connection = connection.connection.driver_connection
    assert isinstance(driver_connection, psycopg.Connection)
    return driver_connection


# ---- migrations == metadata --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def described(any_cluster: EmbeddedPostgres) -> Iterator[Facts]:
    """The catalogs of a database made from the metadata."""
    with database_of(any_cluster, template="template0") as database:
        engine = sqlalchemy_engine(database.owner_dsn)
        metadata.create_all(engine)
        with engine.connect() as connection:
            yield facts(raw(connection))


@pytest.fixture
def connection(any_cluster: EmbeddedPostgres) -> Iterator[Connection]:
    """A transaction in the migrated database, rolled back at the end."""
    with sqlalchemy_engine(any_cluster.dsn(user=OWNER_ROLE)).connect() as connection:
        yield connection


def test_migrations_make_what_the_metadata_describes(connection: Connection, described: Facts) -> None:
    found = facts(raw(connection))
    assert {table for kind, table, _ in found if kind == "table"} == set(metadata.tables)
    assert differences(found, described) == {}
    assert alembic_differences(connection) == []


PLANTED = {
    "column added": "ALTER TABLE postings ADD COLUMN note text",
    "column dropped": "ALTER TABLE reservations DROP COLUMN late",
    "column renamed": "ALTER TABLE reservations RENAME COLUMN late TO tardy",
    "column made nullable": "ALTER TABLE books ALTER COLUMN wallet DROP NOT NULL",
    "column made required": "ALTER TABLE books ALTER COLUMN last_time SET NOT NULL",
    "scale changed": "ALTER TABLE postings ALTER COLUMN amount TYPE numeric(38, 8)",
    "type changed": "ALTER TABLE tenants ALTER COLUMN create_time TYPE timestamp",
    "default added": "ALTER TABLE books ALTER COLUMN held SET DEFAULT 0",
    "collation changed": 'ALTER TABLE accounts ALTER COLUMN customer_id TYPE text COLLATE "C"',
    "check dropped": "ALTER TABLE books DROP CONSTRAINT ck_books_equation",
    "check weakened": """
        ALTER TABLE books DROP CONSTRAINT ck_books_held;
        ALTER TABLE books ADD CONSTRAINT ck_books_held CHECK (held >= -1)
    """,
    "check renamed": "ALTER TABLE books RENAME CONSTRAINT ck_books_held TO ck_held",
    "check not validated": """
        ALTER TABLE books DROP CONSTRAINT ck_books_held;
        ALTER TABLE books ADD CONSTRAINT ck_books_held CHECK (held >= 0) NOT VALID
    """,
    "foreign key dropped": "ALTER TABLE postings DROP CONSTRAINT fk_postings_transaction",
    "foreign key cascades": """
        ALTER TABLE accounts DROP CONSTRAINT fk_accounts_tenant;
        ALTER TABLE accounts ADD CONSTRAINT fk_accounts_tenant
            FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
    """,
    "index dropped": "DROP INDEX ix_reservations_due",
    "index added": "CREATE INDEX ix_more ON postings (tenant_id, debit)",
    "index no longer unique": """
        DROP INDEX uq_transactions_external_reference;
        CREATE INDEX uq_transactions_external_reference ON transactions (tenant_id, kind, external_reference)
            WHERE external_reference IS NOT NULL
    """,
    "index no longer partial": """
        DROP INDEX ix_reservations_sweep;
        CREATE INDEX ix_reservations_sweep ON reservations (tenant_id, expire_time)
    """,
    "index columns swapped": """
        DROP INDEX ix_reservations_sweep;
        CREATE INDEX ix_reservations_sweep ON reservations (expire_time, tenant_id) WHERE state = 'ACTIVE'
    """,
    "room on the page": "ALTER TABLE books SET (fillfactor = 90)",
    "unlogged": "ALTER TABLE operations SET UNLOGGED",
    "table added": "CREATE TABLE extra (tenant_id text)",
    "trigger added": """
        CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER meddle BEFORE UPDATE ON books FOR EACH ROW EXECUTE FUNCTION meddle()
    """,
}


# Alembic compares less.
SEEN_BY_ALEMBIC = {"column added", "type changed", "default added", "index dropped", "table added"}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_difference_is_seen(connection: Connection, described: Facts, planted: str) -> None:
    connection.exec_driver_sql(PLANTED[planted])
    assert differences(facts(raw(connection)), described) != {}
    if planted in SEEN_BY_ALEMBIC:
        assert alembic_differences(connection) != []


def test_no_rows_but_the_first_tenant(connection: Connection) -> None:
    """Also none of the sample that the planner is shown."""
    for table in metadata.sorted_tables:
        rows = connection.exec_driver_sql(f"SELECT tenant_id FROM {table.name}").scalars().all()
        assert rows == (["default"] if table.name == "tenants" else [])


def test_history_is_a_line_without_a_way_down() -> None:
    scripts = Path(migrations.__file__).parents[3] / "migrations" / "versions"
    files = sorted(path.name for path in scripts.glob("*.py"))
    assert [name.split("_")[0] for name in files] == list(migrations._revisions())
    assert not any("def downgrade" in (scripts / name).read_text() for name in files)


# ---- running them ------------------------------------------------------------------------------------------------


def test_upgrade_twice(empty: Database) -> None:
    head = migrations._revisions()
    assert pending(empty.owner_dsn) == list(head)
    upgrade(empty.owner_dsn)
    assert pending(empty.owner_dsn) == []
    upgrade(empty.owner_dsn)
    check_at_head(empty.app_dsn)


def test_all_at_once(empty: Database) -> None:
    """Servers that start together: one migrates, the others wait for it."""
    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(upgrade, empty.owner_dsn) for _ in range(8)]:
            done.result()
    check_at_head(empty.app_dsn)


def test_key_value_dsn(empty: Database) -> None:
    upgrade(make_conninfo(empty.owner_dsn))
    check_at_head(make_conninfo(empty.app_dsn))


def test_scripts_of_an_installed_package(empty: Database, scratch_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wheel carries them inside the package; Alembic's configuration reads % in a path as a variable."""
    package = scratch_dir / "100%(sure)s" / "imprest_server"
    shutil.copytree(Path(migrations.__file__).parents[3] / "migrations", package / "_migrations")
    monkeypatch.setattr(migrations.imprest_server, "__file__", str(package / "__init__.py"))
    try:
        upgrade(empty.owner_dsn)
        check_at_head(empty.app_dsn)
        assert Path(migrations._config().get_main_option("script_location") or "") == package / "_migrations"
    finally:
        shutil.rmtree(package.parent)


# ---- refusals ----------------------------------------------------------------------------------------------------


def test_older_tables(empty: Database) -> None:
    with pytest.raises(MigrationsPendingError, match=r"has no tables of Imprest yet.*imprest migrate") as refusal:
        check_at_head(empty.app_dsn)
    assert refusal.value.found is None


def test_newer_tables(migrated: Database) -> None:
    with psycopg.connect(migrated.owner_dsn) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    for refuse in (check_at_head, pending, upgrade):
        with pytest.raises(SchemaTooNewError, match=r"migration 9999, of a later version") as refusal:
            refuse(migrated.owner_dsn if refuse is not check_at_head else migrated.app_dsn)
        assert refusal.value.found == "9999"


def test_a_failed_migration_changes_nothing(empty: Database) -> None:
    with psycopg.connect(empty.owner_dsn) as connection:
        connection.execute("CREATE TABLE operations (mine int)")
    with pytest.raises(MigrationFailedError, match=r'changed nothing: relation "operations" already exists'):
        upgrade(empty.owner_dsn)
    with psycopg.connect(empty.owner_dsn) as connection:
        assert {table for kind, table, _ in facts(connection) if kind == "table"} == {"operations"}
    assert pending(empty.owner_dsn) == list(migrations._revisions())


def test_gives_up_on_a_locked_table(empty: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "_TIMEOUTS_SQL", migrations._TIMEOUTS_SQL.replace("'5s'", "'50ms'"))
    with psycopg.connect(empty.owner_dsn) as other:
        other.execute("CREATE TABLE alembic_version (version_num varchar(32) NOT NULL)")
        other.commit()
        other.execute("LOCK TABLE alembic_version")
        with pytest.raises(MigrationFailedError, match="lock timeout"):
            upgrade(empty.owner_dsn)
        other.rollback()
    upgrade(empty.owner_dsn)


def test_nobody_there(scratch_dir: Path) -> None:
    for ask in (check_at_head, pending, upgrade):
        with pytest.raises(DatabaseUnreachableError, match="cannot connect to the database"):
            ask(f"postgresql:///imprest?host={scratch_dir}")


# ---- the server's role -------------------------------------------------------------------------------------------


@pytest.fixture
def without_app_role(any_cluster: EmbeddedPostgres) -> Iterator[psycopg.Connection]:
    """A superuser's connection to a cluster like a user's own: nobody made `imprest_app` yet."""
    with psycopg.connect(any_cluster.dsn(SUPERUSER, SUPERUSER), autocommit=True) as admin:
        admin.execute(f"ALTER ROLE {APP_ROLE} RENAME TO set_aside")
        try:
            yield admin
        finally:
            admin.execute(f"DROP ROLE IF EXISTS {APP_ROLE}")
            admin.execute(f"ALTER ROLE set_aside RENAME TO {APP_ROLE}")


@pytest.fixture
def login(without_app_role: psycopg.Connection) -> Iterator[str]:
    without_app_role.execute("CREATE ROLE somebody LOGIN")
    yield "somebody"
    without_app_role.execute("DROP ROLE somebody")


def test_one_login_for_everything(
    any_cluster: EmbeddedPostgres, without_app_role: psycopg.Connection, login: str
) -> None:
    """A login that may create roles makes the server's role and becomes a member, on every version."""
    without_app_role.execute(f"ALTER ROLE {login} CREATEROLE")
    with (
        database_of(any_cluster, template="template0", owner=login) as one,
        database_of(any_cluster, template="template0", owner=login) as other,
        ThreadPoolExecutor(2) as threads,
    ):
        with pytest.raises(MigrationsPendingError):
            check_at_head(one.owner_dsn)
        list(threads.map(upgrade, [one.owner_dsn, other.owner_dsn]))  # the role is the whole cluster's
        check_at_head(one.owner_dsn)
        check_at_head(other.owner_dsn)
        role = without_app_role.execute(
            "SELECT rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls FROM pg_roles WHERE rolname = %s",
            [APP_ROLE],
        ).fetchone()
        assert role == (False, False, False, False, False)


def test_the_role_is_waited_for_as_long_as_another_database_migrates(
    any_cluster: EmbeddedPostgres,
    without_app_role: psycopg.Connection,
    login: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Tables are not waited for that long."""
    monkeypatch.setattr(migrations, "_TIMEOUTS_SQL", migrations._TIMEOUTS_SQL.replace("'5s'", "'50ms'"))
    without_app_role.execute(f"ALTER ROLE {login} CREATEROLE")
    with (
        database_of(any_cluster, template="template0", owner=login) as database,
        psycopg.connect(any_cluster.dsn(SUPERUSER, SUPERUSER)) as other,
        ThreadPoolExecutor(1) as thread,
    ):
        other.execute(f"CREATE ROLE {APP_ROLE} NOLOGIN")
        upgrading = thread.submit(upgrade, database.owner_dsn)
        blocked = "SELECT 1 FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))"
        while not without_app_role.execute(blocked, [other.info.backend_pid]).fetchone():
            assert not upgrading.done(), upgrading.exception()
        other.execute("SELECT pg_sleep(0.2)")
        other.commit()
        upgrading.result()
        assert pending(database.owner_dsn) == []


def test_an_administrator_must_make_the_role(
    any_cluster: EmbeddedPostgres, without_app_role: psycopg.Connection, login: str
) -> None:
    with database_of(any_cluster, template="template0", owner=login) as database:
        with pytest.raises(AppRoleError, match=r"(?s)somebody may not create it.*CREATE ROLE imprest_app NOLOGIN"):
            upgrade(database.owner_dsn)
        without_app_role.execute(f"CREATE ROLE {APP_ROLE} NOLOGIN")
        upgrade(database.owner_dsn)
        with pytest.raises(AppRoleError, match="GRANT imprest_app TO somebody"):
            check_at_head(database.owner_dsn)
        without_app_role.execute(f"GRANT {APP_ROLE} TO {login}")
        check_at_head(database.owner_dsn)
