"""What happens around every call: draining, deadline, parsing, error translation, one log line."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final, NoReturn, cast

import structlog
from google.protobuf.message import DecodeError, Message
from grpc import (
    HandlerCallDetails,
    RpcMethodHandler,
    StatusCode,
    unary_stream_rpc_method_handler,
    unary_unary_rpc_method_handler,
)
from grpc.aio import ServerInterceptor, ServicerContext

from imprest_server.core.errors import DeadlineTooShort, Draining, InvalidArgument
from imprest_server.transport.errors import DETAILS_KEY, Failure, failure_of
from imprest_server.transport.submit import DEADLINE

#: With less time than this left a caller would be gone before an answer; the work is not started.
MIN_REMAINING_S: Final = 0.005
#: How long streams may take to end when they were told to. One whose reader does not read is cut.
_STREAMS_END_S: Final = 2.0
#: Methods of other packages (health, reflection) answer by themselves, also while draining.
_OURS: Final = "/imprest."

Context = ServicerContext[bytes, Message]
Behavior = Callable[[Message, Context], Awaitable[Message]]
StreamBehavior = Callable[[Message, Context], AsyncGenerator[Message]]

log = structlog.get_logger(__name__)


class CallGuard(ServerInterceptor):
    """Stands around every method of Imprest. After `drain` new calls are refused, running ones finish."""

    def __init__(self) -> None:
        self._draining = False
        self._calls = _Running()
        self._streams = _Running()
        self._guarded: dict[str, RpcMethodHandler[Any, Any]] = {}

    async def drain(self, timeout_s: float) -> None:
        """Refuse calls from now on; return when the last one is answered, at the latest after `timeout_s`.

        Streams have no last answer: whoever feeds them has ended them, and they only get the time to say so.
        """
        self._draining = True
        await asyncio.gather(self._calls.ended(timeout_s), self._streams.ended(min(timeout_s, _STREAMS_END_S)))

    async def intercept_service(
        self,
        continuation: Callable[[HandlerCallDetails], Awaitable[RpcMethodHandler[Any, Any] | None]],
        handler_call_details: HandlerCallDetails,
    ) -> RpcMethodHandler[Any, Any] | None:
        """Wrap each method's handler once, on its first call."""
        method = handler_call_details.method
        known = self._guarded.get(method)
        if known is not None:
            return known
        handler = await continuation(handler_call_details)
        if handler is None or not method.startswith(_OURS):
            return handler
        guard = self._guard if handler.unary_unary is not None else self._guard_stream
        self._guarded[method] = guard(method, handler)
        return self._guarded[method]

    def _guard(self, method: str, handler: RpcMethodHandler[Any, Any]) -> RpcMethodHandler[Any, Any]:
        behavior = cast(Behavior, handler.unary_unary)
        parse = cast(Callable[[bytes], Message], handler.request_deserializer)

        async def guarded(request: bytes, context: Context) -> Message:
            started = time.perf_counter()
            with self._calls:
                try:
                    self._admit(context)
                    response = await behavior(_parsed(parse, request), context)
                except Exception as error:  # noqa: BLE001  # every error becomes a status, here and nowhere else
                    await _abort(context, method, started, error)
            log.debug("call", method=method, code="OK", ms=_ms(started))
            return response

        # Requests arrive as bytes: gRPC would answer one that it cannot parse with a bare INTERNAL.
        return unary_unary_rpc_method_handler(guarded, None, handler.response_serializer)

    def _guard_stream(self, method: str, handler: RpcMethodHandler[Any, Any]) -> RpcMethodHandler[Any, Any]:
        assert handler.unary_stream is not None, "no method takes a stream"
        behavior = cast(StreamBehavior, handler.unary_stream)
        parse = cast(Callable[[bytes], Message], handler.request_deserializer)

        async def guarded(request: bytes, context: Context) -> None:
            started = time.perf_counter()
            with self._streams:
                try:
                    self._admit(context)
                    async with contextlib.aclosing(behavior(_parsed(parse, request), context)) as messages:
                        async for message in messages:
                            await context.write(message)
                except Exception as error:  # noqa: BLE001  # as above
                    await _abort(context, method, started, error)

        return unary_stream_rpc_method_handler(guarded, None, handler.response_serializer)

    def _admit(self, context: Context) -> None:
        if self._draining:
            raise Draining()
        remaining_s = cast("float | None", context.time_remaining())
        if remaining_s is not None and remaining_s < MIN_REMAINING_S:
            raise DeadlineTooShort()
        DEADLINE.set(None if remaining_s is None else time.monotonic() + remaining_s)


class _Running:
    """Counts what is running, as a context, and tells when nothing is."""

    def __init__(self) -> None:
        self._count = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def __enter__(self) -> None:
        self._count += 1
        self._idle.clear()

    def __exit__(self, *_: object) -> None:
        self._count -= 1
        if not self._count:
            self._idle.set()

    async def ended(self, timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), timeout_s)


async def _abort(context: Context, method: str, started: float, error: Exception) -> NoReturn:
    failure = failure_of(error, method)
    _log(method, started, failure)
    await context.abort(failure.code, failure.message, ((DETAILS_KEY, failure.details),))
    raise AssertionError("abort raises")


def _parsed(parse: Callable[[bytes], Message], request: bytes) -> Message:
    try:
        return parse(request)
    except DecodeError:
        raise InvalidArgument(field="request", problem="is not a valid message of its type") from None


def _log(method: str, started: float, failure: Failure) -> None:
    """A denial is everyday business; what a caller or an operator has to mend is told."""
    write = log.debug if failure.code is StatusCode.FAILED_PRECONDITION else log.info
    write("call failed", method=method, code=failure.code.name, reason=failure.reason, ms=_ms(started))


def _ms(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)
