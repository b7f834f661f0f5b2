"""`python -m benchmarks.loads ORDER`: one load, in a process of its own (see `control`)."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping

from benchmarks.control import Control, Order


def _engine(order: Order, control: Control) -> None:
    from benchmarks import engine_load

    engine_load.run(order, control)


def _rated(order: Order, control: Control) -> None:
    from benchmarks import engine_load

    engine_load.run_rated(order, control)


def _budgeted(order: Order, control: Control) -> None:
    from benchmarks import engine_load

    engine_load.run_budgeted(order, control)


def _replays(order: Order, control: Control) -> None:
    from benchmarks import engine_load

    engine_load.run_replays(order, control)


def _floor(order: Order, control: Control) -> None:
    from benchmarks import floor

    floor.run(order, control)


def _orm(order: Order, control: Control) -> None:
    from benchmarks import orm_baseline

    orm_baseline.run(order, control)


def _unary(order: Order, control: Control) -> None:
    from benchmarks import grpc_load

    grpc_load.run_unary(order, control)


def _batch_execute(order: Order, control: Control) -> None:
    from benchmarks import grpc_load

    grpc_load.run_batch_execute(order, control)


def _health(order: Order, control: Control) -> None:
    from benchmarks import grpc_load

    grpc_load.run_health(order, control)


#: Each imports what it needs only when it runs: a client has no business with SQLAlchemy's import time and memory.
LOADS: Mapping[str, Callable[[Order, Control], None]] = {
    "floor": _floor,
    "engine": _engine,
    "rated": _rated,
    "budgeted": _budgeted,
    "replays": _replays,
    "orm": _orm,
    "unary": _unary,
    "batch_execute": _batch_execute,
    "health": _health,
}


def main() -> None:
    """Run the load until the harness says stop. Returns when it has ended."""
    order = Order.from_json(sys.argv[1])
    control = Control(order)
    # A daemon: when the load fails, the process ends, and the harness sees that.
    threading.Thread(target=control.conduct, daemon=True).start()
    LOADS[order.load](order, control)


if __name__ == "__main__":
    main()
