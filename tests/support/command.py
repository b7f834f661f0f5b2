"""The installed `imprest` command as a process of its own."""

import os
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.support.patience import PATIENCE_S

READY_S = STOP_S = PATIENCE_S


def imprest(*arguments: str, log: IO[str] | None = None, **environment: str) -> subprocess.Popen[str]:
    """The installed command, started in a clean environment, leading a process group; `log` takes standard error."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("IMPREST_", "PG"))}
    return subprocess.Popen(
        [str(Path(sys.executable).with_name("imprest")), *arguments],
        env={**clean, "NO_COLOR": "1", "COLUMNS": "200", **environment},
        stdout=subprocess.PIPE,
        stderr=log or subprocess.PIPE,
        text=True,
        process_group=0,
    )


def finished(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Exit status, output and error output of a command that ends by itself."""
    with imprest(*arguments, **environment) as process:
        try:
            output, errors = process.communicate(timeout=READY_S)
        finally:
            process.kill()
    return process.returncode, output, errors


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], READY_S)
    return process.stdout.readline() if ready else ""


@contextmanager
def serving(
    *arguments: str, log: IO[str] | None = None, **environment: str
) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """A server that is ready: the process, its address, and its line."""
    with imprest("serve", "--listen", "127.0.0.1:0", *arguments, log=log, **environment) as process:
        try:
            line = first_line(process)
            match = re.search(r" serves on (127\.0\.0\.1:\d+) from ", line)
            assert match, (line, process.communicate(timeout=5)[1] if process.poll() is not None else "not ready")
            yield process, match[1], line
        finally:
            if process.poll() is None:
                process.kill()


def stopped(process: subprocess.Popen[str], signum: int) -> tuple[int, str, str]:
    process.send_signal(signum)
    output, errors = process.communicate(timeout=STOP_S)
    return process.returncode, output, errors
