"""Rules of reservations: reserve, extend, commit, void; and of charges, which need none."""

from dataclasses import replace

from imprest_client.testing.ledger.accounts import (
    refuse_closed,
    refuse_closed_or_frozen,
    refuse_debtor,
    refuse_unaffordable,
)
from imprest_client.testing.ledger.book import capture, charge_postings, overrun, write
from imprest_client.testing.ledger.late import late_commit
from imprest_client.testing.ledger.model import (
    DAY,
    Account,
    Balance,
    Charge,
    Denied,
    Details,
    Outcome,
    Request,
    Reservation,
    new_id,
    time_text,
)
from imprest_client.testing.ledger.tenant import Tenant, check_currency
from imprest_client.testing.ledger.validation import DEFAULT_TTL_S, amount_of, cost_of, price_of, ttl_of

LATE_WINDOW = 7 * DAY
"""How long after its expiry a hold can still be committed, the last instant included."""


def _refuse_new_call(account: Account) -> None:
    refuse_closed_or_frozen(account)
    refuse_debtor(account)


def reserve(tenant: Tenant, request: Request, now: int) -> Outcome:
    """Sets credit aside for a call; with `min_amount` whatever there is from that on."""
    account = tenant.account(request["account_id"])
    check_currency(request, account)
    _refuse_new_call(account)
    if account.max_concurrent_calls is not None and account.open_count >= account.max_concurrent_calls:
        raise Denied(
            "CALL_LIMIT_REACHED",
            account_id=account.account_id,
            open_reservations=str(account.open_count),
            max_concurrent_calls=str(account.max_concurrent_calls),
        )
    amount = price_of(request, "amount") or 0
    least = amount_of(request, "min_amount")
    if least is not None:
        # An estimate may turn out to cost less than the least amount that was asked for.
        least = min(least, amount)
    granted = amount if least is None else min(amount, account.spendable)
    refuse_unaffordable(account, account.spendable, max(granted, least or 0))
    hold = Reservation(
        reservation_id=new_id("rsv"),
        account_id=account.account_id,
        amount=granted,
        create_time=now,
        expire_time=now + ttl_of(request, DEFAULT_TTL_S),
        on_expiry=request.get("on_expiry", "CAPTURE_USED"),
        call_id=request.get("call_id", ""),
        labels=request.get("labels", {}),
    )
    account.holds[hold.reservation_id] = hold
    return replace(_answer(account, hold), final_unit=granted < amount)


def _answer(account: Account, hold: Reservation, charge: Charge | None = None) -> Outcome:
    return Outcome(account_id=account.account_id, balance=Balance.of(account), reservation=hold, charge=charge)


def _refuse_ended(hold: Reservation) -> None:
    if hold.state == "EXPIRED":
        expire_time = time_text(hold.expire_time)
        raise Denied("RESERVATION_EXPIRED", reservation_id=hold.reservation_id, expire_time=expire_time)
    if hold.state != "ACTIVE":
        raise Denied(f"RESERVATION_{hold.state}", reservation_id=hold.reservation_id)


def extend(tenant: Tenant, request: Request, now: int) -> Outcome:
    """Raises the total, the use and the expiry, each on its own; a denied total is an OK answer."""
    account, hold = tenant.reservation(request["reservation_id"])
    check_currency(request, account)
    _refuse_ended(hold)
    hold.used = max(hold.used, price_of(request, "used") or 0)
    hold.used_cost = max(hold.used_cost, cost_of(request, "used") or 0)
    if "ttl" in request:
        hold.expire_time = max(hold.expire_time, now + ttl_of(request, DEFAULT_TTL_S))
    total = price_of(request, "new_total")
    reason = None
    if total is not None and total > hold.amount:
        reason = _why_not_more(account, hold, total)
        if reason is None:
            hold.amount = total
    return replace(_answer(account, hold), final_unit=reason is not None, denial_reason=reason)


def _why_not_more(account: Account, hold: Reservation, total: int) -> str | None:
    try:
        _refuse_new_call(account)
    except Denied as denial:
        return denial.reason
    more = max(0, total - hold.consumed) - hold.remaining
    return "INSUFFICIENT_FUNDS" if more > account.spendable else None


def commit(tenant: Tenant, request: Request, now: int) -> Outcome:
    """Posts usage against a hold; the final capture frees what is left of it."""
    account, hold = tenant.reservation(request["reservation_id"])
    check_currency(request, account)
    if hold.state == "EXPIRED" and now <= hold.expire_time + LATE_WINDOW:
        amount, cost = tenant.take_line(account, hold.call_id, request)
        charge, transaction_id = late_commit(tenant, account, hold, amount, cost, now, hold.details(request))
        return replace(_answer(account, hold, charge), transaction_id=transaction_id, late=True)
    _refuse_ended(hold)
    amount, cost = tenant.take_line(account, hold.call_id, request)
    charge = replace(capture(account, hold, amount, account.overrun_policy), provider_cost=cost or 0)
    hold.captured += charge.charged
    hold.absorbed += charge.absorbed
    hold.captured_cost += charge.provider_cost
    if request.get("final", True):
        hold.state, hold.end_time = "COMMITTED", now
    postings, details = charge_postings(charge), hold.details(request)
    transaction_id = write(account, "COMMIT", postings, now, details, charge.charged, charge.provider_cost)
    return replace(_answer(account, hold, charge), transaction_id=transaction_id, late=False)


def void(tenant: Tenant, request: Request, now: int) -> Outcome:
    """Ends a hold unspent; after captures it frees the rest. Once ended by Void, Void says so again."""
    account, hold = tenant.reservation(request["reservation_id"])
    if not hold.ended_by_void:
        _refuse_ended(hold)
        hold.state = "COMMITTED" if hold.consumed > 0 else "VOIDED"
        hold.ended_by_void = True
        hold.end_time = now
        write(account, "VOID", [], now, hold.details(request))
    return _answer(account, hold)


def charge(tenant: Tenant, request: Request, now: int) -> Outcome:
    """Charges available credit at once, without a hold."""
    account = tenant.account(request["account_id"])
    check_currency(request, account)
    _refuse_new_call(account)
    amount, cost = tenant.take_line(account, request.get("call_id", ""), request)
    refuse_unaffordable(account, account.spendable, amount)
    return _write_charge(account, "CHARGE", Charge(from_available=amount, provider_cost=cost or 0), request, now)


def record_usage(tenant: Tenant, request: Request, now: int) -> Outcome:
    """Charges what has happened: collected whatever the policy, and owed or lost as far as there is no credit."""
    account = tenant.account(request["account_id"])
    check_currency(request, account)
    refuse_closed(account)
    amount, cost = tenant.take_line(account, request.get("call_id", ""), request)
    split = replace(overrun(account, amount, "COLLECT"), provider_cost=cost or 0)
    return _write_charge(account, "USAGE", split, request, now)


def _write_charge(account: Account, kind: str, split: Charge, request: Request, now: int) -> Outcome:
    postings, details = charge_postings(split), Details.of(request)
    transaction_id = write(account, kind, postings, now, details, split.charged, split.provider_cost)
    return Outcome(
        account_id=account.account_id,
        balance=Balance.of(account),
        charge=split,
        transaction_id=transaction_id,
        late=False,
    )


def get_reservation(tenant: Tenant, request: Request, _now: int) -> Outcome:
    """Reads the reservation."""
    _, hold = tenant.reservation(request["reservation_id"])
    return Outcome(account_id=hold.account_id, reservation=hold)
