"""The directory an embedded Postgres lives in: who holds it, what is in it, where the socket is.

::

    imprest.lock   held (flock) while an Imprest process uses the directory; contains its pid
    postgres/      the cluster
    postgres.log   what Postgres says, without row values
    run/           the socket, where only the server's user may enter
    binaries/      programs copied out of a wheel that the server's user cannot reach (root only)
"""

import fcntl
import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import IO
from urllib.parse import quote

from imprest_server.db.binaries import Binaries, ServerUser
from imprest_server.db.errors import DataDirError, DataDirInUseError, EmbeddedPostgresError

DATABASE = "imprest"
SUPERUSER = "postgres"
OWNER_ROLE = "imprest_owner"
APP_ROLE = "imprest_app"
PORT = 5432  # only names the socket file

_SOCKET_PATH_MAX = 103  # bytes of sun_path on macOS; Linux has 107


class DataDir:
    """Paths in the data directory and the operations on its files. Touches nothing until told to."""

    def __init__(self, path: Path) -> None:
        """Name the directory; symbolic links are resolved, so one directory has one name."""
        self.path = Path(os.path.realpath(path))
        self.cluster = self.path / "postgres"
        self.log = self.path / "postgres.log"
        self.binaries = self.path / "binaries"
        self.socket_dir = _socket_dir(self.path)
        self._lock: IO[str] | None = None

    def make(self) -> None:
        """Make the directory when it is missing. As root, the server's user must pass through it."""
        mode = 0o711 if os.geteuid() == 0 else 0o700
        if not self.path.exists():
            self.path.mkdir(parents=True)
            self.path.chmod(mode)
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied", str(self.path))

    def lock(self) -> None:
        """Take the directory for this process.

        Raises:
            DataDirInUseError: another process has it.
        """
        # Not inherited by children, so a Postgres that outlives us does not keep it.
        lock = open(os.open(self.path / "imprest.lock", os.O_RDWR | os.O_CREAT, 0o600), "r+")  # noqa: SIM115
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = lock.read().strip()
            lock.close()
            raise DataDirInUseError(self.path, int(holder) if holder.isdigit() else None) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        self._lock = lock

    def unlock(self) -> None:
        """Let go of the directory. The file stays: removing it would let two processes lock two files."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def check_reachable(self, user: ServerUser) -> None:
        """Raise DataDirError when the server's user cannot get here."""
        status, _, _ = user.run(["/bin/sh", "-c", 'cd "$1"', "sh", str(self.path)])
        if status < 0:
            raise DataDirError(f"a check of {self.path} was ended by signal {-status}: try again")
        if status != 0:
            raise DataDirError(
                f"Postgres runs as {user.name} here, who cannot enter {self.path}: open the directories above it "
                "(chmod o+x), or choose another directory with --data-dir"
            )

    def major(self) -> int | None:
        """Return the major version of Postgres that wrote the cluster, or None when there is no cluster yet."""
        if not self.cluster.exists():
            return None
        try:
            return int((self.cluster / "PG_VERSION").read_text())
        except (FileNotFoundError, ValueError):
            raise DataDirError(
                f"{self.cluster} is not a Postgres cluster (no PG_VERSION): restore it, or choose another directory "
                "with --data-dir"
            ) from None

    def make_cluster(self, binaries: Binaries, user: ServerUser) -> None:
        """Run initdb beside the final place and rename, so that a crash leaves no half-made cluster."""
        fresh = self.path / "postgres.new"
        if fresh.exists():
            shutil.rmtree(fresh)
        _make_private_dir(fresh, user)
        # C.UTF-8 sorts by code point, the same on every machine and for ever: indexes never rot.
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if binaries.major >= 17 else []
        status, _, errors = user.run(
            [
                binaries.program("initdb"),
                f"--pgdata={fresh}",
                f"--username={SUPERUSER}",
                "--auth=trust",  # whoever may enter the 0700 socket directory owns the files anyway
                "--encoding=UTF8",
                "--locale=C",
                *locale,
                "--data-checksums",
                "--no-instructions",
            ]
        )
        if status != 0:
            raise EmbeddedPostgresError(f"initdb failed in {fresh}:\n{errors.strip()}")
        fresh.rename(self.cluster)
        directory = os.open(self.path, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)

    def make_socket_dir(self, user: ServerUser) -> None:
        """Make the socket's directory, or check that the one found is private to the server's user."""
        if not self.socket_dir.exists():
            _make_private_dir(self.socket_dir, user)
        found = self.socket_dir.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != user.uid or stat.S_IMODE(found.st_mode) != 0o700:
            raise DataDirError(
                f"{self.socket_dir} must be a directory of {user.name} with mode 0700: remove it and start again"
            )

    def running_pid(self) -> int | None:
        """Return the process id of the Postgres that runs on this cluster, if one does."""
        try:
            pid = int(self._pid_file().read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):  # none, or cut short by a crash
            return None
        return pid if pid > 0 and _runs_on(self.cluster, pid) else None

    def remove_stale_pid_file(self) -> None:
        """Remove what a crash left. Its pid may be a stranger's by now, at which Postgres would give up.

        Assumes that the directory is locked and `running_pid` is None.
        """
        self._pid_file().unlink(missing_ok=True)

    def _pid_file(self) -> Path:
        return self.cluster / "postmaster.pid"

    def dsn(self, dbname: str, user: str) -> str:
        """Return the connection URI of a database for a role."""
        return f"postgresql://{user}@/{dbname}?host={quote(str(self.socket_dir), safe='')}"


def _socket_dir(data_dir: Path) -> Path:
    """Return `run/` in the data directory, or a short private place when that path is too long for a socket."""
    inside = data_dir / "run"
    if len(os.fsencode(inside / f".s.PGSQL.{PORT}")) <= _SOCKET_PATH_MAX:
        return inside
    short = f"imprest-{hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]}"
    temporary = tempfile.gettempdir()
    return Path(temporary if len(os.fsencode(temporary)) <= 50 else "/tmp") / short


def _make_private_dir(path: Path, user: ServerUser) -> None:
    path.mkdir(mode=0o700)
    if user.drop:
        os.chown(path, user.uid, user.gid)


def _runs_on(cluster: Path, pid: int) -> bool:
    """Tell whether process `pid` is a Postgres whose -D is this cluster."""
    if Path("/proc/self/cmdline").exists():
        try:
            return os.fsencode(cluster) in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            return False
    command = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
    return f" -D {cluster} " in subprocess.run(command, capture_output=True, text=True, check=False).stdout
