"""TrueUpCost: what providers charge for usage turned out to be another amount than was posted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from imprest_server.core.errors import InvalidArgument, NotFound
from imprest_server.core.ids import TenantId, TransactionId, format_reservation_id, format_transaction_id
from imprest_server.core.money import Money
from imprest_server.core.usage import RatedLine
from imprest_server.ledger.chart import LedgerAccountCode as Code
from imprest_server.ledger.model import Capture, ChargeBreakdown, CostAdjustment, Transaction, TransactionKind
from imprest_server.ledger.operations import Reply, Request, TrueUpCost
from imprest_server.ledger.rating import ReratedLine
from imprest_server.ledger.rules.draft import Details, Draft
from imprest_server.ledger.rules.guards import require_currency
from imprest_server.ledger.rules.limits import count_cost_adjustments
from imprest_server.ledger.working_set import Ledger


def true_up_cost(ledger: Ledger, request: Request, op: TrueUpCost, now: datetime) -> Reply:
    """Post the difference between `cost` and what the target costs now, earlier corrections and reversals included; or
    that between what its lines are said to cost and what they cost now.

    From then on prices have no say in it. The customer's money stays as it is, so every state of the account allows it.
    """
    captures = _target(ledger, op)
    newest = captures[0]
    draft = Draft(ledger, (op.tenant_id, newest.account_id), now)
    if op.cost is None:
        return _true_up_lines(ledger, request, op, draft, captures)
    require_currency(draft.account, op.cost)
    difference = op.cost.nanos - sum(capture.net_cost for capture in captures)
    adjusting_id = TransactionId(request.first_id)
    post_cost(draft, difference)
    transaction = draft.write(TransactionKind.TRUE_UP, adjusting_id, _details(op, newest))
    moved = spread_cost(draft, captures, adjusting_id, difference)
    adjustments = state_costs(captures, moved, op.tenant_id, adjusting_id if transaction else None)
    ledger.put_cost_adjustments(adjustments)
    count_cost_adjustments(ledger, draft.account, adjustments)
    return _reply(draft, transaction, difference)


def _true_up_lines(ledger: Ledger, request: Request, op: TrueUpCost, draft: Draft, captures: list[Capture]) -> Reply:
    """Post by how much the lines cost more, and by how much less. What each transaction costs stays the sum of its
    lines, so it cannot have been stated in all, nor reversed below what is left. The lines of a late commit cost what
    it and the expiry before it have posted together."""
    lines = [_costed(ledger, op, draft, captures, line_id, cost) for line_id, cost in (op.line_costs or {}).items()]
    by_seq: dict[int, int] = dict.fromkeys((capture.seq for capture in captures), 0)
    for line in lines:
        by_seq[line.captured_seq] += line.rated.cost - line.before.cost
    adjusting_id = TransactionId(request.first_id)
    expiry = _expiry_among(captures, ledger, op)
    adjustments = []
    for capture in captures:
        difference = by_seq[capture.seq]
        posted = [capture] if expiry is None or capture.seq <= expiry.seq else [capture, expiry]
        if sum(part.net_cost for part in posted) + difference < 0:
            raise _in_all_only(capture, "less than nothing would be left of its cost")
        adjustments += spread_cost(draft, posted, adjusting_id, difference)
    post_cost(draft, sum(max(0, adjustment.cost) for adjustment in adjustments))
    post_cost(draft, sum(min(0, adjustment.cost) for adjustment in adjustments))
    transaction = draft.write(TransactionKind.TRUE_UP, adjusting_id, _details(op, captures[0]))
    ledger.put_cost_adjustments(adjustments)
    ledger.put_rerated_lines(replace(line, seq=transaction.seq if transaction else None) for line in lines)
    count_cost_adjustments(ledger, draft.account, adjustments)
    return _reply(draft, transaction, sum(by_seq.values()))


def _costed(
    ledger: Ledger, op: TrueUpCost, draft: Draft, captures: list[Capture], line_id: str, cost: Money
) -> ReratedLine:
    """The line as it is to cost. Raises NotFound, CurrencyMismatch, InvalidArgument."""
    require_currency(draft.account, cost)
    target = op.transaction_id or op.reservation_id
    assert target is not None, "validation requires one of the two targets"
    found = ledger.costed_lines.get((op.tenant_id, target, line_id))
    if found is None or found.seq is None:
        raise NotFound(resource="posted usage line", id=line_id)
    capture = next(capture for capture in captures if capture.seq == found.seq)
    if capture.stated:
        raise _in_all_only(capture, "it has been stated in all")
    account = draft.account
    before = ledger.line_amounts[account.tenant_id, account.account_id, found.call_id, line_id]
    rated = RatedLine(
        line=found.line,
        price=before.price,
        cost=cost.nanos,
        exact_price=before.exact_price,
        exact_cost=Decimal(cost.nanos).scaleb(-9),
        price_version=before.price_version,
        cost_version=None,
        match=f"{found.match.partition('; cost: ')[0]}; cost: as the provider says",
    )
    return ReratedLine(
        tenant_id=account.tenant_id,
        account_id=account.account_id,
        call_id=found.call_id,
        captured_seq=found.seq,
        rated=rated,
        before=before,
        seq=None,
        create_time=draft.now,
        stated=True,
    )


def _expiry_among(captures: list[Capture], ledger: Ledger, op: TrueUpCost) -> Capture | None:
    """What the expiry of the named hold has posted, unless that was stated in all."""
    if op.reservation_id is None:
        return None
    provisional = ledger.reservation((op.tenant_id, op.reservation_id)).provisional
    expiry_id = None if provisional is None else provisional.transaction_id
    return next((c for c in captures if c.transaction_id == expiry_id and not c.stated), None)


def _in_all_only(capture: Capture, why: str) -> InvalidArgument:
    problem = f"of transaction {format_transaction_id(capture.transaction_id)}: {why}, so state all of it again"
    return InvalidArgument(field="lines", problem=problem)


def _details(op: TrueUpCost, newest: Capture) -> Details:
    return Details(reservation_id=newest.reservation_id, call_id=newest.call_id, reason=op.reason, labels=newest.labels)


def _reply(draft: Draft, transaction: Transaction | None, difference: int) -> Reply:
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
