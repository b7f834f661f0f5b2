"""Rules of reservations: reserve, extend, commit, void; and of charges, which need none."""

from dataclasses import replace

from imprest_client.testing.ledger.accounts import (
    refuse_closed,
    refuse_closed_or_frozen,
    refuse_debtor,
    refuse_unaffordable,
)
from imprest_client.testing.ledger.book import capture, charge_postings, overrun, write
from imprest_client.testing.ledger.budgets import meters_of
from imprest_client.testing.ledger.late import late_commit
from imprest_client.testing.ledger.model import (
    DAY,
    Account,
    Balance,
    Charge,
    Denied,
    Details,
    Outcome,
    Rated,
    Request,
    Reservation,
    new_id,
    time_text,
)
from imprest_client.testing.ledger.tenant import Tenant, check_currency
from imprest_client.testing.ledger.usage import affordable_s, parts_of, sum_of
from imprest_client.testing.ledger.validation import DEFAULT_TTL_S, amount_of, ttl_of, usage_of

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
    amount, parts = tenant.whole(request, "amount", None, is_estimate=True)
    estimate = usage_of(request, "amount")
    least = amount_of(request, "min_amount")
    if least is not None:
        # An estimate may turn out to cost less than the least amount that was asked for.
        least = min(least, amount)
    hold = Reservation(
        reservation_id=new_id("rsv"),
        account_id=account.account_id,
        amount=amount,
        create_time=now,
        expire_time=now + ttl_of(request, DEFAULT_TTL_S),
        on_expiry=request.get("on_expiry", "CAPTURE_USED"),
        call_id=request.get("call_id", ""),
        labels=request.get("labels", {}),
        estimate=None if estimate is None else parts,
        prices=None if estimate is None else dict(tenant.prices),
    )
    granted = _most(tenant, account, hold, amount if least is None else least, now)
    granted = granted if least is None else min(granted, account.spendable)
    refuse_unaffordable(account, account.spendable, max(granted, least or 0))
    hold.amount = granted
    account.holds[hold.reservation_id] = hold
    lasts_s = None if estimate is None else affordable_s(estimate, tenant.prices, granted)
    return replace(_answer(account, hold), final_unit=granted < amount, affordable_s=lasts_s)


def _most(tenant: Tenant, account: Account, hold: Reservation, least: int, now: int) -> int:
    """The most from `least` up to the hold's amount that all budgets have room for. Raises Denied if none is."""

    def refuse(amount: int) -> None:
        tried = replace(hold, amount=amount)
        more = {budget.budget_id: budget.of_hold(tried) for budget in tenant.budgets.budgets}
        tenant.budgets.refuse(tenant, account, hold.labels, more, meters=meters_of(hold.estimate), now=now)

    refuse(least)
    low, high = least, hold.amount
    while low < high:
        middle = (low + high + 1) // 2
        try:
            refuse(middle)
        except Denied:
            high = middle - 1
        else:
            low = middle
    return low


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
    wanted, parts = tenant.whole(request, "new_total", hold, is_estimate=True)
    estimate = usage_of(request, "new_total")
    used, used_parts = tenant.whole(request, "used", hold, is_estimate=False)
    hold.used = max(hold.used, used)
    hold.used_cost = max(hold.used_cost, sum_of(used_parts)[1])
    if "ttl" in request:
        hold.expire_time = max(hold.expire_time, now + ttl_of(request, DEFAULT_TTL_S))
    reason = None
    if wanted > hold.amount:
        longer = replace(hold, amount=wanted, estimate=hold.estimate if estimate is None else parts)
        reason = _why_not_more(tenant, account, hold, longer, now)
        if reason is None:
            hold.amount, hold.estimate = longer.amount, longer.estimate
    if reason is None:
        reason = _why_stopped(tenant, account, hold, now)
    lasts_s = None if estimate is None else affordable_s(estimate, tenant.prices_of(hold), hold.amount)
    return replace(_answer(account, hold), final_unit=reason is not None, denial_reason=reason, affordable_s=lasts_s)


def _why_stopped(tenant: Tenant, account: Account, hold: Reservation, now: int) -> str | None:
    try:
        tenant.budgets.refuse_stopped(account, hold, now)
    except Denied as denial:
        return denial.reason
    return None


def _why_not_more(tenant: Tenant, account: Account, hold: Reservation, longer: Reservation, now: int) -> str | None:
    budgets = tenant.budgets
    more = {budget.budget_id: budget.of_hold(longer) - budget.of_hold(hold) for budget in budgets.budgets}
    try:
        _refuse_new_call(account)
        budgets.refuse(tenant, account, hold.labels, more, meters=meters_of(longer.estimate), now=now)
    except Denied as denial:
        return denial.reason
    return "INSUFFICIENT_FUNDS" if longer.remaining - hold.remaining > account.spendable else None


def commit(tenant: Tenant, request: Request, now: int) -> Outcome:
    """Posts usage against a hold; the final capture frees what is left of it."""
    account, hold = tenant.reservation(request["reservation_id"])
    check_currency(request, account)
    if hold.state == "EXPIRED" and now <= hold.expire_time + LATE_WINDOW:
        amount, cost, lines = tenant.capture(account, hold.call_id or hold.reservation_id, request, hold)
        charge, transaction_id = late_commit(
            tenant, account, hold, amount, cost, now, hold.details(request), parts_of(lines)
        )
        lines = tenant.itemise(transaction_id, lines)
        return replace(_answer(account, hold, charge), transaction_id=transaction_id, late=True, lines=lines)
    _refuse_ended(hold)
    amount, cost, lines = tenant.capture(account, hold.call_id or hold.reservation_id, request, hold)
    charge = replace(capture(account, hold, amount, account.overrun_policy), provider_cost=cost or 0)
    hold.captured += charge.charged
    hold.absorbed += charge.absorbed
    hold.captured_cost += charge.provider_cost
    if request.get("final", True):
        hold.state, hold.end_time = "COMMITTED", now
    transaction_id = write(
        account,
        "COMMIT",
        charge_postings(charge),
        now,
        hold.details(request),
        charge.charged,
        charge.provider_cost,
        parts=parts_of(lines),
    )
    lines = tenant.itemise(transaction_id, lines)
    return replace(_answer(account, hold, charge), transaction_id=transaction_id, late=False, lines=lines)


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
    amount, cost, lines = tenant.capture(account, request.get("call_id", ""), request)
    more = {budget.budget_id: budget.part(amount, cost or 0, parts_of(lines)) for budget in tenant.budgets.budgets}
    fresh = [rated.line.meter for rated in lines if not rated.duplicate]
    tenant.budgets.refuse(tenant, account, request.get("labels", {}), more, meters=fresh, now=now)
    refuse_unaffordable(account, account.spendable, amount)
    split = Charge(from_available=amount, provider_cost=cost or 0)
    return _write_charge(tenant, account, "CHARGE", split, lines, request, now)


def record_usage(tenant: Tenant, request: Request, now: int) -> Outcome:
    """Charges what has happened: collected whatever the policy, and owed or lost as far as there is no credit."""
    account = tenant.account(request["account_id"])
    check_currency(request, account)
    refuse_closed(account)
    amount, cost, lines = tenant.capture(account, request.get("call_id", ""), request)
    split = replace(overrun(account, amount, "COLLECT"), provider_cost=cost or 0)
    return _write_charge(tenant, account, "USAGE", split, lines, request, now)


def _write_charge(
    tenant: Tenant,
    account: Account,
    kind: str,
    split: Charge,
    lines: tuple[Rated, ...],
    request: Request,
    now: int,
) -> Outcome:
    transaction_id = write(
        account,
        kind,
        charge_postings(split),
        now,
        Details.of(request),
        split.charged,
        split.provider_cost,
        parts=parts_of(lines),
    )
    return Outcome(
        account_id=account.account_id,
        balance=Balance.of(account),
        charge=split,
        transaction_id=transaction_id,
        late=False,
        lines=tenant.itemise(transaction_id, lines),
    )


def get_reservation(tenant: Tenant, request: Request, _now: int) -> Outcome:
    """Reads the reservation."""
    _, hold = tenant.reservation(request["reservation_id"])
    return Outcome(account_id=hold.account_id, reservation=hold)
