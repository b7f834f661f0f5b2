"""Writing to a book: postings, settlement, and the due holds that the clock ends."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from imprest_client.testing.ledger.model import (
    CREDIT_NORMAL,
    DEBIT_NORMAL,
    Account,
    Charge,
    Denied,
    Details,
    Expiry,
    Parts,
    Posting,
    Reservation,
    Transaction,
    new_id,
)
from imprest_client.testing.ledger.money import text_from_nanos

NO_DETAILS = Details()


def _move(balances: dict[str, int], posting: Posting) -> None:
    balances[posting.debit] += posting.amount if posting.debit in DEBIT_NORMAL else -posting.amount
    balances[posting.credit] += posting.amount if posting.credit in CREDIT_NORMAL else -posting.amount


def write(
    account: Account,
    kind: str,
    postings: Iterable[Posting],
    now: int,
    details: Details = NO_DETAILS,
    charged: int = 0,
    cost: int = 0,
    parts: Parts = (),
) -> str | None:
    """Applies the postings, settles, and appends one transaction; returns its id.

    The holds must already be as the operation leaves them, because settlement looks at what is available
    then. Without postings nothing is written and None is returned.
    """
    lines = [posting for posting in postings if posting.amount != 0]
    for posting in lines:
        _move(account.balances, posting)
    settled = min(account.receivable, account.spendable)
    if settled > 0:
        lines.append(Posting("WALLET", "RECEIVABLE", settled))
        _move(account.balances, lines[-1])
    if not lines:
        return None
    seq = len(account.transactions) + 1
    last_time = account.transactions[-1].create_time if account.transactions else now
    transaction = Transaction(
        transaction_id=new_id("txn"),
        account_id=account.account_id,
        seq=seq,
        kind=kind,
        postings=tuple(lines),
        wallet_after=account.wallet,
        receivable_after=account.receivable,
        create_time=max(last_time, now),
        effective_time=now if details.effective_time is None else details.effective_time,
        details=details,
        charged=charged,
        cost=cost,
        parts=parts,
    )
    account.transactions.append(transaction)
    return transaction.transaction_id


def inflow(account: Account, source: str, amount: int) -> list[Posting]:
    """Money or credit coming in: a debt is repaid first, the rest goes to the wallet."""
    repaid = min(amount, account.receivable)
    return [Posting(source, "RECEIVABLE", repaid), Posting(source, "WALLET", amount - repaid)]


def overrun(account: Account, amount: int, policy: str) -> Charge:
    """Splits usage that no hold covers, by policy: COLLECT or CAP."""
    if amount == 0 or policy == "CAP":
        return Charge(absorbed=amount)
    from_available = min(amount, account.spendable)
    rest = amount - from_available
    owed = rest
    if account.max_overrun is not None:
        owed = min(rest, max(0, account.max_overrun - account.receivable))
    return Charge(from_available=from_available, receivable=owed, absorbed=rest - owed)


def capture(account: Account, hold: Reservation, amount: int, policy: str) -> Charge:
    """Splits usage of an open hold: the hold pays first, then the overrun rules apply.

    Raises Denied(OVERRUN_REJECTED).
    """
    from_hold = min(amount, hold.remaining)
    if policy == "REJECT" and amount > from_hold:
        raise overrun_rejected(account, hold, amount, hold.remaining)
    # An overrun empties the hold, so the hold does not lower what is available for the rest.
    rest = overrun(account, amount - from_hold, policy)
    return Charge(from_hold, rest.from_available, rest.receivable, rest.absorbed)


def overrun_rejected(account: Account, hold: Reservation, amount: int, remaining: int) -> Denied:
    """The denial of a commit that exceeds its hold."""
    return Denied(
        "OVERRUN_REJECTED",
        reservation_id=hold.reservation_id,
        currency_code=account.currency,
        remaining=text_from_nanos(remaining),
        amount=text_from_nanos(amount),
    )


def charge_postings(charge: Charge) -> list[Posting]:
    """The postings of usage that was charged."""
    return [
        Posting("WALLET", "REVENUE", charge.from_hold + charge.from_available),
        Posting("RECEIVABLE", "REVENUE", charge.receivable),
        Posting("OVERRUN_LOSS", "REVENUE", charge.absorbed),
        Posting("PROVIDER_COST", "PROVIDER_PAYABLE", charge.provider_cost),
    ]


def expire_due(account: Account, now: int, after_each: Callable[[Reservation, Charge], None]) -> None:
    """Ends every hold that is due, oldest expiry first, each with its own transaction and settlement."""
    due = [hold for hold in account.holds.values() if hold.state == "ACTIVE" and now >= hold.expire_time]
    for hold in sorted(due, key=lambda hold: (hold.expire_time, hold.reservation_id)):
        _expire(account, hold, now)
        assert hold.expiry is not None
        after_each(hold, hold.expiry.charge)


def _expire(account: Account, hold: Reservation, now: int) -> None:
    used = max(0, hold.used - hold.consumed) if hold.on_expiry == "CAPTURE_USED" else 0
    cost = max(0, hold.used_cost - hold.captured_cost) if hold.on_expiry == "CAPTURE_USED" else 0
    policy = "CAP" if account.overrun_policy == "REJECT" else account.overrun_policy
    charge = replace(capture(account, hold, used, policy), provider_cost=cost)
    remaining = hold.remaining
    hold.state = "EXPIRED"
    hold.end_time = hold.expire_time
    hold.captured += charge.charged
    hold.absorbed += charge.absorbed
    hold.captured_cost += cost
    transaction_id = write(
        account,
        "EXPIRE",
        charge_postings(charge),
        now,
        hold.details({"effective_time": hold.expire_time}),
        charge.charged,
        cost,
    )
    hold.expiry = Expiry(remaining, charge, transaction_id)
