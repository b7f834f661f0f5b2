"""Channels and deliveries as the server answers them: frozen dataclasses, times with a zone.

The comments in `proto/imprest/v1/alert_channel.proto` define every field.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from imprest_client.budget_model import AlertKind, AlertLevel


class ChannelKind(StrEnum):
    """What kind of receiver a channel has."""

    WEBHOOK = "WEBHOOK"
    SLACK = "SLACK"
    EMAIL = "EMAIL"
    UNKNOWN = "UNKNOWN"


class DeliveryState(StrEnum):
    """Where a delivery stands: DEAD is given up, until it is sent again."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    DEAD = "DEAD"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """Where alerts are delivered to. `url` is empty for SLACK, whose URL is a secret, and for EMAIL.

    It gets alerts of `min_level` and above, of `kinds` (none: all) and of `account_id` (empty: all).
    """

    channel_id: str
    kind: ChannelKind
    display_name: str
    url: str
    recipients: tuple[str, ...]
    min_level: AlertLevel
    kinds: tuple[AlertKind, ...]
    account_id: str
    disabled: bool
    create_time: datetime
    update_time: datetime
    previous_secret_end_time: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What became of one alert on one channel; `detail` is how the latest try ended."""

    channel_id: str
    alert_id: str
    sequence: int
    state: DeliveryState
    attempts: int
    detail: str
    create_time: datetime
    attempt_time: datetime | None
    next_attempt_time: datetime | None


@dataclass(frozen=True, slots=True)
class ChannelTest:
    """Whether a receiver has accepted a test, and how that ended."""

    delivered: bool
    detail: str


# ── receipts ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class ChannelReceipt:
    """A channel was created or changed.

    `signing_secret` is what a webhook's receiver verifies with, given this once: with the first answer to the request
    that made it. Else it is empty.
    """

    channel: Channel
    signing_secret: str
    replayed: bool


@dataclass(frozen=True, slots=True)
class DeleteChannelReceipt:
    """A channel was deleted, with its deliveries."""

    replayed: bool


@dataclass(frozen=True, slots=True)
class DeliveryReceipt:
    """An alert will be sent again."""

    delivery: Delivery
    replayed: bool
