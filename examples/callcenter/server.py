"""Runs `imprest` as a user would: the server with its own Postgres, and the check of its books."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_STOP_S = 60
#: How a server ends that was told to stop: while serving, while starting, and before it knew of signals.
_STOPPED = (0, 128 + signal.SIGTERM, -signal.SIGTERM)


class ServerError(Exception):
    """The server did not start, or did not stop cleanly."""


@contextmanager
def own_server(data_dir: Path) -> Iterator[str]:
    """A server on a free port of this machine, with its database in `data_dir`; gives its address.

    Raises:
        ServerError: with the end of the server's log.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        settings = ["--listen", "127.0.0.1:0", "--data-dir", str(data_dir), "--log-level", "warning"]
        process = subprocess.Popen(
            [_imprest(), "serve", *settings],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=_environment(),
            process_group=0,  # Ctrl-C is for us, who then stop the server in an orderly way
        )
        try:
            yield _address(process, log)
        finally:
            process.terminate()
            try:
                process.communicate(timeout=_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
            if process.returncode not in _STOPPED:
                raise ServerError(f"the server stopped with status {process.returncode}:\n{_tail(log)}")


def verify(data_dir: Path) -> subprocess.CompletedProcess[str]:
    """Run `imprest verify`, which recomputes every balance and hash from the postings."""
    command = [_imprest(), "verify", "--data-dir", str(data_dir)]
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=_environment(), check=False
    )


@contextmanager
def scratch_dir(keep: bool) -> Iterator[Path]:
    """A new temporary directory, removed afterwards unless it is to be kept."""
    path = Path(tempfile.mkdtemp(prefix="imprest-demo-"))
    if os.geteuid() == 0:
        path.chmod(0o711)  # root runs Postgres as another user, who must pass through
    try:
        yield path
    finally:
        if not keep:
            shutil.rmtree(path, ignore_errors=True)


def _address(process: subprocess.Popen[str], log: IO[str]) -> str:
    """Read the line with which the server says that it is ready, or find out why it never came."""
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"serves on (\S+)", line):
            return found[1]
    process.wait()
    raise ServerError(f"the server did not start:\n{_tail(log)}")


def _tail(log: IO[str]) -> str:
    log.seek(0)
    return "".join(log.readlines()[-20:]).rstrip()


def _imprest() -> str:
    """The `imprest` command of the environment that runs this."""
    beside = Path(sys.executable).with_name("imprest")
    command = str(beside) if beside.exists() else shutil.which("imprest")
    if command is None:
        raise ServerError("the command `imprest` is not installed here: run `make setup`")
    return command


def _environment() -> dict[str, str]:
    """Our environment without IMPREST_* settings: the demo must not touch a database that they name."""
    return {name: value for name, value in os.environ.items() if not name.upper().startswith("IMPREST_")}
