"""`imprest serve --workers 2`: one port, two processes, and what happens when one of them or their supervisor dies."""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from imprest.v1.account_pb2 import Account
from imprest.v1.account_service_pb2 import AddCreditRequest, CreateAccountRequest
from imprest.v1.account_service_pb2_grpc import AccountServiceStub
from imprest.v1.ledger_service_pb2 import CommitRequest, ReserveRequest
from imprest.v1.ledger_service_pb2_grpc import LedgerServiceStub
from imprest_client import AdminClient, Connection
from imprest_client.errors import details_of
from imprest_client.money import to_money
from tests.conftest import Database
from tests.support.command import READY_S, STOP_S, finished, stopped
from tests.support.workers import Workers, channels, is_worker, serving_workers, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="connections are spread over processes on Linux only")

SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING
CREDIT = 1_000
#: gRPC answers CANCELLED to a call that reaches a server in the moment it stops.
RETRIED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


def open_account(channel: grpc.Channel, account_id: str = "a") -> None:
    accounts = AccountServiceStub(channel)
    account = Account(account_id=account_id, currency_code="USD")
    accounts.CreateAccount(CreateAccountRequest(account=account, idempotency_key=account_id))
    credit = AddCreditRequest(account_id=account_id, amount=to_money(CREDIT, "USD"), idempotency_key=account_id)
    accounts.AddCredit(credit)


def reserve(channel: grpc.Channel, key: str, amount: str = "1", **call: Any) -> Any:
    request = ReserveRequest(account_id="a", amount=to_money(amount, "USD"), idempotency_key=key)
    return LedgerServiceStub(channel).Reserve(request, **call)


def health(channel: grpc.Channel) -> int:
    try:
        return HealthStub(channel).Check(HealthCheckRequest(), timeout=READY_S).status
    except grpc.RpcError:
        return NOT_SERVING


def standing(database: Database) -> tuple[Decimal, Decimal, int]:
    """Wallet, held and the number of open holds, as they are stored."""
    with psycopg.connect(database.owner_dsn) as connection:
        connection.execute("SET imprest.tenants = 'default'")
        row = connection.execute("SELECT wallet, held, open_count FROM books WHERE account_id = 'a'").fetchone()
    assert row is not None
    return row


def port_is_free(target: str) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        host, _, port = target.rpartition(":")
        try:
            probe.bind((host, int(port)))
        except OSError:
            return False
    return True


@contextmanager
def blocked(database: Database, server: Workers) -> Iterator[tuple[list[grpc.Channel], list[Any], psycopg.Connection]]:
    """Calls that run in both workers, for a lock that the given connection holds."""
    with channels(server.target, 16) as opened, psycopg.connect(database.owner_dsn) as blocker:
        open_account(opened[0])
        blocker.execute("SET imprest.tenants = 'default'")
        blocker.execute("SELECT FROM books FOR UPDATE")
        calls = [
            LedgerServiceStub(channel).Reserve.future(
                ReserveRequest(account_id="a", amount=to_money(1, "USD"), idempotency_key=f"r{number}")
            )
            for number, channel in enumerate(opened)
        ]
        with psycopg.connect(database.owner_dsn, autocommit=True) as watcher:
            waiting = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"
            until(lambda: watcher.execute(waiting).fetchone() == (2,), "both lanes wait for the lock")
        yield opened, calls, blocker


def test_two_workers_answer_on_one_port(database: Database, scratch_dir: Path) -> None:
    url = database.app_dsn.replace("imprest_app@", "imprest_app:sesame@")
    with serving_workers(scratch_dir, IMPREST_DATABASE_URL=url) as server:
        assert server.line.endswith(" with 2 workers\n")
        first, second = server.pids
        with channels(server.target, 16) as opened:
            assert [health(channel) for channel in opened] == [SERVING] * 16
            spread = server.spread()
            assert sum(spread) == 16
            assert min(spread) > 0
            open_account(opened[0])
            balances = [reserve(channel, str(number)).balance for number, channel in enumerate(opened)]
            assert sorted(balance.available.units for balance in balances) == [CREDIT - n for n in range(16, 0, -1)]

            for arguments in ((), ("--workers", "2")):
                status, _, errors = finished("serve", "--listen", server.target, *arguments, IMPREST_DATABASE_URL=url)
                assert status == 1
                assert errors.splitlines()[-1].startswith(f"imprest: cannot listen on {server.target}: the port is in")

        for pid in (first, second):
            assert "sesame" not in Path(f"/proc/{pid}/cmdline").read_text()
            assert "sesame" not in Path(f"/proc/{pid}/environ").read_text()
        status, output, _ = stopped(server.process, signal.SIGTERM)
        assert (status, output) == (0, "imprest stops: finishing what has begun\n")
        assert "ended" not in server.logged()
        assert not is_worker(first)
        assert not is_worker(second)
        assert port_is_free(server.target)


def test_with_its_own_postgres(scratch_dir: Path) -> None:
    data_dir = scratch_dir / f"workers-{time.monotonic_ns()}"
    with serving_workers(scratch_dir, "--data-dir", str(data_dir)) as server:
        with channels(server.target, 4) as opened:
            open_account(opened[0])
            for number, channel in enumerate(opened):
                reserve(channel, str(number))
        status, output, _ = finished("verify", "--data-dir", str(data_dir))
        assert (status, output.splitlines()[-1]) == (0, "verify: OK")
        assert stopped(server.process, signal.SIGTERM)[0] == 0
    assert not (data_dir / "postgres" / "postmaster.pid").exists()


class Load:
    """Callers that reserve and commit, and repeat a call under the same key until it is answered."""

    CALLERS = 8

    def __init__(self, target: str) -> None:
        self._target = target
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(self.CALLERS)
        self.answered: dict[str, int] = {}

    def __enter__(self) -> "Load":
        self._callers = [self._pool.submit(self._run, number) for number in range(self.CALLERS)]
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._pool.shutdown()
        for caller in self._callers:
            caller.result()

    def _run(self, caller: int) -> None:
        with channels(self._target, 1) as (channel,):
            ledger = LedgerServiceStub(channel)
            for number in range(10_000):
                if self._stop.is_set():
                    return
                self.operate(ledger, f"{caller}-{number}", keep=number % 4 == 0)
                self._stop.wait(0.02)

    def go_on(self) -> None:
        """Wait until more calls have been answered."""
        done = len(self.answered)
        until(lambda: len(self.answered) > done + 40, "the load goes on")

    def operate(self, ledger: LedgerServiceStub, key: str, *, keep: bool) -> None:
        """Hold 0.02 and, unless it is kept, spend 0.01 of it."""
        request = ReserveRequest(account_id="a", amount=to_money("0.02", "USD"), idempotency_key=key)
        hold = self._insist(ledger.Reserve, request)
        if not keep:
            hold_id = hold.reservation.reservation_id
            self._insist(
                ledger.Commit,
                CommitRequest(reservation_id=hold_id, amount=to_money("0.01", "USD"), idempotency_key=key),
            )
        self.answered[key] = 0 if keep else 1

    def _insist(self, method: Any, request: Any) -> Any:
        give_up = time.monotonic() + READY_S
        while True:
            try:
                return method(request, timeout=READY_S)
            except grpc.RpcError as error:
                if error.code() not in RETRIED or time.monotonic() > give_up:  # type: ignore[attr-defined]
                    raise
                time.sleep(0.01)


def replaced(server: Workers, old: list[int], number: int) -> bool:
    """Tell whether this worker, and no other, has a successor that is ready."""
    new = server.pids
    changed = [was != now for was, now in zip(old, new, strict=False)]
    logged = server.logged()
    ready = logged.count("worker ready") == 2 + logged.count("worker ended")
    return len(new) == 2 and ready and changed == [index == number for index in range(2)]


def test_a_worker_that_dies_is_replaced_and_nothing_is_lost_or_doubled(database: Database, scratch_dir: Path) -> None:
    with serving_workers(scratch_dir, IMPREST_DATABASE_URL=database.app_dsn) as server:
        with channels(server.target, 1) as (channel,):
            open_account(channel)
        with Load(server.target) as load:
            for number, signum in ((1, signal.SIGKILL), (0, signal.SIGKILL), (1, signal.SIGTERM)):
                load.go_on()
                old = server.pids
                os.kill(old[number], signum)
                until(partial(replaced, server, old, number), "the worker is replaced")
            load.go_on()
        commits = sum(load.answered.values())
        kept = len(load.answered) - commits
        expected = (CREDIT - commits * Decimal("0.01"), kept * Decimal("0.02"), kept)
        assert standing(database) == expected
        with channels(server.target, 4) as opened:
            for number, (key, committed) in enumerate(load.answered.items()):
                ledger = LedgerServiceStub(opened[number % 4])
                load.operate(ledger, key, keep=not committed)
        assert standing(database) == expected
        logged = server.logged()
        assert logged.count("was ended by SIGKILL") == 2
        assert logged.count("ended with status 0") == 1
        assert stopped(server.process, signal.SIGTERM)[0] == 0
    status, output, _ = finished("verify", IMPREST_DATABASE_URL=database.owner_dsn)
    assert (status, output.splitlines()[-1]) == (0, "verify: OK")


async def test_the_client_library_uses_all_workers_and_survives_one(database: Database, scratch_dir: Path) -> None:
    with serving_workers(scratch_dir, IMPREST_DATABASE_URL=database.app_dsn) as server:
        async with Connection(server.target, connections=16) as connection:
            admin = AdminClient(connection, currency="USD")
            await admin.create_account("a")
            for _ in range(15):
                await admin.add_credit("a", 1)
            spread = server.spread()
            assert sum(spread) == 16
            assert min(spread) > 0
            os.kill(server.pids[0], signal.SIGKILL)
            for _ in range(32):
                await admin.add_credit("a", 1)
            assert (await admin.get_balance("a")).wallet == 47
        assert stopped(server.process, signal.SIGTERM)[0] == 0


@pytest.mark.parametrize("how", ["SIGTERM to the supervisor", "Ctrl-C"])
def test_running_calls_finish(how: str, database: Database, scratch_dir: Path) -> None:
    with (
        serving_workers(scratch_dir, IMPREST_DATABASE_URL=database.app_dsn) as server,
        blocked(database, server) as (opened, calls, blocker),
    ):
        if how == "Ctrl-C":
            os.killpg(server.process.pid, signal.SIGINT)
        else:
            server.process.terminate()
        until(lambda: all(health(channel) == NOT_SERVING for channel in opened), "both workers drain")
        blocker.rollback()
        # What came after draining had begun is refused; what was running is not cut.
        refused = [call for call in calls if call.exception(timeout=STOP_S) is not None]
        assert {details_of(call.exception()).reason for call in refused} <= {"DRAINING"}
        granted = len(calls) - len(refused)
        assert granted >= 2
        output, _ = server.process.communicate(timeout=STOP_S)
        assert (server.process.returncode, output) == (0, "imprest stops: finishing what has begun\n")
        assert "in time" not in server.logged()
        assert standing(database) == (CREDIT, granted, granted)


def test_a_second_signal_cuts_running_calls(database: Database, scratch_dir: Path) -> None:
    with (
        serving_workers(scratch_dir, IMPREST_DATABASE_URL=database.app_dsn) as server,
        blocked(database, server) as (opened, calls, _),
    ):
        os.killpg(server.process.pid, signal.SIGINT)
        until(lambda: all(health(channel) == NOT_SERVING for channel in opened), "both workers drain")
        os.killpg(server.process.pid, signal.SIGINT)
        for call in calls:
            with pytest.raises(grpc.RpcError):
                call.result(timeout=STOP_S)
        server.process.communicate(timeout=STOP_S)
        assert server.process.returncode == 128 + signal.SIGINT
        assert port_is_free(server.target)


def test_workers_drain_and_end_when_their_supervisor_is_killed(database: Database, scratch_dir: Path) -> None:
    with (
        serving_workers(scratch_dir, IMPREST_DATABASE_URL=database.app_dsn) as server,
        blocked(database, server) as (opened, calls, blocker),
    ):
        pids = server.pids
        server.process.kill()
        until(lambda: all(health(channel) == NOT_SERVING for channel in opened), "both workers drain")
        blocker.rollback()
        # What came after draining had begun is refused; what was running is not cut.
        refused = [call for call in calls if call.exception(timeout=STOP_S) is not None]
        assert {details_of(call.exception()).reason for call in refused} <= {"DRAINING"}
        granted = len(calls) - len(refused)
        assert granted >= 2
        until(lambda: not any(is_worker(pid) for pid in pids), "the workers end")
        assert port_is_free(server.target)
        assert server.logged().count("the supervisor is gone") == 2
        assert standing(database) == (CREDIT, granted, granted)


def test_a_worker_waits_for_a_database_that_is_away(database: Database, scratch_dir: Path) -> None:
    with (
        serving_workers(scratch_dir, IMPREST_DATABASE_URL=database.app_dsn) as server,
        psycopg.connect(database.owner_dsn.replace(f"/{database.name}?", "/postgres?"), autocommit=True) as owner,
    ):
        owner.execute(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS false")
        os.kill(server.pids[0], signal.SIGKILL)
        until(lambda: server.logged().count("worker failed to start") >= 2, "starts fail")
        assert "cannot connect to the database" in server.logged()
        owner.execute(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS true")
        until(lambda: server.logged().count("worker ready") == 3, "it starts")
        assert stopped(server.process, signal.SIGTERM)[0] == 0


def test_a_worker_that_cannot_be_replaced_stops_the_server(database: Database, scratch_dir: Path) -> None:
    with serving_workers(scratch_dir, IMPREST_DATABASE_URL=database.app_dsn) as server:
        survivor = server.pids[0]
        with psycopg.connect(database.owner_dsn, autocommit=True) as owner:
            owner.execute(f"ALTER DATABASE {database.name} SET synchronous_commit = off")
        os.kill(server.pids[1], signal.SIGKILL)
        output, _ = server.process.communicate(timeout=STOP_S)
        assert (server.process.returncode, output) == (1, "imprest stops: finishing what has begun\n")
        assert "\nimprest: worker 1 failed to start 5 times: this database must not hold money:" in server.logged()
        assert not is_worker(survivor)


def test_a_start_that_fails_is_said_once(database: Database) -> None:
    with psycopg.connect(database.owner_dsn, autocommit=True) as owner:
        owner.execute(f"ALTER DATABASE {database.name} SET synchronous_commit = off")
    arguments = ("serve", "--workers", "2", "--listen", "127.0.0.1:0")
    status, output, errors = finished(*arguments, IMPREST_DATABASE_URL=database.app_dsn)
    assert (status, output) == (1, "")
    assert errors.startswith("imprest: this database must not hold money:\n  - synchronous_commit is off")
    assert errors.count("synchronous_commit is off") == 1
    assert "Traceback" not in errors
