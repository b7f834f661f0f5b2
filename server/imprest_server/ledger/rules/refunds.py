"""Refund: give back posted money, never more than was paid or is owed."""

from __future__ import annotations

from datetime import datetime

from imprest_server.core.errors import NotFound, RefundExceedsCapture
from imprest_server.core.ids import (
    AccountId,
    TransactionId,
    format_reservation_id,
    format_transaction_id,
)
from imprest_server.core.money import format_nanos, pro_rata
from imprest_server.ledger.chart import LedgerAccountCode as Code
from imprest_server.ledger.model import Capture, RefundAllocation, TransactionKind
from imprest_server.ledger.operations import Refund, Reply, Request
from imprest_server.ledger.rules.draft import Details, Draft
from imprest_server.ledger.rules.guards import require_currency, require_open
from imprest_server.ledger.rules.limits import count_given_back
from imprest_server.ledger.working_set import Ledger


def refund(ledger: Ledger, request: Request, op: Refund, now: datetime) -> Reply:
    """Refund `amount`, or all that is left, of a transaction or of a reservation's captures."""
    account_id, captures, refunded_of_others = _target(ledger, op)
    draft = Draft(ledger, (op.tenant_id, account_id), now)
    require_currency(draft.account, op.amount)
    require_open(draft.account)
    refundable = sum(capture.refundable for capture in captures)
    amount = refundable if op.amount is None else op.amount.nanos
    if amount > refundable or not refundable:
        raise RefundExceedsCapture(
            target=_name(op), currency_code=draft.account.currency_code, refundable=format_nanos(refundable)
        )
    refund_id = TransactionId(request.first_id)
    allocations = _allocate(op, refund_id, captures, amount)
    draft.take_in(Code.REFUNDS, amount)
    draft.post(Code.PROVIDER_PAYABLE, Code.PROVIDER_COST, sum(a.cost for a in allocations))
    transaction = draft.write(
        TransactionKind.REFUND,
        refund_id,
        Details(reservation_id=captures[0].reservation_id, call_id=captures[0].call_id, reason=op.reason),
    )
    ledger.put_refunds(allocations)
    count_given_back(ledger, draft.account, allocations)
    return Reply(
        transaction=transaction,
        transaction_id=refund_id,
        balance=draft.balance(),
        refunded_total=sum(capture.refunded for capture in captures) + refunded_of_others + amount,
    )


def _target(ledger: Ledger, op: Refund) -> tuple[AccountId, list[Capture], int]:
    """The account and its captures to refund, in the order they are used up: the newest first; and what was refunded
    before of captures that this refund does not get to."""
    if op.reservation_id is not None:
        key = (op.tenant_id, op.reservation_id)
        account_id, captures = ledger.reservation(key).account_id, ledger.reservation_captures(key)[::-1]
        return account_id, captures, ledger.refunded_of_others.get(key, 0)
    assert op.transaction_id is not None, "validation requires one of the two targets"
    transaction_key = (op.tenant_id, op.transaction_id)
    if transaction_key not in ledger.transaction_accounts:
        raise NotFound(resource="transaction", id=format_transaction_id(op.transaction_id))
    captures = [ledger.captures[transaction_key]] if transaction_key in ledger.captures else []
    return ledger.transaction_accounts[transaction_key], captures, 0


def _allocate(op: Refund, refund_id: TransactionId, captures: list[Capture], amount: int) -> list[RefundAllocation]:
    """Take `amount` from the captures in order; with `reverse_cost` each one's cost in proportion.

    The cost is reversed cumulatively: when a capture is refunded in full, all of its cost has come back.
    """
    allocations: list[RefundAllocation] = []
    for capture in captures:
        taken = min(amount, capture.refundable)
        if not taken:
            continue
        amount -= taken
        cost = 0
        if op.reverse_cost:
            due = pro_rata(capture.cost, capture.refunded + taken, capture.charged)
            cost = max(0, due - capture.cost_reversed)
        allocations.append(
            RefundAllocation(
                tenant_id=op.tenant_id,
                account_id=capture.account_id,
                refund_transaction_id=refund_id,
                captured_transaction_id=capture.transaction_id,
                kind=TransactionKind.REFUND,
                amount=taken,
                cost=cost,
            )
        )
    return allocations


def _name(op: Refund) -> str:
    """How the target is called in a denial."""
    if op.reservation_id is not None:
        return format_reservation_id(op.reservation_id)
    assert op.transaction_id is not None
    return format_transaction_id(op.transaction_id)
