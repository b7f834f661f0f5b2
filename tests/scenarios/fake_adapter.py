"""The client library's fake server behind the adapter contract, reached through real gRPC like the real one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import grpc

from imprest.v1.account_service_pb2_grpc import AccountServiceStub
from imprest.v1.budget_service_pb2_grpc import BudgetServiceStub
from imprest.v1.ledger_service_pb2_grpc import LedgerServiceStub
from imprest.v1.pricing_service_pb2_grpc import PricingServiceStub
from imprest.v1.usage_service_pb2_grpc import UsageServiceStub
from imprest_client.testing import FakeImprest, UnitPrice
from tests.scenarios.contract import UNIT_COST, UNIT_METER, UNIT_PRICE
from tests.scenarios.grpc_adapter import GrpcAdapter
from tests.support.server import Running


class FakeAdapter(GrpcAdapter):
    """The same requests as to the real server; only its clock is at hand."""

    def __init__(self, server: Running, fake: FakeImprest) -> None:
        super().__init__(server, owner_dsn="", frozen_clock=True)
        self._fake = fake

    def now(self) -> datetime:
        """The time by the fake's clock."""
        return self._fake.now

    async def advance(self, seconds: Decimal) -> None:
        """Move the fake's clock."""
        self._fake.advance(timedelta(microseconds=int(seconds * 1_000_000)))


@asynccontextmanager
async def running_fake(now: datetime | None = None) -> AsyncIterator[tuple[Running, FakeImprest]]:
    """A fake that sells units, with the stubs of a server."""
    prices = {UNIT_METER: UnitPrice(UNIT_PRICE, UNIT_COST)}
    fake = FakeImprest(now, prices=prices)
    async with fake, grpc.aio.insecure_channel(fake.target) as channel:
        yield (
            Running(
                fake.target,
                channel,
                LedgerServiceStub(channel),
                AccountServiceStub(channel),
                UsageServiceStub(channel),
                PricingServiceStub(channel),
                BudgetServiceStub(channel),
            ),
            fake,
        )


@asynccontextmanager
async def fake_adapter() -> AsyncIterator[FakeAdapter]:
    """A fake whose clock stands still."""
    async with running_fake(datetime(2026, 1, 31, 12, tzinfo=UTC)) as (running, fake):
        yield FakeAdapter(running, fake)
