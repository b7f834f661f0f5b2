"""The rows of the table: what is run, how, and which row its speed is compared with.

A row names a load (see `loads`) and, when the load speaks gRPC, the options of the `imprest serve` it speaks to.
Loads without gRPC work on the database themselves, in a process that counts as the server.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from imprest.v1 import ledger_service_pb2
from imprest_server import cli

#: What every ratio of the first column refers to.
FLOOR = "floor"
BATCH = 250


@dataclass(frozen=True)
class Row:
    """One row.

    `in_flight` operations (or calls of `batch` operations) are under way at any time, spread over `connections`:
    database connections without gRPC, channels with it. `serve`: options of the server, None without gRPC.
    `against` is the row of the second ratio. `missing` says what the row needs that is not there yet.
    """

    name: str
    title: str
    load: str
    in_flight: int
    batch: int = BATCH
    connections: int = 1
    accounts: int = 1_000
    serve: tuple[str, ...] | None = None
    against: str | None = None
    missing: Callable[[], str | None] = lambda: None


def _no_batch_execute() -> str | None:
    methods = ledger_service_pb2.DESCRIPTOR.services_by_name["LedgerService"].methods_by_name
    return None if "BatchExecute" in methods else "LedgerService has no BatchExecute yet"


def _no_workers() -> str | None:
    return None if "workers" in inspect.signature(cli.serve).parameters else "imprest serve has no --workers yet"


def _unary(in_flight: int) -> Row:
    return Row(
        name=f"unary-{in_flight}",
        title=f"gRPC unary, {in_flight:,} in flight",
        load="unary",
        in_flight=in_flight,
        connections=min(8, in_flight),
        serve=(),
        against="engine-250" if in_flight == 256 else "unary-256",
    )


ROWS: Sequence[Row] = (
    Row(FLOOR, "floor: set-based SQL alone, batches of 250", "floor", in_flight=1),
    Row("engine-250", "engine, batches of 250", "engine", in_flight=500, against="orm"),
    Row("engine-50", "engine, batches of 50", "engine", in_flight=100, batch=50, against="engine-250"),
    Row("engine-1", "engine, one per transaction", "engine", in_flight=1, batch=1, against="engine-250"),
    Row(
        "engine-1x4",
        "engine, one per transaction, 4 connections",
        "engine",
        in_flight=4,
        batch=1,
        connections=4,
        against="engine-250",
    ),
    Row("engine-hot", "engine, batches of 250, one hot account", "engine", 500, accounts=1, against="engine-250"),
    Row(
        "engine-250-rated",
        "engine, batches of 250, priced from 4 usage lines",
        "rated",
        in_flight=500,
        against="engine-250",
    ),
    Row(
        "engine-250-budgeted",
        "engine, batches of 250, a tenant-wide BLOCK budget",
        "budgeted",
        in_flight=500,
        against="engine-250",
    ),
    Row(
        "engine-250x2",
        "engine, batches of 250, 2 connections",
        "engine",
        in_flight=500,
        connections=2,
        against="engine-250",
    ),
    Row(
        "engine-250x2-budgeted",
        "engine, batches of 250, 2 connections, the same budget",
        "budgeted",
        in_flight=500,
        connections=2,
        against="engine-250x2",
    ),
    Row("duplicates", "engine, replays of stored keys", "replays", in_flight=500, against="engine-250"),
    Row("orm", "SQLAlchemy ORM, one per transaction, 4 threads", "orm", 4, connections=4, against="engine-1x4"),
    Row(
        "batch-execute",
        "gRPC BatchExecute of 250, 4 in flight",
        "batch_execute",
        in_flight=4,
        connections=4,
        serve=(),
        against="engine-250",
        missing=_no_batch_execute,
    ),
    Row(
        "grpc-alone",
        "gRPC alone: health checks, 256 in flight",
        "health",
        in_flight=256,
        connections=8,
        serve=(),
        against="unary-256",
    ),
    *(_unary(in_flight) for in_flight in (1, 16, 64, 256, 1_024)),
    Row(
        "unary-256-unbatched",
        "gRPC unary, 256 in flight, batching off",
        "unary",
        in_flight=256,
        connections=8,
        serve=("--batch-max", "1"),
        against="unary-256",
    ),
    Row(
        "unary-256-workers-2",
        "gRPC unary, 256 in flight, 2 workers",
        "unary",
        in_flight=256,
        connections=8,
        serve=("--workers", "2"),
        against="unary-256",
        missing=_no_workers,
    ),
)


def chosen(only: Sequence[str]) -> list[Row]:
    """The rows with these names (`unary`: all that are), and the floor; without names all.

    Raises:
        ValueError: a name fits no row.
    """
    for name in only:
        if not any(_fits(row, name) for row in ROWS):
            raise ValueError(f"no row is called {name}; there are {', '.join(row.name for row in ROWS)}")
    return [row for row in ROWS if not only or row.name == FLOOR or any(_fits(row, name) for name in only)]


def _fits(row: Row, name: str) -> bool:
    return row.name == name or (name == "unary" and row.load == name)
