"""The part of BudgetService that is about channels and deliveries, and both between the wire and the core."""

# ruff: noqa: N802  # the protos name the methods

from __future__ import annotations

from google.protobuf.message import Message
from grpc.aio import ServicerContext

from imprest.v1 import alert_channel_pb2
from imprest.v1 import budget_service_pb2 as pb
from imprest_server.budgets.channels import operations as ops
from imprest_server.budgets.channels.model import Channel, ChannelId, ChannelKind, Delivery, DeliveryState, Filter
from imprest_server.budgets.channels.service import ChannelAdmin
from imprest_server.budgets.channels.validation import check_channel_id
from imprest_server.budgets.model import AlertLevel
from imprest_server.core.errors import InvalidArgument
from imprest_server.core.ids import format_alert_id
from imprest_server.transport.budgets import KIND, LEVEL, parse_alert, parse_kinds, parse_level
from imprest_server.transport.convert import EnumMap, parse_account_id, to_time
from imprest_server.transport.identity import TENANT

Context = ServicerContext[Message, Message]

_CHANNEL_KIND = EnumMap(ChannelKind, alert_channel_pb2.ChannelKind, "CHANNEL_KIND")
_STATE = EnumMap(DeliveryState, alert_channel_pb2.DeliveryState, "DELIVERY_STATE")


class ChannelMethods:
    """What an admin of channels needs; the proto's comments are the contract."""

    _channels: ChannelAdmin

    async def CreateChannel(self, request: pb.CreateChannelRequest, context: Context) -> pb.CreateChannelResponse:
        """Create a channel."""
        channel = request.channel
        kind = _CHANNEL_KIND.parse(channel.kind, "channel.kind")
        if kind is None:
            raise InvalidArgument(field="channel.kind", problem="is required")
        written = await self._channels.create(
            ops.CreateChannel(
                tenant_id=TENANT,
                idempotency_key=request.idempotency_key,
                channel_id=ChannelId(channel.channel_id) if channel.channel_id else None,
                channel_kind=kind,
                display_name=channel.display_name,
                url=channel.url,
                recipients=tuple(channel.recipients),
                filter=_parse_filter(channel),
                disabled=channel.disabled,
            )
        )
        return pb.CreateChannelResponse(
            channel=_to_channel(written.value.channel),
            signing_secret=written.value.signing_secret,
            replayed=written.replayed,
        )

    async def UpdateChannel(self, request: pb.UpdateChannelRequest, context: Context) -> pb.UpdateChannelResponse:
        """Change a channel as a whole."""
        channel = request.channel
        written = await self._channels.update(
            ops.UpdateChannel(
                tenant_id=TENANT,
                idempotency_key=request.idempotency_key,
                channel_id=ChannelId(channel.channel_id),
                display_name=channel.display_name,
                url=channel.url,
                recipients=tuple(channel.recipients),
                filter=_parse_filter(channel),
                disabled=channel.disabled,
            )
        )
        return pb.UpdateChannelResponse(channel=_to_channel(written.value), replayed=written.replayed)

    async def GetChannel(self, request: pb.GetChannelRequest, context: Context) -> pb.GetChannelResponse:
        """Return a channel."""
        channel = await self._channels.get(TENANT, check_channel_id(request.channel_id))
        return pb.GetChannelResponse(channel=_to_channel(channel))

    async def ListChannels(self, request: pb.ListChannelsRequest, context: Context) -> pb.ListChannelsResponse:
        """List channels by id."""
        channels, next_page_token = await self._channels.list_channels(
            TENANT, page_size=request.page_size, page_token=request.page_token
        )
        return pb.ListChannelsResponse(channels=map(_to_channel, channels), next_page_token=next_page_token)

    async def DeleteChannel(self, request: pb.DeleteChannelRequest, context: Context) -> pb.DeleteChannelResponse:
        """Delete a channel with its deliveries."""
        written = await self._channels.delete(
            ops.DeleteChannel(
                tenant_id=TENANT, idempotency_key=request.idempotency_key, channel_id=ChannelId(request.channel_id)
            )
        )
        return pb.DeleteChannelResponse(replayed=written.replayed)

    async def RotateChannelSecret(
        self, request: pb.RotateChannelSecretRequest, context: Context
    ) -> pb.RotateChannelSecretResponse:
        """Give a webhook a new secret."""
        written = await self._channels.rotate_secret(
            ops.RotateChannelSecret(
                tenant_id=TENANT, idempotency_key=request.idempotency_key, channel_id=ChannelId(request.channel_id)
            )
        )
        return pb.RotateChannelSecretResponse(
            channel=_to_channel(written.value.channel),
            signing_secret=written.value.signing_secret,
            replayed=written.replayed,
        )

    async def TestChannel(self, request: pb.TestChannelRequest, context: Context) -> pb.TestChannelResponse:
        """Send a test alert."""
        attempt = await self._channels.test(TENANT, check_channel_id(request.channel_id))
        return pb.TestChannelResponse(delivered=attempt.delivered, detail=attempt.detail)

    async def ListDeliveries(self, request: pb.ListDeliveriesRequest, context: Context) -> pb.ListDeliveriesResponse:
        """List deliveries, those of the newest alerts first."""
        deliveries, next_page_token = await self._channels.list_deliveries(
            TENANT,
            channel_id=check_channel_id(request.channel_id) if request.channel_id else None,
            state=_STATE.parse(request.state, "state"),
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return pb.ListDeliveriesResponse(deliveries=map(_to_delivery, deliveries), next_page_token=next_page_token)

    async def ResendDelivery(self, request: pb.ResendDeliveryRequest, context: Context) -> pb.ResendDeliveryResponse:
        """Have an alert sent once more."""
        written = await self._channels.resend(
            ops.ResendDelivery(
                tenant_id=TENANT,
                idempotency_key=request.idempotency_key,
                channel_id=ChannelId(request.channel_id),
                alert_id=parse_alert(request.alert_id),
            )
        )
        return pb.ResendDeliveryResponse(delivery=_to_delivery(written.value), replayed=written.replayed)


def _parse_filter(channel: alert_channel_pb2.AlertChannel) -> Filter:
    return Filter(
        min_level=parse_level(channel.min_level, "channel.min_level") or AlertLevel.INFO,
        kinds=tuple(sorted(parse_kinds(channel.kinds, "channel."))),
        account_id=parse_account_id(channel.account_id, "channel.account_id") if channel.account_id else None,
    )


def _to_channel(channel: Channel) -> alert_channel_pb2.AlertChannel:
    until = channel.previous_until
    return alert_channel_pb2.AlertChannel(
        channel_id=channel.channel_id,
        kind=_CHANNEL_KIND.to_proto[channel.kind],
        display_name=channel.display_name,
        url=channel.url,
        recipients=channel.recipients,
        min_level=LEVEL[channel.filter.min_level],
        kinds=[KIND.to_proto[kind] for kind in channel.filter.kinds],
        account_id=channel.filter.account_id or "",
        disabled=channel.disabled,
        create_time=to_time(channel.create_time),
        update_time=to_time(channel.update_time),
        previous_secret_end_time=None if until is None else to_time(until),
    )


def _to_delivery(delivery: Delivery) -> alert_channel_pb2.AlertDelivery:
    pending, ended = delivery.state is DeliveryState.PENDING, delivery.attempt_time
    return alert_channel_pb2.AlertDelivery(
        channel_id=delivery.channel_id,
        alert_id=format_alert_id(delivery.alert_id),
        sequence=delivery.sequence,
        state=_STATE.to_proto[delivery.state],
        attempts=delivery.attempts,
        detail=delivery.detail,
        create_time=to_time(delivery.create_time),
        attempt_time=None if ended is None else to_time(ended),
        next_attempt_time=to_time(delivery.next_time) if pending else None,
    )
