"""Channels on a real database: what an admin does, and workers that deliver, as the server builds them."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from imprest_server.budgets import store
from imprest_server.budgets.channels.model import (
    Attempt,
    Channel,
    ChannelId,
    ChannelKind,
    Delivery,
    DeliveryState,
    Filter,
)
from imprest_server.budgets.channels.network import Gate, parse_networks
from imprest_server.budgets.channels.operations import CreateChannel, ResendDelivery, UpdateChannel
from imprest_server.budgets.channels.sealing import Sealer
from imprest_server.budgets.channels.send import Relay
from imprest_server.budgets.channels.service import ChannelAdmin, Signing
from imprest_server.budgets.model import Alert, NewAlert, StoredAlert
from imprest_server.budgets.operations import Written
from imprest_server.db.pool import ReadPool, read_pool
from imprest_server.jobs.deliver_alerts import DeliverAlerts
from tests.conftest import Database
from tests.support.ledger import LIMITS, TENANT

SEALER = Sealer(bytes(range(32)))
LOOPBACK = parse_networks("127.0.0.0/8")

Send = Callable[[Channel, StoredAlert], Awaitable[Attempt]]


@dataclass
class Post:
    """The channels of one process."""

    pool: ReadPool
    admin: ChannelAdmin
    _keys: Any = field(default_factory=lambda: itertools.count(1))

    def key(self) -> str:
        return f"key-{id(self)}-{next(self._keys)}"

    def worker(self, send: Send | None = None) -> DeliverAlerts:
        return DeliverAlerts(partial(store.transaction, self.pool), send or self.admin.sender.send, [TENANT])

    async def create(self, channel_id: str, kind: str = "WEBHOOK", **fields: Any) -> Signing:
        return (await self.create_written(channel_id, kind, **fields)).value

    async def create_written(self, channel_id: str | None, kind: str = "WEBHOOK", **fields: Any) -> Written[Signing]:
        return await self.admin.create(
            CreateChannel(
                **{
                    "tenant_id": TENANT,
                    "idempotency_key": self.key(),
                    "channel_id": None if channel_id is None else ChannelId(channel_id),
                    "channel_kind": ChannelKind(kind),
                    "filter": Filter(),
                    **fields,
                }
            )
        )

    async def update(self, channel_id: str, **fields: Any) -> Channel:
        operation = UpdateChannel(
            **{
                "tenant_id": TENANT,
                "idempotency_key": self.key(),
                "channel_id": ChannelId(channel_id),
                "filter": Filter(),
                **fields,
            }
        )
        return (await self.admin.update(operation)).value

    async def resend(self, delivery: Delivery) -> Delivery:
        operation = ResendDelivery(
            tenant_id=TENANT,
            idempotency_key=self.key(),
            channel_id=delivery.channel_id,
            alert_id=delivery.alert_id,
        )
        return (await self.admin.resend(operation)).value

    async def raise_alerts(self, *alerts: Alert) -> None:
        """Write alerts as a posting batch does."""
        async with store.transaction(self.pool, TENANT) as conn:
            await store.share_tenant(conn, TENANT)
            await store.insert_alerts(conn, [NewAlert(TENANT, alert) for alert in alerts])

    async def deliveries(self, **filters: Any) -> list[Delivery]:
        found, _ = await self.admin.list_deliveries(TENANT, **filters)
        return found

    async def only_delivery(self) -> Delivery:
        (delivery,) = await self.deliveries()
        return delivery

    async def states(self) -> list[DeliveryState]:
        return [delivery.state for delivery in await self.deliveries()]


async def deliver(worker: DeliverAlerts) -> None:
    """Until nothing is due and no try is running."""
    while await worker.run_once():
        pass
    await worker.idle()


@asynccontextmanager
async def open_post(
    database: Database, *, relay: Relay | None = None, sealer: Sealer | None = SEALER, gate: Gate | None = None
) -> AsyncIterator[Post]:
    async with read_pool(database.app_dsn, **LIMITS) as pool:
        yield Post(pool, ChannelAdmin(pool, gate or Gate(LOOPBACK), relay, sealer))
