"""What reads show that the ledger does not keep as such: past and trial balances, how large things are. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from imprest_server.core.ids import AccountId, ReservationId, TransactionId
from imprest_server.core.money import check_range
from imprest_server.core.usage import RatedLine
from imprest_server.ledger.chart import DEBIT_NORMAL, LedgerAccountCode
from imprest_server.ledger.model import Account, Labels, Reservation, Transaction


@dataclass(frozen=True, slots=True)
class PastBalance:
    """What a book had and was owed at a past instant, in nanos. Holds and settings have no history."""

    account_id: AccountId
    currency_code: str
    wallet: int
    receivable: int
    as_of: datetime


@dataclass(frozen=True, slots=True)
class TrialBalanceLine:
    """One line of the chart, its balance in nanos on the side it falls on; the other side is None.

    A negative balance of a debit-normal line is a credit balance and the other way round; zero stands on the line's
    normal side.
    """

    code: LedgerAccountCode
    debit_balance: int | None
    credit_balance: int | None


@dataclass(frozen=True, slots=True)
class TrialBalance:
    """The lines in chart order, and what each side adds up to in nanos: the same on both in balanced books."""

    currency_code: str
    lines: tuple[TrialBalanceLine, ...]
    total_debits: int
    total_credits: int


@dataclass(frozen=True, slots=True)
class UsedLine:
    """A usage line at what it costs now. `positions`: where the month's count of each side stood when it was posted.

    `cost_stated`: a true-up has said what it costs us, by itself or with its transaction.
    """

    rated: RatedLine
    positions: Mapping[str, Decimal]
    cost_stated: bool


@dataclass(frozen=True, slots=True)
class UsedTransaction:
    """A transaction of usage that happened at `usage_time`, at prices of `price_time`, else of `else_time`."""

    account_id: AccountId
    seq: int
    transaction_id: TransactionId
    reservation_id: ReservationId | None
    call_id: str
    price_time: datetime
    else_time: datetime | None
    usage_time: datetime
    lines: tuple[UsedLine, ...]


def trial_balance_of(currency_code: str, balances: Mapping[LedgerAccountCode, int]) -> TrialBalance:
    """The trial balance of a book's balances, or of sums of them, by code; each in its code's normal direction.

    Raises AmountOutOfRange when google.type.Money cannot carry a line or a total.
    """
    lines = tuple(_line(code, balances[code]) for code in LedgerAccountCode)
    return TrialBalance(
        currency_code,
        lines,
        check_range(sum(line.debit_balance or 0 for line in lines), f"the total of debits in {currency_code}"),
        check_range(sum(line.credit_balance or 0 for line in lines), f"the total of credits in {currency_code}"),
    )


def _line(code: LedgerAccountCode, balance: int) -> TrialBalanceLine:
    check_range(balance, f"the sum of {code}")
    if (code in DEBIT_NORMAL) is (balance >= 0):
        return TrialBalanceLine(code, debit_balance=abs(balance), credit_balance=None)
    return TrialBalanceLine(code, debit_balance=None, credit_balance=abs(balance))


# Bytes that ids, amounts, times and states of one thing, one posting, and the frame of a pair of labels take at most.
_FIXED_BYTES = 512
_POSTING_BYTES = 40
_PAIR_BYTES = 8


def size_of(thing: Account | Reservation | Transaction) -> int:
    """How many bytes its message takes at most."""
    match thing:
        case Account():
            return _size(thing.labels, thing.customer_id, thing.display_name, thing.time_zone)
        case Reservation():
            return _size(thing.labels, thing.call_id)
        case Transaction():
            texts = _size(thing.labels, thing.call_id, thing.reason, thing.external_reference)
            return texts + _POSTING_BYTES * len(thing.postings)


def _size(labels: Labels, *texts: str) -> int:
    pairs = sum(_PAIR_BYTES + len(key.encode()) + len(value.encode()) for key, value in labels.items())
    return _FIXED_BYTES + pairs + sum(len(text.encode()) for text in texts)
