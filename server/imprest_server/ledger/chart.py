"""The chart of accounts every book has, and the equation it obeys (docs/INVARIANTS.md)."""

from __future__ import annotations

from enum import StrEnum


class LedgerAccountCode(StrEnum):
    """One line of a book's chart. The value is stored in postings and shown to callers."""

    CASH = "CASH"
    RECEIVABLE = "RECEIVABLE"
    PROVIDER_COST = "PROVIDER_COST"
    FEE_COST = "FEE_COST"
    REFUNDS = "REFUNDS"
    PROMOTION_COST = "PROMOTION_COST"
    ADJUSTMENTS = "ADJUSTMENTS"
    OVERRUN_LOSS = "OVERRUN_LOSS"

    WALLET = "WALLET"
    REVENUE = "REVENUE"
    PROVIDER_PAYABLE = "PROVIDER_PAYABLE"
    FEE_PAYABLE = "FEE_PAYABLE"
    BREAKAGE = "BREAKAGE"
    CLEARING = "CLEARING"


Code = LedgerAccountCode

#: A debit raises these; a credit raises the others.
DEBIT_NORMAL = frozenset(
    {
        Code.CASH,
        Code.RECEIVABLE,
        Code.PROVIDER_COST,
        Code.FEE_COST,
        Code.REFUNDS,
        Code.PROMOTION_COST,
        Code.ADJUSTMENTS,
        Code.OVERRUN_LOSS,
    }
)
CREDIT_NORMAL = frozenset(Code) - DEBIT_NORMAL


def empty_balances() -> dict[LedgerAccountCode, int]:
    """A new book's balances: every code at zero nanos, in chart order."""
    return dict.fromkeys(Code, 0)


def apply_posting(
    balances: dict[LedgerAccountCode, int], debit: LedgerAccountCode, credit: LedgerAccountCode, amount_nanos: int
) -> None:
    """Move `amount_nanos` > 0 from the debited to the credited code, in place."""
    balances[debit] += amount_nanos if debit in DEBIT_NORMAL else -amount_nanos
    balances[credit] += -amount_nanos if credit in DEBIT_NORMAL else amount_nanos
