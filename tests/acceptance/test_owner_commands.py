"""`imprest verify` and `migrate` as an owner runs them, and a server whose Postgres dies."""

import os
import signal
from pathlib import Path

from tests.conftest import Database
from tests.support.command import STOP_S, finished, serving


def test_nothing_is_made_where_there_is_nothing(scratch_dir: Path) -> None:
    place = scratch_dir / "nowhere"
    for command in ("verify", "migrate"):
        status, output, errors = finished(command, "--data-dir", str(place))
        assert (status, output) == (1, "")
        assert "there is no Imprest database in" in errors
    assert not place.exists()


def test_the_owners_url_is_enough_for_its_commands(database: Database) -> None:
    status, output, _ = finished("migrate", IMPREST_OWNER_DATABASE_URL=database.owner_dsn)
    assert status == 0
    assert f"{database.name} on " in output
    assert "nothing to do" in output
    status, output, _ = finished("verify", IMPREST_OWNER_DATABASE_URL=database.owner_dsn)
    lines = output.splitlines()
    assert (status, lines[-1]) == (0, "verify: OK")
    assert lines[0].startswith(f"verifying {database.name} on ")
    assert "there is nothing to verify here" in lines[-2]
    status, _, errors = finished("serve", IMPREST_OWNER_DATABASE_URL=database.owner_dsn)
    assert (status, "without IMPREST_DATABASE_URL" in errors) == (2, True)


def test_a_misspelt_or_empty_setting_is_refused() -> None:
    status, _, errors = finished("serve", IMPREST_DATABSE_URL="postgresql://")
    assert (status, "IMPREST_DATABSE_URL: there is no such setting" in errors) == (2, True)
    status, _, errors = finished("serve", IMPREST_DATABASE_URL="")
    assert (status, "IMPREST_DATABASE_URL: is empty" in errors) == (2, True)


def test_a_server_says_so_and_ends_when_its_postgres_dies(scratch_dir: Path) -> None:
    data = scratch_dir / "dies"
    with serving("--data-dir", str(data)) as (process, _, _):
        os.kill(int((data / "postgres" / "postmaster.pid").read_text().splitlines()[0]), signal.SIGKILL)
        _, errors = process.communicate(timeout=STOP_S)
    assert process.returncode == 1
    assert "the embedded Postgres has ended by itself" in errors
