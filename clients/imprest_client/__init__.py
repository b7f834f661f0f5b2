"""Imprest clients: what call controllers, agents and admins import to talk to an Imprest server.

    async with AdminClient("127.0.0.1:7400", currency="USD") as admin:
        await admin.create_account("acme")
        await admin.add_credit("acme", 25)

The same clients without `await` are in `imprest_client.sync`, the exceptions in `imprest_client.errors`.
"""

from imprest_client.admin import KEEP, AdminClient
from imprest_client.agent import AgentClient
from imprest_client.alerts import AlertStream
from imprest_client.batch import Batch, Operation
from imprest_client.budgets import BudgetClient
from imprest_client.call import Call, Ending
from imprest_client.channels import ChannelClient
from imprest_client.client import Amount, LedgerClient
from imprest_client.connection import Connection
from imprest_client.controller import CallController
from imprest_client.errors import Denied, ImprestError, Retryable
from imprest_client.metering import UsageCounter
from imprest_client.pricing import PricingClient
from imprest_client.pricing_model import UsageLine, UsageReport
from imprest_client.recorder import RecorderFull, UndeliveredUsage, UsageRecorder
from imprest_client.retry import RetryPolicy
from imprest_client.spool import Spool

__all__ = [
    "KEEP",
    "AdminClient",
    "AgentClient",
    "AlertStream",
    "Amount",
    "Batch",
    "BudgetClient",
    "Call",
    "CallController",
    "ChannelClient",
    "Connection",
    "Denied",
    "Ending",
    "ImprestError",
    "LedgerClient",
    "Operation",
    "PricingClient",
    "RecorderFull",
    "RetryPolicy",
    "Retryable",
    "Spool",
    "UndeliveredUsage",
    "UsageCounter",
    "UsageLine",
    "UsageRecorder",
    "UsageReport",
]
