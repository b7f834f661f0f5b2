"""A Postgres of our own: `imprest serve` without a database URL, and every test run, start one here.

The server listens on a Unix socket in a directory that only its owner may enter, and nowhere else. Everything
lives in one data directory (see `data_dir`).

Roles: `postgres` is the superuser, `imprest_owner` owns the database and runs migrations, `imprest_app` is the
server's login, with the privileges that the migrations grant it.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from psycopg import sql

from imprest_server.db.binaries import Binaries, ServerUser, choose_user, find_binaries
from imprest_server.db.data_dir import APP_ROLE, DATABASE, OWNER_ROLE, PORT, SUPERUSER, DataDir
from imprest_server.db.errors import DataDirError, EmbeddedPostgresError

_LOG_MAX_BYTES = 8 * 1024 * 1024
_POLL_S = 0.02
_FAST_STOP_S = 30.0
_IMMEDIATE_STOP_S = 10.0

# On the command line, where they win over files in the data directory. The three that make a commit durable
# are spelled out although they are defaults.
_SETTINGS: Mapping[str, str] = {
    "cluster_name": "imprest",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "jit": "off",  # every statement is short
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_destination": "stderr",
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] %u@%d ",
    "log_error_verbosity": "terse",  # DETAIL prints row values,
    "log_min_error_statement": "panic",  # and statements contain them
}


class EmbeddedPostgres:
    """One Postgres cluster in a directory, run by this process alone. Also a context manager.

    Blocking: call `start` and `stop` outside the event loop, or in a thread.
    """

    def __init__(
        self, data_dir: Path, *, settings: Mapping[str, str] | None = None, start_timeout_s: int = 300
    ) -> None:
        """Touch nothing yet.

        Args:
            data_dir: the directory; made when missing.
            settings: Postgres settings that override ours, for tests.
            start_timeout_s: how long Postgres may take, recovery after a crash included.
        """
        self._dir = DataDir(data_dir)
        self._settings = {**_SETTINGS, **(settings or {})}
        self._start_timeout_s = start_timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._version: str | None = None

    @property
    def data_dir(self) -> Path:
        """The data directory, absolute and without symbolic links."""
        return self._dir.path

    @property
    def version(self) -> str:
        """The version of the Postgres programs, such as "18.4"; known once started."""
        assert self._version is not None
        return self._version

    @property
    def alive(self) -> bool:
        """Whether the server still runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._process is not None
        return self._process.pid

    def dsn(self, dbname: str = DATABASE, user: str = APP_ROLE) -> str:
        """Return the connection URI of a database for a role; good while the server runs."""
        return self._dir.dsn(dbname, user)

    def start(self) -> None:
        """Start Postgres, making the cluster, the roles and the database when they are missing.

        A Postgres that a killed Imprest left behind in this directory is stopped first.

        Raises:
            EmbeddedPostgresError: it cannot be started; the subclass and the message say why.
        """
        assert self._process is None
        try:
            self._dir.make()
            self._dir.lock()
            user = choose_user(self._dir.cluster)
            self._dir.check_reachable(user)
            binaries = find_binaries(user, copy_to=self._dir.binaries, data_major=self._dir.major())
            self._version = binaries.version
            self._stop_orphan()
            if not self._dir.cluster.exists():
                self._dir.make_cluster(binaries, user)
            self._dir.make_socket_dir(user)
            self._launch(binaries, user)
            self._wait_until_ready()
            self._make_database()
        except OSError as error:
            self.stop()
            problem = "no permission" if isinstance(error, PermissionError) else error.strerror or "cannot be used"
            raise DataDirError(
                f"{error.filename or self.data_dir}: {problem}; it must be a directory that the user who starts "
                "imprest may write to: mend that, or choose another one with --data-dir"
            ) from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop Postgres, rolling back what is open: fast, and by force when that takes too long.

        Does nothing when it does not run.
        """
        process = self._process
        if process is not None:
            if not _end(process.pid, lambda: process.poll() is not None):
                process.kill()
                process.wait()
            self._process = None
        self._dir.unlock()

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()

    def _stop_orphan(self) -> None:
        """Stop a server that outlived its Imprest: we hold the lock, so one that runs here is such an orphan."""
        pid = self._dir.running_pid()
        if pid is not None and not _end(pid, lambda: self._dir.running_pid() != pid):
            raise EmbeddedPostgresError(
                f"a Postgres that an earlier imprest left in {self.data_dir} does not stop: end process {pid}"
            )
        self._dir.remove_stale_pid_file()

    def _launch(self, binaries: Binaries, user: ServerUser) -> None:
        log_path = self._dir.log
        if log_path.exists() and log_path.stat().st_size > _LOG_MAX_BYTES:
            log_path.replace(log_path.with_suffix(".log.1"))
        settings = {**self._settings, "unix_socket_directories": f'"{self._dir.socket_dir}"'}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with open(os.open(log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as log:
            command = [binaries.program("postgres"), "-D", str(self._dir.cluster), *options]
            self._process = user.spawn(command, stdout=log, stderr=log)

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + self._start_timeout_s
        while True:
            try:
                psycopg.connect(self.dsn(SUPERUSER, SUPERUSER), connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None:
                    reason = "stopped at once"
                elif time.monotonic() > deadline:
                    reason = f"was not ready after {self._start_timeout_s} s"
                else:
                    time.sleep(_POLL_S)
                    continue
            tail = self._dir.log.read_text(errors="replace").splitlines()[-10:]
            raise EmbeddedPostgresError("\n".join([f"Postgres {reason}; the end of {self._dir.log}:", *tail]))

    def _make_database(self) -> None:
        """Make the roles and the database when they are missing; each step stands for itself."""
        with psycopg.connect(self.dsn(SUPERUSER, SUPERUSER), autocommit=True) as connection:
            for role in (OWNER_ROLE, APP_ROLE):
                if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
                    connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                create = sql.SQL("CREATE DATABASE {} OWNER {}")
                connection.execute(create.format(sql.Identifier(DATABASE), sql.Identifier(OWNER_ROLE)))


def has_cluster(data_dir: Path) -> bool:
    """Whether there is an embedded Postgres's data in `data_dir`, running or not."""
    return DataDir(data_dir).cluster.exists()


def running_dsn(data_dir: Path, dbname: str = DATABASE, user: str = APP_ROLE) -> str | None:
    """Return the connection URI of the server that another Imprest process runs in `data_dir`, if one does."""
    directory = DataDir(data_dir)
    return directory.dsn(dbname, user) if directory.running_pid() is not None else None


def _end(pid: int, gone: Callable[[], bool]) -> bool:
    """Ask a Postgres to stop, fast and then at once; return whether it went."""
    for signum, timeout_s in ((signal.SIGINT, _FAST_STOP_S), (signal.SIGQUIT, _IMMEDIATE_STOP_S)):
        if gone():
            return True
        os.kill(pid, signum)
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if gone():
                return True
            time.sleep(_POLL_S)
    return False
