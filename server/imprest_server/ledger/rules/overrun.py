"""Who pays for usage, and who for the part beyond its hold. Arithmetic on nanos and the postings for it."""

from __future__ import annotations

from imprest_server.ledger.chart import LedgerAccountCode as Code
from imprest_server.ledger.model import ChargeBreakdown, OverrunPolicy
from imprest_server.ledger.rules.draft import Draft


def split_usage(
    policy: OverrunPolicy, amount: int, hold: int, spendable: int, receivable: int, max_overrun: int | None
) -> ChargeBreakdown:
    """Split `amount` of usage over hold, available credit, receivable and loss.

    COLLECT: what exceeds the hold is taken from `spendable`, then owed while the account's total
    receivable stays within `max_overrun` (None: no limit), then absorbed. CAP absorbs all that exceeds the
    hold; so does REJECT, where the usage has happened and cannot be refused any more.
    """
    from_hold = min(amount, hold)
    excess = amount - from_hold
    if policy is not OverrunPolicy.COLLECT:
        return ChargeBreakdown(from_hold=from_hold, absorbed=excess)
    from_available = min(excess, spendable)
    owed = excess - from_available
    if max_overrun is not None:
        owed = min(owed, max(0, max_overrun - receivable))
    return ChargeBreakdown(
        from_hold=from_hold,
        from_available=from_available,
        receivable=owed,
        absorbed=excess - from_available - owed,
    )


def split_by_policy(draft: Draft, amount: int, hold: int) -> ChargeBreakdown:
    """`split_usage` with the drafted account's policy and funds. Available credit does not depend on
    whether `hold` still counts as held: taking from a hold lowers wallet and held alike."""
    account = draft.account
    return split_usage(
        account.overrun_policy, amount, hold, draft.spendable, draft.book.receivable, account.max_overrun
    )


def post_charge(draft: Draft, charge: ChargeBreakdown) -> None:
    """The postings of a charge with no negative part, and of its provider cost."""
    draft.post(Code.WALLET, Code.REVENUE, charge.from_hold + charge.from_available)
    draft.post(Code.RECEIVABLE, Code.REVENUE, charge.receivable)
    draft.post(Code.OVERRUN_LOSS, Code.REVENUE, charge.absorbed)
    draft.post(Code.PROVIDER_COST, Code.PROVIDER_PAYABLE, charge.provider_cost)
