"""The ledger's things: accounts, books, reservations, transactions, balances.

All amounts are `int` nanos of the account's currency; all times are aware UTC datetimes in whole
microseconds. Nothing here does I/O. Objects are values: a change makes a new one (`dataclasses.replace`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from imprest_server.core.ids import AccountId, AccountKey, ReservationId, TenantId, TransactionId
from imprest_server.core.usage import MeterAmount, RatedLine
from imprest_server.core.values import value
from imprest_server.ledger.chart import LedgerAccountCode, empty_balances

Labels = Mapping[str, str]

#: The chain hash before a book's first transaction.
GENESIS_HASH = bytes(32)


class AccountState(StrEnum):
    """What an account may still do. FROZEN: running calls settle. CLOSED: only late settlement."""

    ACTIVE = "ACTIVE"
    FROZEN = "FROZEN"
    CLOSED = "CLOSED"


class OverrunPolicy(StrEnum):
    """Who pays when a commit exceeds its hold."""

    COLLECT = "COLLECT"
    CAP = "CAP"
    REJECT = "REJECT"


class ReservationState(StrEnum):
    """A hold is ACTIVE until one of the others ends it; an EXPIRED one may still be COMMITTED late."""

    ACTIVE = "ACTIVE"
    COMMITTED = "COMMITTED"
    VOIDED = "VOIDED"
    EXPIRED = "EXPIRED"


class OnExpiry(StrEnum):
    """What the clock does to a due hold: charge what was used so far, or free it."""

    CAPTURE_USED = "CAPTURE_USED"
    RELEASE = "RELEASE"


class TransactionKind(StrEnum):
    """Which operation wrote a transaction."""

    ADD_CREDIT = "ADD_CREDIT"
    REVERSE_CREDIT = "REVERSE_CREDIT"
    GRANT_CREDIT = "GRANT_CREDIT"
    ADJUST = "ADJUST"
    WITHDRAW = "WITHDRAW"
    TRANSFER_OUT = "TRANSFER_OUT"
    TRANSFER_IN = "TRANSFER_IN"
    COMMIT = "COMMIT"
    LATE_COMMIT = "LATE_COMMIT"
    EXPIRE = "EXPIRE"
    VOID = "VOID"
    CHARGE = "CHARGE"
    USAGE = "USAGE"
    REFUND = "REFUND"
    TRUE_UP = "TRUE_UP"
    RERATE = "RERATE"
    UPDATE_ACCOUNT = "UPDATE_ACCOUNT"
    CLOSE = "CLOSE"


#: Kinds of transactions that charge for usage: what they charged can be given back, what they cost us corrected.
CAPTURES = frozenset(
    {
        TransactionKind.COMMIT,
        TransactionKind.LATE_COMMIT,
        TransactionKind.EXPIRE,
        TransactionKind.CHARGE,
        TransactionKind.USAGE,
        TransactionKind.RERATE,
    }
)


@value
class Account:
    """A prepaid customer account in one currency: its settings, not its money.

    `max_overrun`, `max_concurrent_calls` and `low_balance_threshold`: None is "no limit set", 0 is "none allowed".
    """

    tenant_id: TenantId
    account_id: AccountId
    currency_code: str
    customer_id: str = ""
    display_name: str = ""
    parent_account_id: AccountId | None = None
    credit_limit: int = 0
    overrun_policy: OverrunPolicy = OverrunPolicy.COLLECT
    max_overrun: int | None = None
    max_concurrent_calls: int | None = None
    low_balance_threshold: int | None = None
    time_zone: str = "UTC"
    labels: Labels = field(default_factory=dict[str, str])
    state: AccountState = AccountState.ACTIVE
    create_time: datetime | None = None
    update_time: datetime | None = None

    @property
    def key(self) -> AccountKey:
        """What its book is found and locked by."""
        return (self.tenant_id, self.account_id)


@dataclass(slots=True)
class Book:
    """One account's ledger: a balance per code, the holds, the head of its hash chain.

    `held` is the sum of what ACTIVE reservations have left, `open_count` how many there are; both stand
    outside the accounting equation. `last_time` is the newest transaction's create_time. `low_balance`: it was told
    that the balance is low, last at `low_balance_time`, and it has not recovered since.
    """

    tenant_id: TenantId
    account_id: AccountId
    balances: dict[LedgerAccountCode, int] = field(default_factory=empty_balances)
    held: int = 0
    open_count: int = 0
    seq: int = 0
    chain_hash: bytes = GENESIS_HASH
    last_time: datetime | None = None
    low_balance: bool = False
    low_balance_time: datetime | None = None

    @property
    def wallet(self) -> int:
        """Posted credit, in nanos; negative when a credit limit is in use."""
        return self.balances[LedgerAccountCode.WALLET]

    @property
    def receivable(self) -> int:
        """What the customer owes after an overrun, in nanos."""
        return self.balances[LedgerAccountCode.RECEIVABLE]

    def copy(self) -> Book:
        """A book of its own that can be changed."""
        return Book(
            self.tenant_id,
            self.account_id,
            self.balances.copy(),
            self.held,
            self.open_count,
            self.seq,
            self.chain_hash,
            self.last_time,
            self.low_balance,
            self.low_balance_time,
        )


@value
class Balance:
    """What a caller sees of a book at one instant. `available` = wallet − held + credit_limit, signed."""

    account_id: AccountId
    currency_code: str
    wallet: int
    held: int
    available: int
    receivable: int
    credit_limit: int
    as_of: datetime


@value
class ProvisionalCapture:
    """What an expiry charged, kept until a late commit decides anew.

    `hold` is what the hold had left when it expired, `charged` what the customer paid or owes for it,
    `absorbed` what became OVERRUN_LOSS, `cost` what became PROVIDER_COST; `transaction_id` is None when both
    the customer was charged nothing and it cost nothing.
    """

    hold: int
    charged: int
    absorbed: int
    transaction_id: TransactionId | None
    cost: int = 0


class EndedBy(StrEnum):
    """Which operation ended a hold: a second Void of a voided one is answered, of a committed one denied."""

    COMMIT = "COMMIT"
    VOID = "VOID"
    EXPIRE = "EXPIRE"


@value
class Reservation:
    """Value set aside for one call.

    `amount` and `used_so_far` count from the start of the call, captures included. `captured` is what the
    customer paid or owes, `absorbed` the overrun nobody pays. `used_cost` is the provider cost of what was used so far,
    as far as it was reported as usage, `captured_cost` the part of it that captures have posted. A hold that was priced
    keeps the prices known at `price_epoch` and in force at its `create_time`. `estimate` is what its amount was priced
    from, by meter, for those who count; it is no part of what is answered.
    """

    tenant_id: TenantId
    reservation_id: ReservationId
    account_id: AccountId
    call_id: str
    amount: int
    on_expiry: OnExpiry
    create_time: datetime
    expire_time: datetime
    labels: Labels = field(default_factory=dict[str, str])
    state: ReservationState = ReservationState.ACTIVE
    captured: int = 0
    absorbed: int = 0
    used_so_far: int = 0
    late: bool = False
    end_time: datetime | None = None
    ended_by: EndedBy | None = None
    provisional: ProvisionalCapture | None = None
    price_epoch: int | None = None
    used_cost: int = 0
    captured_cost: int = 0
    estimate: tuple[MeterAmount, ...] = field(default=(), compare=False)

    @property
    def account_key(self) -> AccountKey:
        """The key of the account whose funds it holds."""
        return (self.tenant_id, self.account_id)

    @property
    def remaining(self) -> int:
        """What it holds now: nothing once it has ended, never below zero after an overrun."""
        return self.remaining_of(self.amount)

    def remaining_of(self, amount: int) -> int:
        """What it would hold if its amount from the start of the call were `amount`."""
        if self.state is not ReservationState.ACTIVE:
            return 0
        return max(0, amount - self.captured - self.absorbed)


@value
class Posting:
    """Moves `amount` > 0 nanos from the debited to the credited code of one book."""

    debit: LedgerAccountCode
    credit: LedgerAccountCode
    amount: int


@value
class Transaction:
    """The postings one operation wrote in one book; immutable and chained by hash.

    `seq` counts from 1 without gaps in its book. `effective_time` is when it happened, `create_time` when
    it was written (never before the book's previous transaction).
    """

    tenant_id: TenantId
    transaction_id: TransactionId
    account_id: AccountId
    seq: int
    kind: TransactionKind
    postings: tuple[Posting, ...]
    wallet_after: int
    receivable_after: int
    reservation_id: ReservationId | None
    call_id: str
    reason: str
    external_reference: str
    labels: Labels
    effective_time: datetime
    create_time: datetime
    chain_hash: bytes = b""


@value
class Capture:
    """A transaction that charged for usage, as refunds and true-ups see it.

    `charged` is what was paid or is owed by it, less what a late commit or re-rates returned; `refunded` is what
    Refunds have given back of that. `cost`, true-ups included, and `cost_reversed` are the provider's side of the same;
    `stated`: a true-up has said what it costs. `create_time` and `labels` are the transaction's.
    """

    account_id: AccountId
    transaction_id: TransactionId
    seq: int
    reservation_id: ReservationId | None
    call_id: str
    charged: int
    refunded: int
    create_time: datetime
    labels: Labels
    cost: int = 0
    cost_reversed: int = 0
    stated: bool = False

    @property
    def refundable(self) -> int:
        """What is left to give back."""
        return self.charged - self.refunded

    @property
    def net_cost(self) -> int:
        """What the provider gets for it now."""
        return self.cost - self.cost_reversed


@value
class RefundAllocation:
    """How much of one captured transaction one later transaction gave back: a REFUND, LATE_COMMIT or RERATE.

    `amount` went to the customer; `cost` is how much less the provider gets. One of the two may be 0.
    """

    tenant_id: TenantId
    account_id: AccountId
    refund_transaction_id: TransactionId
    captured_transaction_id: TransactionId
    kind: TransactionKind
    amount: int
    cost: int


@value
class CostAdjustment:
    """By how much, up or down, a later transaction corrected the provider cost of one captured transaction.

    `stated`: a true-up has said what that costs. When it costs just that the correction is 0, and when nothing was
    posted for it the adjusting transaction is the captured one itself.
    """

    tenant_id: TenantId
    account_id: AccountId
    captured_transaction_id: TransactionId
    adjusting_transaction_id: TransactionId
    cost: int
    stated: bool = False


@value
class ChargeBreakdown:
    """Where a charge was taken from: charged = from_hold + from_available + receivable; absorbed is on top.

    For a late commit each amount is the difference to what the expiry had charged, and may be negative. `lines` are the
    usage that was priced, none when an amount was given.
    """

    from_hold: int = 0
    from_available: int = 0
    receivable: int = 0
    absorbed: int = 0
    provider_cost: int = 0
    lines: tuple[RatedLine, ...] = ()

    @property
    def charged(self) -> int:
        """What the customer pays or owes by this charge."""
        return self.from_hold + self.from_available + self.receivable
