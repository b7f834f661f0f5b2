"""`imprest serve` as operators start it: a process, its messages, its signals, its data."""

import re
import signal
import time
from pathlib import Path

import grpc
import psycopg
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from imprest.v1.account_pb2 import Account
from imprest.v1.account_service_pb2 import AddCreditRequest, CreateAccountRequest, GetBalanceRequest
from imprest.v1.account_service_pb2_grpc import AccountServiceStub
from imprest.v1.ledger_service_pb2 import CommitRequest, ReserveRequest
from imprest.v1.ledger_service_pb2_grpc import LedgerServiceStub
from imprest_client.money import to_decimal, to_money
from tests.conftest import Database
from tests.support.command import STOP_S, finished, first_line, imprest, serving, stopped
from tests.support.ports import reserved_port


@pytest.fixture
def data_dir(scratch_dir: Path) -> Path:
    return scratch_dir / f"data-{time.monotonic_ns()}"


def test_a_call_then_a_restart(data_dir: Path) -> None:
    with serving("--data-dir", str(data_dir)) as (process, target, line):
        assert re.fullmatch(
            rf"imprest \d+\.\d+\.\d+ serves on {target} from embedded Postgres \d+\S* in {data_dir}\n", line
        )
        with grpc.insecure_channel(target) as channel:
            health = HealthStub(channel)
            for service in ("", "imprest.v1.LedgerService", "imprest.v1.AccountService"):
                assert health.Check(HealthCheckRequest(service=service)).status == HealthCheckResponse.SERVING
            services = ProtoReflectionDescriptorDatabase(channel).get_services()
            assert {"imprest.v1.LedgerService", "imprest.v1.AccountService", "grpc.health.v1.Health"} <= {*services}

            accounts, ledger = AccountServiceStub(channel), LedgerServiceStub(channel)
            account = Account(account_id="acme", currency_code="USD")
            accounts.CreateAccount(CreateAccountRequest(account=account, idempotency_key="create"))
            accounts.AddCredit(
                AddCreditRequest(account_id="acme", amount=to_money(10, "USD"), idempotency_key="credit")
            )
            reserve = ReserveRequest(account_id="acme", amount=to_money(4, "USD"), idempotency_key="call-1")
            held = ledger.Reserve(reserve)
            assert to_decimal(held.balance.available) == 6
            commit = CommitRequest(
                reservation_id=held.reservation.reservation_id, amount=to_money("2.5", "USD"), idempotency_key="call-1"
            )
            assert to_decimal(ledger.Commit(commit).balance.wallet) == to_decimal(to_money("7.5", "USD"))
        status, output, _ = finished("verify", "--data-dir", str(data_dir))
        assert (status, output.splitlines()[-1]) == (0, "verify: OK")
        status, output, errors = stopped(process, signal.SIGTERM)
        assert (status, output, errors) == (0, "imprest stops: finishing what has begun\n", "")

    with serving("--data-dir", str(data_dir)) as (process, target, _):
        with grpc.insecure_channel(target) as channel:
            balance = AccountServiceStub(channel).GetBalance(GetBalanceRequest(account_id="acme")).balance
            assert (to_decimal(balance.wallet), to_decimal(balance.held)) == (to_decimal(to_money("7.5", "USD")), 0)
            again = LedgerServiceStub(channel).Commit(commit)
            assert again.replayed
        assert stopped(process, signal.SIGINT)[0] == 0
    assert not (data_dir / "cluster" / "postmaster.pid").exists()


def test_two_servers_do_not_share_a_port_or_a_directory(data_dir: Path, database: Database) -> None:
    with serving("--data-dir", str(data_dir)) as (process, target, _):
        status, output, errors = finished("serve", "--listen", target, IMPREST_DATABASE_URL=database.app_dsn)
        assert (status, output) == (1, "")
        assert errors.splitlines()[-1].startswith(f"imprest: cannot listen on {target}: the port is in use")

        status, _, errors = finished("serve", "--listen", "127.0.0.1:0", "--data-dir", str(data_dir))
        assert status == 1
        assert f"in use by another imprest (pid {process.pid})" in errors
        assert finished("migrate", "--data-dir", str(data_dir))[:2] == (
            0,
            f"embedded Postgres in {data_dir}: nothing to do\n",
        )


def test_an_external_database(database: Database) -> None:
    with serving(IMPREST_DATABASE_URL=database.app_dsn) as (process, target, line):
        assert f"from {database.name} on " in line
        with grpc.insecure_channel(target) as channel:
            accounts = AccountServiceStub(channel)
            account = Account(account_id="a", currency_code="EUR")
            accounts.CreateAccount(CreateAccountRequest(account=account, idempotency_key="k"))
        status, _, errors = stopped(process, signal.SIGTERM)
        assert (status, errors) == (0, "")


def test_nobody_reads_its_lines(database: Database) -> None:
    """As in `imprest serve 2>&1 | head -1`: it answers, and it stops, as if somebody did."""
    with (
        serving("--log-level", "debug", IMPREST_DATABASE_URL=database.app_dsn) as (process, target, _),
        grpc.insecure_channel(target) as channel,
    ):
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stderr.close()
        with pytest.raises(grpc.RpcError) as refused:
            AccountServiceStub(channel).GetBalance(GetBalanceRequest(account_id="nobody"))
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=STOP_S) == 0


def test_a_second_signal_does_not_wait_for_running_calls(database: Database) -> None:
    """A call that the database blocks keeps the server draining; the second signal ends that."""
    with (
        serving(
            IMPREST_DATABASE_URL=database.app_dsn,
            IMPREST_LOCK_TIMEOUT_MS="120000",
            IMPREST_STATEMENT_TIMEOUT_MS="120000",
        ) as (process, target, _),
        psycopg.connect(database.owner_dsn) as blocker,
        grpc.insecure_channel(target) as channel,
    ):
        account = Account(account_id="a", currency_code="EUR")
        AccountServiceStub(channel).CreateAccount(CreateAccountRequest(account=account, idempotency_key="k"))
        blocker.execute("SET imprest.tenants = 'default'")
        blocker.execute("SELECT FROM books FOR UPDATE")
        request = ReserveRequest(account_id="a", amount=to_money(0, "EUR"), idempotency_key="k")
        running = LedgerServiceStub(channel).Reserve.future(request)
        with psycopg.connect(database.owner_dsn, autocommit=True) as watcher:
            while not watcher.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone():
                time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        assert "stops" in process.stdout.readline()
        health = HealthStub(channel).Check(HealthCheckRequest())
        assert health.status == HealthCheckResponse.NOT_SERVING
        with pytest.raises(grpc.RpcError) as refused:
            AccountServiceStub(channel).GetBalance(GetBalanceRequest(account_id="a"))
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert not running.done()

        process.send_signal(signal.SIGTERM)
        with pytest.raises(grpc.RpcError):
            running.result(timeout=STOP_S)
        blocker.rollback()
        process.communicate(timeout=STOP_S)
        assert process.returncode == 128 + signal.SIGINT


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["serve", "--listen", "0.0.0.0:7400"], 2, "imprest: --listen: 0.0.0.0 can be reached from other machines"),
        (["serve", "--listen", "localhost"], 2, "imprest: --listen: give it as host:port"),
        (["serve", "--batch-max", "0"], 2, "imprest: --batch-max: "),
        (["serve", "--batch-max", "many"], 2, "Invalid value for '--batch-max'"),
        (["serve", "--workers", "0"], 2, "imprest: --workers: "),
        (["serve", "--no-batching", "--batch-max", "9"], 2, "imprest: --no-batching is --batch-max 1: give one of"),
        (["serve", "--frob"], 2, "No such option: --frob"),
        (["serve", "--database-url", "postgresql://u:secret@127.0.0.1:1/x"], 1, "imprest: cannot connect to the data"),
        (["serve", "--database-url", "postgres//u:secret@h/x"], 1, "imprest: the database URL cannot be read"),
        (["migrate", "--database-url", "postgres//u:secret@h/x"], 1, "imprest: the database URL cannot be read"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_a_sentence(arguments: list[str], status: int, message: str) -> None:
    returned, output, errors = finished(*arguments)
    assert (returned, output) == (status, "")
    assert message in errors
    assert "Traceback" not in errors
    assert "secret" not in errors


def test_a_bad_variable_is_named() -> None:
    status, _, errors = finished("serve", IMPREST_QUEUE_MAX="none")
    assert status == 2
    assert errors.startswith("imprest: IMPREST_QUEUE_MAX: ")


def test_an_unsafe_database_is_refused(database: Database) -> None:
    with psycopg.connect(database.owner_dsn, autocommit=True) as owner:
        owner.execute(f"ALTER DATABASE {database.name} SET synchronous_commit = off")
    status, output, errors = finished("serve", "--listen", "127.0.0.1:0", IMPREST_DATABASE_URL=database.app_dsn)
    assert (status, output) == (1, "")
    assert errors.startswith("imprest: this database must not hold money:\n  - synchronous_commit is off")
    assert "Traceback" not in errors


def test_a_database_without_tables_is_migrated_by_its_owner_only(database: Database) -> None:
    with psycopg.connect(database.owner_dsn, autocommit=True) as owner:
        owner.execute("DROP SCHEMA public CASCADE")
        owner.execute("CREATE SCHEMA public")
    urls = {"IMPREST_DATABASE_URL": database.app_dsn, "IMPREST_OWNER_DATABASE_URL": database.owner_dsn}
    status, _, errors = finished("serve", "--listen", "127.0.0.1:0", **urls)
    assert status == 1
    assert "run `imprest migrate`" in errors

    status, output, errors = finished("migrate", **urls)
    assert (status, errors) == (0, "")
    assert "applied " in output
    assert finished("migrate", **urls)[1].endswith(": nothing to do\n")
    with serving(**urls) as (process, _, _):
        assert stopped(process, signal.SIGTERM)[0] == 0


def test_the_version() -> None:
    status, output, _ = finished("version")
    assert status == 0
    assert re.fullmatch(r"imprest \d+\.\d+\.\d+\S*\n", output)


def test_a_port_of_ones_own_choice(database: Database) -> None:
    with (
        reserved_port() as port,
        imprest("serve", "--listen", f"localhost:{port}", IMPREST_DATABASE_URL=database.app_dsn) as process,
    ):
        try:
            assert f"serves on localhost:{port} " in first_line(process)
            assert stopped(process, signal.SIGTERM)[0] == 0
        finally:
            process.kill()
