"""As much of Postgres's wire protocol (3.x) as it takes to see which statement is sent, and which is answered.

Messages of prepared statements do not repeat their text, so the text of each is remembered. Replies come in the order
of the requests; after an error the rest of a pipeline, up to its Sync, is skipped.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator

_SYNC = None


class Splitter:
    """Cuts a stream of bytes into messages, type and length included. The first of a client has no type."""

    def __init__(self, *, startup: bool) -> None:
        self._startup = startup
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The messages that are complete with these bytes."""
        self._rest += data
        while True:
            head = 0 if self._startup else 1
            if len(self._rest) < head + 4:
                return
            (length,) = struct.unpack_from("!I", self._rest, head)
            if len(self._rest) < head + length:
                return
            message = bytes(self._rest[: head + length])
            del self._rest[: head + length]
            self._startup = False
            yield message


class Conversation:
    """What a session runs, by its messages in both directions."""

    def __init__(self) -> None:
        self._statements: dict[bytes, str] = {}
        self._portals: dict[bytes, str] = {}
        self._running: deque[str | None] = deque()

    def sent(self, message: bytes) -> str | None:
        """Follow a client's message; the text of the statement that it executes, if it does."""
        body = message[5:]
        match message[:1]:
            case b"P":
                name, text, _ = body.split(b"\0", 2)
                self._statements[name] = text.decode()
            case b"B":
                portal, name, _ = body.split(b"\0", 2)
                self._portals[portal] = self._statements[name]
            case b"E":
                statement = self._portals[body.split(b"\0", 1)[0]]
                self._running.append(statement)
                return statement
            case b"Q":
                statement = body.rstrip(b"\0").decode()
                self._running += (statement, _SYNC)
                return statement
            case b"S":
                self._running.append(_SYNC)
        return None

    def answered(self, message: bytes) -> str | None:
        """Follow a server's message; the text of the statement that it reports as done, if it does."""
        match message[:1]:
            case b"C" | b"I" if self._running:
                return self._running.popleft()
            case b"E":
                while self._running and self._running[0] is not _SYNC:
                    self._running.popleft()
            case b"Z" if self._running and self._running[0] is _SYNC:
                self._running.popleft()
        return None


def verb(statement: str | None) -> str:
    """The first word of a statement: `BEGIN`, `SELECT`, `INSERT`."""
    words = (statement or "").split(None, 1)
    return words[0].rstrip(";").upper() if words else ""
