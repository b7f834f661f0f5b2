"""A TCP proxy on loopback in front of a Postgres, that breaks connections at points of one's choice.

It listens on TCP, as a remote database would, and speaks to the cluster's Unix socket. A fault is armed and strikes
the first connection that gets to its point.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from enum import Enum, auto

from imprest_server.db.data_dir import APP_ROLE
from tests.conftest import Database
from tests.crash.pgwire import Conversation, Splitter, verb

_CHUNK = 64 * 1024
#: How many answers of a load have passed when it is cut: the locks are taken then.
_LOADED = 4
#: Parse, Bind and Describe come before the Execute of their statement.
_PREPARES = (b"P", b"B", b"D")
_WRITES = frozenset(["INSERT", "UPDATE", "WITH", "DELETE"])


class Point(Enum):
    """Where in a batch's transaction. The comment says what the engine knows, and what is true."""

    BEFORE_BEGIN = auto()  # sent, nothing happened
    LOADING = auto()  # part of the load came back; locks were held
    BEFORE_WRITE = auto()  # loaded and decided, nothing written
    COMMIT_UNSENT = auto()  # sent everything; all but COMMIT arrived: rolled back
    COMMIT_RACED = auto()  # sent everything, all arrived, nobody listens to the answer
    COMMIT_UNANSWERED = auto()  # sent everything; it is committed and the answer swallowed
    COMMIT_HALF_ANSWERED = auto()  # as before, with the first bytes of the answer
    COMMIT_ANSWERED = auto()  # committed and answered, then cut: the next batch notices


#: The points at which the transaction has been committed when the connection breaks.
COMMITTED = frozenset([Point.COMMIT_UNANSWERED, Point.COMMIT_HALF_ANSWERED, Point.COMMIT_ANSWERED])


class How(Enum):
    """What happens there."""

    CLOSE = auto()  # an orderly end of the connection, on both sides
    RESET = auto()  # a reset towards the client
    PARTITION = auto()  # a reset towards the client, while the server sees the connection stay open
    FREEZE = auto()  # nothing moves on this connection any more until `thaw`


@dataclass(frozen=True)
class Fault:
    """What breaks where, and how many times."""

    point: Point
    how: How = How.CLOSE
    times: int = 1


class _BrokenError(Exception):
    """This connection has met its fault."""


class Proxy:
    """Use it with `proxied`. `struck` counts faults that happened."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._fault: Fault | None = None
        self._frozen: list[asyncio.Event] = []
        self._connections: set[asyncio.Task[None]] = set()
        self._half_open: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None
        self._strike = asyncio.Condition()
        self.port = 0
        self.struck = 0
        self.refuses = False

    def dsn(self, database: Database) -> str:
        """How the server's role connects to the database through here."""
        return f"postgresql://{APP_ROLE}@127.0.0.1:{self.port}/{database.name}?sslmode=disable&gssencmode=disable"

    def arm(self, point: Point, how: How = How.CLOSE, *, times: int = 1) -> None:
        """Strike the next `times` connections that get to that point."""
        self._fault = Fault(point, how, times)

    def disarm(self) -> None:
        """No more faults."""
        self._fault = None

    def freeze(self, moving: asyncio.Event) -> None:
        """Stop a connection, which waits for the event, until `thaw`."""
        moving.clear()
        self._frozen.append(moving)

    def thaw(self) -> None:
        """Let everything through that has waited."""
        for moving in self._frozen:
            moving.set()
        self._frozen.clear()

    def cut_all(self) -> None:
        """Reset every connection, wherever it is."""
        for connection in self._connections:
            connection.cancel()

    def heal_partition(self) -> None:
        """Let the server see that the connections it thought open are gone."""
        for writer in self._half_open:
            writer.close()
        self._half_open.clear()

    async def until_struck(self, count: int) -> None:
        """Wait for faults to happen, so many in all."""
        async with self._strike:
            await self._strike.wait_for(lambda: self.struck >= count)

    async def start(self) -> None:
        """Listen on a free port of loopback."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """End all connections."""
        assert self._server is not None
        self._server.close()
        self.thaw()
        self.cut_all()
        self.heal_partition()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        how = How.RESET
        try:
            if not self.refuses:
                server = await asyncio.open_unix_connection(self._upstream)
                how = await self._relay((reader, writer), server)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            _end(writer, reset=how in (How.RESET, How.PARTITION))

    async def _relay(
        self,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> How:
        """Pass messages on until one side has enough or a fault strikes; tells how the client is to be left."""
        relay = _Relay(self, client, server)
        pumps = [asyncio.create_task(relay.requests()), asyncio.create_task(relay.replies())]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            if relay.how is How.PARTITION:
                self._half_open.append(server[1])
            else:
                server[1].close()
        return relay.how

    async def strikes(self, point: Point) -> How | None:
        """What to do at this point, if anything; counts it as done."""
        fault = self._fault
        if fault is None or fault.point is not point:
            return None
        self._fault = replace(fault, times=fault.times - 1) if fault.times > 1 else None
        async with self._strike:
            self.struck += 1
            self._strike.notify_all()
        return fault.how


class _Relay:
    """One session: where it is in its transaction, and what is on its way."""

    def __init__(
        self,
        proxy: Proxy,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._proxy = proxy
        self._client, self._server = client, server
        self._conversation = Conversation()
        self._writing = self._committing = self._committed = False
        self._answers = 0
        self._moving = asyncio.Event()
        self._moving.set()
        self.how = How.CLOSE

    async def requests(self) -> None:
        """Client to server."""
        splitter, out = Splitter(startup=True), self._server[1]
        statement = b""
        with contextlib.suppress(OSError, _BrokenError):
            while data := await self._client[0].read(_CHUNK):
                await self._moving.wait()
                for message in splitter.feed(data):
                    statement += message
                    await self._before_request(message)
                    if message[:1] in _PREPARES:
                        continue  # a statement passes as a whole or not at all
                    if out.is_closing():
                        return
                    out.write(statement)
                    statement = b""
                    if self._committing and message[:1] == b"S":
                        self._committing = False
                        await self._at(Point.COMMIT_RACED)
                await out.drain()

    async def _before_request(self, message: bytes) -> None:
        match verb(self._conversation.sent(message)):
            case "BEGIN":
                self._writing, self._answers = False, 0
                await self._at(Point.BEFORE_BEGIN)
            case "COMMIT":
                self._committing = True
                await self._at(Point.COMMIT_UNSENT)
            case word if word in _WRITES and not self._writing:
                self._writing = True
                await self._at(Point.BEFORE_WRITE)

    async def replies(self) -> None:
        """Server to client."""
        splitter, out = Splitter(startup=False), self._client[1]
        with contextlib.suppress(OSError, _BrokenError):
            while data := await self._server[0].read(_CHUNK):
                await self._moving.wait()
                for message in splitter.feed(data):
                    if out.is_closing():
                        return
                    done = verb(self._conversation.answered(message))
                    self._answers += bool(done)
                    if done == "COMMIT" and message[5:].startswith(b"COMMIT"):
                        self._committed = True
                        await self._at(Point.COMMIT_UNANSWERED)
                        await self._at(Point.COMMIT_HALF_ANSWERED, message[:3])
                    out.write(message)
                    if self._answers == _LOADED and not self._writing:
                        await self._at(Point.LOADING)
                    if self._committed and message[:1] == b"Z":
                        self._committed = False
                        await self._at(Point.COMMIT_ANSWERED)
                await out.drain()

    async def _at(self, point: Point, last_words: bytes = b"") -> None:
        """Break here if it is time to."""
        how = await self._proxy.strikes(point)
        if how is None:
            return
        if how is How.FREEZE:
            self._proxy.freeze(self._moving)
            await self._moving.wait()
            return
        self.how = how
        self._client[1].write(last_words)
        with contextlib.suppress(OSError):
            await self._client[1].drain()
            await self._server[1].drain()
        raise _BrokenError


def _end(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    """Close, orderly or with a reset."""
    if reset:
        with contextlib.suppress(OSError, AttributeError):
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    else:
        writer.close()


@asynccontextmanager
async def proxied(upstream: str) -> AsyncIterator[Proxy]:
    """A running proxy in front of the Unix socket `upstream`."""
    proxy = Proxy(upstream)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
