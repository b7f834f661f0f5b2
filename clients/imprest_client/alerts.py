"""The tenant's alerts as they happen: an iterator that outlives connections, servers and databases."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final, Self

import grpc

from imprest.v1 import budget_service_pb2 as pb
from imprest_client import budget_wire as wire
from imprest_client.budget_model import Alert, AlertKind, AlertLevel
from imprest_client.connection import Connection, Stream
from imprest_client.errors import (
    DeadlineExceeded,
    ImprestError,
    InternalError,
    Retryable,
    Unavailable,
    details_here,
)
from imprest_client.times import to_duration, to_time

log = logging.getLogger(__name__)

CHECKPOINTS: Final = timedelta(seconds=15)
#: A stream that says nothing for so many checkpoint intervals has no server any more.
SILENT_CHECKPOINTS: Final = 3


class AlertStream:
    """Alerts in their order, each once, without end: `async for alert in client.alerts(): ...`.

    Whatever ends a stream (a connection that breaks or falls silent, a server that stops, a reader that was too slow)
    the next one is begun where it ended, after growing random waits. `token` says where it stands: store it when an
    alert has been dealt with, and a later iterator with that `resume_token` goes on after it.

    Taking an alert may be cancelled (`asyncio.timeout`) and tried again: nothing is lost. For one task at a time.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        resume_token: str = "",
        start_time: datetime | None = None,
        account_id: str = "",
        min_level: AlertLevel | None = None,
        kinds: Collection[AlertKind] = (),
        checkpoint_interval: timedelta = CHECKPOINTS,
    ) -> None:
        """Prepare; nothing is sent yet. `BudgetClient.alerts` tells what the arguments mean."""
        if resume_token and start_time is not None:
            raise ValueError("a stream begins at a resume_token or at a start_time, not at both")
        self.token = resume_token
        """Where it stands: after the last alert that was taken. Empty until the server has said where it begins."""
        self._connection = connection
        self._closed_count = connection.closed_count
        self._request = pb.BudgetAlertsRequest(
            account_id=account_id,
            min_level=wire.to_level(min_level),
            kinds=wire.to_kinds(kinds),
            checkpoint_interval=to_duration(checkpoint_interval),
        )
        if start_time is not None:
            self._request.start_time.CopyFrom(to_time(start_time))
        self._silence_s = checkpoint_interval.total_seconds() * SILENT_CHECKPOINTS
        self._stream: Stream[pb.BudgetAlertsResponse] | None = None
        self._ahead: pb.BudgetAlertsResponse | None = None
        self._sequence = -1
        self._breaks = 0
        self._last_break: ImprestError | None = None
        self._closing = asyncio.Event()

    async def begin(self, timeout_s: float | None = None) -> None:
        """Return when the server has said where the stream begins: all that happens from now on will come.

        Raises:
            ImprestError: as `anext` does; and why there is no stream, when this time has passed.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while self._ahead is None and self._sequence < 0:
                    self._ahead = await self._receive()
        except TimeoutError:
            silence = details_here(grpc.StatusCode.DEADLINE_EXCEEDED, "no stream was begun in time")
            raise (self._last_break or DeadlineExceeded(silence)) from None

    def __aiter__(self) -> Self:
        """The stream itself."""
        return self

    async def __anext__(self) -> Alert:
        """The next alert; waits for it as long as it takes.

        Raises:
            ResumeTokenTooOld: alerts after the token are not kept any more; its `oldest_token` begins with the oldest.
            ImprestError: another one that trying again does not change (Unauthenticated, InvalidArgument, …), or the
                connection was closed.
            StopAsyncIteration: `close` was called.
        """
        while self._ahead is None:
            self._ahead = await self._receive()
        message, self._ahead = self._ahead, None
        self._sequence, self.token = message.alert.sequence, message.resume_token
        return wire.alert(message.alert)

    async def __aenter__(self) -> Self:
        """Nothing to do: the stream is begun when the first alert is asked for."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the stream."""
        await self.close()

    async def close(self) -> None:
        """End the stream; whoever waits for an alert gets no more."""
        self._closing.set()
        self._drop()

    # ── one stream after the other ───────────────────────────────────────────────────────────────────

    async def _receive(self) -> pb.BudgetAlertsResponse | None:
        """The next alert; None for what is none, or has been taken before."""
        while not self._closing.is_set():
            try:
                if self._stream is None:
                    self._stream = self._open()
                message = await self._stream.read(self._silence_s)
            except ImprestError as error:
                ending = error
            except BaseException:
                self._drop()  # what was on its way comes again with the next stream
                raise
            else:
                if message is not None:
                    return self._note(message)
                ending = Unavailable(details_here(grpc.StatusCode.UNAVAILABLE, "the server has ended the stream"))
            self._drop()
            if not self._closing.is_set():
                await self._pause(ending)
        raise StopAsyncIteration

    def _open(self) -> Stream[pb.BudgetAlertsResponse]:
        if self.token:
            self._request.resume_token = self.token
        return self._connection.open_stream(wire.BUDGET_ALERTS, self._request)

    def _note(self, message: pb.BudgetAlertsResponse) -> pb.BudgetAlertsResponse | None:
        if self._breaks:
            log.info("the stream of alerts goes on")
        self._breaks, self._last_break = 0, None
        if message.WhichOneof("event") == "alert":
            return message if message.alert.sequence > self._sequence else None
        self._sequence, self.token = max(self._sequence, message.checkpoint.sequence), message.resume_token
        return None

    async def _pause(self, ending: ImprestError) -> None:
        """Wait before the next stream, or raise the error when there must be none."""
        lasts = not isinstance(ending, _PASSING) and (ending.reason or ending.code is not grpc.StatusCode.UNKNOWN)
        if lasts or self._connection.closed_count != self._closed_count:
            raise ending
        if not self._breaks:
            log.warning("the stream of alerts broke off, and is begun again: %s", ending)
        self._breaks, self._last_break = self._breaks + 1, ending
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._connection.retry.pause_s(self._breaks, ending, random.random())):
                await self._closing.wait()

    def _drop(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


#: What ends a stream but not the next one.
_PASSING: Final = (Retryable, InternalError)
