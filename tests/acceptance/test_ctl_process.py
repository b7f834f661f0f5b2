"""`imprestctl` as a process: on a terminal, in a pipe, interrupted, and completed by a shell."""

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from imprest_client import AdminClient
from imprest_client.ctl.settings import Profile, Profiles, write_profiles
from imprest_client.model import AccountState
from tests.conftest import Database
from tests.support.patience import PATIENCE_S
from tests.support.server import running_server

BIN = Path(sys.executable).parent


@pytest.fixture
async def target(database: Database) -> AsyncIterator[str]:
    async with running_server(database) as server:
        yield server.target


@pytest.fixture
async def admin(target: str) -> AsyncIterator[AdminClient]:
    async with AdminClient(target, currency="USD") as client:
        await client.create_account("acme")
        await client.add_credit("acme", 10)
        yield client


def environment(**variables: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("IMPRESTCTL_", "COLUMNS"))}
    return {**clean, "IMPRESTCTL_CONFIG": "/nonexistent/imprestctl.toml", "TERM": "xterm", **variables}


async def start(*arguments: str, **streams: int) -> Process:
    return await asyncio.create_subprocess_exec(str(BIN / "imprestctl"), *arguments, env=environment(), **streams)


async def on_terminal(*arguments: str, answer: str = "", columns: int = 60) -> tuple[int, str]:
    """Run it on a terminal, and answer its question; returns its exit code and what the terminal showed."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = await start(*arguments, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    try:
        async with asyncio.timeout(PATIENCE_S):
            shown = await asyncio.to_thread(_converse, ours, answer)
            return await process.wait(), shown
    finally:
        os.close(ours)


def _converse(terminal: int, answer: str) -> str:
    shown, asked = "", False
    while True:
        try:
            shown += os.read(terminal, 4096).decode()
        except OSError:  # the other side has ended
            return shown
        if not asked and shown.rstrip().endswith("[y/N]:"):
            asked = True
            os.write(terminal, f"{answer}\n".encode())


async def test_a_question_on_a_terminal(target: str, admin: AdminClient) -> None:
    status, shown = await on_terminal("withdraw", "acme", "3", "--address", target, answer="n")
    assert (status, "Pay 3.00 USD out of acme? [y/N]:" in shown) == (6, True)
    assert "nothing was done" in shown
    assert (await admin.get_balance("acme")).wallet == 10
    status, shown = await on_terminal("withdraw", "acme", "3", "--address", target, answer="y")
    assert (status, "Paid 3.00 USD out of acme." in shown) == (0, True)
    assert (await admin.get_balance("acme")).wallet == 7
    status, shown = await on_terminal("accounts", "close", "acme", "--forfeit", "--address", target, answer="y")
    assert (status, "Its 7.00 USD of credit are given up." in shown) == (0, True)
    assert (await admin.get_account("acme")).state is AccountState.CLOSED


async def test_a_list_on_a_narrow_terminal(target: str, admin: AdminClient) -> None:
    """Lines are whole, a screenful is enough, and colours are for terminals only."""
    names = [f"customer-number-{number:03}-with-a-rather-long-name" for number in range(120)]
    await asyncio.gather(*(admin.create_account(name) for name in names))
    status, shown = await on_terminal("accounts", "list", "--address", target)
    lines = shown.replace("\r\n", "\n").splitlines()
    assert (status, len(lines)) == (0, 1 + 100 + 1)
    assert "the first 100 only; --limit 0 shows all" in lines[-1]
    assert any(names[0] in line and "COLLECT" in line for line in lines), "nothing is wrapped or cut"
    assert "\x1b[" in shown
    process = await start("accounts", "list", "--address", target, stdout=PIPE, stderr=PIPE)
    output, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")
    assert len(output.splitlines()) == 1 + 121, "a pipe gets everything"
    assert b"\x1b" not in output
    assert all(name.encode() in output for name in names)


async def test_a_story_on_a_terminal_is_wrapped_beside_its_times(target: str, admin: AdminClient) -> None:
    hold = (await admin.reserve("acme", 5)).reservation.reservation_id
    _, shown = await on_terminal("explain", hold, "--address", target, columns=80)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    step = next(line for line in plain.splitlines() if "Credit of acme" in line)
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ  Credit of acme was set aside", step)
    assert len(step.rstrip()) <= 80
    assert "\n" + " " * 23 + "2.00" not in plain


async def test_a_reader_that_has_seen_enough(target: str, admin: AdminClient) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = await start("balance", "acme", "--address", target, stdout=writing, stderr=PIPE)
    os.close(writing)
    _, errors = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert (process.returncode, errors) == (0, b"")


async def test_an_interrupted_change_names_its_key() -> None:
    """Whether it happened nobody knows: the server has been reached, and says nothing."""
    reached = asyncio.Event()

    async def silence(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            writer.close()

    server = await asyncio.start_server(silence, "127.0.0.1", 0)
    target = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    process = await start("credit", "add", "acme", "5USD", "--address", target, stdout=PIPE, stderr=PIPE)
    await asyncio.wait_for(reached.wait(), PATIENCE_S)
    process.send_signal(signal.SIGINT)
    output, errors = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    server.close()
    assert (process.returncode, output) == (130, b"")
    assert re.search(rb"INTERRUPTED: stopped\nhint: .* with --key ctl-[0-9a-f-]{36} finds out\n$", errors), errors


async def test_completion_in_bash(tmp_path: Path) -> None:
    script = """
        imprestctl --install-completion >/dev/null || exit 1
        source ~/.bash_completions/imprestctl.sh
        complete_words() {
            COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
            _imprestctl_completion imprestctl
            echo "${COMPREPLY[@]}"
        }
        complete_words imprestctl acc
        complete_words imprestctl accounts fr
        complete_words imprestctl credit add acme 5 --ref
        complete_words imprestctl accounts list --state fr
        complete_words imprestctl balance --profile t
    """
    profiles = tmp_path / "imprestctl.toml"
    write_profiles(Profiles(profiles, by_name={"test": Profile("localhost:7500"), "prod": Profile("localhost:7600")}))
    path = f"{BIN}:{os.environ['PATH']}"
    variables = environment(HOME=str(tmp_path), PATH=path, IMPRESTCTL_CONFIG=str(profiles))
    process = await asyncio.create_subprocess_exec("bash", "-c", script, env=variables, stdout=PIPE, stderr=PIPE)
    output, errors = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert (process.returncode, errors) == (0, b"")
    assert output.decode().splitlines() == ["accounts", "freeze", "--reference", "frozen", "test"]
