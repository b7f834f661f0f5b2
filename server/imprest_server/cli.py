"""The `imprest` command: serve, migrate, verify, version."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer
import uvloop

from imprest_server import __version__, bootstrap
from imprest_server.bootstrap import Database
from imprest_server.config import Settings, SettingsError, load_settings
from imprest_server.db import migrations
from imprest_server.db.errors import EmbeddedPostgresError, StartupError
from imprest_server.ledger.verify import run_verify
from imprest_server.logs import configure_logging, send_nowhere
from imprest_server.posting.audit import differences
from imprest_server.supervisor import supervised

#: How often, in seconds, a server looks whether its embedded Postgres is still there.
POSTGRES_CHECK_S = 0.5

app = typer.Typer(
    name="imprest",
    help="Prepaid credit ledger for phone calls and AI agents. Settings also come from IMPREST_* variables.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Listen = Annotated[str | None, typer.Option(help="Address of the gRPC server, host:port; port 0 picks a free one.")]
DataDir = Annotated[Path | None, typer.Option(help="Directory of the embedded Postgres.")]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        help="A Postgres of your own (libpq URI) instead of the embedded one. Other users of this machine can see "
        "it here: prefer IMPREST_DATABASE_URL."
    ),
]
BatchMax = Annotated[int | None, typer.Option(help="Most operations in one transaction; 1 turns group commit off.")]
NoBatching = Annotated[bool, typer.Option("--no-batching", help="One transaction per operation: --batch-max 1.")]
Workers = Annotated[int | None, typer.Option(help="Server processes that share the port (Linux).")]
LogLevel = Annotated[Literal["debug", "info", "warning", "error"] | None, typer.Option(help="Least level to log.")]
LogFormat = Annotated[Literal["console", "json"] | None, typer.Option(help="For people, or for machines.")]


def main() -> None:
    """Run the command line; a problem that the operator can solve is told in one message, without a traceback."""
    try:
        app()
    except SettingsError as error:
        _fail(error, status=2)
    except StartupError as error:
        _fail(error, status=1)


@app.command()
def serve(
    listen: Listen = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    workers: Workers = None,
    batch_max: BatchMax = None,
    no_batching: NoBatching = False,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
) -> None:
    """Run the server, with its own Postgres unless a database URL is given. Ctrl-C drains and stops it."""
    if no_batching and batch_max is not None:
        raise SettingsError("--no-batching is --batch-max 1: give one of them")
    settings = load_settings(
        listen=listen,
        data_dir=data_dir,
        database_url=database_url,
        workers=workers,
        batch_max=1 if no_batching else batch_max,
        log_level=log_level,
        log_format=log_format,
    )
    configure_logging(settings.log_level, settings.log_format)
    # Before the event loop takes over: unwinding stops the embedded Postgres.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        with bootstrap.open_database(settings) as database:
            bootstrap.prepare_database(settings, database)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_serve(settings, database))
    except (asyncio.CancelledError, KeyboardInterrupt):
        sys.exit(128 + signal.SIGINT)


async def _serve(settings: Settings, database: Database) -> None:
    """Serve until a signal comes. A second one does not wait for running calls; a third one kills."""
    stop = asyncio.Event()
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def on_signal() -> None:
        if not stop.is_set():
            stop.set()
            return
        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(signum)
        task.cancel()

    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, on_signal)
    if settings.workers == 1:
        serving, how = bootstrap.running(settings, database.dsn), ""
    else:
        serving, how = supervised(settings, database.dsn, stop), f" with {settings.workers} workers"
    async with serving as address:
        _say(f"imprest {__version__} serves on {address} from {database.description}{how}")
        await _until(stop, database)
        _say("imprest stops: finishing what has begun")


def _say(line: str) -> None:
    """Print a line at once. When nobody reads standard output any more, go on without it."""
    try:
        print(line, flush=True)
    except BrokenPipeError:
        send_nowhere(sys.stdout)


async def _until(stop: asyncio.Event, database: Database) -> None:
    """Wait for `stop`. Raises EmbeddedPostgresError when the embedded Postgres dies before."""
    while not stop.is_set():
        if not database.alive():
            raise EmbeddedPostgresError("the embedded Postgres has ended by itself; its log is in the data directory")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), POSTGRES_CHECK_S)


@app.command()
def migrate(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Bring the tables of the database up to date, as their owner (IMPREST_OWNER_DATABASE_URL)."""
    settings = load_settings(data_dir=data_dir, database_url=database_url)
    with bootstrap.open_database_beside_server(settings) as database:
        missing = migrations.pending(database.owner_dsn)
        migrations.upgrade(database.owner_dsn)
        done = f"applied {', '.join(missing)}" if missing else "nothing to do"
        print(f"{database.description}: {done}")


@app.command()
def verify(
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant.")] = None,
    account: Annotated[str | None, typer.Option(help="Only this account of the tenant.")] = None,
    after: Annotated[str, typer.Option(help="Go on after the checkpoint that an interrupted run named.")] = "",
    all_differences: Annotated[bool, typer.Option("--all", help="Report all differences, not just the first.")] = False,
) -> None:
    """Recompute every balance, budget, sequence and hash from the journal, beside a running server; exit 1 on a
    difference."""
    settings = load_settings(data_dir=data_dir, database_url=database_url)
    with bootstrap.open_database_beside_server(settings) as database:
        print(f"verifying {database.description}", flush=True)
        status = run_verify(
            database.owner_dsn,
            print,
            tenant_id=tenant,
            account_id=account,
            after=after,
            all_differences=all_differences,
            beside=differences,
        )
    sys.exit(status)


@app.command()
def version() -> None:
    """Print the version."""
    print(f"imprest {__version__}")


def _fail(error: Exception, status: int) -> NoReturn:
    print(f"imprest: {error}", file=sys.stderr)
    sys.exit(status)
