"""The fake's stream of alerts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any, Final

from imprest.v1 import budget_service_pb2 as pb
from imprest_client.testing.budgets import BudgetDesk, check_filters
from imprest_client.testing.ledger.model import Denied

_DEFAULT_IDLE: Final = timedelta(seconds=15)
_MIN_IDLE: Final = timedelta(seconds=1)
_MAX_IDLE: Final = timedelta(minutes=5)
_TOKEN: Final = "fake-"


class AlertFeed:
    """Brings alerts to whoever reads the stream, in their order."""

    def __init__(self, desk: BudgetDesk, catch_up: Callable[[], int]) -> None:
        """Tell what is on the desk; `catch_up` makes what is due happen, or raises Denied."""
        self._desk = desk
        self._catch_up = catch_up
        self._loop: asyncio.AbstractEventLoop | None = None
        self._readers: set[asyncio.Event] = set()

    def wake(self) -> None:
        """Have readers look what there is; from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake_all)

    def _wake_all(self) -> None:
        for news in self._readers:
            news.set()

    async def messages(self, request: pb.BudgetAlertsRequest) -> AsyncIterator[pb.BudgetAlertsResponse]:
        """The messages of one stream, without end. Raises Denied."""
        self._loop = asyncio.get_running_loop()
        idle = request.checkpoint_interval.ToTimedelta() if request.HasField("checkpoint_interval") else _DEFAULT_IDLE
        if not _MIN_IDLE <= idle <= _MAX_IDLE:
            problem = "must be from 1 second to 5 minutes"
            raise Denied("INVALID_ARGUMENT", field="checkpoint_interval", problem=problem)
        check_filters(request)
        self._catch_up()
        place = self._start(request)
        is_quiet = True  # all that there was has been read, which is told once, or nothing has come for long
        news = asyncio.Event()
        self._readers.add(news)
        try:
            while True:
                news.clear()
                self._catch_up()
                newest = self._desk.last_sequence  # more may come while these are sent
                for sequence, alert in self._desk.alerts_after(place, request):
                    place = sequence
                    yield pb.BudgetAlertsResponse(
                        alert=self._desk.alert(sequence, alert), resume_token=f"{_TOKEN}{sequence}"
                    )
                if is_quiet:
                    place = newest
                    yield pb.BudgetAlertsResponse(
                        checkpoint=pb.AlertCheckpoint(sequence=place), resume_token=f"{_TOKEN}{place}"
                    )
                is_quiet = not await _set_within(news, idle)
        finally:
            self._readers.discard(news)

    def _start(self, request: Any) -> int:
        """The sequence after which a stream begins."""
        match request.WhichOneof("start"):
            case "resume_token":
                number = request.resume_token.removeprefix(_TOKEN)
                if not (number.isdecimal() and number.isascii() and int(number) <= self._desk.last_sequence):
                    raise Denied("INVALID_ARGUMENT", field="resume_token", problem="is not one of this stream")
                return int(number)
            case "start_time":
                return self._desk.sequence_before(request.start_time.ToMicroseconds())
            case _:
                return self._desk.last_sequence


async def _set_within(news: asyncio.Event, idle: timedelta) -> bool:
    try:
        async with asyncio.timeout(idle.total_seconds()):
            await news.wait()
    except TimeoutError:
        return False
    return True
