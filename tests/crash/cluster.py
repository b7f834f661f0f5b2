"""A Postgres that may be killed: its own cluster, restarted as an operator's supervisor would."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from imprest_server.db.data_dir import APP_ROLE, DATABASE, OWNER_ROLE, PORT, SUPERUSER
from imprest_server.db.embedded import EmbeddedPostgres
from imprest_server.db.errors import EmbeddedPostgresError
from imprest_server.db.migrations import upgrade
from tests.conftest import Database
from tests.support.patience import PATIENCE_S


class CrashCluster:
    """Blocking; call it in a thread from an event loop. `refused_starts` counts restarts that came too early."""

    def __init__(self, directory: Path, settings: Mapping[str, str] | None = None) -> None:
        self._directory, self._settings = directory, settings or {}
        self.postgres = EmbeddedPostgres(directory, settings=settings)
        self.refused_starts = 0
        self._numbers = itertools.count(1)

    def start(self) -> None:
        """Start and migrate the template of the databases to come."""
        self.postgres.start()
        upgrade(self.postgres.dsn(user=OWNER_ROLE))

    def stop(self) -> None:
        self.postgres.stop()

    @property
    def socket_path(self) -> str:
        """Where Postgres listens."""
        return f"{conninfo_to_dict(self.postgres.dsn())['host']}/.s.PGSQL.{PORT}"

    def database(self) -> Database:
        """A migrated database without rows."""
        name = f"crash_{next(self._numbers)}"
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}")
        self.admin(create.format(*map(sql.Identifier, (name, DATABASE, OWNER_ROLE))))
        return Database(name, self.postgres.dsn(name, OWNER_ROLE), self.postgres.dsn(name, APP_ROLE))

    def drop(self, database: Database) -> None:
        self.admin(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database.name)))

    def admin(self, *statements: str | sql.Composable) -> None:
        """Run statements as the superuser, each in a transaction of its own."""
        with psycopg.connect(self.postgres.dsn(SUPERUSER, SUPERUSER), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[call-overload]

    def backends(self, database: Database) -> list[int]:
        """The process ids of the servers of a database's sessions, longest connected first."""
        with psycopg.connect(self.postgres.dsn(SUPERUSER, SUPERUSER)) as connection:
            rows = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'"
                " ORDER BY backend_start",
                [database.name],
            )
            return [pid for (pid,) in rows]

    def end_sessions(self, database: Database) -> None:
        """End all sessions on a database, as an administrator may."""
        self.admin(
            sql.SQL("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = {}").format(
                sql.Literal(database.name)
            )
        )

    def kill_backend(self, database: Database) -> None:
        """kill -9 the server of one session, as soon as there is one: Postgres ends all others, too, and recovers."""
        while not (pids := self.backends(database)):
            time.sleep(0.01)
        os.kill(pids[0], signal.SIGKILL)

    def kill(self) -> None:
        """kill -9 the postmaster: what was not flushed is gone, and so is everybody's session."""
        os.kill(self.postgres.pid, signal.SIGKILL)
        self.postgres.stop()

    def restart(self) -> None:
        """Start after a kill; again while sessions of the killed one linger, as a supervisor would."""
        give_up = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.postgres.start()
            except EmbeddedPostgresError:
                if time.monotonic() > give_up:
                    raise
                self.refused_starts += 1
                time.sleep(0.05)
            else:
                return

    @contextmanager
    def hung(self) -> Iterator[None]:
        """All of its processes stand still, as on a disk that does not answer: nobody hears anything from it."""
        pids = [self.postgres.pid]
        pids += [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _parent(pid) == pids[0]]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def start_as_standby(self, *, hot: bool) -> Future[None]:
        """Start in recovery, as the copy of a primary that never sends anything: it reads only (`hot`), or nothing.

        The future is done when it can be connected to.
        """
        (self._directory / "postgres" / "standby.signal").touch()
        settings = {**self._settings, "hot_standby": "on" if hot else "off"}
        self.postgres = EmbeddedPostgres(self._directory, settings=settings)
        done: Future[None] = Future()

        def start() -> None:
            try:
                self.postgres.start()
            except BaseException as error:  # noqa: BLE001  # for whoever asks for the result
                done.set_exception(error)
            else:
                done.set_result(None)

        Thread(target=start, daemon=True).start()
        while not self._in_recovery():
            time.sleep(0.02)
        return done

    def _in_recovery(self) -> bool:
        try:
            self.admin("SELECT 1")
        except psycopg.OperationalError as error:
            return any(text in str(error) for text in ("not accepting connections", "starting up"))
        return True

    def promote(self) -> None:
        """Make the standby a primary."""
        (self._directory / "postgres" / "promote").touch()
        os.kill(self.postgres.pid, signal.SIGUSR1)


def _parent(pid: int) -> int | None:
    """The process that started another one, which may have ended meanwhile."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(stat.rpartition(")")[2].split()[1])
