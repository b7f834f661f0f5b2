"""What those who watch are told of: debts, low balances, overruns, late commits, expiries, thresholds of budgets."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imprest_client.testing.ledger.model import SECOND, Account, Charge, Outcome, Reservation, new_id

if TYPE_CHECKING:
    from imprest_client.testing.ledger.budgets import Budget, Threshold

_COOLDOWN = 3600 * SECOND
"""Nobody is told again within it that a balance is low."""
_LEVELS = {
    "LOW_BALANCE": "WARNING",
    "OVERRUN": "WARNING",
    "RECEIVABLE": "CRITICAL",
    "LATE_COMMIT": "INFO",
    "RESERVATION_EXPIRED": "WARNING",
}


@dataclass(frozen=True, kw_only=True)
class Alert:
    """That something happened; what does not apply to its kind is empty or None."""

    kind: str
    level: str
    currency: str
    create_time: int
    account_id: str = ""
    budget: "Budget | None" = None
    threshold: "Threshold | None" = None
    spent: int | None = None
    held: int | None = None
    limit: int | None = None
    available: int | None = None
    amount: int | None = None
    reservation_id: str = ""
    call_ids: tuple[str, ...] = ()
    alert_id: str = field(default_factory=lambda: new_id("alt"), compare=False)

    def __str__(self) -> str:
        if self.budget is None or self.threshold is None:
            return f"{self.kind} {self.amount}"
        return f"{self.budget.budget_id} {self.threshold.percent}% {self.spent}/{self.held}"


def happened(
    op: str, owed_before: Mapping[str, int], accounts: Sequence[Account], outcome: Outcome, now: int
) -> list[Alert]:
    """What an operation on these accounts leads to besides the thresholds of budgets."""
    found = books(owed_before, accounts, now)
    charge = outcome.charge
    if charge is None:
        return found
    account = next(one for one in accounts if one.account_id == outcome.account_id)
    if outcome.late:
        found.append(_about(account, "LATE_COMMIT", charge.charged, now, outcome.reservation))
    else:
        beyond = charge.absorbed if op == "record_usage" else charge.charged + charge.absorbed - charge.from_hold
        if op != "charge" and beyond:
            found.append(_about(account, "OVERRUN", beyond, now, outcome.reservation))
    return found


def expired(
    owed_before: Mapping[str, int], account: Account, hold: Reservation, charge: Charge, now: int
) -> list[Alert]:
    """What the end of a due hold leads to."""
    found = books(owed_before, [account], now)
    beyond = charge.charged + charge.absorbed - charge.from_hold
    if charge.charged:
        found.append(_about(account, "RESERVATION_EXPIRED", charge.charged, now, hold))
    if beyond:
        found.append(_about(account, "OVERRUN", beyond, now, hold))
    return found


def books(owed_before: Mapping[str, int], accounts: Iterable[Account], now: int) -> list[Alert]:
    """The debts that have begun, and the balances that have become low."""
    found = list[Alert]()
    for account in accounts:
        if account.receivable and not owed_before.get(account.account_id):
            found.append(_about(account, "RECEIVABLE", account.receivable, now))
        if _has_become_low(account, now):
            found.append(_about(account, "LOW_BALANCE", account.low_balance_threshold or 0, now))
    return found


def _has_become_low(account: Account, now: int) -> bool:
    """Whether its credit is low and was not; it is not low any more when it is a tenth above the threshold."""
    threshold = account.low_balance_threshold
    if account.low_below != threshold:
        account.low_below, account.is_low, account.low_time = threshold, False, None
    if threshold is None:
        return False
    if account.is_low:
        account.is_low = account.available < threshold + threshold // 10
        return False
    is_cool = account.low_time is None or now >= account.low_time + _COOLDOWN
    if account.available < threshold and is_cool:
        account.is_low, account.low_time = True, now
        return True
    return False


def _about(account: Account, kind: str, amount: int, now: int, hold: Reservation | None = None) -> Alert:
    is_low = kind == "LOW_BALANCE"
    return Alert(
        kind=kind,
        level=_LEVELS[kind],
        currency=account.currency,
        create_time=now,
        account_id=account.account_id,
        limit=amount if is_low else None,
        available=account.available,
        amount=None if is_low else amount,
        reservation_id="" if hold is None else hold.reservation_id,
        call_ids=() if hold is None else (hold.call_id or hold.reservation_id,),
    )


def owed(accounts: Iterable[Account]) -> dict[str, int]:
    """What each account owes."""
    return {account.account_id: account.receivable for account in accounts}
