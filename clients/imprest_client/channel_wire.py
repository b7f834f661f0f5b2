"""Between the messages about channels and the library's values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from imprest.v1 import alert_channel_pb2, budget_pb2, budget_service_pb2
from imprest_client import channel_model as model
from imprest_client.budget_model import AlertKind, AlertLevel
from imprest_client.budget_wire import to_kinds, to_level
from imprest_client.connection import Method, Reply
from imprest_client.times import from_time
from imprest_client.wire import member


def _rpc(name: str, reply: type[Reply]) -> Method[Reply]:
    return Method(f"/imprest.v1.BudgetService/{name}", reply)


CREATE_CHANNEL: Final = _rpc("CreateChannel", budget_service_pb2.CreateChannelResponse)
UPDATE_CHANNEL: Final = _rpc("UpdateChannel", budget_service_pb2.UpdateChannelResponse)
GET_CHANNEL: Final = _rpc("GetChannel", budget_service_pb2.GetChannelResponse)
LIST_CHANNELS: Final = _rpc("ListChannels", budget_service_pb2.ListChannelsResponse)
DELETE_CHANNEL: Final = _rpc("DeleteChannel", budget_service_pb2.DeleteChannelResponse)
ROTATE_CHANNEL_SECRET: Final = _rpc("RotateChannelSecret", budget_service_pb2.RotateChannelSecretResponse)
TEST_CHANNEL: Final = _rpc("TestChannel", budget_service_pb2.TestChannelResponse)
LIST_DELIVERIES: Final = _rpc("ListDeliveries", budget_service_pb2.ListDeliveriesResponse)
RESEND_DELIVERY: Final = _rpc("ResendDelivery", budget_service_pb2.ResendDeliveryResponse)


def to_channel(
    channel_id: str,
    kind: model.ChannelKind | None,
    *,
    display_name: str,
    url: str,
    recipients: Iterable[str],
    min_level: AlertLevel | None,
    kinds: Iterable[AlertKind],
    account_id: str,
    disabled: bool,
) -> alert_channel_pb2.AlertChannel:
    """A channel as a message; `kind` is None in a change, where it stays."""
    return alert_channel_pb2.AlertChannel(
        channel_id=channel_id,
        kind=kind and f"CHANNEL_KIND_{kind}",
        display_name=display_name,
        url=url,
        recipients=recipients,
        min_level=to_level(min_level),
        kinds=to_kinds(kinds),
        account_id=account_id,
        disabled=disabled,
    )


def channel(message: alert_channel_pb2.AlertChannel) -> model.Channel:
    """A channel."""
    return model.Channel(
        channel_id=message.channel_id,
        kind=member(model.ChannelKind, alert_channel_pb2.ChannelKind, "CHANNEL_KIND_", message.kind),
        display_name=message.display_name,
        url=message.url,
        recipients=tuple(message.recipients),
        min_level=member(AlertLevel, budget_pb2.AlertLevel, "ALERT_LEVEL_", message.min_level),
        kinds=tuple(member(AlertKind, budget_pb2.AlertKind, "ALERT_KIND_", kind) for kind in message.kinds),
        account_id=message.account_id,
        disabled=message.disabled,
        create_time=from_time(message.create_time),
        update_time=from_time(message.update_time),
        previous_secret_end_time=(
            from_time(message.previous_secret_end_time) if message.HasField("previous_secret_end_time") else None
        ),
    )


def delivery(message: alert_channel_pb2.AlertDelivery) -> model.Delivery:
    """What became of an alert on a channel."""
    return model.Delivery(
        channel_id=message.channel_id,
        alert_id=message.alert_id,
        sequence=message.sequence,
        state=member(model.DeliveryState, alert_channel_pb2.DeliveryState, "DELIVERY_STATE_", message.state),
        attempts=message.attempts,
        detail=message.detail,
        create_time=from_time(message.create_time),
        attempt_time=from_time(message.attempt_time) if message.HasField("attempt_time") else None,
        next_attempt_time=from_time(message.next_attempt_time) if message.HasField("next_attempt_time") else None,
    )
