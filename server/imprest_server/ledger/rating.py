"""What the rules ask of prices, and what they are told. `posting` answers over the price books.

The ledger does not know how a price comes about. It knows what usage costs the customer and us, by which versions,
and that some prices count what an account has used earlier in the calendar month.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple, Protocol

from imprest_server.core.ids import AccountId, ReservationId, TenantId
from imprest_server.core.usage import RatedLine, UsageLine
from imprest_server.ledger.model import Account


class CounterKey(NamedTuple):
    """What a month's quantity is counted by: the account, its calendar month, and the key of a price of one side."""

    tenant_id: TenantId
    account_id: AccountId
    month: date
    side: str
    meter: str
    provider: str
    model: str
    destination_prefix: str


class Count(NamedTuple):
    """What a line adds to a month's count, and where the count stood before it."""

    key: CounterKey
    before: Decimal
    quantity: Decimal


#: Where a month's count stands; 0 for one that nothing has been counted in.
Counted = Callable[[CounterKey], Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """By which prices usage is rated: those known at `epoch` (None: known now) and in force at `price_time`.

    What it counts is counted in the account's calendar month of `usage_time`.
    """

    epoch: int | None
    price_time: datetime
    usage_time: datetime


@dataclass(frozen=True, slots=True)
class PricedLine:
    """A usage line with its price and cost, and what it adds to the month's counts."""

    rated: RatedLine
    counts: tuple[Count, ...] = ()


@dataclass(frozen=True, slots=True)
class Priced:
    """Usage with its price: `price` and `cost` are the sums of the lines in nanos, `epoch` the one it was rated at."""

    lines: tuple[PricedLine, ...]
    price: int
    cost: int
    epoch: int


class Rating(Protocol):
    """The prices of a batch's tenants: all that its operations need was loaded before the fold. Pure."""

    def rate(
        self, account: Account, lines: Sequence[UsageLine], basis: Basis, counted: Counted, *, estimate: bool
    ) -> Priced:
        """Price the lines. Rounded to even, or up for an `estimate`. Counts nothing; a line counts on from the one
        before it. Raises PriceNotFound."""
        ...

    def affordable_duration(
        self, account: Account, lines: Sequence[UsageLine], basis: Basis, counted: Counted, amount: int
    ) -> timedelta | None:
        """How long `amount` nanos last when all lines are used up evenly over the longest of their times; at most that
        long. None when no line measures time."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedLine:
    """A usage line as it was posted, with what it was priced at. Never changed.

    It is unique by tenant, account, call and the line's id. `seq` is the transaction that posted it, None when there
    was nothing to post. `start_time` is when the usage happened, as far as is known.
    """

    tenant_id: TenantId
    account_id: AccountId
    call_id: str
    priced: PricedLine
    reservation_id: ReservationId | None
    seq: int | None
    start_time: datetime
    end_time: datetime | None
    create_time: datetime
