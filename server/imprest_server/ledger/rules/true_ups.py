"""TrueUpCost: what providers charge for usage turned out to be another amount than was posted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from imprest_server.core.errors import NotFound
from imprest_server.core.ids import TenantId, TransactionId, format_reservation_id, format_transaction_id
from imprest_server.ledger.chart import LedgerAccountCode as Code
from imprest_server.ledger.model import Capture, ChargeBreakdown, CostAdjustment, TransactionKind
from imprest_server.ledger.operations import Reply, Request, TrueUpCost
from imprest_server.ledger.rules.draft import Details, Draft
from imprest_server.ledger.rules.guards import require_currency
from imprest_server.ledger.rules.limits import count_cost_adjustments
from imprest_server.ledger.working_set import Ledger


def true_up_cost(ledger: Ledger, request: Request, op: TrueUpCost, now: datetime) -> Reply:
    """Post the difference between `cost` and what the target costs now, earlier corrections and reversals included.

    From then on prices have no say in it. The customer's money stays as it is, so every state of the account allows it.
    """
    captures = _target(ledger, op)
    newest = captures[0]
    draft = Draft(ledger, (op.tenant_id, newest.account_id), now)
    require_currency(draft.account, op.cost)
    difference = op.cost.nanos - sum(capture.net_cost for capture in captures)
    adjusting_id = TransactionId(request.first_id)
    post_cost(draft, difference)
    transaction = draft.write(
        TransactionKind.TRUE_UP,
        adjusting_id,
        Details(reservation_id=newest.reservation_id, call_id=newest.call_id, reason=op.reason, labels=newest.labels),
    )
    moved = spread_cost(draft, captures, adjusting_id, difference)
    adjustments = state_costs(captures, moved, op.tenant_id, adjusting_id if transaction else None)
    ledger.put_cost_adjustments(adjustments)
    count_cost_adjustments(ledger, draft.account, adjustments)
    return Reply(
        balance=draft.balance(),
        charge=ChargeBreakdown(provider_cost=difference),
        transaction=transaction,
        transaction_id=transaction.transaction_id if transaction else None,
    )


def post_cost(draft: Draft, difference: int) -> None:
    """More, or less, is owed to providers."""
    draft.post(Code.PROVIDER_COST, Code.PROVIDER_PAYABLE, max(0, difference))
    draft.post(Code.PROVIDER_PAYABLE, Code.PROVIDER_COST, max(0, -difference))


def spread_cost(
    draft: Draft, captures: list[Capture], adjusting_id: TransactionId, difference: int
) -> list[CostAdjustment]:
    """Which captures, newest first, cost more or less: more is the newest's, less is taken as far as each goes."""
    adjustments = []
    for capture in captures:
        part = difference if difference > 0 else max(difference, -capture.net_cost)
        difference -= part
        if part:
            adjustments.append(
                CostAdjustment(
                    tenant_id=draft.account.tenant_id,
                    account_id=capture.account_id,
                    captured_transaction_id=capture.transaction_id,
                    adjusting_transaction_id=adjusting_id,
                    cost=part,
                )
            )
    return adjustments


def state_costs(
    captures: Iterable[Capture],
    moved: Iterable[CostAdjustment],
    tenant_id: TenantId,
    adjusting_id: TransactionId | None,
) -> list[CostAdjustment]:
    """The adjustments that state what the captures cost: what is moved, and by nothing those that are not.

    `adjusting_id` is that of the transaction that was written, if any.
    """
    by = {adjustment.captured_transaction_id: replace(adjustment, stated=True) for adjustment in moved}
    for capture in captures:
        if not capture.stated and capture.transaction_id not in by:
            by[capture.transaction_id] = CostAdjustment(
                tenant_id=tenant_id,
                account_id=capture.account_id,
                captured_transaction_id=capture.transaction_id,
                adjusting_transaction_id=adjusting_id or capture.transaction_id,
                cost=0,
                stated=True,
            )
    return list(by.values())


def _target(ledger: Ledger, op: TrueUpCost) -> list[Capture]:
    """The captures whose cost is corrected, newest first; at least one."""
    if op.reservation_id is not None:
        key = (op.tenant_id, op.reservation_id)
        ledger.reservation(key)
        captures = ledger.reservation_captures(key)[::-1]
        if not captures:
            raise NotFound(resource="capture of reservation", id=format_reservation_id(op.reservation_id))
        return captures
    assert op.transaction_id is not None, "validation requires one of the two targets"
    capture = ledger.captures.get((op.tenant_id, op.transaction_id))
    if capture is None:
        raise NotFound(resource="transaction of usage", id=format_transaction_id(op.transaction_id))
    return [capture]
