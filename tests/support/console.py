"""Runs the console sessions of a document against a server, and compares what it shows with what happens.

In a block ```console, `$ ` begins a command, `$ echo $?` asks for its exit status, and `# …` is something else that
happens (`Console._happenings`). Ids, keys, hashes and times differ from run to run; ids that a document shows stand for
those of the run, also in later commands. `python -m tests.support.console` writes the true output into the document.
"""

import asyncio
import base64
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch

from imprest_client import AdminClient, UsageLine, sync
from imprest_client.blocking import LOOP
from imprest_client.ctl.session import Session
from imprest_server.db.data_dir import APP_ROLE, DATABASE, OWNER_ROLE
from imprest_server.db.embedded import EmbeddedPostgres
from imprest_server.db.migrations import upgrade
from tests.conftest import Database
from tests.support import clock
from tests.support.ctl import Ctl
from tests.support.receivers import hook
from tests.support.server import running_server

DOCUMENT = Path(__file__).parents[2] / "docs" / "IMPRESTCTL.md"
ADDRESS = "127.0.0.1:7400"
CONFIG = "/home/you/.config/imprest/imprestctl.toml"
HOOK = "http://127.0.0.1:38080/alerts"
#: Subscriptions are charged at once, and alerts delivered to receivers on this machine.
SETTINGS: dict[str, Any] = {
    "sweep_interval_ms": 20,
    "delivery_interval_ms": 20,
    "secrets_key": base64.b64encode(bytes(range(32))).decode(),
    "webhook_allowed_networks": "127.0.0.0/8",
    "smtp_host": "127.0.0.1",
    "smtp_security": "none",
}

_BLOCK = re.compile(r"(```console\n)(.*?)(```)", re.DOTALL)
_ID = re.compile(r"(?:rsv_|txn_|ver_|ovr_|alt_|sub_)[0-9a-f]{32}|ctl-[0-9a-f-]{36}")
_VARYING = [
    (_ID, "ID"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"), "TIME"),
    (re.compile(r"--resume-token \S+"), "TOKEN"),
    (re.compile(r"whsec_\S+"), "SECRET"),
    (re.compile(r"The month \d{4}-\d\d"), "The month"),
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

    def __init__(self, target: str, config: Path, hook_url: str) -> None:
        self._ctl = Ctl("", {"IMPRESTCTL_CONFIG": str(config)})
        self._target = target
        self._hook_url = hook_url
        self._names = {target: ADDRESS, str(config): CONFIG, hook_url: HOOK}
        self._happenings = {
            "# globex calls +14155550100 for 90 seconds": self._call,
            "# the month is charged": self._month,
            "# hooli is charged 10 USD": self._charge,
        }
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
        if command.startswith("# "):
            await self._happenings[command]()
            return ""
        if command == "echo $?":
            return str(self._status)
        name, *arguments = words(command)
        assert name == "imprestctl", command
        # The profiles' commands ask no server, and show what is set.
        address = [] if arguments[0] == "profiles" else ["--address", self._target]
        done = await self._ctl(*(word.replace(HOOK, self._hook_url) for word in arguments), *address)
        self._status = done.status
        output = (done.output + done.errors).rstrip("\n")
        for true, shown in self._names.items():
            output = output.replace(true, shown)
        return output

    # ── what happens beside the commands ─────────────────────────────────────────────────────────────

    async def _call(self) -> None:
        line = UsageLine(
            meter="telephony.outbound_seconds", quantity=Decimal(90), provider="twilio", destination="14155550100"
        )
        await self._by_admin(lambda admin: admin.record_usage("globex", usage=[line], call_id="call-11"))

    async def _month(self) -> None:
        """Return when the subscription's charge is there."""
        await self._until("statement", "hooli", "--kind", "usage")

    async def _charge(self) -> None:
        """Its balance is low then; return when the channel has got the alert."""
        await self._by_admin(lambda admin: admin.charge("hooli", 10, call_id="call-12"))
        await self._until("channels", "deliveries", "--state", "delivered")

    async def _until(self, *command: str) -> None:
        """Return when the command lists something."""
        while not (await self._ctl(*command, "--json", "--address", self._target)).json:
            pass

    async def _by_admin(self, act: Callable[[sync.AdminClient], object]) -> None:
        """In a thread and a loop of its own, as commands run."""

        def run() -> None:
            with sync.AdminClient(self._target, currency="USD") as admin:
                act(admin)
            LOOP.close()

        await asyncio.to_thread(run)


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
        if line.startswith(("$ ", "# ")):
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
    async with running_server(database, **SETTINGS) as server, hook() as receiver:
        async with AdminClient(server.target, currency="USD") as admin:
            await make_calls(admin, database.owner_dsn)
        console = Console(server.target, config, receiver.url)
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
