"""What the server answers, as frozen dataclasses: money as Decimal, times as aware datetimes in UTC.

Amounts are in the currency of the object they stand in. The comments in `proto/imprest/v1` define every field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from imprest_client.pricing_model import RatedLine


class AccountState(StrEnum):
    """What an account may do."""

    ACTIVE = "ACTIVE"
    FROZEN = "FROZEN"
    CLOSED = "CLOSED"
    UNKNOWN = "UNKNOWN"
    """A state that this release of the client does not know."""


class OverrunPolicy(StrEnum):
    """What happens to the part of a charge that exceeds its hold."""

    COLLECT = "COLLECT"
    CAP = "CAP"
    REJECT = "REJECT"
    UNKNOWN = "UNKNOWN"


class ReservationState(StrEnum):
    """Where a reservation stands."""

    ACTIVE = "ACTIVE"
    COMMITTED = "COMMITTED"
    VOIDED = "VOIDED"
    EXPIRED = "EXPIRED"
    UNKNOWN = "UNKNOWN"


class OnExpiry(StrEnum):
    """What happens when a hold is due."""

    CAPTURE_USED = "CAPTURE_USED"
    RELEASE = "RELEASE"
    UNKNOWN = "UNKNOWN"


class TransactionKind(StrEnum):
    """The operation that wrote a transaction."""

    COMMIT = "COMMIT"
    LATE_COMMIT = "LATE_COMMIT"
    EXPIRE = "EXPIRE"
    VOID = "VOID"
    CHARGE = "CHARGE"
    USAGE = "USAGE"
    REFUND = "REFUND"
    ADD_CREDIT = "ADD_CREDIT"
    REVERSE_CREDIT = "REVERSE_CREDIT"
    GRANT_CREDIT = "GRANT_CREDIT"
    ADJUST = "ADJUST"
    WITHDRAW = "WITHDRAW"
    TRANSFER_OUT = "TRANSFER_OUT"
    TRANSFER_IN = "TRANSFER_IN"
    UPDATE_ACCOUNT = "UPDATE_ACCOUNT"
    CLOSE = "CLOSE"
    TRUE_UP = "TRUE_UP"
    RERATE = "RERATE"
    UNKNOWN = "UNKNOWN"


class LedgerAccountCode(StrEnum):
    """A line of the chart that every account's book has."""

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
    UNKNOWN = "UNKNOWN"


# ── resources ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Account:
    """A prepaid customer account in one currency. A limit that is None is not set."""

    account_id: str
    currency_code: str
    state: AccountState
    customer_id: str
    display_name: str
    parent_account_id: str
    credit_limit: Decimal
    overrun_policy: OverrunPolicy
    max_overrun: Decimal | None
    max_concurrent_calls: int | None
    low_balance_threshold: Decimal | None
    time_zone: str
    labels: Mapping[str, str]
    create_time: datetime
    update_time: datetime


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account has, holds and owes now. `available` may be negative; `as_of` is on the server's clock."""

    account_id: str
    currency_code: str
    wallet: Decimal
    held: Decimal
    available: Decimal
    receivable: Decimal
    credit_limit: Decimal
    as_of: datetime


@dataclass(frozen=True, slots=True)
class PastBalance:
    """What an account had and owed at a past instant: holds and settings have no history."""

    account_id: str
    currency_code: str
    wallet: Decimal
    receivable: Decimal
    as_of: datetime


@dataclass(frozen=True, slots=True)
class Reservation:
    """A hold. Amounts count from the start of the call, captures included."""

    reservation_id: str
    account_id: str
    call_id: str
    state: ReservationState
    currency_code: str
    amount: Decimal
    captured: Decimal
    absorbed: Decimal
    used_so_far: Decimal
    on_expiry: OnExpiry
    labels: Mapping[str, str]
    create_time: datetime
    expire_time: datetime
    end_time: datetime | None
    late: bool


@dataclass(frozen=True, slots=True)
class Posting:
    """One amount moved from a debited to a credited line of the same book."""

    debit: LedgerAccountCode
    credit: LedgerAccountCode
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Transaction:
    """The postings that one operation wrote in one account's book."""

    transaction_id: str
    account_id: str
    seq: int
    kind: TransactionKind
    currency_code: str
    postings: tuple[Posting, ...]
    wallet_after: Decimal
    reservation_id: str
    call_id: str
    reason: str
    external_reference: str
    labels: Mapping[str, str]
    effective_time: datetime
    create_time: datetime
    chain_hash: bytes


@dataclass(frozen=True, slots=True)
class RefundAllocation:
    """How much of one charging transaction a later one gave back, and what provider cost was reversed with it."""

    captured_transaction_id: str
    refund_transaction_id: str
    amount: Decimal
    provider_cost: Decimal


@dataclass(frozen=True, slots=True)
class TransactionRefunds:
    """A transaction, what later ones gave back of it, and what it gave back of earlier ones; each oldest first.

    `lines` are what it charged, if that was given as usage.
    """

    transaction: Transaction
    refunded_by: tuple[RefundAllocation, ...]
    refund_of: tuple[RefundAllocation, ...]
    lines: tuple[RatedLine, ...] = ()


@dataclass(frozen=True, slots=True)
class ChargeBreakdown:
    """How one capture or charge was paid; after a late commit signed differences to what the expiry had captured."""

    currency_code: str
    charged: Decimal
    from_hold: Decimal
    from_available: Decimal
    receivable: Decimal
    absorbed: Decimal
    provider_cost: Decimal
    lines: tuple[RatedLine, ...]
    """What was given as usage, line by line; empty for an amount."""


@dataclass(frozen=True, slots=True)
class TrialBalanceLine:
    """The balance of one line of the chart, on the side it falls on; the other side is None."""

    code: LedgerAccountCode
    debit_balance: Decimal | None
    credit_balance: Decimal | None


@dataclass(frozen=True, slots=True)
class TrialBalance:
    """The balances of all lines in one currency; the totals are equal."""

    currency_code: str
    lines: tuple[TrialBalanceLine, ...]
    total_debits: Decimal
    total_credits: Decimal
    as_of: datetime


# ── receipts: the answers to requests that change something ──────────────────────────────────────────
#
# `balance` is the account's after the operation; of a replayed receipt it is the one of then. `replayed`: this is the
# stored answer to an earlier request with the same key. `transaction_id` is empty when there was nothing to post.


@dataclass(frozen=True, slots=True)
class AccountReceipt:
    """An account was created, changed, or its credit was."""

    account: Account
    balance: Balance
    transaction_id: str
    replayed: bool


@dataclass(frozen=True, slots=True)
class TransferReceipt:
    """Credit was moved: the giver's account and balance, and the receiver's balance."""

    account: Account
    balance: Balance
    transaction_id: str
    to_balance: Balance
    to_transaction_id: str
    replayed: bool


@dataclass(frozen=True, slots=True)
class HoldReceipt:
    """A hold was made or extended.

    `final_unit`: less than asked for was granted, so end the call when the grant is used up; after an extension
    `denial_reason` says why ("INSUFFICIENT_FUNDS", …; else empty). `affordable_duration` is how long the grant lasts,
    when the server could tell.
    """

    reservation: Reservation
    balance: Balance
    final_unit: bool
    denial_reason: str
    affordable_duration: timedelta | None
    replayed: bool


@dataclass(frozen=True, slots=True)
class CommitReceipt:
    """A capture was posted; `late` when the hold had expired before."""

    reservation: Reservation
    balance: Balance
    charge: ChargeBreakdown
    transaction_id: str
    late: bool
    replayed: bool


@dataclass(frozen=True, slots=True)
class VoidReceipt:
    """A hold was ended."""

    reservation: Reservation
    balance: Balance
    replayed: bool


@dataclass(frozen=True, slots=True)
class ChargeReceipt:
    """Usage was charged at once, without a hold."""

    balance: Balance
    charge: ChargeBreakdown
    transaction_id: str
    replayed: bool


@dataclass(frozen=True, slots=True)
class RefundReceipt:
    """Posted money was given back; `refunded_total` is the sum of all refunds of the same target."""

    transaction: Transaction
    balance: Balance
    refunded_total: Decimal
    replayed: bool


@dataclass(frozen=True, slots=True)
class TrueUpReceipt:
    """A provider's cost was corrected: by `difference`; `transaction` is None when it has been that all along."""

    transaction: Transaction | None
    balance: Balance
    difference: Decimal
    replayed: bool
