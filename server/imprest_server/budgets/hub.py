"""The alerts of tenants, live, to many subscribers of one process.

One reader per tenant follows the stream of stored alerts and hands what is new to everybody who listens. It looks at
once when this process has committed an alert (`wake`), and otherwise often enough for those of other processes. A
subscriber reads what it has missed from the table itself, page by page; as soon as it stands where the reader stands,
it joins. Sequences have no gaps, and their order is that of commits: so nothing can be missed or come twice, whatever
restarts in between.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog

from imprest_server.budgets.model import AlertKind, AlertLevel, StoredAlert
from imprest_server.budgets.queries import Head
from imprest_server.core.errors import (
    Draining,
    ImprestError,
    InvalidArgument,
    ResumeTokenTooOld,
    SlowReader,
    Unavailable,
)
from imprest_server.core.ids import AccountId, TenantId
from imprest_server.core.paging import decode_token, encode_token

#: How often a reader looks when nobody wakes it: the longest delay of alerts that other processes write.
POLL_S = 0.5
#: Alerts that may wait for a slow subscriber.
BUFFER = 1_000
PAGE = 500

log = structlog.get_logger(__name__)


class Alerts(Protocol):
    """Where the stored streams are read; see `queries.BudgetQueries`."""

    async def head(self, tenant_id: TenantId) -> Head:
        """Where the tenant's stream stands."""
        ...

    async def sequence_before(self, tenant_id: TenantId, start_time: datetime) -> int | None:
        """The sequence after which the alerts from an instant on begin."""
        ...

    async def alerts_after(self, tenant_id: TenantId, sequence: int, limit: int) -> Sequence[StoredAlert]:
        """The next alerts of the stream."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which alerts a subscriber gets; what is empty or None does not restrict."""

    account_id: AccountId | None = None
    min_level: AlertLevel = AlertLevel.INFO
    kinds: Collection[AlertKind] = ()

    def __contains__(self, stored: StoredAlert) -> bool:
        alert = stored.alert
        return (
            alert.level >= self.min_level
            and self.account_id in (None, alert.account_id)
            and (not self.kinds or alert.kind in self.kinds)
        )


@dataclass(frozen=True, slots=True)
class Event:
    """An alert; or, without one, that nothing has come up to `sequence`."""

    sequence: int
    stored: StoredAlert | None = None


def token_of(tenant_id: TenantId, sequence: int) -> str:
    """The opaque token of a place in a tenant's stream, the same for all filters."""
    return encode_token(("budget_alerts", tenant_id), str(sequence))


def sequence_of(tenant_id: TenantId, token: str) -> int | None:
    """The place that a token names; None for "". Raises InvalidArgument when it is none of this tenant's stream."""
    try:
        return decode_token(token, ("budget_alerts", tenant_id), int)
    except InvalidArgument:
        raise InvalidArgument(field="resume_token", problem="is not one of this stream") from None


class _Subscriber:
    """What waits for one listener that has joined. `seen` is how far the reader has offered it the stream."""

    __slots__ = ("buffer", "changed", "failed", "filter", "seen")

    def __init__(self, which: Filter, seen: int) -> None:
        self.filter = which
        self.seen = seen
        self.buffer: deque[StoredAlert] = deque()
        self.failed: ImprestError | None = None
        self.changed: asyncio.Future[None] | None = None

    def offer(self, alerts: Sequence[StoredAlert], limit: int) -> None:
        if self.failed is not None:
            return
        for stored in alerts:
            if stored.sequence > self.seen:
                if stored in self.filter:
                    if len(self.buffer) >= limit:
                        self.fail(SlowReader(resume_token=""))
                        return
                    self.buffer.append(stored)
                self.seen = stored.sequence
        self._wake()

    def fail(self, error: ImprestError) -> None:
        self.failed = error
        self._wake()

    def _wake(self) -> None:
        if self.changed is not None and not self.changed.done() and (self.buffer or self.failed):
            self.changed.set_result(None)

    async def wait(self, timeout_s: float) -> None:
        """Return when there is something, or when the time is over."""
        self.changed = asyncio.get_running_loop().create_future()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.changed, timeout_s)
        self.changed = None


class _Reader:
    """Follows one tenant's stream for as long as anybody listens. `last` is the newest alert it has handed on."""

    def __init__(self, alerts: Alerts, tenant_id: TenantId, last: int, poll_s: float, buffer: int) -> None:
        self.last = last
        self.subscribers: set[_Subscriber] = set()
        self.woken = asyncio.Event()
        self.failing = False
        self._alerts = alerts
        self._tenant_id = tenant_id
        self._poll_s = poll_s
        self._buffer = buffer

    async def run(self) -> None:
        """Read and hand on, until cancelled; without a database it waits for one."""
        task = asyncio.current_task()
        while True:
            try:
                more = await self._read()
            except Exception as error:  # whatever it is, the next round may succeed
                if not self.failing:
                    log.error("alerts cannot be read", error=str(error), exc_info=not isinstance(error, ImprestError))
                self.failing, more = True, False
            else:
                if self.failing:
                    log.warning("alerts can be read again")
                self.failing = False
            if task is not None and task.cancelling():
                raise asyncio.CancelledError  # `wait_for` may have lost it
            if not more:
                await _set_within(self.woken, self._poll_s)
            self.woken.clear()

    async def _read(self) -> bool:
        """Hand on the next page; whether there may be another."""
        alerts = await self._alerts.alerts_after(self._tenant_id, self.last, PAGE)
        if not alerts:
            return False
        if alerts[0].sequence != self.last + 1:
            # So long without a database that alerts were pruned unseen.
            for subscriber in self.subscribers:
                subscriber.fail(ResumeTokenTooOld(oldest_token=token_of(self._tenant_id, alerts[0].sequence - 1)))
        for subscriber in self.subscribers:
            subscriber.offer(alerts, self._buffer)
        self.last = alerts[-1].sequence
        return len(alerts) == PAGE


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)


class AlertHub:
    """The subscriptions of this process. `drain` ends them all, and those that come later."""

    def __init__(self, alerts: Alerts, *, poll_s: float = POLL_S, buffer: int = BUFFER) -> None:
        self._alerts = alerts
        self._poll_s = poll_s
        self._buffer = buffer
        self._readers: dict[TenantId, tuple[_Reader, asyncio.Task[None]]] = {}
        self._listening = 0
        self._draining = False

    def wake(self, tenant_id: TenantId) -> None:
        """Tell that this process has committed alerts of the tenant."""
        if tenant_id in self._readers:
            self._readers[tenant_id][0].woken.set()

    def drain(self) -> None:
        """End every subscription with Draining, and refuse new ones."""
        self._draining = True
        for reader, _ in self._readers.values():
            for subscriber in reader.subscribers:
                subscriber.fail(Draining())

    async def subscribe(
        self,
        tenant_id: TenantId,
        which: Filter,
        *,
        resume_token: str = "",
        start_time: datetime | None = None,
        idle_s: float,
    ) -> AsyncGenerator[Event]:
        """The tenant's alerts after a token, from an instant on, or from now on; in order, each once, without end.

        An event without an alert comes as soon as all that is stored has been read, and whenever there was no other
        for `idle_s`. Close it when it is not read to its end. Raises InvalidArgument for a token
        that is none, ResumeTokenTooOld when alerts after it were pruned, SlowReader when too many wait to be taken,
        Draining, and Unavailable without a database.
        """
        place = await self._start(tenant_id, resume_token, start_time)
        while True:
            self._refuse_when_draining()
            reader = self._readers.get(tenant_id)
            if reader is not None and place >= reader[0].last:
                break  # nothing is awaited between this look and joining
            alerts = await self._alerts.alerts_after(tenant_id, place, PAGE)
            if alerts and alerts[0].sequence != place + 1:
                raise ResumeTokenTooOld(oldest_token=token_of(tenant_id, alerts[0].sequence - 1))
            for stored in alerts:
                if stored in which:
                    yield Event(stored.sequence, stored)
            if alerts:
                place = alerts[-1].sequence
                if alerts[-1] not in which:
                    yield Event(place)  # a long way without a match is a way, too
            if len(alerts) < PAGE and tenant_id not in self._readers:
                self._follow(tenant_id, place)
        async with contextlib.aclosing(self._listen(tenant_id, _Subscriber(which, place), idle_s)) as events:
            async for event in events:
                yield event

    async def _start(self, tenant_id: TenantId, resume_token: str, start_time: datetime | None) -> int:
        """The sequence after which to begin."""
        self._refuse_when_draining()
        place = sequence_of(tenant_id, resume_token)
        head = await self._alerts.head(tenant_id)
        if place is not None:
            if place > head.last:
                raise InvalidArgument(field="resume_token", problem="is ahead of the stream")
            if place < head.pruned:
                raise ResumeTokenTooOld(oldest_token=token_of(tenant_id, head.pruned))
            return place
        if start_time is not None:
            before = await self._alerts.sequence_before(tenant_id, start_time)
            return head.last if before is None else before
        return head.last

    def _follow(self, tenant_id: TenantId, place: int) -> None:
        reader = _Reader(self._alerts, tenant_id, place, self._poll_s, self._buffer)
        self._readers[tenant_id] = (reader, asyncio.create_task(reader.run(), name=f"alerts-{tenant_id}"))

    async def _listen(self, tenant_id: TenantId, subscriber: _Subscriber, idle_s: float) -> AsyncGenerator[Event]:
        """What the reader hands on, from the subscriber's place on."""
        reader, task = self._readers[tenant_id]
        reader.subscribers.add(subscriber)
        place = subscriber.seen
        try:
            yield Event(place)
            while True:
                if subscriber.failed is not None:
                    raise self._ending(subscriber.failed, tenant_id, place)
                if subscriber.buffer:
                    stored = subscriber.buffer.popleft()
                    place = stored.sequence
                    yield Event(place, stored)
                    continue
                await subscriber.wait(idle_s)
                if not subscriber.buffer and subscriber.failed is None:
                    if reader.failing:
                        raise Unavailable(problem="The alerts cannot be read.")  # others may have written some
                    place = subscriber.seen
                    yield Event(place)
        finally:
            reader.subscribers.discard(subscriber)
            if not reader.subscribers:
                self._readers.pop(tenant_id, None)
                task.cancel()

    def _ending(self, error: ImprestError, tenant_id: TenantId, place: int) -> ImprestError:
        if isinstance(error, SlowReader):
            return SlowReader(resume_token=token_of(tenant_id, place))
        return error

    def _refuse_when_draining(self) -> None:
        if self._draining:
            raise Draining()
