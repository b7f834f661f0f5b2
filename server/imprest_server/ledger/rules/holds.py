"""Reserve, Extend, Commit, Void and Charge: the life of a hold while its call runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from imprest_server.core.errors import (
    AccountFrozen,
    CallLimitReached,
    ImprestError,
    OverrunRejected,
    ReservationCommitted,
    ReservationExpired,
    ReservationVoided,
)
from imprest_server.core.ids import ReservationId, TransactionId, format_reservation_id
from imprest_server.core.money import check_range, format_nanos
from imprest_server.ledger.chart import LedgerAccountCode as Code
from imprest_server.ledger.model import (
    AccountState,
    ChargeBreakdown,
    EndedBy,
    OverrunPolicy,
    Reservation,
    ReservationState,
    TransactionKind,
)
from imprest_server.ledger.operations import Charge, Commit, Extend, Reply, Request, Reserve, Void
from imprest_server.ledger.rules.draft import Details, Draft
from imprest_server.ledger.rules.guards import (
    require_active,
    require_currency,
    require_funds,
    require_no_receivable,
    require_recent,
)
from imprest_server.ledger.rules.overrun import post_charge, split_by_policy
from imprest_server.ledger.working_set import Ledger


def reserve(ledger: Ledger, request: Request, op: Reserve, now: datetime) -> Reply:
    """Grant `amount`, or what is available of it down to `min_amount`; else the first denial that applies."""
    draft = Draft(ledger, (op.tenant_id, op.account_id), now)
    account = draft.account
    require_currency(account, op.amount, op.min_amount)
    require_active(account)
    require_no_receivable(draft)
    cap = account.max_concurrent_calls
    if cap is not None and draft.book.open_count >= cap:
        raise CallLimitReached(
            account_id=account.account_id,
            open_reservations=str(draft.book.open_count),
            max_concurrent_calls=str(cap),
        )
    least = op.amount if op.min_amount is None else op.min_amount
    require_funds(draft, least.nanos, draft.spendable)
    granted = min(op.amount.nanos, draft.spendable)
    reservation = Reservation(
        tenant_id=op.tenant_id,
        reservation_id=ReservationId(request.first_id),
        account_id=op.account_id,
        call_id=op.call_id or "",
        amount=granted,
        on_expiry=op.on_expiry,
        create_time=now,
        expire_time=now + (op.ttl or ledger.terms.default_ttl),
        labels=op.labels or {},
    )
    draft.book.held += granted
    draft.book.open_count += 1
    draft.check()
    ledger.put_book(draft.book)
    ledger.put_reservation(reservation, new=True)
    return Reply(reservation=reservation, balance=draft.balance(), final_unit=granted < op.amount.nanos)


def extend(ledger: Ledger, request: Request, op: Extend, now: datetime) -> Reply:
    """Raise the hold's total, its use and its expiry, each a high-water mark of its own.

    A total that cannot be granted is answered with the unchanged one, `final_unit` and the reason: the
    call is running. Use and expiry move even then.
    """
    reservation = ledger.reservation((op.tenant_id, op.reservation_id))
    draft = Draft(ledger, reservation.account_key, now)
    require_currency(draft.account, op.new_total, op.used_so_far)
    require_state_active(reservation)
    used = reservation.used_so_far if op.used_so_far is None else max(reservation.used_so_far, op.used_so_far.nanos)
    expire_time = reservation.expire_time if op.ttl is None else max(reservation.expire_time, now + op.ttl)
    amount, denial = reservation.amount, None
    if op.new_total is not None and op.new_total.nanos > amount:
        denial = _extension_denial(draft, reservation, op.new_total.nanos)
        amount = amount if denial else op.new_total.nanos
    extended = replace(reservation, amount=amount, used_so_far=used, expire_time=expire_time)
    draft.book.held += extended.remaining - reservation.remaining
    draft.check()
    check_range(draft.book.balances[Code.REVENUE] + used, "the revenue with what was used so far")
    ledger.put_book(draft.book)
    ledger.put_reservation(extended)
    return Reply(
        reservation=extended,
        balance=draft.balance(),
        final_unit=denial is not None,
        denial_reason=denial.reason if denial else None,
    )


def _extension_denial(draft: Draft, reservation: Reservation, new_total: int) -> ImprestError | None:
    """Why a higher total is not granted, or None."""
    try:
        if draft.account.state is AccountState.FROZEN:
            raise AccountFrozen(account_id=draft.account.account_id)
        require_no_receivable(draft)
        require_funds(draft, reservation.remaining_of(new_total) - reservation.remaining, draft.spendable)
    except ImprestError as denial:
        return denial
    return None


def commit(ledger: Ledger, request: Request, op: Commit, now: datetime) -> Reply:
    """Spend (part of) an ACTIVE hold; what exceeds it follows the account's overrun policy."""
    reservation = ledger.reservation((op.tenant_id, op.reservation_id))
    draft = Draft(ledger, reservation.account_key, now)
    require_currency(draft.account, op.amount)
    require_state_active(reservation)
    amount = op.amount.nanos
    if amount > reservation.remaining and draft.account.overrun_policy is OverrunPolicy.REJECT:
        raise overrun_rejected(draft, reservation, amount, reservation.remaining)
    charge = split_by_policy(draft, amount, reservation.remaining)
    post_charge(draft, charge)
    captured = replace(
        reservation,
        captured=reservation.captured + charge.charged,
        absorbed=reservation.absorbed + charge.absorbed,
        state=ReservationState.COMMITTED if op.final else ReservationState.ACTIVE,
        end_time=now if op.final else None,
        ended_by=EndedBy.COMMIT if op.final else None,
    )
    move_hold(draft, reservation, captured)
    transaction = draft.write(
        TransactionKind.COMMIT, TransactionId(request.first_id), details_of(reservation, op.effective_time)
    )
    ledger.put_reservation(captured)
    return Reply(
        reservation=captured,
        balance=draft.balance(),
        charge=charge,
        transaction_id=transaction.transaction_id if transaction else None,
    )


def void(ledger: Ledger, request: Request, op: Void, now: datetime) -> Reply:
    """End an ACTIVE hold unspent; after captures the rest is freed and it counts as COMMITTED."""
    reservation = ledger.reservation((op.tenant_id, op.reservation_id))
    draft = Draft(ledger, reservation.account_key, now)
    if reservation.ended_by is EndedBy.VOID:
        return Reply(reservation=reservation, balance=draft.balance())
    require_state_active(reservation)
    spent = reservation.captured + reservation.absorbed > 0
    voided = replace(
        reservation,
        state=ReservationState.COMMITTED if spent else ReservationState.VOIDED,
        end_time=now,
        ended_by=EndedBy.VOID,
    )
    move_hold(draft, reservation, voided)
    transaction = draft.write(
        TransactionKind.VOID, TransactionId(request.first_id), details_of(reservation, reason=op.reason)
    )
    ledger.put_reservation(voided)
    return Reply(
        reservation=voided,
        balance=draft.balance(),
        transaction_id=transaction.transaction_id if transaction else None,
    )


def charge(ledger: Ledger, request: Request, op: Charge, now: datetime) -> Reply:
    """Reserve and final commit in one step: denied like Reserve, without its call cap; never overruns."""
    require_recent(op.effective_time, now)
    draft = Draft(ledger, (op.tenant_id, op.account_id), now)
    require_currency(draft.account, op.amount)
    require_active(draft.account)
    require_no_receivable(draft)
    require_funds(draft, op.amount.nanos, draft.spendable)
    charged = ChargeBreakdown(from_available=op.amount.nanos)
    post_charge(draft, charged)
    transaction = draft.write(
        TransactionKind.CHARGE,
        TransactionId(request.first_id),
        Details(call_id=op.call_id, labels=op.labels, effective_time=op.effective_time),
    )
    return Reply(
        balance=draft.balance(),
        charge=charged,
        transaction_id=transaction.transaction_id if transaction else None,
    )


def require_state_active(reservation: Reservation) -> None:
    """The hold is ACTIVE; raises the denial that names its state."""
    reservation_id = format_reservation_id(reservation.reservation_id)
    match reservation.state:
        case ReservationState.ACTIVE:
            return
        case ReservationState.COMMITTED:
            raise ReservationCommitted(reservation_id=reservation_id)
        case ReservationState.VOIDED:
            raise ReservationVoided(reservation_id=reservation_id)
        case ReservationState.EXPIRED:
            raise ReservationExpired(reservation_id=reservation_id, expire_time=reservation.expire_time.isoformat())


def overrun_rejected(draft: Draft, reservation: Reservation, amount: int, hold: int) -> OverrunRejected:
    """The denial of policy REJECT."""
    return OverrunRejected(
        reservation_id=format_reservation_id(reservation.reservation_id),
        currency_code=draft.account.currency_code,
        remaining=format_nanos(hold),
        amount=format_nanos(amount),
    )


def move_hold(draft: Draft, before: Reservation, after: Reservation) -> None:
    """Let the book's held and open_count follow a reservation that was ACTIVE before."""
    draft.book.held += after.remaining - before.remaining
    if after.state is not ReservationState.ACTIVE:
        draft.book.open_count -= 1


def details_of(reservation: Reservation, effective_time: datetime | None = None, reason: str | None = None) -> Details:
    """What a transaction about a reservation records."""
    return Details(
        reservation_id=reservation.reservation_id,
        call_id=reservation.call_id,
        reason=reason,
        labels=reservation.labels,
        effective_time=effective_time,
    )
