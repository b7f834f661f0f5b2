"""Loads on the posting engine without gRPC: callers that reserve and commit as fast as they are answered."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Iterator
from dataclasses import replace

import uvloop

from benchmarks.control import Control, Order
from benchmarks.seed import ACTUAL, ESTIMATE, HOLD, TENANT, account_id, limit, make_engine, sell
from imprest_server.core.ids import AccountId, ReservationId
from imprest_server.core.usage import UsageReport
from imprest_server.garbage import collect_seldom
from imprest_server.ledger import operations as ops
from imprest_server.posting.engine import Engine

#: How many stored operations the replays choose from.
STORED = 5_000
_USAGE = UsageReport(lines=tuple(replace(line, line_id=f"line-{number}") for number, line in enumerate(ESTIMATE.lines)))


def run(order: Order, control: Control) -> None:
    """Reserve and Commit on random accounts; with several connections, on as many engines."""
    collect_seldom()  # as the server does
    uvloop.run(_run(order, control))


def run_replays(order: Order, control: Control) -> None:
    """Submit operations again that were decided before the clock starts."""
    collect_seldom()
    uvloop.run(_run_replays(order, control))


def run_rated(order: Order, control: Control) -> None:
    """As `run`, but holds are priced from estimates of four usage lines, and commits from four lines."""
    asyncio.run(sell(order.dsn))
    uvloop.run(_run(order, control, _Rated()))


def run_budgeted(order: Order, control: Control) -> None:
    """As `run`, under a budget that counts every call of the tenant and denies none."""
    asyncio.run(limit(order.dsn))
    uvloop.run(_run(order, control))


async def _run(order: Order, control: Control, calls: _Amounts | None = None) -> None:
    calls = calls or _Amounts()
    engines = [make_engine(order.dsn, order.batch) for _ in range(order.connections)]
    for engine in engines:
        await engine.start()
    numbers = itertools.count()
    control.ready()
    async with asyncio.TaskGroup() as callers:
        for caller, engine in zip(range(order.in_flight), itertools.cycle(engines), strict=False):
            callers.create_task(_call(engine, order, control, calls, numbers, odd=caller % 2 == 1))
    for engine in engines:
        await engine.stop()


async def _call(
    engine: Engine, order: Order, control: Control, calls: _Amounts, numbers: Iterator[int], *, odd: bool
) -> None:
    """One caller. Every other one begins with a single Charge, so that batches hold Reserves and Commits alike."""
    if odd:
        await engine.submit(
            ops.Charge(
                tenant_id=TENANT, idempotency_key=f"charge-{next(numbers)}", account_id=account_id(0), amount=ACTUAL
            )
        )
    while not control.stopping:
        number = next(numbers)
        started = time.perf_counter()
        outcome = await engine.submit(calls.reserve(number, account_id(random.randrange(order.accounts))))
        reserved = time.perf_counter()
        control.note(reserved - started)
        assert outcome.reply.reservation is not None
        await engine.submit(calls.commit(number, outcome.reply.reservation.reservation_id))
        control.note(time.perf_counter() - reserved)


class _Amounts:
    """Calls whose caller knows what they cost."""

    def reserve(self, number: int, account: AccountId) -> ops.Reserve:
        """A hold for a call of its own."""
        return ops.Reserve(
            tenant_id=TENANT,
            idempotency_key=f"call-{number:08d}",
            account_id=account,
            amount=HOLD,
            call_id=f"call-{number:08d}",
        )

    def commit(self, number: int, reservation: ReservationId) -> ops.Commit:
        """What the call has cost."""
        return ops.Commit(
            tenant_id=TENANT, idempotency_key=f"call-{number:08d}", reservation_id=reservation, amount=ACTUAL
        )


class _Rated(_Amounts):
    """Calls whose usage the server prices."""

    def reserve(self, number: int, account: AccountId) -> ops.Reserve:
        """A hold for the estimate."""
        return ops.Reserve(
            tenant_id=TENANT,
            idempotency_key=f"call-{number:08d}",
            account_id=account,
            estimate=ESTIMATE,
            call_id=f"call-{number:08d}",
        )

    def commit(self, number: int, reservation: ReservationId) -> ops.Commit:
        """What the call has used: lines with ids, as a careful caller gives them."""
        return ops.Commit(
            tenant_id=TENANT,
            idempotency_key=f"call-{number:08d}",
            reservation_id=reservation,
            usage=_USAGE,
        )


async def _run_replays(order: Order, control: Control) -> None:
    engine = make_engine(order.dsn, order.batch)
    await engine.start()
    calls = _Amounts()
    reserves = [calls.reserve(number, account_id(random.randrange(order.accounts))) for number in range(STORED // 2)]
    outcomes = await asyncio.gather(*map(engine.submit, reserves))
    holds = [outcome.reply.reservation for outcome in outcomes]
    commits = [calls.commit(number, hold.reservation_id) for number, hold in enumerate(holds) if hold is not None]
    await asyncio.gather(*map(engine.submit, commits))
    stored = [*reserves, *commits]

    async def call() -> None:
        while not control.stopping:
            started = time.perf_counter()
            outcome = await engine.submit(random.choice(stored))
            control.note(time.perf_counter() - started)
            assert outcome.replayed

    control.ready()
    async with asyncio.TaskGroup() as callers:
        for _ in range(order.in_flight):
            callers.create_task(call())
    await engine.stop()
