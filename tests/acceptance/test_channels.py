"""Channels over gRPC, and alerts that a running server delivers by itself."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from imprest.v1 import alert_channel_pb2 as channel_pb
from imprest.v1 import budget_pb2
from imprest.v1 import budget_service_pb2 as pb
from imprest.v1.budget_service_pb2_grpc import BudgetServiceStub
from imprest_client.errors import details_of
from imprest_client.webhooks import SIGNATURE_HEADER, verify
from tests.conftest import Database
from tests.support.budgets import alert, open_desk
from tests.support.receivers import Hook, hook
from tests.support.server import running_server

SETTINGS: dict[str, Any] = {
    "secrets_key": base64.b64encode(bytes(range(32))).decode(),
    "webhook_allowed_networks": "127.0.0.0/8",
    "delivery_interval_ms": 20,
}
WEBHOOK = channel_pb.CHANNEL_KIND_WEBHOOK


@pytest.fixture
async def receiver() -> AsyncIterator[Hook]:
    async with hook() as receiver:
        yield receiver


async def delivered(stub: BudgetServiceStub, **filters: Any) -> list[channel_pb.AlertDelivery]:
    """The deliveries, once all of them have arrived and that is written."""
    while True:
        found = list((await stub.ListDeliveries(pb.ListDeliveriesRequest(**filters))).deliveries)
        if found and all(d.state == channel_pb.DELIVERY_STATE_DELIVERED for d in found):
            return found


async def test_a_channel_from_its_creation_to_its_end(database: Database, receiver: Hook) -> None:
    async with running_server(database, **SETTINGS) as server, open_desk(database) as desk:
        stub: Any = BudgetServiceStub(server.channel)
        channel = channel_pb.AlertChannel(
            channel_id="ops", kind=WEBHOOK, display_name="Ops", url=receiver.url, kinds=[budget_pb2.ALERT_KIND_OVERRUN]
        )
        created = await stub.CreateChannel(pb.CreateChannelRequest(channel=channel, idempotency_key="c"))
        channel.min_level = budget_pb2.ALERT_LEVEL_INFO
        assert not created.replayed and created.channel.HasField("create_time")
        for name in ("create_time", "update_time"):
            created.channel.ClearField(name)
        assert created.channel == channel
        tested = await stub.TestChannel(pb.TestChannelRequest(channel_id="ops"))
        assert (tested.delivered, tested.detail) == (True, "HTTP 200")

        await desk.add(alert(7_000_000_000))
        await receiver.wait_for(2)
        headers, body = receiver.got[1]
        verify(created.signing_secret, headers[SIGNATURE_HEADER], body)
        (delivery,) = await delivered(stub, channel_id="ops")
        assert delivery.alert_id == json.loads(body)["alert_id"] and not delivery.HasField("next_attempt_time")
        resend = pb.ResendDeliveryRequest(channel_id="ops", alert_id=delivery.alert_id, idempotency_key="r")
        resent = await stub.ResendDelivery(resend)
        assert (resent.delivery.state, resent.replayed) == (channel_pb.DELIVERY_STATE_PENDING, False)
        assert (await stub.ResendDelivery(resend)).replayed
        await receiver.wait_for(3)
        assert (await delivered(stub))[0].attempts == 2

        rotated = await stub.RotateChannelSecret(pb.RotateChannelSecretRequest(channel_id="ops", idempotency_key="s"))
        assert rotated.signing_secret not in ("", created.signing_secret)
        assert rotated.channel.HasField("previous_secret_end_time")
        channel.disabled = True
        updated = await stub.UpdateChannel(pb.UpdateChannelRequest(channel=channel, idempotency_key="u"))
        assert updated.channel.disabled
        got = await stub.GetChannel(pb.GetChannelRequest(channel_id="ops"))
        assert list((await stub.ListChannels(pb.ListChannelsRequest())).channels) == [got.channel] == [updated.channel]
        assert "whsec_" not in str(got) + str(updated)
        await stub.DeleteChannel(pb.DeleteChannelRequest(channel_id="ops", idempotency_key="d"))
        assert not (await stub.ListDeliveries(pb.ListDeliveriesRequest())).deliveries
        assert len(receiver.got) == 3


async def test_what_is_refused(database: Database, receiver: Hook) -> None:
    async def refusal(**fields: Any) -> tuple[str, dict[str, str]]:
        request = pb.CreateChannelRequest(channel=channel_pb.AlertChannel(**fields), idempotency_key=str(fields))
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.CreateChannel(request)
        details = details_of(raised.value)
        return f"{details.code.name} {details.reason}", dict(details.metadata)

    async with running_server(database) as server:
        stub: Any = BudgetServiceStub(server.channel)
        assert (await refusal(url=receiver.url))[1]["field"] == "channel.kind"
        assert (await refusal(kind=WEBHOOK, url=receiver.url))[1]["field"] == "channel.url"
        url = "https://hooks.example/"
        assert (await refusal(kind=WEBHOOK, url=url, kinds=[99]))[1]["field"] == "channel.kinds[0]"
        assert await refusal(kind=WEBHOOK, url=url) == (
            "FAILED_PRECONDITION CHANNEL_NOT_CONFIGURED",
            {"kind": "WEBHOOK", "setting": "IMPREST_SECRETS_KEY"},
        )
