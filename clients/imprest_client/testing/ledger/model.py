"""What the model remembers and answers: accounts with their books, holds, transactions, outcomes.

All amounts are integers of nanos, all times integers of microseconds. Nothing here decides anything;
the rules are in the modules named after the operations.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

Request = Mapping[str, Any]
"""One operation as a dict: "op", ids, decimal texts, and an idempotency key if it changes something."""

DEBIT_NORMAL = frozenset(
    ["CASH", "RECEIVABLE", "PROVIDER_COST", "FEE_COST", "REFUNDS", "PROMOTION_COST", "ADJUSTMENTS", "OVERRUN_LOSS"]
)
CREDIT_NORMAL = frozenset(["WALLET", "REVENUE", "PROVIDER_PAYABLE", "FEE_PAYABLE", "BREAKAGE", "CLEARING"])

SECOND = 1_000_000
"""Microseconds in a second."""

DAY = 86_400 * SECOND
"""Microseconds in a day."""


Parts = tuple[tuple[str, int, int], ...]
"""What came as units: meter, price and cost of each line."""


def new_id(prefix: str) -> str:
    """An id of the server's shape; ids sort in the order in which they were made."""
    return f"{prefix}_{next(_numbers):032x}"


_numbers = itertools.count(1)


def time_text(micros: int) -> str:
    """A time as ISO 8601 text."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)).isoformat()


class Denied(Exception):
    """The operation is refused and changes nothing; `reason` names why, `values` are the variables of its message."""

    def __init__(self, reason: str, **values: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.values = values


@dataclass(frozen=True)
class Details:
    """What a transaction records besides its postings."""

    reservation_id: str = ""
    call_id: str = ""
    reason: str = ""
    external_reference: str = ""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    effective_time: int | None = None

    @classmethod
    def of(cls, request: Request) -> "Details":
        """Those that the caller gave."""
        return cls(
            call_id=request.get("call_id", ""),
            reason=request.get("reason", ""),
            external_reference=request.get("external_reference", ""),
            labels=request.get("labels", {}),
            effective_time=request.get("effective_time"),
        )


@dataclass(frozen=True)
class Line:
    """A quantity measured on one meter; labels as sorted pairs, those of its report included."""

    meter: str
    quantity: Decimal
    line_id: str = ""
    provider: str = ""
    model: str = ""
    destination: str = ""
    operation: str = ""
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Usage:
    """What was or will be used."""

    lines: tuple[Line, ...]
    start_time: int | None = None
    end_time: int | None = None

    @property
    def takes(self) -> int:
        """How long it takes; 0 when that is not known."""
        return 0 if self.start_time is None or self.end_time is None else self.end_time - self.start_time


@dataclass(frozen=True)
class Rated:
    """A line with its price and cost, rounded and (in major units) exact; free when its call has it already."""

    line: Line
    price: int
    cost: int
    exact_price: Fraction
    exact_cost: Fraction
    duplicate: bool = False


@dataclass(frozen=True)
class Posting:
    """Moves `amount` > 0 from a debited to a credited line of one book."""

    debit: str
    credit: str
    amount: int


@dataclass(frozen=True)
class Transaction:
    """Postings written together, with what a later refund has to know (`charged`, `cost`), and what came as units
    (`parts`)."""

    transaction_id: str
    account_id: str
    seq: int
    kind: str
    postings: tuple[Posting, ...]
    wallet_after: int
    receivable_after: int
    create_time: int
    effective_time: int
    details: Details
    charged: int = 0
    cost: int = 0
    parts: Parts = ()

    @property
    def reservation_id(self) -> str:
        """The reservation it belongs to; empty when there is none."""
        return self.details.reservation_id


@dataclass(frozen=True)
class Charge:
    """How an amount of usage was paid: by the hold, by available credit, as a debt, or not at all."""

    from_hold: int = 0
    from_available: int = 0
    receivable: int = 0
    absorbed: int = 0
    provider_cost: int = 0

    @property
    def charged(self) -> int:
        """What the customer paid or owes, without the absorbed loss."""
        return self.from_hold + self.from_available + self.receivable


@dataclass(frozen=True)
class Expiry:
    """What the clock did to a hold: its remaining value then, and what was collected for its use."""

    hold: int
    charge: Charge
    transaction_id: str | None


@dataclass
class Reservation:
    """A hold. `amount`, `captured` and `used` count from the start of the call."""

    reservation_id: str
    account_id: str
    amount: int
    create_time: int
    expire_time: int
    on_expiry: str
    call_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    state: str = "ACTIVE"
    end_time: int | None = None
    late: bool = False
    captured: int = 0
    absorbed: int = 0
    used: int = 0
    used_cost: int = 0
    captured_cost: int = 0
    ended_by_void: bool = False
    expiry: Expiry | None = None
    prices: Mapping[str, Any] | None = None
    """The unit prices it was reserved at, if it was priced."""
    last_extend: "Decision | None" = None
    estimate: Parts | None = None
    """What it was reserved for, when that was given in units."""

    @property
    def consumed(self) -> int:
        """What captures have taken out of the reserved total, collected or lost."""
        return self.captured + self.absorbed

    def details(self, request: Request) -> Details:
        """What a transaction about this hold records: the hold's, and what the caller gave besides."""
        return replace(
            Details.of(request), reservation_id=self.reservation_id, call_id=self.call_id, labels=self.labels
        )

    @property
    def remaining(self) -> int:
        """What this hold still withholds from the account."""
        return max(0, self.amount - self.consumed) if self.state == "ACTIVE" else 0


def _empty_balances() -> dict[str, int]:
    return dict.fromkeys(sorted(DEBIT_NORMAL | CREDIT_NORMAL), 0)


@dataclass
class Account:
    """A prepaid account with its book; every balance has the sign of its line's normal side."""

    account_id: str
    currency: str
    credit_limit: int = 0
    overrun_policy: str = "COLLECT"
    max_overrun: int | None = None
    max_concurrent_calls: int | None = None
    low_balance_threshold: int | None = None
    low_below: int | None = None
    is_low: bool = False
    low_time: int | None = None
    """Whether somebody was told that its credit is below so much, and when."""
    customer_id: str = ""
    display_name: str = ""
    parent_account_id: str = ""
    time_zone: str = "UTC"
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    create_time: int = 0
    update_time: int = 0
    state: str = "ACTIVE"
    balances: dict[str, int] = field(default_factory=_empty_balances)
    transactions: list[Transaction] = field(default_factory=list[Transaction])
    holds: dict[str, Reservation] = field(default_factory=dict[str, Reservation])

    @property
    def wallet(self) -> int:
        """Posted credit."""
        return self.balances["WALLET"]

    @property
    def receivable(self) -> int:
        """What the customer owes."""
        return self.balances["RECEIVABLE"]

    @property
    def held(self) -> int:
        """Sum of what the open holds withhold."""
        return sum(hold.remaining for hold in self.holds.values())

    @property
    def open_count(self) -> int:
        """Number of open holds, for the call cap."""
        return sum(hold.state == "ACTIVE" for hold in self.holds.values())

    @property
    def available(self) -> int:
        """Credit for new calls, signed."""
        return self.wallet - self.held + self.credit_limit

    @property
    def spendable(self) -> int:
        """`available` as the rules count it: a negative one is nothing."""
        return max(0, self.available)

    def copy(self) -> "Account":
        """An independent copy, for taking back an operation that turned out to be impossible."""
        return replace(
            self,
            balances=dict(self.balances),
            transactions=list(self.transactions),
            holds={key: replace(hold) for key, hold in self.holds.items()},
        )


@dataclass(frozen=True)
class Balance:
    """The account's balance as replies show it."""

    wallet: int
    held: int
    available: int
    receivable: int

    @classmethod
    def of(cls, account: Account) -> "Balance":
        """The balance of this moment."""
        return cls(account.wallet, account.held, account.available, account.receivable)


@dataclass(frozen=True)
class Outcome:
    """The answer to one operation: a denial with its reason, or a success with what applies to it."""

    denied: str | None = None
    values: Mapping[str, str] = field(default_factory=dict[str, str])
    replayed: bool = False
    account_id: str | None = None
    account_state: str | None = None
    balance: Balance | None = None
    to_account_id: str | None = None
    to_balance: Balance | None = None
    reservation: Reservation | None = None
    transaction_id: str | None = None
    to_transaction_id: str | None = None
    charge: Charge | None = None
    final_unit: bool | None = None
    denial_reason: str | None = None
    late: bool | None = None
    refunded_total: int | None = None
    lines: tuple[Rated, ...] = ()
    affordable_s: int | None = None


@dataclass(frozen=True)
class Decision:
    """A decided request as it is kept for its retries."""

    key: str
    fingerprint: object
    outcome: Outcome
