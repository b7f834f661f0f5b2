"""The client for budgets and alerts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable
from datetime import datetime, timedelta

from imprest.v1 import budget_service_pb2 as pb
from imprest.v1.budget_pb2 import Budget as BudgetMessage
from imprest.v1.budget_pb2 import BudgetLabel
from imprest_client import budget_wire as wire
from imprest_client.alerts import CHECKPOINTS, AlertStream
from imprest_client.budget_model import (
    Alert,
    AlertKind,
    AlertLevel,
    AlertReceipt,
    Budget,
    BudgetBasis,
    BudgetPeriod,
    BudgetReceipt,
    BudgetStatus,
    DeleteBudgetReceipt,
    ResumeReceipt,
    Threshold,
    ThresholdProfile,
)
from imprest_client.client import PAGE_SIZE, Amount, LedgerClient, key_or_new
from imprest_client.times import to_time


class BudgetClient(LedgerClient):
    """Budgets and alerts, beside everything that `LedgerClient` has."""

    # ── budgets ──────────────────────────────────────────────────────────────────────────────────────

    async def set_budget(
        self,
        budget_id: str,
        limit: Amount,
        *,
        period: BudgetPeriod,
        account_id: str | None = None,
        label: tuple[str, str] | None = None,
        meter_prefix: str = "",
        basis: BudgetBasis = BudgetBasis.CHARGED,
        time_zone: str = "",
        thresholds: Iterable[Threshold] = (),
        profile: ThresholdProfile | None = None,
        display_name: str = "",
        currency: str | None = None,
        idempotency_key: str | None = None,
    ) -> BudgetReceipt:
        """Make a budget, or change one as a whole, for the running period too: what it has seen counts.

        Summing a long period of a large tenant may take longer than a request usually does: see `with_timeout`.

        Args:
            budget_id: Your choice, unique in the tenant; when empty the server makes one.
            limit: What may be spent in a period.
            period: How long a period lasts.
            account_id: Counts one account's spending. Default, without a label either: the whole tenant's.
            label: Counts what carries this label: its key and its value.
            meter_prefix: Counts only usage of the meters that begin so, such as "llm.".
            basis: Counts what is charged, or what it costs.
            time_zone: The zone of the periods. Default: UTC.
            thresholds: What happens at which part of the limit.
            profile: Ready thresholds instead. Default, with none of both: WARN.
            display_name: A name for people.
            currency: Currency of the limit.
            idempotency_key: Makes the request repeatable.
        """
        if account_id is not None and label is not None:
            raise ValueError("a budget is of an account or of a label, not of both")
        message = BudgetMessage(
            budget_id=budget_id,
            display_name=display_name,
            meter_prefix=meter_prefix,
            basis=f"BUDGET_BASIS_{basis}",
            period=f"BUDGET_PERIOD_{period}",
            time_zone=time_zone,
            limit=self._money(limit, currency),
            thresholds=map(wire.to_threshold, thresholds),
        )
        if account_id is not None:
            message.account_id = account_id
        elif label is not None:
            message.label.CopyFrom(BudgetLabel(key=label[0], value=label[1]))
        else:
            message.tenant = True
        request = pb.SetBudgetRequest(
            budget=message,
            threshold_profile=profile and f"THRESHOLD_PROFILE_{profile}",
            idempotency_key=key_or_new(idempotency_key),
        )
        reply = await self._call(wire.SET_BUDGET, request)
        return BudgetReceipt(wire.budget(reply.budget), reply.replayed)

    async def get_budget_status(self, budget_id: str) -> BudgetStatus:
        """Return how a budget stands."""
        reply = await self._call(wire.GET_BUDGET_STATUS, pb.GetBudgetStatusRequest(budget_id=budget_id))
        return wire.status(reply.status)

    async def list_budgets(
        self, *, account_id: str = "", label_key: str = "", page_size: int = PAGE_SIZE
    ) -> AsyncIterator[Budget]:
        """All budgets that match, in the order of their ids; pages are fetched as they are needed."""
        request = pb.ListBudgetsRequest(account_id=account_id, label_key=label_key, page_size=page_size)
        while True:
            page = await self._call(wire.LIST_BUDGETS, request)
            for message in page.budgets:
                yield wire.budget(message)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def delete_budget(self, budget_id: str, *, idempotency_key: str | None = None) -> DeleteBudgetReceipt:
        """Have a budget count, block and stop no more; its alerts stay."""
        request = pb.DeleteBudgetRequest(budget_id=budget_id, idempotency_key=key_or_new(idempotency_key))
        reply = await self._call(wire.DELETE_BUDGET, request)
        return DeleteBudgetReceipt(reply.replayed)

    async def resume_calls(
        self, budget_id: str, *, reason: str = "", idempotency_key: str | None = None
    ) -> ResumeReceipt:
        """Lift the stop of a budget; thresholds that block still do."""
        request = pb.ResumeCallsRequest(budget_id=budget_id, reason=reason, idempotency_key=key_or_new(idempotency_key))
        reply = await self._call(wire.RESUME_CALLS, request)
        return ResumeReceipt(wire.status(reply.status), reply.replayed)

    # ── alerts ───────────────────────────────────────────────────────────────────────────────────────

    def alerts(
        self,
        *,
        resume_token: str = "",
        start_time: datetime | None = None,
        account_id: str = "",
        min_level: AlertLevel | None = None,
        kinds: Collection[AlertKind] = (),
        checkpoint_interval: timedelta = CHECKPOINTS,
    ) -> AlertStream:
        """The alerts as they happen, without end, in order, each once, whatever restarts in between.

        Args:
            resume_token: Where to begin: the `token` of an earlier stream. Default: now.
            start_time: Or with the first alert at or after this instant.
            account_id: Only alerts of this account.
            min_level: Only alerts of this level and above.
            kinds: Only alerts of these kinds.
            checkpoint_interval: How often a quiet server says that it lives: 1 second to 5 minutes. When it has been
                silent for three times as long another connection is made.
        """
        return AlertStream(
            self._connection,
            resume_token=resume_token,
            start_time=start_time,
            account_id=account_id,
            min_level=min_level,
            kinds=kinds,
            checkpoint_interval=checkpoint_interval,
        )

    async def list_alerts(
        self,
        *,
        account_id: str = "",
        budget_id: str = "",
        min_level: AlertLevel | None = None,
        kinds: Collection[AlertKind] = (),
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        unacknowledged: bool = False,
        page_size: int = PAGE_SIZE,
    ) -> AsyncIterator[Alert]:
        """All alerts that are kept and match, the newest first; pages are fetched as they are needed.

        Args:
            account_id: Only alerts of this account.
            budget_id: Only alerts of this budget.
            min_level: Only alerts of this level and above.
            kinds: Only alerts of these kinds.
            start_time: Only those written at or after this instant.
            end_time: Only those written before this instant.
            unacknowledged: Only those that nobody has acknowledged.
            page_size: How many to fetch at a time.
        """
        request = pb.ListAlertsRequest(
            account_id=account_id,
            budget_id=budget_id,
            min_level=wire.to_level(min_level),
            kinds=wire.to_kinds(kinds),
            start_time=None if start_time is None else to_time(start_time),
            end_time=None if end_time is None else to_time(end_time),
            unacknowledged=unacknowledged,
            page_size=page_size,
        )
        while True:
            page = await self._call(wire.LIST_ALERTS, request)
            for message in page.alerts:
                yield wire.alert(message)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def acknowledge_alert(
        self, alert_id: str, *, acknowledged_by: str = "", idempotency_key: str | None = None
    ) -> AlertReceipt:
        """Note that somebody has seen an alert; the first one counts."""
        request = pb.AcknowledgeAlertRequest(
            alert_id=alert_id, acknowledged_by=acknowledged_by, idempotency_key=key_or_new(idempotency_key)
        )
        reply = await self._call(wire.ACKNOWLEDGE_ALERT, request)
        return AlertReceipt(wire.alert(reply.alert), reply.replayed)
