"""BudgetService: budgets and alerts (channels are in `channels`). Like `account_service`, a thin translation."""

# ruff: noqa: N802  # the protos name the methods

from __future__ import annotations

from collections.abc import AsyncGenerator

from google.protobuf.message import Message
from grpc.aio import ServicerContext

from imprest.v1 import budget_service_pb2 as pb
from imprest.v1.budget_service_pb2_grpc import BudgetServiceServicer
from imprest_server.budgets import operations as ops
from imprest_server.budgets.channels.service import ChannelAdmin
from imprest_server.budgets.hub import AlertHub
from imprest_server.budgets.model import BudgetBasis, BudgetId
from imprest_server.budgets.queries import BudgetQueries
from imprest_server.budgets.service import BudgetAdmin
from imprest_server.budgets.validation import check_budget_id
from imprest_server.core.errors import InvalidArgument
from imprest_server.ledger.validation import check_text
from imprest_server.transport.alert_stream import stream_alerts
from imprest_server.transport.budgets import (
    BASIS,
    PERIOD,
    parse_alert,
    parse_kinds,
    parse_level,
    parse_scope,
    parse_thresholds,
    to_alert,
    to_budget,
    to_status,
)
from imprest_server.transport.channels import ChannelMethods
from imprest_server.transport.convert import parse_account_id, parse_amount, parse_time
from imprest_server.transport.identity import TENANT

Context = ServicerContext[Message, Message]


class BudgetService(ChannelMethods, BudgetServiceServicer):
    """What whoever watches spending needs; the proto's comments are the contract."""

    def __init__(self, admin: BudgetAdmin, queries: BudgetQueries, hub: AlertHub, channels: ChannelAdmin) -> None:
        self._admin = admin
        self._queries = queries
        self._hub = hub
        self._channels = channels

    async def SetBudget(self, request: pb.SetBudgetRequest, context: Context) -> pb.SetBudgetResponse:
        """Make or change a budget."""
        budget = request.budget
        limit = parse_amount(budget, "limit", "budget.")
        if limit is None:
            raise InvalidArgument(field="budget.limit", problem="is required")
        period = PERIOD.parse(budget.period, "budget.period")
        if period is None:
            raise InvalidArgument(field="budget.period", problem="is required")
        written = await self._admin.set_budget(
            ops.SetBudget(
                tenant_id=TENANT,
                idempotency_key=request.idempotency_key,
                budget_id=BudgetId(budget.budget_id) if budget.budget_id else None,
                display_name=budget.display_name,
                scope=parse_scope(budget),
                limit=limit,
                basis=BASIS.parse(budget.basis, "budget.basis") or BudgetBasis.CHARGED,
                period=period,
                time_zone=budget.time_zone or "UTC",
                thresholds=parse_thresholds(budget, request.threshold_profile),
            )
        )
        return pb.SetBudgetResponse(budget=to_budget(written.value), replayed=written.replayed)

    async def GetBudgetStatus(self, request: pb.GetBudgetStatusRequest, context: Context) -> pb.GetBudgetStatusResponse:
        """Return how a budget stands."""
        status = await self._queries.get_status(TENANT, check_budget_id(request.budget_id))
        return pb.GetBudgetStatusResponse(status=to_status(status))

    async def ListBudgets(self, request: pb.ListBudgetsRequest, context: Context) -> pb.ListBudgetsResponse:
        """List budgets by id."""
        check_text(request.label_key, "label_key")
        budgets, next_page_token = await self._queries.list_budgets(
            TENANT,
            account_id=parse_account_id(request.account_id) if request.account_id else None,
            label_key=request.label_key,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return pb.ListBudgetsResponse(budgets=map(to_budget, budgets), next_page_token=next_page_token)

    async def DeleteBudget(self, request: pb.DeleteBudgetRequest, context: Context) -> pb.DeleteBudgetResponse:
        """Have a budget count no more."""
        written = await self._admin.delete_budget(
            ops.DeleteBudget(
                tenant_id=TENANT, idempotency_key=request.idempotency_key, budget_id=BudgetId(request.budget_id)
            )
        )
        return pb.DeleteBudgetResponse(replayed=written.replayed)

    async def ResumeCalls(self, request: pb.ResumeCallsRequest, context: Context) -> pb.ResumeCallsResponse:
        """Lift a budget's stop."""
        written = await self._admin.resume_calls(
            ops.ResumeCalls(
                tenant_id=TENANT,
                idempotency_key=request.idempotency_key,
                budget_id=BudgetId(request.budget_id),
                reason=request.reason,
            )
        )
        return pb.ResumeCallsResponse(status=to_status(written.value), replayed=written.replayed)

    def BudgetAlerts(
        self, request: pb.BudgetAlertsRequest, context: Context
    ) -> AsyncGenerator[pb.BudgetAlertsResponse]:
        """Stream alerts."""
        return stream_alerts(self._hub, TENANT, request)

    async def ListAlerts(self, request: pb.ListAlertsRequest, context: Context) -> pb.ListAlertsResponse:
        """List alerts, newest first."""
        alerts, next_page_token = await self._queries.list_alerts(
            TENANT,
            account_id=parse_account_id(request.account_id) if request.account_id else None,
            budget_id=check_budget_id(request.budget_id) if request.budget_id else None,
            min_level=parse_level(request.min_level, "min_level"),
            kinds=parse_kinds(request.kinds),
            start_time=parse_time(request, "start_time"),
            end_time=parse_time(request, "end_time"),
            unacknowledged=request.unacknowledged,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return pb.ListAlertsResponse(alerts=map(to_alert, alerts), next_page_token=next_page_token)

    async def AcknowledgeAlert(
        self, request: pb.AcknowledgeAlertRequest, context: Context
    ) -> pb.AcknowledgeAlertResponse:
        """Note that somebody has seen an alert."""
        written = await self._admin.acknowledge_alert(
            ops.AcknowledgeAlert(
                tenant_id=TENANT,
                idempotency_key=request.idempotency_key,
                alert_id=parse_alert(request.alert_id),
                acknowledged_by=request.acknowledged_by,
            )
        )
        return pb.AcknowledgeAlertResponse(alert=to_alert(written.value), replayed=written.replayed)
