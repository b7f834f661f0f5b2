"""Channels and deliveries.

A delivery is one row per alert and channel, whoever sends it: PENDING until a receiver has accepted it (DELIVERED) or
its attempts are used up (DEAD). A receiver may see the same alert twice, when its answer was lost: it goes by alert id.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType

from imprest_server.budgets.model import AlertKind, AlertLevel
from imprest_server.core.ids import AccountId, TenantId

ChannelId = NewType("ChannelId", str)


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
    kinds: frozenset[AlertKind] = frozenset()
    account_id: AccountId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One destination. Secrets stand here in the clear, and only while something is sent: never log one of these.

    `url` (WEBHOOK, SLACK) is secret for SLACK, for whoever knows it may post. `signing_secret` is a webhook's.
    """

    tenant_id: TenantId
    channel_id: ChannelId
    kind: ChannelKind
    display_name: str = ""
    url: str = ""
    signing_secret: str = ""
    recipients: tuple[str, ...] = ()
    filter: Filter = Filter()
    enabled: bool = True

    def __repr__(self) -> str:
        return f"Channel({self.tenant_id}/{self.channel_id}, {self.kind})"


#: Attempts of one delivery before it is DEAD: over about a day, at the waits below.
MAX_ATTEMPTS = 12


def wait_before(attempt: int, jitter: float) -> timedelta:
    """How long to wait before the `attempt`-th try, from 2 on: 10 s doubling up to 4 h.

    `jitter` in [0, 1) takes off up to a half.
    """
    full_s = min(10 * 2 ** (attempt - 2), 4 * 3600)
    return timedelta(seconds=full_s * (1 - jitter / 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How one try ended; `detail` is short, and holds neither secrets nor the receiver's text."""

    delivered: bool
    detail: str
    final: bool = False
    retry_after_s: int | None = None
    at: datetime | None = None
