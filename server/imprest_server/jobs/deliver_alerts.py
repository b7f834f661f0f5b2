"""Delivers alerts: makes a delivery for each new alert and channel, and tries those that are due.

Every worker process does this; they meet in the database. A delivery is made while its channel's row is locked, so
there is one, and is claimed with a lease, so one worker tries it. A worker that dies in the middle of a try leaves a
lease that ends; then another tries again, and a receiver may see the alert twice. Deliveries of one channel are tried
side by side: they may arrive in another order than their alerts were raised in.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta

import structlog

from imprest_server.budgets.channels import store
from imprest_server.budgets.channels.model import (
    Attempt,
    Channel,
    ChannelId,
    ChannelKey,
    Claim,
    DeliveryState,
    wait_before,
)
from imprest_server.budgets.channels.send import TIMEOUT_S
from imprest_server.budgets.model import StoredAlert
from imprest_server.budgets.store import Connection
from imprest_server.core.ids import TenantId, format_alert_id
from imprest_server.jobs.ending import end

#: How long a claimed delivery is left to its worker: well above the longest try and the time to write its end.
LEASE = timedelta(seconds=6 * TIMEOUT_S)
#: Tries that one worker has under way at a time: of all channels, and of one, so that a slow one leaves room.
#: (store.sql claim names the first number, too.)
MOST_TRIES = 64
MOST_TRIES_PER_CHANNEL = 4
#: How many alerts one channel's cursor moves over in a transaction.
BATCH = 500
#: What running tries are left when the server stops; the lease takes care of those that are cut.
GRACE_S = 2.0
#: How long a round waits for room to begin the next tries.
_ROUND_S = 0.5

Transaction = Callable[[TenantId], AbstractAsyncContextManager[Connection]]
Send = Callable[[Channel, StoredAlert], Awaitable[Attempt]]

log = structlog.get_logger(__name__)


class DeliverAlerts:
    """One worker's part. Tries go on between the rounds of `run_once`, within the block of `tries_end`."""

    def __init__(self, transaction: Transaction, send: Send, tenant_ids: Sequence[TenantId]) -> None:
        self._transaction = transaction
        self._send = send
        self._tenant_ids = tenant_ids
        self._tries: dict[asyncio.Task[None], ChannelKey] = {}

    async def run_once(self) -> bool:
        """Make deliveries, begin to try those that are due, and tell whether there may be more to do at once."""
        more = False
        for tenant_id in self._tenant_ids:
            more |= await self._make(tenant_id)
            more |= await self._begin(tenant_id)
        if more and self._tries:
            await asyncio.wait(self._tries, timeout=_ROUND_S, return_when=asyncio.FIRST_COMPLETED)
        return more

    @asynccontextmanager
    async def tries_end(self) -> AsyncIterator[None]:
        """At the end of the block wait a moment for running tries, and cut the others."""
        try:
            yield
        finally:
            if self._tries:
                await asyncio.wait(self._tries, timeout=GRACE_S)
            await end(self._tries)

    async def idle(self) -> None:
        """Wait until no try is running."""
        while self._tries:
            await asyncio.wait(self._tries)

    async def _make(self, tenant_id: TenantId) -> bool:
        more = False
        async with self._transaction(tenant_id) as conn:
            behind = await store.channels_behind(conn, tenant_id)
        for channel_id in behind:
            async with self._transaction(tenant_id) as conn:
                more |= await store.make_deliveries(conn, (tenant_id, channel_id), BATCH)
        return more

    async def _begin(self, tenant_id: TenantId) -> bool:
        """Claim what there is room for. True when a channel gave all that was asked for: it may have more."""
        async with self._transaction(tenant_id) as conn:
            found = await store.list_channels(conn, tenant_id)
            channels = {channel.channel_id: channel for channel in found if not channel.disabled}
            slots = self._slots(tenant_id, list(channels))
            claims = await store.claim(conn, tenant_id, slots, LEASE) if slots else []
        for claim in claims:
            task = asyncio.create_task(self._try(channels[claim.channel_id], claim))
            self._tries[task] = (tenant_id, claim.channel_id)
            task.add_done_callback(self._ended)
        given = Counter(claim.channel_id for claim in claims)
        return any(given[channel_id] == asked for channel_id, asked in slots.items())

    def _slots(self, tenant_id: TenantId, channel_ids: Sequence[ChannelId]) -> dict[ChannelId, int]:
        """How many more tries of each channel may begin. Who goes first is left to chance: there may not be enough."""
        left = MOST_TRIES - len(self._tries)
        running = Counter(self._tries.values())
        slots: dict[ChannelId, int] = {}
        for channel_id in random.sample(channel_ids, len(channel_ids)):
            free = min(left, MOST_TRIES_PER_CHANNEL - running[tenant_id, channel_id])
            if free > 0:
                slots[channel_id] = free
                left -= free
        return slots

    async def _try(self, channel: Channel, claim: Claim) -> None:
        """Try once, and write how it ended. Whatever goes wrong before that is written, the lease will end."""
        if claim.attempt > claim.last_attempt:
            ended: Attempt | BaseException = Attempt(delivered=False, detail="no worker saw the last try end")
        else:
            (ended,) = await asyncio.gather(self._send(channel, claim.stored), return_exceptions=True)
        if isinstance(ended, BaseException):  # a bug of ours; its text may repeat a secret
            log.error("a try to deliver an alert failed", channel_id=channel.channel_id, error=type(ended).__name__)
            ended = Attempt(delivered=False, detail=f"internal error: {type(ended).__name__}")
        state, wait = _after(claim, ended)
        async with self._transaction(channel.tenant_id) as conn:
            await store.settle(conn, channel.tenant_id, claim, state, ended.detail, wait)
        if state is DeliveryState.DEAD:
            alert_id = format_alert_id(claim.stored.alert.alert_id)
            log.warning("alert not delivered", channel_id=channel.channel_id, alert_id=alert_id, detail=ended.detail)

    def _ended(self, task: asyncio.Task[None]) -> None:
        _, channel_id = self._tries.pop(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("the end of a delivery was not written", channel_id=channel_id, error=type(error).__name__)


def _after(claim: Claim, ended: Attempt) -> tuple[DeliveryState, timedelta]:
    """What a delivery is after a try, and when it is due again."""
    if ended.delivered:
        return DeliveryState.DELIVERED, timedelta()
    if ended.final or claim.attempt >= claim.last_attempt:
        return DeliveryState.DEAD, timedelta()
    wait = wait_before(claim.tries + 1, random.random())
    return DeliveryState.PENDING, max(wait, timedelta(seconds=ended.retry_after_s or 0))
