"""Loads that speak gRPC: a client process as call controllers and agents would have it, on several connections."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Iterator
from typing import Any

import grpc
import uvloop
from google.type.money_pb2 import Money as MoneyMessage
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub

from benchmarks.control import Control, Order
from imprest.v1 import ledger_service_pb2 as pb
from imprest.v1.ledger_service_pb2_grpc import LedgerServiceStub

_HOLD = MoneyMessage(currency_code="USD", units=1)
_ACTUAL = MoneyMessage(currency_code="USD", nanos=750_000_000)


def run_unary(order: Order, control: Control) -> None:
    """Reserve and Commit, one call each."""
    uvloop.run(_run(order, control, _call))


def run_batch_execute(order: Order, control: Control) -> None:
    """BatchExecute: half of each call reserves, half commits what the caller's previous call reserved."""
    uvloop.run(_run(order, control, _call_in_batches))


def run_health(order: Order, control: Control) -> None:
    """Calls that do nothing: what gRPC itself costs on both sides."""
    uvloop.run(_run(order, control, _check_health, HealthStub))


async def _run(order: Order, control: Control, call: Any, stub_of: Any = LedgerServiceStub) -> None:
    # Without the pool of its own every channel would share one connection.
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(order.target, options) for _ in range(order.connections)]
    stubs = [stub_of(channel) for channel in channels]
    await asyncio.gather(*(channel.channel_ready() for channel in channels))
    numbers = itertools.count()
    control.ready()
    async with asyncio.TaskGroup() as callers:
        for _, stub in zip(range(order.in_flight), itertools.cycle(stubs), strict=False):
            callers.create_task(call(stub, order, control, numbers))
    for channel in channels:
        await channel.close()


async def _call(stub: Any, order: Order, control: Control, numbers: Iterator[int]) -> None:
    while not control.stopping:
        number = next(numbers)
        started = time.perf_counter()
        held = await stub.Reserve(_reserve(order, number))
        reserved = time.perf_counter()
        control.note(reserved - started)
        await stub.Commit(_commit(number, held.reservation.reservation_id))
        control.note(time.perf_counter() - reserved)


async def _check_health(stub: Any, order: Order, control: Control, numbers: Iterator[int]) -> None:
    while not control.stopping:
        started = time.perf_counter()
        await stub.Check(HealthCheckRequest())
        control.note(time.perf_counter() - started)


async def _call_in_batches(stub: Any, order: Order, control: Control, numbers: Iterator[int]) -> None:
    reserved: list[tuple[int, str]] = []
    while not control.stopping:
        request = pb.BatchExecuteRequest()
        calls = [next(numbers) for _ in range(order.batch // 2)]
        for number in calls:
            _put(request.operations.add(), _reserve(order, number))
        for number, reservation_id in reserved:
            _put(request.operations.add(), _commit(number, reservation_id))
        started = time.perf_counter()
        response = await stub.BatchExecute(request)
        control.note(time.perf_counter() - started, operations=len(request.operations))
        replies = [_reply(result) for result in response.results]
        reserved = [(n, reply.reservation.reservation_id) for n, reply in zip(calls, replies, strict=False)]


def _put(operation: Any, request: Any) -> None:
    """Set the member of the oneof that has the request's type, whatever it is called."""
    for field in operation.DESCRIPTOR.fields:
        if field.message_type is request.DESCRIPTOR:
            getattr(operation, field.name).CopyFrom(request)
            return
    raise TypeError(f"BatchExecute takes no {request.DESCRIPTOR.name}")


def _reply(result: Any) -> Any:
    """The reply in a result; raises when it is an error."""
    (field, value), *_ = result.ListFields()
    if field.message_type.full_name == "google.rpc.Status":
        raise RuntimeError(f"an operation was denied: {value.message}")
    return value


def _reserve(order: Order, number: int) -> pb.ReserveRequest:
    return pb.ReserveRequest(
        account_id=f"acc-{random.randrange(order.accounts):04d}",
        idempotency_key=f"call-{number:08d}",
        call_id=f"call-{number:08d}",
        amount=_HOLD,
    )


def _commit(number: int, reservation_id: str) -> pb.CommitRequest:
    return pb.CommitRequest(reservation_id=reservation_id, idempotency_key=f"call-{number:08d}", amount=_ACTUAL)
