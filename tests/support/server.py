"""A server in the test's own event loop, on the test's own database."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import structlog

from imprest.v1.account_service_pb2_grpc import AccountServiceStub
from imprest.v1.budget_service_pb2_grpc import BudgetServiceStub
from imprest.v1.ledger_service_pb2_grpc import LedgerServiceStub
from imprest.v1.pricing_service_pb2_grpc import PricingServiceStub
from imprest.v1.usage_service_pb2_grpc import UsageServiceStub
from imprest_server.bootstrap import running
from imprest_server.config import Settings
from tests.conftest import Database
from tests.support.ledger import LIMITS

# A line for every call would drown what a test has to say.
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


@dataclass(frozen=True)
class Running:
    """A server, a channel to it, and stubs on that channel."""

    target: str
    channel: grpc.aio.Channel
    ledger: LedgerServiceStub
    accounts: AccountServiceStub
    usage: UsageServiceStub
    pricing: PricingServiceStub
    budgets: BudgetServiceStub


@asynccontextmanager
async def running_server(database: Database, **settings: Any) -> AsyncIterator[Running]:
    """Serve until the block ends. `settings` are those of `imprest_server.config.Settings`.

    The sweeper is off unless `sweep_interval_ms` is given: reads and operations expire what is due by themselves.
    Statements and locks have as long as a slow machine may need.
    """
    chosen = Settings(**{"listen": "127.0.0.1:0", "sweep_interval_ms": 3_600_000, **LIMITS, **settings})
    async with running(chosen, database.app_dsn) as target, grpc.aio.insecure_channel(target) as channel:
        yield Running(
            target,
            channel,
            LedgerServiceStub(channel),
            AccountServiceStub(channel),
            UsageServiceStub(channel),
            PricingServiceStub(channel),
            BudgetServiceStub(channel),
        )
