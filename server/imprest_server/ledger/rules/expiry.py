"""What the clock does to holds, and the commit that still comes after it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from imprest_server.core.errors import AmountOutOfRange
from imprest_server.core.ids import TransactionId
from imprest_server.core.money import MAX_NANOS
from imprest_server.ledger.chart import LedgerAccountCode as Code
from imprest_server.ledger.limits import EventKind
from imprest_server.ledger.model import (
    AccountState,
    Capture,
    ChargeBreakdown,
    EndedBy,
    OnExpiry,
    OverrunPolicy,
    ProvisionalCapture,
    RefundAllocation,
    Reservation,
    ReservationState,
    TransactionKind,
)
from imprest_server.ledger.operations import Commit, OperationKind, Reply, Request, StoredOperation
from imprest_server.ledger.rules.draft import Draft
from imprest_server.ledger.rules.guards import require_currency
from imprest_server.ledger.rules.holds import (
    details_of,
    given_nanos,
    move_hold,
    overrun_rejected,
    require_state_active,
)
from imprest_server.ledger.rules.limits import count_charge, count_given_back, note
from imprest_server.ledger.rules.overrun import post_charge, split_by_policy, split_usage
from imprest_server.ledger.rules.true_ups import state_costs
from imprest_server.ledger.rules.usage import capture_usage, record
from imprest_server.ledger.working_set import Ledger


def expire_due(ledger: Ledger, due: Iterable[tuple[Reservation, TransactionId]], now: datetime) -> None:
    """Expire the holds that are due at `now`, each with the id its transaction may use.

    In the order of (expire_time, reservation_id), every one with its own transaction and settlement.
    Later ones of the list are left alone.
    """
    ripe = sorted(
        (item for item in due if item[0].state is ReservationState.ACTIVE and item[0].expire_time <= now),
        key=lambda item: (item[0].expire_time, item[0].reservation_id),
    )
    for reservation, transaction_id in ripe:
        _expire(ledger, reservation, transaction_id, now)


def _expire(ledger: Ledger, reservation: Reservation, transaction_id: TransactionId, now: datetime) -> None:
    """End a due hold. This never fails: what a balance cannot carry, first beyond the hold, is left to late commits."""
    used = cost = 0
    balances = ledger.books[reservation.account_key].balances
    if reservation.on_expiry is OnExpiry.CAPTURE_USED:
        used = max(0, reservation.used_so_far - reservation.captured - reservation.absorbed)
        cost = max(0, reservation.used_cost - reservation.captured_cost)
        cost = min(cost, MAX_NANOS - max(balances[Code.PROVIDER_COST], balances[Code.PROVIDER_PAYABLE]))
    try:
        _expire_charging(ledger, reservation, used, cost, transaction_id, now)
    except AmountOutOfRange:
        held = min(used, reservation.remaining, MAX_NANOS - balances[Code.REVENUE])
        _expire_charging(ledger, reservation, held, cost, transaction_id, now)


def _expire_charging(
    ledger: Ledger, reservation: Reservation, used: int, cost: int, transaction_id: TransactionId, now: datetime
) -> None:
    draft = Draft(ledger, reservation.account_key, now)
    charge = replace(split_by_policy(draft, used, reservation.remaining), provider_cost=cost)
    post_charge(draft, charge)
    expired = replace(
        reservation,
        state=ReservationState.EXPIRED,
        captured=reservation.captured + charge.charged,
        absorbed=reservation.absorbed + charge.absorbed,
        captured_cost=reservation.captured_cost + cost,
        end_time=reservation.expire_time,
        ended_by=EndedBy.EXPIRE,
        provisional=ProvisionalCapture(
            hold=reservation.remaining,
            charged=charge.charged,
            absorbed=charge.absorbed,
            transaction_id=transaction_id if used or cost else None,
            cost=cost,
        ),
    )
    move_hold(draft, reservation, expired)
    draft.write(TransactionKind.EXPIRE, transaction_id, details_of(reservation, reservation.expire_time))
    ledger.put_reservation(expired)
    note(ledger, draft, EventKind.RESERVATION_EXPIRED, charge.charged, expired)
    note(ledger, draft, EventKind.OVERRUN, used - charge.from_hold, expired)
    count_charge(ledger, draft.account, reservation.labels, charge, None, reservation, expired)
    ledger.put_operation(
        (reservation.tenant_id, OperationKind.EXPIRE, reservation.reservation_id.hex),
        StoredOperation(fingerprint=b"", denial_reason=None, payload="{}"),
    )


def late_commit(ledger: Ledger, request: Request, op: Commit, now: datetime) -> Reply:
    """Commit an EXPIRED hold within the window: what the expiry charged was provisional.

    What it collected is kept up to the new charge; the missing part is collected, a surplus returned, a
    changed loss or cost posted as its difference. The answer itemises the differences. A CLOSED account's
    customer neither pays nor receives: what exceeds the expiry's capture becomes loss. An amount says nothing
    about the cost, which stays as it is.
    """
    reservation = ledger.reservation((op.tenant_id, op.reservation_id))
    draft = Draft(ledger, reservation.account_key, now)
    require_currency(draft.account, op.amount)
    provisional = reservation.provisional
    assert provisional is not None, "an expired reservation keeps what its expiry charged"
    if now > reservation.expire_time + ledger.terms.late_commit_window:
        require_state_active(reservation)
    used = None
    if op.usage is not None:
        used = capture_usage(
            ledger,
            draft.account,
            op.usage,
            TransactionId(request.first_id),
            reservation=reservation,
            effective_time=op.effective_time,
            now=now,
        )
    amount = used.price if used else given_nanos(op.amount)
    if draft.account.state is AccountState.CLOSED:
        difference = ChargeBreakdown(absorbed=max(0, amount - provisional.charged) - provisional.absorbed)
    else:
        target = _target(draft, reservation, provisional, amount)
        moved = (
            _missing(draft, provisional, target)
            if target >= provisional.charged
            else _surplus(ledger, draft, provisional, target)
        )
        difference = replace(moved, absorbed=amount - target + moved.absorbed - provisional.absorbed)
    if used is not None:
        cost = _cost_difference(ledger, draft, provisional, used.cost)
        difference = replace(difference, provider_cost=cost, lines=used.lines)
    _post_difference(draft, difference)
    committed = replace(
        reservation,
        state=ReservationState.COMMITTED,
        late=True,
        captured=reservation.captured + difference.charged,
        absorbed=reservation.absorbed + difference.absorbed,
        captured_cost=reservation.captured_cost + difference.provider_cost,
        ended_by=EndedBy.COMMIT,
    )
    transaction = draft.write(
        TransactionKind.LATE_COMMIT, TransactionId(request.first_id), details_of(reservation, op.effective_time)
    )
    given_back: list[RefundAllocation] = []
    if provisional.transaction_id is not None and (difference.charged < 0 or difference.provider_cost < 0):
        given_back.append(
            RefundAllocation(
                tenant_id=reservation.tenant_id,
                account_id=reservation.account_id,
                refund_transaction_id=TransactionId(request.first_id),
                captured_transaction_id=provisional.transaction_id,
                kind=TransactionKind.LATE_COMMIT,
                amount=max(0, -difference.charged),
                cost=max(0, -difference.provider_cost),
            )
        )
    ledger.put_refunds(given_back)
    ledger.put_reservation(committed)
    expiry = _expiry_of(ledger, reservation)
    if used is not None and transaction is not None and expiry is not None and expiry.stated:
        own = ledger.captures[reservation.tenant_id, transaction.transaction_id]
        ledger.put_cost_adjustments(state_costs([own], [], reservation.tenant_id, None))
    # Without a difference it was the expiry that charged for the lines.
    charging = transaction or expiry
    record(ledger, used, draft.account, charging, now, reservation)
    note(ledger, draft, EventKind.LATE_COMMIT, difference.charged, committed)
    charged_time = None if transaction or not charging else charging.create_time
    count_charge(ledger, draft.account, reservation.labels, difference, used, charged_time=charged_time)
    count_given_back(ledger, draft.account, given_back)
    return Reply(
        reservation=committed,
        balance=draft.balance(),
        charge=difference,
        transaction_id=transaction.transaction_id if transaction else None,
        late=True,
    )


def _expiry_of(ledger: Ledger, reservation: Reservation) -> Capture | None:
    """What the expiry of a reservation has posted, or None."""
    provisional = reservation.provisional
    if provisional is None or provisional.transaction_id is None:
        return None
    return ledger.captures[reservation.tenant_id, provisional.transaction_id]


def _target(draft: Draft, reservation: Reservation, provisional: ProvisionalCapture, amount: int) -> int:
    """What the customer is to pay for `amount`: all of it under COLLECT, nothing beyond the hold under CAP."""
    match draft.account.overrun_policy:
        case OverrunPolicy.COLLECT:
            return amount
        case OverrunPolicy.CAP:
            return min(amount, provisional.hold)
        case OverrunPolicy.REJECT:
            if amount > provisional.hold:
                raise overrun_rejected(draft, reservation, amount, provisional.hold)
            return amount


def _missing(draft: Draft, provisional: ProvisionalCapture, target: int) -> ChargeBreakdown:
    """What is to be collected beyond what the expiry did: without limit up to the expired hold, then by max_overrun.

    What the expiry collected counts towards the hold first. `absorbed` is what cannot be collected.
    """
    within_hold = max(0, min(target, provisional.hold) - provisional.charged)
    excess = target - provisional.charged - within_hold
    first = split_usage(OverrunPolicy.COLLECT, within_hold, 0, draft.spendable, draft.book.receivable, None)
    then = split_usage(
        OverrunPolicy.COLLECT,
        excess,
        0,
        draft.spendable - first.from_available,
        draft.book.receivable + first.receivable,
        draft.account.max_overrun,
    )
    return ChargeBreakdown(
        from_available=first.from_available + then.from_available,
        receivable=first.receivable + then.receivable,
        absorbed=then.absorbed,
    )


def _surplus(ledger: Ledger, draft: Draft, provisional: ProvisionalCapture, target: int) -> ChargeBreakdown:
    """What the expiry charged beyond `target`, at most what refunds have left of it, as negative parts."""
    assert provisional.transaction_id is not None, "what charged something has a transaction"
    capture = ledger.captures[draft.account.tenant_id, provisional.transaction_id]
    surplus = min(provisional.charged - target, capture.refundable)
    to_receivable = min(surplus, draft.book.receivable)
    return ChargeBreakdown(from_available=to_receivable - surplus, receivable=-to_receivable)


def _cost_difference(ledger: Ledger, draft: Draft, provisional: ProvisionalCapture, cost: int) -> int:
    """How much more, or less, the usage costs than the expiry posted; less at most by what refunds have left of it.

    What a true-up has stated meanwhile stays: who states a cost knows better than prices do.
    """
    difference = cost - provisional.cost
    if provisional.transaction_id is None:
        return difference
    capture = ledger.captures[draft.account.tenant_id, provisional.transaction_id]
    return 0 if capture.stated else max(difference, min(0, capture.cost_reversed - capture.cost))


def _post_difference(draft: Draft, difference: ChargeBreakdown) -> None:
    """Collect positive parts like a charge; give negative ones back; post less loss and less cost in reverse."""
    post_charge(
        draft,
        ChargeBreakdown(
            from_available=max(0, difference.from_available),
            receivable=max(0, difference.receivable),
            absorbed=max(0, difference.absorbed),
            provider_cost=max(0, difference.provider_cost),
        ),
    )
    draft.take_in(Code.REFUNDS, max(0, -difference.charged))
    draft.post(Code.REVENUE, Code.OVERRUN_LOSS, max(0, -difference.absorbed))
    draft.post(Code.PROVIDER_PAYABLE, Code.PROVIDER_COST, max(0, -difference.provider_cost))
