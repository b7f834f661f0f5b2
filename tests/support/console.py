"""Runs the console sessions of a document against a server, and compares what it shows with what happens.

In a block ```console, `$ ` begins a command, `$ echo $?` asks for its exit status, and `# 20 minutes later` moves the
database's clock. Ids, keys, hashes and times differ from run to run; ids that a document shows stand for those of the
run, also in later commands. `python -m tests.support.console` writes the true output into docs/IMPRESTCTL.md.
"""

import asyncio
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

from imprest_client import AdminClient
from imprest_client.ctl.session import Session
from imprest_server.db.data_dir import APP_ROLE, DATABASE, OWNER_ROLE
from imprest_server.db.embedded import EmbeddedPostgres
from imprest_server.db.migrations import upgrade
from tests.conftest import Database
from tests.support import clock
from tests.support.ctl import Ctl
from tests.support.server import running_server

DOCUMENT = Path(__file__).parents[2] / "docs" / "IMPRESTCTL.md"
ADDRESS = "127.0.0.1:7400"
CONFIG = "/home/you/.config/imprest/imprestctl.toml"

_BLOCK = re.compile(r"(```console\n)(.*?)(```)", re.DOTALL)
_LATER = re.compile(r"# (\d+) minutes later")
_ID = re.compile(r"(?:rsv_|txn_|ver_|ovr_|alt_)[0-9a-f]{32}|ctl-[0-9a-f-]{36}")
_VARYING = [
    (_ID, "ID"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"), "TIME"),
    (re.compile(r"--resume-token \S+"), "TOKEN"),
    (re.compile(r"\b[0-9a-f]{16}(?:…|[0-9a-f]{48}\b)"), "HASH"),
]


@dataclass
class Step:
    """A command, or a pause, and what the document shows below it."""

    line: str
    shown: list[str] = field(default_factory=list)


@dataclass
class Difference:
    """Something else happened than the document shows."""

    command: str
    shown: str
    happened: str


class Console:
    """A session: the commands of all blocks one after the other."""

    def __init__(self, target: str, database: Database, config: Path) -> None:
        self._ctl = Ctl("", {"IMPRESTCTL_CONFIG": str(config)})
        self._owner_dsn = database.owner_dsn
        self._target = target
        self._names = {target: ADDRESS, str(config): CONFIG}
        self._ids: dict[str, str] = {}
        self._status = 0
        self.differences: list[Difference] = []

    async def replay(self, text: str) -> str:
        """Run every block of the text; returns the text with what really happened."""
        parts, end = [], 0
        for block in _BLOCK.finditer(text):
            parts += [text[end : block.start()], block[1], await self._block(block[2]), block[3]]
            end = block.end()
        return "".join([*parts, text[end:]])

    async def _block(self, block: str) -> str:
        lines: list[str] = []
        for step in _steps(block):
            line = _ID.sub(lambda match: self._ids.get(match[0], match[0]), step.line)
            output = await self._run(line.removeprefix("$ "))
            shown = "\n".join(step.shown)
            if normal(shown) != normal(output):
                self.differences.append(Difference(step.line, shown, output))
            self._ids.update(zip(_ID.findall(shown), _ID.findall(output), strict=False))
            lines += [line, *([output] if output else [])]
        return "\n".join([*lines, ""])

    async def _run(self, command: str) -> str:
        later = _LATER.fullmatch(command)
        if later:
            clock.advance(self._owner_dsn, 60 * int(later[1]))
            return ""
        if command == "echo $?":
            return str(self._status)
        name, *arguments = words(command)
        assert name == "imprestctl", command
        # The profiles' commands ask no server, and show what is set.
        address = [] if arguments[0] == "profiles" else ["--address", self._target]
        done = await self._ctl(*arguments, *address)
        self._status = done.status
        output = (done.output + done.errors).rstrip("\n")
        for true, shown in self._names.items():
            output = output.replace(true, shown)
        return output


def words(command: str) -> list[str]:
    """The words of a command line, without their quotes."""
    return [match[1] or match[2] for match in re.finditer(r'"([^"]*)"|(\S+)', command)]


def normal(text: str) -> str:
    """The text without what differs from run to run."""
    for pattern, name in _VARYING:
        text = pattern.sub(name, text)
    return text


def _steps(block: str) -> Iterator[Step]:
    step: Step | None = None
    for line in block.splitlines():
        if line.startswith("$ ") or _LATER.fullmatch(line):
            if step:
                yield step
            step = Step(line)
        elif step:
            step.shown.append(line)
    if step:
        yield step


async def make_calls(admin: AdminClient, owner_dsn: str) -> None:
    """What has happened before the document begins: a customer, globex, with calls of every kind."""
    await admin.create_account("globex", display_name="Globex", time_zone="Europe/Berlin", max_overrun=5)
    await admin.add_credit("globex", 10, external_reference="pi_globex")
    long = await admin.reserve("globex", 6, call_id="call-7", ttl=timedelta(minutes=30))
    clock.advance(owner_dsn, 120)
    await admin.commit(long.reservation.reservation_id, 2, final=False)
    await admin.extend(long.reservation.reservation_id, new_total=8, used_so_far=7)
    clock.advance(owner_dsn, 180)
    await admin.commit(long.reservation.reservation_id, "9.5")
    await admin.add_credit("globex", 20)
    crashed = await admin.reserve("globex", 3, call_id="call-8", ttl=timedelta(minutes=10))
    clock.advance(owner_dsn, 60)
    await admin.extend(crashed.reservation.reservation_id, used_so_far="1.2")
    clock.advance(owner_dsn, 900)
    unanswered = await admin.reserve("globex", 1, call_id="call-9")
    await admin.void(unanswered.reservation.reservation_id, reason="no answer")
    await admin.reserve("globex", 2, call_id="call-10", ttl=timedelta(hours=3))


async def replay(database: Database, config: Path, text: str) -> tuple[str, list[Difference]]:
    """Run the sessions of a text on a server of their own; the clock stands still but for what they say."""
    clock.install(database.owner_dsn)
    clock.stop(database.owner_dsn)
    started = datetime.now(UTC)
    with patch.object(Session, "now", lambda _: started):  # no midnight comes between what was made and what is asked
        return await _replay(database, config, text)


async def _replay(database: Database, config: Path, text: str) -> tuple[str, list[Difference]]:
    async with running_server(database) as server:
        async with AdminClient(server.target, currency="USD") as admin:
            await make_calls(admin, database.owner_dsn)
        console = Console(server.target, database, config)
        return await console.replay(text), console.differences


def rewrite() -> None:
    """Bring the document up to date."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        Path(name).chmod(0o711)  # run by root, Postgres is somebody else
        cluster = stack.enter_context(EmbeddedPostgres(Path(name) / "data"))
        upgrade(cluster.dsn(user=OWNER_ROLE))
        database = Database(DATABASE, cluster.dsn(DATABASE, OWNER_ROLE), cluster.dsn(DATABASE, APP_ROLE))
        text, differences = asyncio.run(replay(database, Path(name) / "ctl.toml", DOCUMENT.read_text("utf-8")))
        DOCUMENT.write_text(text, "utf-8")
    sys.stdout.write(f"{DOCUMENT.name}: {len(differences)} commands showed something else\n")


if __name__ == "__main__":
    rewrite()
