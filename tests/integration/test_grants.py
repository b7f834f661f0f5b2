"""What the server's role may do, and whose rows it sees. The database refuses the rest, whatever the code does."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import CheckViolation, InsufficientPrivilege

from imprest_server.db.embedded import EmbeddedPostgres
from imprest_server.db.tables import metadata
from tests.conftest import Database
from tests.support.postgres import database_of
from tests.support.seed import seed

JOURNAL = ("transactions", "postings", "refunds", "operations", "usage_lines", "cost_adjustments", "rerated_lines")
PRICES = (
    "price_books",
    "price_versions",
    "prices",
    "price_assignments",
    "exchange_rates",
    "plans",
    "subscription_ends",
)
BUDGETS = ("budgets",)
ALERTS = ("alerts", "alert_acknowledgements")
APPEND_ONLY = (*JOURNAL, *PRICES, *BUDGETS, *ALERTS)
CHANGING = (
    "accounts", "books", "reservations", "usage_counters", "budget_counters", "alert_heads", "alert_deliveries",
)  # fmt: skip
CHANNELS = ("alert_channels",)
GRANTED = {
    **dict.fromkeys(APPEND_ONLY, ("SELECT", "INSERT")),
    **dict.fromkeys(ALERTS, ("SELECT", "INSERT", "DELETE")),
    **dict.fromkeys(CHANGING, ("SELECT", "INSERT", "UPDATE")),
    **dict.fromkeys(CHANNELS, ("SELECT", "INSERT", "UPDATE", "DELETE")),
    "subscriptions": ("SELECT", "INSERT"),
    "tenants": ("SELECT",),
    "alembic_version": ("SELECT",),
}
TABLES = tuple(metadata.tables)


@pytest.fixture(scope="module")
def seeded(any_cluster: EmbeddedPostgres) -> Iterator[Database]:
    """A database with rows of three tenants, which the tests leave as it is."""
    with database_of(any_cluster) as database:
        with psycopg.connect(database.owner_dsn) as connection:
            for tenant in ("red", "redder", "blue"):
                seed(connection, tenant)
        yield database


@pytest.fixture
def owner(seeded: Database) -> Iterator[psycopg.Connection]:
    with psycopg.connect(seeded.owner_dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
def app(seeded: Database) -> Iterator[psycopg.Connection]:
    with psycopg.connect(seeded.app_dsn, autocommit=True) as connection:
        yield connection


def work_for(connection: psycopg.Connection, tenants: str) -> None:
    """Set the tenants for the session; the server does so for one transaction."""
    connection.execute("SELECT set_config('imprest.tenants', %s, false)", [tenants])


def run(connection: psycopg.Connection, statement: str, table: str) -> psycopg.Cursor:
    return connection.execute(sql.SQL(statement).format(sql.Identifier(table)))  # type: ignore[arg-type]


def tenants_in(connection: psycopg.Connection, table: str) -> set[str]:
    return {row[0] for row in run(connection, "SELECT tenant_id FROM {}", table)}


# ---- privileges --------------------------------------------------------------------------------------------------


def test_exactly_what_is_granted(owner: psycopg.Connection) -> None:
    """Of every table in the schema, also of those that later migrations add; to nobody but the server."""
    grants = owner.execute(
        """
        SELECT c.relname, coalesce(nullif(a.grantee, 0)::regrole::text, 'PUBLIC'), a.privilege_type, a.is_grantable
        FROM pg_class AS c, LATERAL aclexplode(c.relacl) AS a
        WHERE c.relnamespace = 'public'::regnamespace AND a.grantee <> c.relowner
        """
    ).fetchall()
    expected = {(t, "imprest_app", p, False) for t, privileges in GRANTED.items() for p in privileges}
    assert set(grants) == expected
    columns = owner.execute(
        """
        SELECT attrelid::regclass::text, attname, attacl::text FROM pg_attribute
        WHERE attacl IS NOT NULL AND attrelid::regclass::text = ANY(%s)
        """,
        [list(GRANTED)],
    )
    assert sorted(columns.fetchall()) == [
        ("subscriptions", "next_charge_time", "{imprest_app=w/imprest_owner}"),
        ("tenants", "budget_epoch", "{imprest_app=w/imprest_owner}"),
        ("tenants", "price_epoch", "{imprest_app=w/imprest_owner}"),
    ]


@pytest.mark.parametrize("table", sorted(set(TABLES) - set(ALERTS) - set(CHANNELS)))
def test_nothing_is_deleted(app: psycopg.Connection, owner: psycopg.Connection, table: str) -> None:
    work_for(app, "red")
    for statement in ("DELETE FROM {}", "TRUNCATE {}", "TRUNCATE {} CASCADE", "DROP TABLE {}"):
        with pytest.raises(InsufficientPrivilege):
            run(app, statement, table)
    assert {"red", "blue"} < tenants_in(owner, table)


@pytest.mark.parametrize("table", [*ALERTS, *CHANNELS])
def test_of_alerts_and_channels_only_rows_are_deleted(
    app: psycopg.Connection, owner: psycopg.Connection, table: str
) -> None:
    """Alerts are pruned when they are old; of one's own tenants only."""
    work_for(app, "red")
    for statement in ("TRUNCATE {}", "TRUNCATE {} CASCADE", "DROP TABLE {}"):
        with pytest.raises(InsufficientPrivilege):
            run(app, statement, table)
    with app.transaction(force_rollback=True):
        assert run(app, "DELETE FROM {} WHERE tenant_id = 'blue'", table).rowcount == 0
    with app.transaction(force_rollback=True):
        app.execute("DELETE FROM alert_acknowledgements")
        assert app.execute("DELETE FROM alerts").rowcount > 0
        assert tenants_in(app, "alert_deliveries") == set()  # by foreign key
    assert {"red", "blue"} < tenants_in(owner, table)


@pytest.mark.parametrize("table", APPEND_ONLY)
def test_journal_and_prices_are_append_only(app: psycopg.Connection, table: str) -> None:
    work_for(app, "red")
    with pytest.raises(InsufficientPrivilege):
        run(app, "UPDATE {} SET tenant_id = tenant_id", table)
    with pytest.raises(InsufficientPrivilege):
        run(app, "SELECT 1 FROM {} FOR UPDATE", table)


def test_of_a_tenant_only_the_epochs_change(app: psycopg.Connection) -> None:
    work_for(app, "red")
    with pytest.raises(InsufficientPrivilege):
        app.execute("UPDATE tenants SET create_time = now()")
    with app.transaction(force_rollback=True):
        app.execute("SELECT 1 FROM tenants FOR UPDATE")
        assert app.execute("UPDATE tenants SET price_epoch = price_epoch + 1").rowcount == 1
        assert app.execute("UPDATE tenants SET budget_epoch = budget_epoch + 1").rowcount == 1
    assert app.execute("UPDATE tenants SET price_epoch = 9 WHERE tenant_id = 'blue'").rowcount == 0


def test_the_server_makes_no_objects(app: psycopg.Connection) -> None:
    for statement in ("CREATE TABLE mine ()", "ALTER TABLE books DISABLE ROW LEVEL SECURITY", "SET ROLE imprest_owner"):
        with pytest.raises(InsufficientPrivilege):
            app.execute(statement)  # type: ignore[call-overload]


# ---- row-level security ------------------------------------------------------------------------------------------


def test_every_table_of_tenants_is_protected(owner: psycopg.Connection) -> None:
    tables = owner.execute(
        """
        SELECT
            c.relname, c.relrowsecurity,
            array_agg(concat_ws(' ', p.polname, p.polcmd, p.polpermissive, p.polroles::regrole[]))
        FROM pg_class AS c
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
        LEFT JOIN pg_policy AS p ON p.polrelid = c.oid
        WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
        GROUP BY c.relname, c.relrowsecurity
        """
    ).fetchall()
    assert sorted(tables) == sorted((table, True, ["tenant * t {imprest_app}"]) for table in TABLES)


@pytest.mark.parametrize("table", TABLES)
def test_only_rows_of_the_named_tenants(app: psycopg.Connection, table: str) -> None:
    assert tenants_in(app, table) == set()  # never set
    for named, visible in {
        "red": {"red"},
        "blue,red": {"blue", "red"},
        "redder": {"redder"},
        "nobody": set(),
        "": set(),
        ",": set(),
        "red ": set(),
        "%": set(),
        "{red}": set(),
    }.items():
        work_for(app, named)
        assert tenants_in(app, table) == visible, named


def test_the_list_ends_with_the_transaction(app: psycopg.Connection) -> None:
    with app.transaction():
        app.execute("SELECT set_config('imprest.tenants', 'red', true)")
        assert tenants_in(app, "books") == {"red"}
    assert tenants_in(app, "books") == set()


def test_the_list_is_read_once_per_statement(app: psycopg.Connection) -> None:
    work_for(app, "red")
    plan = "\n".join(row[0] for row in app.execute("EXPLAIN SELECT * FROM operations"))
    assert "InitPlan" in plan
    assert "SubPlan" not in plan


@pytest.mark.parametrize("table", [*CHANGING, *CHANNELS, *APPEND_ONLY])
def test_no_row_for_another_tenant(app: psycopg.Connection, table: str) -> None:
    """A row of red's, offered as blue's: refused before any key or check is looked at."""
    work_for(app, "red")
    run(app, "CREATE TEMP TABLE offered AS SELECT * FROM {} WHERE tenant_id = 'red' LIMIT 1", table)
    assert app.execute("UPDATE offered SET tenant_id = 'blue'").rowcount == 1
    with pytest.raises(InsufficientPrivilege, match="row-level security"):
        run(app, "INSERT INTO {} SELECT * FROM offered", table)
    with pytest.raises(InsufficientPrivilege, match="row-level security"):
        run(app, "INSERT INTO {} SELECT * FROM offered ON CONFLICT DO NOTHING", table)


@pytest.mark.parametrize("table", [*CHANGING, *CHANNELS])
def test_no_change_of_another_tenants_rows(app: psycopg.Connection, table: str) -> None:
    work_for(app, "red")
    assert run(app, "UPDATE {} SET tenant_id = tenant_id WHERE tenant_id = 'blue'", table).rowcount == 0
    assert run(app, "SELECT 1 FROM {} WHERE tenant_id = 'blue' FOR NO KEY UPDATE", table).fetchall() == []
    assert run(app, "UPDATE {} SET tenant_id = tenant_id WHERE tenant_id = 'red'", table).rowcount > 0
    assert run(app, "SELECT 1 FROM {} WHERE tenant_id = 'red' FOR NO KEY UPDATE", table).fetchall() != []
    with pytest.raises(InsufficientPrivilege, match="row-level security"):
        run(app, "UPDATE {} SET tenant_id = 'blue'", table)


def test_foreign_keys_work_and_do_not_leak(app: psycopg.Connection) -> None:
    """Their checks run as the owner; the policy has already refused rows that name another tenant."""
    work_for(app, "red")
    with app.transaction(force_rollback=True):
        app.execute("INSERT INTO postings VALUES ('red', 'acc_1', 1, 2, 'CASH', 'WALLET', 1)")
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        app.execute("INSERT INTO postings VALUES ('red', 'acc_1', 9, 1, 'CASH', 'WALLET', 1)")
    with pytest.raises(InsufficientPrivilege):
        app.execute("INSERT INTO postings VALUES ('blue', 'acc_1', 1, 2, 'CASH', 'WALLET', 1)")


# ---- the last line of defence ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("UPDATE books SET wallet = wallet + 0.000000001", "ck_books_equation"),
        ("UPDATE books SET cash = cash - 1, wallet = wallet + 1", "ck_books_equation"),
        ("UPDATE books SET held = -0.000000001", "ck_books_held"),
        ("UPDATE books SET receivable = -1, cash = cash + 1", "ck_books_receivable"),
        ("UPDATE books SET open_count = -1", "ck_books_open_count"),
        ("UPDATE books SET chain_hash = ''", "ck_books_chain_hash"),
        ("UPDATE postings SET amount = 0", "ck_postings_amount"),
        ("UPDATE postings SET credit = debit", "ck_postings_codes"),
        ("UPDATE postings SET debit = 'BANK'", "ck_postings_debit"),
        ("UPDATE transactions SET seq = 0", "ck_transactions_seq"),
        ("UPDATE transactions SET kind = 'RESERVE'", "ck_transactions_kind"),
        ("UPDATE reservations SET state = 'ACTIVE', ended_by = 'VOID'", "ck_reservations_ended"),
        ("UPDATE reservations SET captured = -1", "ck_reservations_amounts"),
        ("UPDATE refunds SET amount = 0", "ck_refunds_amount"),
        ("UPDATE accounts SET credit_limit = -1", "ck_accounts_credit_limit"),
        ("UPDATE tenants SET price_epoch = -1", "ck_tenants_price_epoch"),
        ("UPDATE price_books SET side = 'BOTH'", "ck_price_books_side"),
        ("UPDATE price_books SET epoch = 0", "ck_price_books_epoch"),
        ("UPDATE price_versions SET number = 0", "ck_price_versions_number"),
        ("UPDATE price_versions SET epoch = 0", "ck_price_versions_epoch"),
        ("UPDATE prices SET charge_model = 'FREE'", "ck_prices_charge_model"),
        ("UPDATE prices SET unit_price = -1e-18", "ck_prices_amounts"),
        ("UPDATE prices SET per_quantity = 0", "ck_prices_quantities"),
        ("UPDATE prices SET markup = 1, margin_percent = 1", "ck_prices_derived"),
        ("UPDATE price_assignments SET side = ''", "ck_price_assignments_side"),
        ("UPDATE price_assignments SET epoch = 0", "ck_price_assignments_epoch"),
        ("UPDATE rerated_lines SET number = 0", "ck_rerated_lines_number"),
        ("UPDATE rerated_lines SET price = -1", "ck_rerated_lines_amounts"),
        ("UPDATE subscriptions SET epoch = 0", "ck_subscriptions_epoch"),
        ("UPDATE exchange_rates SET rate = 0", "ck_exchange_rates_rate"),
        ("UPDATE exchange_rates SET epoch = 0", "ck_exchange_rates_epoch"),
        ("UPDATE tenants SET budget_epoch = -1", "ck_tenants_budget_epoch"),
        ("UPDATE budgets SET revision = 0", "ck_budgets_revision"),
        ("UPDATE budgets SET label_key = 'agent', label_value = 'x', account_id = 'acc_1'", "ck_budgets_scope"),
        ("UPDATE budgets SET label_key = 'agent'", "ck_budgets_scope"),
        ("UPDATE budgets SET basis = 'PRICE'", "ck_budgets_basis"),
        ("UPDATE budgets SET period = 'YEAR'", "ck_budgets_period"),
        ("UPDATE budgets SET limit_amount = 0", "ck_budgets_limit_amount"),
        ("UPDATE budgets SET epoch = 0", "ck_budgets_epoch"),
        ("UPDATE budget_counters SET period_end = NULL", "ck_budget_counters_period"),
        ("UPDATE budget_counters SET period_end = period_start", "ck_budget_counters_period"),
        ("UPDATE budget_counters SET fired_percent = -1", "ck_budget_counters_fired_percent"),
        ("UPDATE alert_heads SET pruned_sequence = last_sequence + 1", "ck_alert_heads_sequences"),
        ("UPDATE alerts SET sequence = 0", "ck_alerts_sequence"),
        ("UPDATE alerts SET kind = 'NOISE'", "ck_alerts_kind"),
        ("UPDATE alerts SET level = 5", "ck_alerts_level"),
        ("UPDATE alerts SET action = 'SHOUT'", "ck_alerts_action"),
        ("UPDATE alerts SET percent = NULL", "ck_alerts_budget"),
    ],
)
def test_the_owner_is_refused_too(owner: psycopg.Connection, change: str, constraint: str) -> None:
    with pytest.raises(CheckViolation) as refusal:
        owner.execute(change)  # type: ignore[call-overload]
    assert refusal.value.diag.constraint_name == constraint


def test_balanced_change_is_taken(owner: psycopg.Connection) -> None:
    with owner.transaction(force_rollback=True):
        assert owner.execute("UPDATE books SET cash = cash + 1, wallet = wallet + 1").rowcount == 3


def test_one_credit_per_external_reference(owner: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation) as refusal:
        owner.execute("UPDATE transactions SET external_reference = 'pay 1'")
    assert refusal.value.diag.constraint_name == "uq_transactions_external_reference"


def test_a_threshold_fires_once_per_period(owner: psycopg.Connection) -> None:
    """Also of a budget without periods."""
    for change in ("", ", period_start = NULL, period_end = NULL"):
        with pytest.raises(psycopg.errors.UniqueViolation) as refusal:
            owner.execute(f"UPDATE alerts SET percent = 80{change}")  # type: ignore[arg-type]
        assert refusal.value.diag.constraint_name == "uq_alerts_threshold"
