"""Writes of channels, test sends, and reads: each in a short transaction of its own on a pooled connection."""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeVar

from imprest_server.budgets.channels import store
from imprest_server.budgets.channels.model import (
    Attempt,
    Channel,
    ChannelId,
    ChannelKind,
    Delivery,
    DeliveryState,
    Sealed,
    alert_for_test,
)
from imprest_server.budgets.channels.network import Gate
from imprest_server.budgets.channels.operations import (
    CreateChannel,
    DeleteChannel,
    ResendDelivery,
    RotateChannelSecret,
    UpdateChannel,
)
from imprest_server.budgets.channels.sealing import SealBroken, Sealer
from imprest_server.budgets.channels.send import Relay, Sender
from imprest_server.budgets.channels.validation import CHANNEL_PREFIX, check_channel, check_channel_id, check_key
from imprest_server.budgets.model import AlertId
from imprest_server.budgets.operations import Operation, Written, fingerprint
from imprest_server.budgets.store import (
    Connection,
    StoredOperation,
    find_currency,
    find_operation,
    insert_operation,
    transaction,
)
from imprest_server.core.errors import (
    ChannelExists,
    ChannelNotConfigured,
    Conflict,
    IdempotencyKeyReused,
    InvalidArgument,
    StoredDenial,
    restore_denial,
)
from imprest_server.core.ids import TenantId, uuid7
from imprest_server.core.paging import cut_page, decode_token, page_limit
from imprest_server.db.pool import ReadPool

#: How long webhooks are signed with the old secret, too, after a rotation.
BOTH_SECRETS_FOR = timedelta(hours=24)
#: Most bytes of a channel or a delivery in a reply: its texts at their longest, four bytes a character.
_CHANNEL_BYTES = 40_000
_DELIVERY_BYTES = 2_000
# Each failure means that a twin with the same key has succeeded.
_ATTEMPTS = 3

T = TypeVar("T")
Payload = dict[str, Any]


class _TwinError(Exception):
    """A twin with the same key was quicker: give its answer."""


@dataclass(frozen=True, slots=True)
class Signing:
    """A channel, and its new secret to verify signatures with; empty on a replay, and for what signs nothing."""

    channel: Channel
    signing_secret: str = field(default="", repr=False)


class ChannelAdmin:
    """What an admin does with channels. All may raise InvalidArgument, NotFound, Conflict and Unavailable.

    Those that take an operation may raise IdempotencyKeyReused. `sealer` and `relay` are None where the operator has
    set none up.
    """

    def __init__(self, pool: ReadPool, gate: Gate, relay: Relay | None, sealer: Sealer | None) -> None:
        self._pool = pool
        self._gate = gate
        self._relay = relay
        self._sealer = sealer
        self.sender = Sender(gate, relay, sealer)

    # ── writes ───────────────────────────────────────────────────────────────────────────────────────

    async def create(self, op: CreateChannel) -> Written[Signing]:
        """Make a channel, which gets the alerts from now on. Raises ChannelExists, ChannelNotConfigured."""
        channel_id = op.channel_id or ChannelId(CHANNEL_PREFIX + uuid7().hex)
        check_channel_id(channel_id, "channel.channel_id")
        check_channel(op, op.channel_kind, self._gate)

        async def write(conn: Connection) -> tuple[Signing, Payload]:
            key = (op.tenant_id, channel_id)
            if op.channel_kind is ChannelKind.EMAIL and self._relay is None:
                raise ChannelNotConfigured(kind="EMAIL", setting="IMPREST_SMTP_HOST")
            webhook = op.channel_kind is ChannelKind.WEBHOOK
            clear = {ChannelKind.WEBHOOK: _new_secret(), ChannelKind.SLACK: op.url, ChannelKind.EMAIL: ""}[
                op.channel_kind
            ]
            now = await store.clock(conn)
            channel = Channel(
                tenant_id=op.tenant_id,
                channel_id=channel_id,
                kind=op.channel_kind,
                display_name=op.display_name,
                url=op.url if webhook else "",
                recipients=op.recipients,
                filter=op.filter,
                disabled=op.disabled,
                secret=Sealed(self._sealing(op.channel_kind).seal(clear, *key)) if clear else None,
                cursor=await store.last_sequence(conn, op.tenant_id),
                create_time=now,
                update_time=now,
            )
            await self._check_account(conn, op)
            if not await store.insert_channel(conn, channel):
                raise ChannelExists(channel_id=channel_id)
            return Signing(channel, clear if webhook else ""), {"channel_id": channel_id}

        async def replay(conn: Connection, payload: Payload) -> Signing:
            return Signing(await store.find_channel(conn, (op.tenant_id, payload["channel_id"])))

        return await self._once(op, write, replay)

    async def update(self, op: UpdateChannel) -> Written[Channel]:
        """Change a channel. One that is enabled again gets the alerts from then on."""
        check_channel_id(op.channel_id, "channel.channel_id")

        async def write(conn: Connection) -> tuple[Channel, Payload]:
            old = await store.find_channel(conn, (op.tenant_id, op.channel_id), lock=True)
            check_channel(op, old.kind, self._gate)
            await self._check_account(conn, op)
            secret, cursor = old.secret, old.cursor
            if old.kind is ChannelKind.SLACK and op.url:
                secret = Sealed(self._sealing(old.kind).seal(op.url, *old.key))
            if old.disabled and not op.disabled:
                cursor = await store.last_sequence(conn, op.tenant_id)
            channel = replace(
                old,
                display_name=op.display_name,
                url=op.url if old.kind is ChannelKind.WEBHOOK else "",
                recipients=op.recipients,
                filter=op.filter,
                disabled=op.disabled,
                secret=secret,
                cursor=cursor,
                update_time=await store.clock(conn),
            )
            await store.update_channel(conn, channel)
            return channel, {}

        async def replay(conn: Connection, _: Payload) -> Channel:
            return await store.find_channel(conn, (op.tenant_id, op.channel_id))

        return await self._once(op, write, replay)

    async def delete(self, op: DeleteChannel) -> Written[None]:
        """Delete a channel and its deliveries; what is being sent may still arrive."""
        check_channel_id(op.channel_id)

        async def write(conn: Connection) -> tuple[None, Payload]:
            await store.delete_channel(conn, (op.tenant_id, op.channel_id))
            return None, {}

        async def replay(_: Connection, __: Payload) -> None:
            return None

        return await self._once(op, write, replay)

    async def rotate_secret(self, op: RotateChannelSecret) -> Written[Signing]:
        """Give a webhook a new secret. The old one signs, too, for BOTH_SECRETS_FOR, if it can still be opened."""
        check_channel_id(op.channel_id)

        async def write(conn: Connection) -> tuple[Signing, Payload]:
            old = await store.find_channel(conn, (op.tenant_id, op.channel_id), lock=True)
            if old.kind is not ChannelKind.WEBHOOK or old.secret is None:
                raise InvalidArgument(field="channel_id", problem="is no WEBHOOK channel: it signs nothing")
            sealer, clear, now = self._sealing(old.kind), _new_secret(), await store.clock(conn)
            channel = replace(
                old,
                secret=Sealed(sealer.seal(clear, *old.key)),
                previous_secret=old.secret,
                previous_until=now + BOTH_SECRETS_FOR,
                update_time=now,
            )
            try:
                sealer.open(old.secret.value, *old.key)
            except SealBroken:
                channel = replace(channel, previous_secret=None, previous_until=None)
            await store.update_channel(conn, channel)
            return Signing(channel, clear), {}

        async def replay(conn: Connection, _: Payload) -> Signing:
            return Signing(await store.find_channel(conn, (op.tenant_id, op.channel_id)))

        return await self._once(op, write, replay)

    async def resend(self, op: ResendDelivery) -> Written[Delivery]:
        """Have an alert sent to a channel once more, whatever has become of it."""
        key = (op.tenant_id, check_channel_id(op.channel_id))

        async def write(conn: Connection) -> tuple[Delivery, Payload]:
            await store.resend(conn, key, op.alert_id)
            return await store.find_delivery(conn, key, op.alert_id), {}

        async def replay(conn: Connection, _: Payload) -> Delivery:
            return await store.find_delivery(conn, key, op.alert_id)

        return await self._once(op, write, replay)

    # ── the rest ─────────────────────────────────────────────────────────────────────────────────────

    async def test(self, tenant_id: TenantId, channel_id: ChannelId) -> Attempt:
        """Send a marked alert now, once, also to a disabled channel; it leaves no delivery."""
        async with transaction(self._pool, tenant_id) as conn:
            channel = await store.find_channel(conn, (tenant_id, channel_id))
            now = await store.clock(conn)
        return await self.sender.send(channel, alert_for_test(tenant_id, AlertId(uuid7()), now))

    async def get(self, tenant_id: TenantId, channel_id: ChannelId) -> Channel:
        """One channel."""
        async with transaction(self._pool, tenant_id) as conn:
            return await store.find_channel(conn, (tenant_id, channel_id))

    async def list_channels(
        self, tenant_id: TenantId, *, page_size: int = 0, page_token: str = ""
    ) -> tuple[list[Channel], str]:
        """Channels by id, and the next page's token."""
        limit, scope = page_limit(page_size), ("channels", tenant_id)
        after = decode_token(page_token, scope, str) or ""
        async with transaction(self._pool, tenant_id) as conn:
            found = await store.list_channels(conn, tenant_id, after, limit + 1)
        return cut_page(found, limit, scope, lambda channel: channel.channel_id, lambda _: _CHANNEL_BYTES)

    async def list_deliveries(
        self,
        tenant_id: TenantId,
        *,
        channel_id: ChannelId | None = None,
        state: DeliveryState | None = None,
        page_size: int = 0,
        page_token: str = "",
    ) -> tuple[list[Delivery], str]:
        """Deliveries of the newest alerts first, and the next page's token."""
        limit, scope = page_limit(page_size), ("deliveries", tenant_id, channel_id, state)
        before = decode_token(page_token, scope, _place)
        async with transaction(self._pool, tenant_id) as conn:
            found = await store.list_deliveries(conn, tenant_id, channel_id, state, before, limit + 1)
        return cut_page(found, limit, scope, lambda d: f"{d.sequence}/{d.channel_id}", lambda _: _DELIVERY_BYTES)

    # ── once per key ─────────────────────────────────────────────────────────────────────────────────

    async def _once(
        self,
        op: Operation,
        write: Callable[[Connection], Awaitable[tuple[T, Payload]]],
        replay: Callable[[Connection, Payload], Awaitable[T]],
    ) -> Written[T]:
        """Write, or give the answer of an earlier request with this key; a denial of kinds that are stored is kept."""
        check_key(op.idempotency_key)
        digest = fingerprint(op)
        for _ in range(_ATTEMPTS):
            try:
                async with transaction(self._pool, op.tenant_id) as conn:
                    stored = await find_operation(conn, op.tenant_id, op.kind, op.idempotency_key)
                    if stored is not None:
                        return Written(await replay(conn, _granted(stored, digest)), replayed=True)
                    value, payload = await write(conn)
                    kept = StoredOperation(digest, None, json.dumps(payload))
                    if not await insert_operation(conn, op.tenant_id, op.kind, op.idempotency_key, kept):
                        raise _TwinError
                    return Written(value)
            except _TwinError:
                continue
            except StoredDenial as denial:
                if not denial.replayed:
                    async with transaction(self._pool, op.tenant_id) as conn:
                        kept = StoredOperation(digest, denial.reason, json.dumps(denial.values))
                        await insert_operation(conn, op.tenant_id, op.kind, op.idempotency_key, kept)
                raise
        raise Conflict

    async def _check_account(self, conn: Connection, op: CreateChannel | UpdateChannel) -> None:
        if op.filter.account_id is not None:
            await find_currency(conn, op.tenant_id, op.filter.account_id)

    def _sealing(self, kind: ChannelKind) -> Sealer:
        if self._sealer is None:
            raise ChannelNotConfigured(kind=kind, setting="IMPREST_SECRETS_KEY")
        return self._sealer


def _new_secret() -> str:
    return "whsec_" + secrets.token_urlsafe(32)


def _place(key: str) -> tuple[int, ChannelId]:
    sequence, channel_id = key.split("/", 1)
    return int(sequence), ChannelId(channel_id)


def _granted(stored: StoredOperation, digest: bytes) -> Payload:
    """What was kept of an earlier request; raises its denial, or IdempotencyKeyReused when it was another one."""
    if stored.fingerprint != digest:
        raise IdempotencyKeyReused
    values = json.loads(stored.payload)
    if stored.denial_reason is not None:
        raise restore_denial(stored.denial_reason, values)
    payload: Payload = values
    return payload
