"""Channels and deliveries.

A delivery is one row per alert and channel, whoever sends it: PENDING until a receiver has accepted it (DELIVERED) or
its attempts are used up (DEAD). A receiver may see the same alert twice, when its answer was lost: it goes by alert id.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType

from imprest_server.budgets.model import Alert, AlertId, AlertKind, AlertLevel, StoredAlert
from imprest_server.core.ids import AccountId, TenantId

ChannelId = NewType("ChannelId", str)

#: One channel of one tenant.
ChannelKey = tuple[TenantId, ChannelId]


class ChannelKind(StrEnum):
    """Where alerts go: a signed webhook, a Slack-compatible webhook, or email by the server's SMTP relay."""

    WEBHOOK = "WEBHOOK"
    SLACK = "SLACK"
    EMAIL = "EMAIL"


class DeliveryState(StrEnum):
    """PENDING: will be tried (again). DELIVERED: accepted. DEAD: given up; an admin may have it resent."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    DEAD = "DEAD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which alerts a channel gets; what is empty or None does not restrict."""

    min_level: AlertLevel = AlertLevel.INFO
    kinds: tuple[AlertKind, ...] = ()
    account_id: AccountId | None = None


@dataclass(frozen=True, slots=True)
class Sealed:
    """A secret as it is stored; the Sealer opens it, while something is sent. See `sealing`."""

    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One destination. It gets the alerts after `cursor`, those of them that pass its filter; a disabled one none.

    `secret` is a WEBHOOK's key to sign with, or the URL of a SLACK channel, for whoever knows that may post. After a
    rotation webhooks are signed with `previous_secret`, too, until `previous_until`.
    """

    tenant_id: TenantId
    channel_id: ChannelId
    kind: ChannelKind
    display_name: str = ""
    url: str = ""
    recipients: tuple[str, ...] = ()
    filter: Filter = Filter()
    disabled: bool = False
    secret: Sealed | None = None
    previous_secret: Sealed | None = None
    previous_until: datetime | None = None
    cursor: int = 0
    create_time: datetime
    update_time: datetime

    @property
    def key(self) -> ChannelKey:
        """What names it."""
        return self.tenant_id, self.channel_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What became of one alert on one channel.

    `attempts` only ever grows; when it has come to `last_attempt` without success the delivery is DEAD. `attempt_time`
    and `detail` tell of the latest try that came to an end; `next_time` is when a PENDING one is due.
    """

    tenant_id: TenantId
    channel_id: ChannelId
    sequence: int
    alert_id: AlertId
    state: DeliveryState
    attempts: int
    last_attempt: int
    create_time: datetime
    next_time: datetime
    attempt_time: datetime | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A delivery that one worker may try, until its lease ends; `attempt` is the number of the try."""

    channel_id: ChannelId
    stored: StoredAlert
    attempt: int
    last_attempt: int

    @property
    def tries(self) -> int:
        """The number of the try since the delivery was made or resent."""
        return max(1, self.attempt - self.last_attempt + MAX_ATTEMPTS)


#: Tries of one delivery before it is DEAD: over about half a day, at the waits below. Resending allows as many again.
MAX_ATTEMPTS = 12

#: Alerts count from 1.
_TEST_SEQUENCE = 0


def wait_before(attempt: int, jitter: float) -> timedelta:
    """How long to wait before the `attempt`-th try, from 2 on: 10 s doubling up to 4 h.

    `jitter` in [0, 1) takes off up to a half.
    """
    full_s = min(10 * 2 ** (attempt - 2), 4 * 3600)
    return timedelta(seconds=full_s * (1 - jitter / 2))


def alert_for_test(tenant_id: TenantId, alert_id: AlertId, now: datetime) -> StoredAlert:
    """What a test send delivers."""
    alert = Alert(
        alert_id=alert_id, kind=AlertKind.ANOMALY, level=AlertLevel.INFO, create_time=now, currency_code="USD"
    )
    return StoredAlert(tenant_id, _TEST_SEQUENCE, alert)


def is_test(stored: StoredAlert) -> bool:
    """Whether it is a test send's."""
    return stored.sequence == _TEST_SEQUENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How one try ended; `detail` is short, and holds neither secrets nor the receiver's text.

    `final`: trying again is of no use. `retry_after_s`: the receiver wants to be left alone for so long.
    """

    delivered: bool
    detail: str
    final: bool = False
    retry_after_s: int | None = None
