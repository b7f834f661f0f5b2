"""The way to a server: channels, deadlines, retries, errors. Every client stands on one `Connection`."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Generic, Self, TypeVar

import grpc
from google.protobuf.message import Message

from imprest_client.errors import Cancelled, DeadlineExceeded, ImprestError, details_here, details_of, error_of
from imprest_client.retry import RetryPolicy

Reply = TypeVar("Reply", bound=Message, covariant=True)

_OPTIONS: Final = (
    # Without a pool of its own each channel would share one connection, and so one worker of the server.
    ("grpc.use_local_subchannel_pool", 1),
    # gRPC's own waits before reconnecting grow to two minutes; ours decide when to try again.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)
#: A connection on which nothing at all has come for so long is replaced when a request on it has run out of time; one
#: that answers others is slow, and not helped by that.
_SILENCE_S: Final = 1.0
_CLOSED: Final = details_here(grpc.StatusCode.CANCELLED, "the connection was closed")


@dataclass(frozen=True, slots=True)
class Method(Generic[Reply]):
    """An RPC: its path and the type of its reply."""

    path: str
    reply: type[Reply]


class Connection:
    """Calls a server over several real connections, with a deadline, and again when an answer is lost.

    The server's workers share one port, and the kernel spreads connections, not calls, over them: so several are kept
    and used in turn, each opened when it is first needed. A connection belongs to the event loop that first used it.
    """

    def __init__(
        self,
        target: str,
        *,
        connections: int = 4,
        credentials: grpc.ChannelCredentials | None = None,
        token: str | None = None,
        timeout_s: float = 30.0,
        attempt_timeout_s: float = 10.0,
        retry: RetryPolicy | None = None,
    ) -> None:
        """Prepare for a server; nothing is opened yet.

        Args:
            target: The server's address, `host:port`.
            connections: How many connections to keep; several for a server with several workers.
            credentials: For TLS. Default: none, plain text.
            token: Who is asking, sent as `authorization: Bearer …` with every request. Default: nobody says.
            timeout_s: How long a request may take with all its attempts.
            attempt_timeout_s: How long one attempt waits for its answer before the next is made.
            retry: The waits between attempts.
        """
        self.target = target
        self.timeout_s = timeout_s
        self.retry = retry or RetryPolicy()
        self.closed_count = 0
        """How often it was closed: whoever begins again by itself must not when this has changed."""
        self._attempt_timeout_s = attempt_timeout_s
        self._credentials = credentials
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._channels: list[grpc.aio.Channel | None] = [None] * connections
        self._heard_s = [0.0] * connections  # when each was opened or has answered last
        self._turn: Iterator[int] = itertools.cycle(range(connections))
        self._random = random.Random()
        self._retired: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Nothing to do: channels are opened when they are used."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close all connections."""
        await self.close()

    async def close(self) -> None:
        """Close all connections; calls that still run end with an error."""
        self.closed_count += 1
        channels, self._channels = self._channels, [None] * len(self._channels)
        for closing in self._retired:
            closing.cancel()
        closings = [*self._retired, *(channel.close() for channel in channels if channel is not None)]
        await asyncio.gather(*closings, return_exceptions=True)

    async def call(self, method: Method[Reply], request: Message, *, timeout_s: float | None = None) -> Reply:
        """Send a request until it is decided, and return the reply. See `call_bytes`."""
        key: str | None = getattr(request, "idempotency_key", None)
        raw = request.SerializeToString(deterministic=True)
        return method.reply.FromString(await self.call_bytes(method.path, raw, key=key, timeout_s=timeout_s))

    async def call_bytes(
        self, path: str, request: bytes, *, key: str | None = None, timeout_s: float | None = None
    ) -> bytes:
        """Send a serialized request until it is decided: every attempt sends the same bytes.

        Raises:
            ImprestError: the class for the reason. One that is `Retryable` means that `timeout_s` has passed, or that
                the connection was closed, and nobody knows whether the request took effect; sending it again with the
                same key finds out.
        """
        deadline = time.monotonic() + (self.timeout_s if timeout_s is None else timeout_s)
        last: ImprestError | None = None
        number = next(self._turn)
        for attempt in itertools.count(1):
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise last or _too_late(key)
            channel = self._channel(number)
            try:
                # Without serializers bytes go out, and come in, as they are.
                stub: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
                reply = await stub(request, timeout=min(left_s, self._attempt_timeout_s), metadata=self._metadata)
            except grpc.aio.AioRpcError as error:
                last = error_of(details_of(error), key)
            except asyncio.CancelledError:
                _raise_own_cancellation()
                raise Cancelled(_CLOSED, key) from None
            else:
                self._heard_s[number] = time.monotonic()
                return reply
            if isinstance(last, DeadlineExceeded) and not last.reason:
                if time.monotonic() - self._heard_s[number] >= min(self._attempt_timeout_s, _SILENCE_S):
                    self._retire(number, channel)
            else:
                if last.reason:
                    self._heard_s[number] = time.monotonic()
                number = next(self._turn)
            wait_s = self.retry.wait_s(attempt, last, self._random.random())
            if wait_s is None or wait_s >= deadline - time.monotonic():
                if attempt > 1:
                    last.add_note(f"after {attempt} attempts")
                raise last
            await asyncio.sleep(wait_s)
        raise AssertionError("attempts are counted without end")

    def open_stream(self, method: Method[Reply], request: Message) -> Stream[Reply]:
        """Begin a stream of replies, without a deadline; it is made once, and not again when it breaks."""
        number = next(self._turn)
        channel = self._channel(number)
        stub: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(method.path)
        call = stub(request.SerializeToString(), metadata=self._metadata)
        return Stream(call, method.reply, lambda: self._retire(number, channel))

    def _channel(self, number: int) -> grpc.aio.Channel:
        channel = self._channels[number]
        if channel is None:
            if self._credentials is None:
                channel = grpc.aio.insecure_channel(self.target, _OPTIONS)
            else:
                channel = grpc.aio.secure_channel(self.target, self._credentials, _OPTIONS)
            self._channels[number] = channel
            self._heard_s[number] = time.monotonic()
        return channel

    def _retire(self, number: int, channel: grpc.aio.Channel) -> None:
        """Open a new connection in place of one that has not answered in time.

        Its peer may be gone without a word (a machine without power, a forgotten NAT entry), which TCP notices after
        many minutes only. Calls that others have on it may finish.
        """
        if self._channels[number] is channel:
            self._channels[number] = None
            closing = asyncio.create_task(channel.close(grace=self._attempt_timeout_s + 1))
            self._retired.add(closing)
            closing.add_done_callback(self._retired.discard)


class Stream(Generic[Reply]):
    """The replies of one call. Close it when it is not read to its end."""

    def __init__(self, call: grpc.aio.UnaryStreamCall[bytes, bytes], reply: type[Reply], retire: Callable[[], None]):
        self._call = call
        self._reply = reply
        self._retire = retire

    async def read(self, within_s: float) -> Reply | None:
        """The next reply; None: the server has ended the stream.

        When none comes within this time its connection is taken for dead, and replaced for whoever comes next.
        Cancelling this ends the call.

        Raises:
            ImprestError: the stream broke off, or was silent for too long (DeadlineExceeded).
        """
        try:
            async with asyncio.timeout(within_s):
                raw = await self._call.read()
        except TimeoutError:
            self._retire()
            code, message = grpc.StatusCode.DEADLINE_EXCEEDED, f"the stream was silent for {within_s:g} s"
            raise DeadlineExceeded(details_here(code, message)) from None
        except grpc.aio.AioRpcError as error:
            raise error_of(details_of(error)) from None
        except asyncio.CancelledError:
            _raise_own_cancellation()
            raise Cancelled(_CLOSED) from None
        return self._reply.FromString(raw) if isinstance(raw, bytes) else None

    def close(self) -> None:
        """End the call."""
        self._call.cancel()


def _raise_own_cancellation() -> None:
    """While a CancelledError is handled: raise it, unless nobody has cancelled this task and the channel was closed."""
    task = asyncio.current_task()
    if task is None or task.cancelling():
        raise  # noqa: PLE0704


def _too_late(key: str | None) -> ImprestError:
    """Nothing was sent."""
    return DeadlineExceeded(
        details_here(grpc.StatusCode.DEADLINE_EXCEEDED, "no time was left to send the request"), key
    )
