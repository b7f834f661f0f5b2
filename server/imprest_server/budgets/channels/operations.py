"""What an admin asks of channels and deliveries: one frozen dataclass per mutating request."""

from __future__ import annotations

from dataclasses import dataclass

from imprest_server.budgets.channels.model import ChannelId, ChannelKind, Filter
from imprest_server.budgets.model import AlertId
from imprest_server.budgets.operations import Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateChannel(Operation):
    """Make a channel; without an id the server makes one."""

    kind = "CREATE_CHANNEL"
    channel_id: ChannelId | None
    channel_kind: ChannelKind
    display_name: str = ""
    url: str = ""
    recipients: tuple[str, ...] = ()
    filter: Filter
    disabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateChannel(Operation):
    """Change a channel as a whole; a SLACK channel keeps its URL when none is given."""

    kind = "UPDATE_CHANNEL"
    channel_id: ChannelId
    display_name: str = ""
    url: str = ""
    recipients: tuple[str, ...] = ()
    filter: Filter
    disabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteChannel(Operation):
    """Delete a channel with its deliveries."""

    kind = "DELETE_CHANNEL"
    channel_id: ChannelId


@dataclass(frozen=True, slots=True, kw_only=True)
class RotateChannelSecret(Operation):
    """Give a webhook a new secret; the old one signs, too, for a while."""

    kind = "ROTATE_CHANNEL_SECRET"
    channel_id: ChannelId


@dataclass(frozen=True, slots=True, kw_only=True)
class ResendDelivery(Operation):
    """Have an alert sent once more."""

    kind = "RESEND_DELIVERY"
    channel_id: ChannelId
    alert_id: AlertId
