"""One of several server processes on one port; `supervisor` starts them with `python -m imprest_server.worker`.

Standard input is the supervisor's line: first the orders (settings and the database's address, which so appear in no
process list), then `DRAIN` or `HURRY`, and its end when the supervisor is gone, however it died. Standard output
takes one answer: `READY`, or in words why this worker cannot serve.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from typing import Final

import structlog
import uvloop
from pydantic import SecretStr

from imprest_server import bootstrap
from imprest_server.config import Settings
from imprest_server.db.errors import DatabaseUnreachableError, StartupError
from imprest_server.logs import configure_logging

READY: Final = b"ready\n"
DRAIN: Final = b"drain\n"
HURRY: Final = b"hurry\n"
#: Exit status of a worker that found no database: there may be one later (EX_TEMPFAIL).
NO_DATABASE: Final = 75
#: Blocked until the worker can handle them, so that a signal to the process group cannot end it half started.
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
#: What draining may take in all, and what it may take in a hurry. The kernel ends a worker that takes longer: then
#: calls are cut, as in a crash, which their keys make harmless.
DRAIN_MAX_S: Final = 25
HURRY_MAX_S: Final = 5

_STDIN: Final = 0

log = structlog.get_logger(__name__)


def orders(settings: Settings, dsn: str) -> bytes:
    """Return what a worker has to know, as the first line of its standard input."""
    urls = {"database_url", "owner_database_url"}
    known = settings.model_dump(mode="json", exclude=urls)
    secrets = {name: value.get_secret_value() for name, value in settings if isinstance(value, SecretStr)}
    known |= {name: value for name, value in secrets.items() if name not in urls}  # the dump has asterisks
    return json.dumps({"dsn": dsn, "settings": known}).encode() + b"\n"


def main() -> None:
    """Serve as worker number `argv[1]` until told to drain."""
    # Ctrl-C reaches the whole process group; the supervisor answers it for all.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    number = int(sys.argv[1])
    with open(_STDIN, "rb", buffering=0, closefd=False) as line:  # unbuffered: what follows is read elsewhere
        given = json.loads(line.readline())
    settings = Settings(**given["settings"])
    configure_logging(settings.log_level, settings.log_format, worker=number)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(number, settings, given["dsn"]))
    except StartupError as error:
        sys.stdout.write(str(error))
        sys.exit(NO_DATABASE if isinstance(error, DatabaseUnreachableError) else 1)
    except asyncio.CancelledError:
        sys.exit(128 + signal.SIGINT)


async def _serve(number: int, settings: Settings, dsn: str) -> None:
    stop = asyncio.Event()
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def drain() -> None:
        """Once: SIGTERM may come to the whole process group, and then from the supervisor in words, too."""
        if not stop.is_set():
            stop.set()
            signal.alarm(DRAIN_MAX_S)

    def listen() -> None:
        words = os.read(_STDIN, 1024)
        if not words:
            loop.remove_reader(_STDIN)
            if not stop.is_set():
                log.warning("the supervisor is gone: draining")
        drain()
        if HURRY in words:
            signal.alarm(HURRY_MAX_S)
            task.cancel()

    loop.add_reader(_STDIN, listen)
    loop.add_signal_handler(signal.SIGTERM, drain)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    # One sweeper is enough: two would list the same holds and wait for each other's locks. Nothing hangs on it, for a
    # due hold stops counting by itself, also in the moments that worker 0 takes to come back.
    async with bootstrap.running(settings, dsn, sweep=number == 0):
        sys.stdout.buffer.write(READY)
        sys.stdout.buffer.flush()
        await stop.wait()


if __name__ == "__main__":
    main()
