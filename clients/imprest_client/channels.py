"""The client for channels: where alerts are delivered to, and what became of them there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from imprest.v1 import budget_service_pb2 as pb
from imprest_client import channel_wire as wire
from imprest_client.budget_model import AlertKind, AlertLevel
from imprest_client.channel_model import (
    Channel,
    ChannelKind,
    ChannelReceipt,
    ChannelTest,
    DeleteChannelReceipt,
    Delivery,
    DeliveryReceipt,
    DeliveryState,
)
from imprest_client.client import PAGE_SIZE, LedgerClient, key_or_new


class ChannelClient(LedgerClient):
    """Channels and deliveries, beside everything that `LedgerClient` has."""

    async def create_channel(
        self,
        channel_id: str = "",
        *,
        kind: ChannelKind,
        url: str = "",
        recipients: Iterable[str] = (),
        display_name: str = "",
        min_level: AlertLevel | None = None,
        kinds: Iterable[AlertKind] = (),
        account_id: str = "",
        disabled: bool = False,
        idempotency_key: str | None = None,
    ) -> ChannelReceipt:
        """Create a channel, which gets the alerts from now on. The receipt alone has a webhook's signing secret.

        Args:
            channel_id: Your choice, unique in the tenant; without one the server makes one.
            kind: What kind of receiver it is, for ever.
            url: Where WEBHOOK and SLACK post to; for SLACK it is a secret.
            recipients: Whom EMAIL is sent to.
            display_name: A name for people.
            min_level: Only alerts of this level and above.
            kinds: Only alerts of these kinds.
            account_id: Only alerts of this account.
            disabled: It gets no alerts yet.
            idempotency_key: Makes the request repeatable.
        """
        channel = wire.to_channel(
            channel_id,
            kind,
            display_name=display_name,
            url=url,
            recipients=recipients,
            min_level=min_level,
            kinds=kinds,
            account_id=account_id,
            disabled=disabled,
        )
        request = pb.CreateChannelRequest(channel=channel, idempotency_key=key_or_new(idempotency_key))
        reply = await self._call(wire.CREATE_CHANNEL, request)
        return ChannelReceipt(wire.channel(reply.channel), reply.signing_secret, reply.replayed)

    async def update_channel(
        self,
        channel_id: str,
        *,
        url: str = "",
        recipients: Iterable[str] = (),
        display_name: str = "",
        min_level: AlertLevel | None = None,
        kinds: Iterable[AlertKind] = (),
        account_id: str = "",
        disabled: bool = False,
        idempotency_key: str | None = None,
    ) -> ChannelReceipt:
        """Change a channel as a whole, as in `create_channel`; only the URL of SLACK stays when it is empty."""
        channel = wire.to_channel(
            channel_id,
            None,
            display_name=display_name,
            url=url,
            recipients=recipients,
            min_level=min_level,
            kinds=kinds,
            account_id=account_id,
            disabled=disabled,
        )
        request = pb.UpdateChannelRequest(channel=channel, idempotency_key=key_or_new(idempotency_key))
        reply = await self._call(wire.UPDATE_CHANNEL, request)
        return ChannelReceipt(wire.channel(reply.channel), "", reply.replayed)

    async def get_channel(self, channel_id: str) -> Channel:
        """Return a channel, without its secrets."""
        reply = await self._call(wire.GET_CHANNEL, pb.GetChannelRequest(channel_id=channel_id))
        return wire.channel(reply.channel)

    async def list_channels(self, *, page_size: int = PAGE_SIZE) -> AsyncIterator[Channel]:
        """All channels, in the order of their ids; pages are fetched as they are needed."""
        request = pb.ListChannelsRequest(page_size=page_size)
        while True:
            page = await self._call(wire.LIST_CHANNELS, request)
            for message in page.channels:
                yield wire.channel(message)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def delete_channel(self, channel_id: str, *, idempotency_key: str | None = None) -> DeleteChannelReceipt:
        """Delete a channel with its deliveries; what is being sent may still arrive."""
        request = pb.DeleteChannelRequest(channel_id=channel_id, idempotency_key=key_or_new(idempotency_key))
        reply = await self._call(wire.DELETE_CHANNEL, request)
        return DeleteChannelReceipt(reply.replayed)

    async def rotate_channel_secret(self, channel_id: str, *, idempotency_key: str | None = None) -> ChannelReceipt:
        """Give a webhook a new signing secret; for 24 hours what is sent is signed with both."""
        request = pb.RotateChannelSecretRequest(channel_id=channel_id, idempotency_key=key_or_new(idempotency_key))
        reply = await self._call(wire.ROTATE_CHANNEL_SECRET, request)
        return ChannelReceipt(wire.channel(reply.channel), reply.signing_secret, reply.replayed)

    async def test_channel(self, channel_id: str) -> ChannelTest:
        """Send an alert that is marked as a test, now; a repeated attempt sends again.

        It takes up to 10 seconds: on a connection whose `attempt_timeout_s` is longer nobody gives up before that.
        """
        reply = await self._call(wire.TEST_CHANNEL, pb.TestChannelRequest(channel_id=channel_id))
        return ChannelTest(reply.delivered, reply.detail)

    async def list_deliveries(
        self, *, channel_id: str = "", state: DeliveryState | None = None, page_size: int = PAGE_SIZE
    ) -> AsyncIterator[Delivery]:
        """All deliveries that match, those of the newest alerts first."""
        request = pb.ListDeliveriesRequest(
            channel_id=channel_id, state=state and f"DELIVERY_STATE_{state}", page_size=page_size
        )
        while True:
            page = await self._call(wire.LIST_DELIVERIES, request)
            for message in page.deliveries:
                yield wire.delivery(message)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def resend_delivery(
        self, channel_id: str, alert_id: str, *, idempotency_key: str | None = None
    ) -> DeliveryReceipt:
        """Have an alert sent to a channel now, whatever has become of it there, with as many tries as a new one."""
        request = pb.ResendDeliveryRequest(
            channel_id=channel_id, alert_id=alert_id, idempotency_key=key_or_new(idempotency_key)
        )
        reply = await self._call(wire.RESEND_DELIVERY, request)
        return DeliveryReceipt(wire.delivery(reply.delivery), reply.replayed)
