"""Reserve, Extend, Commit and Void: the life of a hold while its call runs."""

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
from imprest_server.core.money import Money, check_range, format_nanos
from imprest_server.ledger.chart import LedgerAccountCode as Code
from imprest_server.ledger.limits import EventKind
from imprest_server.ledger.model import (
    AccountState,
    EndedBy,
    OverrunPolicy,
    Reservation,
    ReservationState,
    TransactionKind,
)
from imprest_server.ledger.operations import Commit, Extend, Reply, Request, Reserve, Void
from imprest_server.ledger.rules.draft import Details, Draft
from imprest_server.ledger.rules.guards import (
    require_active,
    require_currency,
    require_funds,
    require_no_receivable,
    require_recent_usage,
)
from imprest_server.ledger.rules.limits import (
    count_charge,
    count_hold,
    estimate_of,
    grantable,
    note,
    require_room_to_extend,
    stop_of,
)
from imprest_server.ledger.rules.overrun import post_charge, split_by_policy
from imprest_server.ledger.rules.usage import WholeCall, capture_usage, itemised, record
from imprest_server.ledger.working_set import Ledger


def reserve(ledger: Ledger, request: Request, op: Reserve, now: datetime) -> Reply:
    """Grant the amount, or what funds and limits leave of it down to `min_amount`; else the first denial that applies.

    For an estimate the amount is its price, and the hold keeps the prices of now.
    """
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
    call = None if op.estimate is None else WholeCall(ledger, account, op.estimate, None, now)
    estimate = call.estimate() if call else None
    amount = estimate.price if estimate else given_nanos(op.amount)
    least = amount if op.min_amount is None else min(op.min_amount.nanos, amount)
    wanted = Reservation(
        tenant_id=op.tenant_id,
        reservation_id=ReservationId(request.first_id),
        account_id=op.account_id,
        call_id=op.call_id or "",
        amount=amount,
        on_expiry=op.on_expiry,
        create_time=now,
        expire_time=now + (op.ttl or ledger.terms.default_ttl),
        labels=op.labels or {},
        price_epoch=estimate.epoch if estimate else None,
        estimate=estimate_of(estimate.lines) if estimate else (),
    )
    granted = grantable(ledger, account, wanted, least)
    require_funds(draft, least, draft.spendable)
    granted = min(granted, draft.spendable)
    reservation = wanted if granted == amount else replace(wanted, amount=granted)
    draft.book.held += granted
    draft.book.open_count += 1
    draft.check()
    draft.put()
    ledger.put_reservation(reservation, new=True)
    count_hold(ledger, account, None, reservation)
    return Reply(
        reservation=reservation,
        balance=draft.balance(),
        final_unit=granted < amount,
        affordable_duration=call.affordable_duration(granted) if call else None,
    )


def extend(ledger: Ledger, request: Request, op: Extend, now: datetime) -> Reply:
    """Raise the hold's total, its use with its cost, and its expiry, each a high-water mark of its own.

    A total that cannot be granted is answered with the unchanged one, `final_unit` and the reason: the
    call is running. Use and expiry move even then. A call that has been stopped is told so whatever it asks for.
    """
    require_recent_usage(op.estimate_total, now, "estimate_total")
    require_recent_usage(op.used, now, "used")
    reservation = ledger.reservation((op.tenant_id, op.reservation_id))
    draft = Draft(ledger, reservation.account_key, now)
    require_currency(draft.account, op.new_total, op.used_so_far)
    require_state_active(reservation)
    call = None
    lines = reservation.estimate
    new_total, used, used_cost = given_nanos(op.new_total), given_nanos(op.used_so_far), 0
    if op.estimate_total is not None:
        call = WholeCall(ledger, draft.account, op.estimate_total, reservation, now)
        estimate = call.estimate()
        new_total, lines = estimate.price, estimate_of(estimate.lines)
    if op.used is not None:
        so_far = WholeCall(ledger, draft.account, op.used, reservation, now).so_far()
        used, used_cost = so_far.price, so_far.cost
    used, used_cost = max(reservation.used_so_far, used), max(reservation.used_cost, used_cost)
    expire_time = reservation.expire_time if op.ttl is None else max(reservation.expire_time, now + op.ttl)
    extended = replace(reservation, used_so_far=used, used_cost=used_cost, expire_time=expire_time)
    denial = None
    if new_total > reservation.amount:
        longer = replace(extended, amount=new_total, estimate=lines)
        denial = _extension_denial(ledger, draft, reservation, longer)
        extended = extended if denial else longer
    denial = denial or stop_of(ledger, draft.account, reservation)
    draft.book.held += extended.remaining - reservation.remaining
    draft.check()
    check_range(draft.book.balances[Code.REVENUE] + used, "the revenue with what was used so far")
    check_range(draft.book.balances[Code.PROVIDER_COST] + used_cost, "the provider cost with what was used so far")
    draft.put()
    ledger.put_reservation(extended)
    count_hold(ledger, draft.account, reservation, extended)
    return Reply(
        reservation=extended,
        balance=draft.balance(),
        final_unit=denial is not None,
        affordable_duration=call.affordable_duration(extended.amount) if call else None,
        denial_reason=denial.reason if denial else None,
    )


def _extension_denial(
    ledger: Ledger, draft: Draft, reservation: Reservation, longer: Reservation
) -> ImprestError | None:
    """Why a higher total is not granted, or None."""
    try:
        if draft.account.state is AccountState.FROZEN:
            raise AccountFrozen(account_id=draft.account.account_id)
        require_no_receivable(draft)
        require_room_to_extend(ledger, draft.account, reservation, longer)
        require_funds(draft, longer.remaining - reservation.remaining, draft.spendable)
    except ImprestError as denial:
        return denial
    return None


def commit(ledger: Ledger, request: Request, op: Commit, now: datetime) -> Reply:
    """Spend (part of) an ACTIVE hold; what exceeds it follows the account's overrun policy."""
    reservation = ledger.reservation((op.tenant_id, op.reservation_id))
    draft = Draft(ledger, reservation.account_key, now)
    require_currency(draft.account, op.amount)
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
    if amount > reservation.remaining and draft.account.overrun_policy is OverrunPolicy.REJECT:
        raise overrun_rejected(draft, reservation, amount, reservation.remaining)
    charge = itemised(split_by_policy(draft, amount, reservation.remaining), used)
    post_charge(draft, charge)
    captured = replace(
        reservation,
        captured=reservation.captured + charge.charged,
        absorbed=reservation.absorbed + charge.absorbed,
        captured_cost=reservation.captured_cost + charge.provider_cost,
        state=ReservationState.COMMITTED if op.final else ReservationState.ACTIVE,
        end_time=now if op.final else None,
        ended_by=EndedBy.COMMIT if op.final else None,
    )
    move_hold(draft, reservation, captured)
    transaction = draft.write(
        TransactionKind.COMMIT, TransactionId(request.first_id), details_of(reservation, op.effective_time)
    )
    ledger.put_reservation(captured)
    record(ledger, used, draft.account, transaction, now, reservation)
    note(ledger, draft, EventKind.OVERRUN, amount - charge.from_hold, captured)
    count_charge(ledger, draft.account, reservation.labels, charge, used, reservation, captured)
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
    count_hold(ledger, draft.account, reservation, voided)
    return Reply(
        reservation=voided,
        balance=draft.balance(),
        transaction_id=transaction.transaction_id if transaction else None,
    )


def given_nanos(amount: Money | None) -> int:
    """An amount's nanos; 0 for none, where usage was given instead or nothing was asked for."""
    return 0 if amount is None else amount.nanos


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
