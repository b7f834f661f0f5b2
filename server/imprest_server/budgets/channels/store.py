"""Loads and writes channels and deliveries. SQL in sql/store.sql.

Everything runs in a transaction that works for the tenant, one of `budgets.store.transaction`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import TupleRow, tuple_row

from imprest_server.budgets.channels.model import (
    MAX_ATTEMPTS,
    Channel,
    ChannelId,
    ChannelKey,
    ChannelKind,
    Claim,
    Delivery,
    DeliveryState,
    Filter,
    Sealed,
)
from imprest_server.budgets.model import AlertId, AlertKind, AlertLevel
from imprest_server.budgets.rows import alert_of
from imprest_server.budgets.store import Connection
from imprest_server.core.errors import NotFound
from imprest_server.core.ids import TenantId, format_alert_id
from imprest_server.db.sqlfile import load_sql

SQL = load_sql("imprest_server.budgets.channels", "sql/store.sql")


# ── channels ─────────────────────────────────────────────────────────────────────────────────────────


async def clock(conn: Connection) -> datetime:
    """The database's time."""
    ((now,),) = await _rows(conn, "clock", {})
    return now  # type: ignore[no-any-return]


async def list_channels(
    conn: Connection, tenant_id: TenantId, after: str = "", limit: int | None = None
) -> list[Channel]:
    """The channels after an id, in the order of ids; None: all of them."""
    rows = await _rows(conn, "list_channels", {"tenant": tenant_id, "after": after, "limit": limit})
    return [_channel_of(row) for row in rows]


async def find_channel(conn: Connection, key: ChannelKey, *, lock: bool = False) -> Channel:
    """A channel; with `lock` it stays as it is until the transaction ends. Raises NotFound."""
    rows = await _rows(conn, "lock_channel" if lock else "find_channel", _named(key))
    if not rows:
        raise NotFound(resource="channel", id=key[1])
    return _channel_of(rows[0])


async def last_sequence(conn: Connection, tenant_id: TenantId) -> int:
    """The sequence of the tenant's newest alert; 0 without any."""
    rows = await _rows(conn, "last_sequence", {"tenant": tenant_id})
    return rows[0][0] if rows else 0


async def insert_channel(conn: Connection, channel: Channel) -> bool:
    """Add a channel; False when there is one with its id."""
    return bool(await _rows(conn, "insert_channel", _values(channel)))


async def update_channel(conn: Connection, channel: Channel) -> None:
    """Write a channel that is locked."""
    async with conn.cursor() as cursor:
        await cursor.execute(SQL["update_channel"], _values(channel))


async def delete_channel(conn: Connection, key: ChannelKey) -> None:
    """Delete a channel and its deliveries. Raises NotFound."""
    if not await _rows(conn, "delete_channel", _named(key)):
        raise NotFound(resource="channel", id=key[1])


# ── deliveries ───────────────────────────────────────────────────────────────────────────────────────


async def channels_behind(conn: Connection, tenant_id: TenantId) -> list[ChannelId]:
    """The channels that have not seen the newest alerts."""
    return [row[0] for row in await _rows(conn, "channels_behind", {"tenant": tenant_id})]


async def make_deliveries(conn: Connection, key: ChannelKey, limit: int) -> bool:
    """Make the deliveries of the alerts after the channel's cursor; whether there may be more.

    A channel that another worker is at, or that has been disabled or deleted, is left alone.
    """
    rows = await _rows(conn, "lock_cursor", _named(key))
    if not rows:
        return False
    ((cursor, min_level, kinds, account_id),) = rows
    filters = {"min_level": min_level, "kinds": kinds, "account": account_id}
    parameters = {**_named(key), **filters, "cursor": cursor, "limit": limit, "attempts": MAX_ATTEMPTS}
    rows = await _rows(conn, "insert_deliveries", parameters)
    return bool(rows) and rows[0][0] >= limit


async def claim(conn: Connection, tenant_id: TenantId, slots: Mapping[ChannelId, int], lease: timedelta) -> list[Claim]:
    """Claim due deliveries, of each of these channels at most so many. Nobody else gets them until the lease ends."""
    parameters = {
        "tenant": tenant_id,
        "channels": list(slots.keys()),
        "slots": list(slots.values()),
        "lease_s": lease.total_seconds(),
    }
    rows = await _rows(conn, "claim", parameters)
    return [Claim(channel_id=row[0], attempt=row[1], last_attempt=row[2], stored=alert_of(row[3:])) for row in rows]


async def settle(
    conn: Connection, tenant_id: TenantId, claim: Claim, state: DeliveryState, detail: str, wait: timedelta
) -> None:
    """Write how a try ended, unless the claim has passed to somebody else. PENDING is due again after `wait`."""
    parameters = {
        **_named((tenant_id, claim.channel_id)),
        "sequence": claim.stored.sequence,
        "attempt": claim.attempt,
        "state": state,
        "detail": detail,
        "wait_s": wait.total_seconds(),
    }
    async with conn.cursor() as cursor:
        await cursor.execute(SQL["settle"], parameters)


async def find_delivery(conn: Connection, key: ChannelKey, alert_id: AlertId) -> Delivery:
    """What became of an alert on a channel. Raises NotFound."""
    rows = await _rows(conn, "find_delivery", {**_named(key), "alert": alert_id})
    if not rows:
        raise NotFound(resource="delivery", id=f"{key[1]}/{format_alert_id(alert_id)}")
    return _delivery_of(rows[0])


async def resend(conn: Connection, key: ChannelKey, alert_id: AlertId) -> None:
    """Have an alert sent to a channel now, with as many tries as a new one. Raises NotFound."""
    if not await _rows(conn, "resend", {**_named(key), "alert": alert_id, "attempts": MAX_ATTEMPTS}):
        raise NotFound(resource="delivery", id=f"{key[1]}/{format_alert_id(alert_id)}")


async def list_deliveries(
    conn: Connection,
    tenant_id: TenantId,
    channel_id: ChannelId | None,
    state: DeliveryState | None,
    before: tuple[int, ChannelId] | None,
    limit: int,
) -> list[Delivery]:
    """Deliveries of one channel or of all, those of the newest alerts first, from before a place in that order."""
    blocks = {"deliveries_of_channel": channel_id, "deliveries_in_state": state, "deliveries_before": before}
    filters = "\n    ".join(SQL[block] for block, given in blocks.items() if given is not None)
    sequence, last_channel = before or (None, None)
    parameters = {
        "tenant": tenant_id,
        "channel": channel_id,
        "state": state,
        "sequence": sequence,
        "last_channel": last_channel,
        "limit": limit,
    }
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(SQL["list_deliveries"].replace("{filters}", filters), parameters)
        return [_delivery_of(row) for row in await cursor.fetchall()]


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────────


def _named(key: ChannelKey) -> dict[str, Any]:
    return {"tenant": key[0], "channel": key[1]}


def _values(channel: Channel) -> dict[str, Any]:
    return {
        **_named(channel.key),
        "kind": channel.kind,
        "display_name": channel.display_name,
        "url": channel.url,
        "recipients": list(channel.recipients),
        "min_level": channel.filter.min_level,
        "kinds": list(channel.filter.kinds),
        "account": channel.filter.account_id,
        "disabled": channel.disabled,
        "secret": channel.secret and channel.secret.value,
        "previous_secret": channel.previous_secret and channel.previous_secret.value,
        "previous_until": channel.previous_until,
        "cursor": channel.cursor,
        "create_time": channel.create_time,
        "update_time": channel.update_time,
    }


def _channel_of(row: Sequence[Any]) -> Channel:
    tenant_id, channel_id, kind, display_name, url, recipients, min_level, kinds, account_id, disabled, *rest = row
    secret, previous_secret, previous_until, cursor, create_time, update_time = rest
    return Channel(
        tenant_id=tenant_id,
        channel_id=channel_id,
        kind=ChannelKind(kind),
        display_name=display_name,
        url=url,
        recipients=tuple(recipients),
        filter=Filter(min_level=AlertLevel(min_level), kinds=tuple(map(AlertKind, kinds)), account_id=account_id),
        disabled=disabled,
        secret=secret and Sealed(secret),
        previous_secret=previous_secret and Sealed(previous_secret),
        previous_until=previous_until,
        cursor=cursor,
        create_time=create_time,
        update_time=update_time,
    )


def _delivery_of(row: Sequence[Any]) -> Delivery:
    tenant_id, channel_id, sequence, alert_id, state, attempts, last_attempt, *rest = row
    create_time, next_time, attempt_time, detail = rest
    return Delivery(
        tenant_id=tenant_id,
        channel_id=channel_id,
        sequence=sequence,
        alert_id=alert_id,
        state=DeliveryState(state),
        attempts=attempts,
        last_attempt=last_attempt,
        create_time=create_time,
        next_time=next_time,
        attempt_time=attempt_time,
        detail=detail,
    )


async def _rows(conn: Connection, block: str, parameters: Mapping[str, Any]) -> list[TupleRow]:
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(SQL[block], parameters)
        return await cursor.fetchall()
