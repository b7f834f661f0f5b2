"""Budgets and alerts of the fake server beside its decisions: its stream, its clock, its faults."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import grpc
import pytest

from imprest.v1.budget_service_pb2 import ListChannelsRequest
from imprest.v1.budget_service_pb2_grpc import BudgetServiceStub
from imprest_client import AdminClient, BudgetClient
from imprest_client.budget_model import AlertKind, BudgetPeriod, Threshold
from imprest_client.errors import details_of
from imprest_client.testing import FakeImprest


async def test_a_stream_of_alerts_outlives_an_outage() -> None:
    async with FakeImprest() as server, BudgetClient(server.target, currency="USD") as client:
        async with AdminClient(server.target, currency="USD") as admin:
            await admin.create_account("acme")
            await admin.add_credit("acme", 10)
        alerts = client.alerts()
        await alerts.begin()
        await client.set_budget("b", 2, period=BudgetPeriod.DAY, thresholds=[Threshold(Decimal(50))])
        await client.charge("acme", 1)
        assert (await anext(alerts)).spent == 1
        streams = server.rpcs.count("BudgetAlerts")
        with server.outage():
            waiting = asyncio.ensure_future(anext(alerts))
            while server.rpcs.count("BudgetAlerts") == streams:  # noqa: ASYNC110  # it is begun again, in vain
                await asyncio.sleep(0.001)
        await client.record_usage("acme", 11)
        alert = await waiting
        assert (alert.sequence, alert.kind, alert.amount) == (2, AlertKind.RECEIVABLE, 2)
        await alerts.close()


async def test_a_hold_that_expires_is_told_when_the_clock_is_put_forward() -> None:
    async with FakeImprest() as server, BudgetClient(server.target, currency="USD") as client:
        async with AdminClient(server.target, currency="USD") as admin:
            await admin.create_account("acme")
            await admin.add_credit("acme", 10)
        alerts = client.alerts()
        await alerts.begin()
        held = await client.reserve("acme", 5, call_id="c-1")
        await client.extend(held.reservation.reservation_id, used_so_far=2)
        server.advance(timedelta(hours=1))
        alert = await anext(alerts)
        assert (alert.kind, alert.amount, alert.call_ids) == (AlertKind.RESERVATION_EXPIRED, 2, ("c-1",))
        await alerts.close()


async def test_what_it_does_not_have_it_says() -> None:
    async with FakeImprest() as server, grpc.aio.insecure_channel(server.target) as channel:
        with pytest.raises(grpc.RpcError) as missing:
            await BudgetServiceStub(channel).ListChannels(ListChannelsRequest())
    details = details_of(missing.value)
    assert (details.code, details.message) == (
        grpc.StatusCode.UNIMPLEMENTED,
        "FakeImprest has no ListChannels.",
    )
