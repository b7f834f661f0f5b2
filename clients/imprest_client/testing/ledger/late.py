"""The late commit: the true usage arrives after the clock has ended the hold.

What the expiry collected was provisional. The commit decides anew over its whole amount:

    up to the expired hold     always charged; what is missing comes from available credit, then is owed
    the excess over the hold   by the overrun policy, what the expiry collected counting as paid

The new charge is kept out of what the expiry collected, and only the difference moves: more is collected, or a
surplus goes back (never more than refunds have left of the expiry's charge).
"""

from dataclasses import dataclass, replace

from imprest_client.testing.ledger.book import overrun_rejected, write
from imprest_client.testing.ledger.model import Account, Charge, Details, Expiry, Parts, Posting, Reservation
from imprest_client.testing.ledger.tenant import Tenant


@dataclass(frozen=True)
class _Decision:
    """The new total of what is charged and lost, and what has to be collected for it now."""

    charged: int
    absorbed: int
    from_available: int = 0
    receivable: int = 0


def _decide(account: Account, expiry: Expiry, amount: int) -> _Decision:
    within = min(amount, expiry.hold)
    excess = amount - within
    policy = account.overrun_policy
    if policy != "COLLECT":
        excess_charged, absorbed = 0, excess
    else:
        excess_charged, absorbed = excess, 0
    # Collected by the expiry already: first for the part within the hold, then for the excess.
    missing_within = max(0, within - expiry.charge.charged)
    missing_excess = max(0, excess_charged - max(0, expiry.charge.charged - within))
    from_available = min(missing_within + missing_excess, account.spendable)
    owed_within = max(0, missing_within - from_available)
    owed_excess = missing_within + missing_excess - from_available - owed_within
    if account.max_overrun is not None:
        room = max(0, account.max_overrun - account.receivable - owed_within)
        lost = max(0, owed_excess - room)
        owed_excess -= lost
        excess_charged -= lost
        absorbed += lost
    return _Decision(within + excess_charged, absorbed, from_available, owed_within + owed_excess)


def late_commit(
    tenant: Tenant,
    account: Account,
    hold: Reservation,
    amount: int,
    cost: int | None,
    now: int,
    details: Details,
    parts: Parts,
) -> tuple[Charge, str | None]:
    """Commits an expired hold; returns the difference to what the expiry did, and the transaction if any.

    `cost` None: nothing new is known about it. Raises Denied(OVERRUN_REJECTED).
    """
    expiry = hold.expiry
    assert expiry is not None
    before = expiry.charge
    if account.state == "CLOSED":
        # No customer money moves: the expiry's charge stands, and what exceeds it is lost.
        decision = _Decision(before.charged, max(0, amount - before.charged))
    else:
        if amount > expiry.hold and account.overrun_policy == "REJECT":
            raise overrun_rejected(account, hold, amount, expiry.hold)
        decision = _decide(account, expiry, amount)
    surplus = max(0, before.charged - decision.charged)
    if expiry.transaction_id is not None and surplus > 0:
        _, transaction = tenant.transaction(expiry.transaction_id)
        surplus = min(surplus, tenant.left_to_refund(transaction))
        tenant.returned[expiry.transaction_id] = tenant.returned.get(expiry.transaction_id, 0) + surplus
    repaid = min(surplus, account.receivable)
    loss = decision.absorbed - before.absorbed
    stated = expiry.transaction_id in tenant.stated
    more_cost = 0 if cost is None or stated else cost - before.provider_cost
    if more_cost < 0 and expiry.transaction_id is not None:
        # What refunds have reversed of the expiry's cost is gone already.
        left = before.provider_cost - tenant.cost_reversed.get(expiry.transaction_id, 0)
        more_cost = max(more_cost, -left)
        tenant.cost_returned[expiry.transaction_id] = -more_cost

    hold.state, hold.late = "COMMITTED", True
    # What refunds have given back of a surplus was a refund, and refunds do not lower `captured`.
    collected = decision.from_available + decision.receivable
    hold.captured += collected - surplus
    hold.absorbed += loss
    hold.captured_cost += more_cost
    transaction_id = write(
        account,
        "LATE_COMMIT",
        [
            Posting("WALLET", "REVENUE", decision.from_available),
            Posting("RECEIVABLE", "REVENUE", decision.receivable),
            Posting("OVERRUN_LOSS", "REVENUE", max(0, loss)),
            Posting("PROVIDER_COST", "PROVIDER_PAYABLE", max(0, more_cost)),
            Posting("REFUNDS", "RECEIVABLE", repaid),
            Posting("REFUNDS", "WALLET", surplus - repaid),
            Posting("REVENUE", "OVERRUN_LOSS", max(0, -loss)),
            Posting("PROVIDER_PAYABLE", "PROVIDER_COST", max(0, -more_cost)),
        ],
        now,
        details,
        collected,
        max(0, more_cost),
        parts=parts,
    )
    if transaction_id is None and cost is not None:
        _belongs_to_expiry(account, hold, parts)
    if stated and cost is not None and transaction_id is not None:
        tenant.stated.add(transaction_id)
    if surplus or more_cost < 0:
        assert expiry.transaction_id is not None and transaction_id is not None
        tenant.allocations.append((expiry.transaction_id, transaction_id, surplus, max(0, -more_cost)))
    charge = Charge(
        from_available=decision.from_available - (surplus - repaid),
        receivable=decision.receivable - repaid,
        absorbed=loss,
        provider_cost=more_cost,
    )
    return charge, transaction_id


def _belongs_to_expiry(account: Account, hold: Reservation, parts: Parts) -> None:
    """Nothing is left to post: the units are what the expiry has charged for, if it has posted anything."""
    for number, transaction in enumerate(account.transactions):
        if transaction.kind == "EXPIRE" and transaction.reservation_id == hold.reservation_id:
            account.transactions[number] = replace(transaction, parts=parts)
