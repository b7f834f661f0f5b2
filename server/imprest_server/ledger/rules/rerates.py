"""Rerate: the usage of one transaction at other prices than it was posted at; an adjustment, never an edit."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from imprest_server.core.errors import RefundExceedsCapture
from imprest_server.core.ids import TransactionId, format_transaction_id
from imprest_server.core.money import format_nanos
from imprest_server.core.usage import RatedLine
from imprest_server.ledger.chart import LedgerAccountCode as Code
from imprest_server.ledger.model import Capture, ChargeBreakdown, OverrunPolicy, RefundAllocation, TransactionKind
from imprest_server.ledger.operations import Reply, Request, Rerate
from imprest_server.ledger.rating import LineAmounts, ReratedLine
from imprest_server.ledger.rules.draft import Details, Draft
from imprest_server.ledger.rules.guards import require_open
from imprest_server.ledger.rules.limits import count_charge, count_cost_adjustments, count_given_back
from imprest_server.ledger.rules.overrun import post_charge, split_usage
from imprest_server.ledger.rules.true_ups import post_cost, spread_cost
from imprest_server.ledger.working_set import Ledger


def rerate(ledger: Ledger, request: Request, op: Rerate, now: datetime) -> Reply:
    """Post the difference between what the lines are to cost and what they cost now, earlier re-rates included.

    A higher price is collected like recorded usage; a lower one given back like a refund: what was charged beyond it.
    What was absorbed nobody has paid. Lines that cost just that are left alone, and costs that true-ups have stated.
    Denied when refunds have not left as much: what they were for nobody knows here.
    """
    draft = Draft(ledger, (op.tenant_id, op.account_id), now)
    require_open(draft.account)
    rerate_id = TransactionId(request.first_id)
    before = [ledger.line_amounts[op.tenant_id, op.account_id, op.call_id, line.line.line_id] for line in op.lines]
    own = ledger.captures[op.tenant_id, op.transaction_id]
    lines = [_of_side(op.side, line, amounts) for line, amounts in zip(op.lines, before, strict=True)]
    lines = [
        _of_side("SALE", line, amounts) if own.stated or amounts.stated else line
        for line, amounts in zip(lines, before, strict=True)
    ]
    changed = [
        (line, amounts)
        for line, amounts in zip(lines, before, strict=True)
        if (line.price, line.cost) != (amounts.price, amounts.cost)
    ]
    price = sum(line.price - amounts.price for line, amounts in changed)
    captures = _captures(ledger, op)
    charge, allocations = _collect(draft, price), list[RefundAllocation]()
    if price < 0:
        beyond = sum(capture.charged for capture in captures) - sum(line.price for line in lines)
        charge, allocations = _give_back(draft, captures, rerate_id, min(-price, max(0, beyond)))
    # The cost is that of the transaction itself, also when a re-rate has charged for it, and before it of its expiry.
    cost = sum(line.cost - amounts.cost for line, amounts in changed)
    expiry = _expiry_before(ledger, op)
    costs = spread_cost(draft, [own] if expiry is None or expiry.stated else [own, expiry], rerate_id, cost)
    cost = sum(adjustment.cost for adjustment in costs)
    post_charge(draft, charge)
    post_cost(draft, cost)
    transaction = draft.write(
        TransactionKind.RERATE,
        rerate_id,
        Details(reservation_id=op.reservation_id, call_id=own.call_id, reason=op.reason, labels=own.labels),
    )
    ledger.put_refunds(allocations)
    ledger.put_cost_adjustments(costs)
    count_charge(ledger, draft.account, own.labels, charge, None)
    count_given_back(ledger, draft.account, allocations)
    count_cost_adjustments(ledger, draft.account, costs)
    ledger.put_rerated_lines(
        ReratedLine(
            tenant_id=op.tenant_id,
            account_id=op.account_id,
            call_id=op.call_id,
            captured_seq=op.seq,
            rated=line,
            before=amounts,
            seq=transaction.seq if transaction else None,
            create_time=now,
            stated=amounts.stated,
        )
        for line, amounts in changed
    )
    if transaction is not None:
        ledger.rerates_of[op.tenant_id, op.transaction_id].append(rerate_id)
    given_back = sum(allocation.amount for allocation in allocations)
    return Reply(
        balance=draft.balance(),
        charge=ChargeBreakdown(
            from_available=charge.from_available - given_back,
            receivable=charge.receivable,
            absorbed=charge.absorbed,
            provider_cost=cost,
        ),
        transaction_id=transaction.transaction_id if transaction else None,
    )


def _of_side(side: str | None, line: RatedLine, now: LineAmounts) -> RatedLine:
    """The line as it is to be: what is not re-rated stays as it is now, whatever it was when the prices were chosen."""
    match side:
        case "SALE":
            return replace(line, cost=now.cost, exact_cost=now.exact_cost, cost_version=now.cost_version)
        case "COST":
            return replace(line, price=now.price, exact_price=now.exact_price, price_version=now.price_version)
        case _:
            return line


def _captures(ledger: Ledger, op: Rerate) -> list[Capture]:
    """What has charged for the lines, newest first: earlier re-rates, the transaction, the expiry it came after."""
    ids = [*reversed(ledger.rerates_of[op.tenant_id, op.transaction_id]), op.transaction_id]
    found = [ledger.captures[op.tenant_id, transaction_id] for transaction_id in ids]
    expiry = _expiry_before(ledger, op)
    return found if expiry is None else [*found, expiry]


def _expiry_before(ledger: Ledger, op: Rerate) -> Capture | None:
    """The expiry that has charged for a part of the lines, when a late commit is re-rated."""
    if op.reservation_id is None:
        return None
    provisional = ledger.reservation((op.tenant_id, op.reservation_id)).provisional
    if provisional is None or provisional.transaction_id is None:
        return None
    expiry = ledger.captures[op.tenant_id, provisional.transaction_id]
    return expiry if expiry.seq < op.seq else None  # a capture before the expiry was for other usage


def _collect(draft: Draft, price: int) -> ChargeBreakdown:
    """Where more money comes from; nothing for less."""
    return split_usage(
        OverrunPolicy.COLLECT, max(0, price), 0, draft.spendable, draft.book.receivable, draft.account.max_overrun
    )


def _give_back(
    draft: Draft, captures: list[Capture], rerate_id: TransactionId, amount: int
) -> tuple[ChargeBreakdown, list[RefundAllocation]]:
    """Post what goes back to the customer; nothing is charged then. Raises RefundExceedsCapture."""
    refundable = sum(capture.refundable for capture in captures)
    if amount > refundable:
        raise RefundExceedsCapture(
            target=format_transaction_id(captures[-1].transaction_id),
            currency_code=draft.account.currency_code,
            refundable=format_nanos(refundable),
        )
    allocations = []
    for capture in captures:
        taken = min(amount, capture.refundable)
        if taken:
            amount -= taken
            allocations.append(
                RefundAllocation(
                    tenant_id=draft.account.tenant_id,
                    account_id=capture.account_id,
                    refund_transaction_id=rerate_id,
                    captured_transaction_id=capture.transaction_id,
                    kind=TransactionKind.RERATE,
                    amount=taken,
                    cost=0,
                )
            )
    draft.take_in(Code.REFUNDS, sum(allocation.amount for allocation in allocations))
    return ChargeBreakdown(), allocations
