"""Many requests in one BatchExecute, each decided by itself."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar

from google.protobuf.message import Message

from imprest.v1 import ledger_service_pb2 as pb
from imprest_client import wire
from imprest_client.connection import Connection
from imprest_client.errors import ImprestError, Retryable, details_in, error_of

_FIELDS: Final = {
    field.message_type.full_name: field.name
    for field in pb.BatchOperation.DESCRIPTOR.fields
    if field.message_type is not None
}
"""The field of a batch for each kind of request that may be in one."""


#: How many requests are sent at once. The server takes 1000; it works so many off in one piece.
SIZE: Final = 250
#: How many bytes of them, about. The server takes 8 MiB.
_SIZE_BYTES: Final = 4 * 1024 * 1024

T = TypeVar("T")


def pieces(items: Iterable[T], request_of: Callable[[T], Message]) -> Iterator[list[T]]:
    """The items in lists whose requests can be sent at once."""
    piece, room = list[T](), _SIZE_BYTES
    for item in items:
        size = request_of(item).ByteSize()
        if piece and (len(piece) == SIZE or size > room):
            yield piece
            piece, room = [], _SIZE_BYTES
        piece.append(item)
        room -= size
    if piece:
        yield piece


def is_batchable(request: Message) -> bool:
    """Whether the request can be part of a batch."""
    return request.DESCRIPTOR.full_name in _FIELDS


async def execute(
    connection: Connection, requests: Sequence[Message], *, timeout_s: float | None = None
) -> list[Message | ImprestError]:
    """Send up to 1000 requests at once until each is decided; return the reply or the error of each, in their order.

    What is left undecided (`Retryable`) is sent again, with the same bytes, for as long as `timeout_s` allows. When the
    batch itself fails its error is that of all that are undecided.
    """
    deadline = time.monotonic() + (connection.timeout_s if timeout_s is None else timeout_s)
    found: dict[int, Message | ImprestError] = {}
    open_ones = list(range(len(requests)))
    for attempt in itertools.count(1):
        batch = pb.BatchExecuteRequest(operations=[_operation(requests[number]) for number in open_ones])
        try:
            reply = await connection.call(wire.BATCH_EXECUTE, batch, timeout_s=max(0.0, deadline - time.monotonic()))
        except ImprestError as error:
            for number in open_ones:
                found[number] = error_of(error.details, _key(requests[number]))
            break
        for number, result in zip(open_ones, reply.results, strict=True):
            found[number] = _outcome(result, requests[number])
        again = {number: one for number in open_ones if isinstance(one := found[number], Retryable)}
        open_ones = list(again)
        if not again:
            break
        wait_s = max(connection.retry.pause_s(attempt, one, random.random()) for one in again.values())
        if wait_s >= deadline - time.monotonic():
            break
        await asyncio.sleep(wait_s)
    return [found[number] for number in range(len(requests))]


def _operation(request: Message) -> pb.BatchOperation:
    # Any: the field is of the request's type.
    fields: dict[str, Any] = {_FIELDS[request.DESCRIPTOR.full_name]: request}
    return pb.BatchOperation(**fields)


def _outcome(result: pb.BatchResult, request: Message) -> Message | ImprestError:
    kind = result.WhichOneof("result")
    if kind is None or kind == "error":
        return error_of(details_in(result.error), _key(request))
    reply: Message = getattr(result, kind)
    return reply


def _key(request: Message) -> str | None:
    key: str | None = getattr(request, "idempotency_key", None)
    return key
