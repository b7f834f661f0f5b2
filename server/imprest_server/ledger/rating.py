"""What the rules ask of prices, and what they are told. `posting` answers over the price books.

The ledger does not know how a price comes about. It knows what usage costs the customer and us, by which versions,
and that some prices count what an account has used earlier in the calendar month.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple, Protocol
from uuid import UUID

from imprest_server.core.ids import AccountId, ReservationId, TenantId
from imprest_server.core.usage import RatedLine, UsageLine, UsageReport
from imprest_server.core.values import named_value, value
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


@named_value
class Basis:
    """By which prices usage is rated: those known at `epoch` (None: known now) and in force at `price_time`.

    A line that has none there is rated by those known now and in force at `else_time`, unless that is None. What usage
    counts is counted in the account's calendar month of `usage_time`.
    """

    epoch: int | None
    price_time: datetime
    usage_time: datetime
    else_time: datetime | None = None


@value
class PricedLine:
    """A usage line with its price and cost, and what it adds to the month's counts."""

    rated: RatedLine
    counts: tuple[Count, ...] = ()


@value
class Priced:
    """Usage with its price: `price` and `cost` are the sums of the lines in nanos, `epoch` is that of the prices."""

    lines: tuple[PricedLine, ...]
    price: int
    cost: int
    epoch: int


class Rating(Protocol):
    """The prices of a batch's tenants: all that its operations need was loaded before the fold. Pure.

    `counters` are the account's counts so far; nothing is counted here, but of several lines each counts on from the
    one before it.
    """

    def capture(
        self, account: Account, usage: UsageReport, basis: Basis, counters: Mapping[CounterKey, Decimal]
    ) -> Priced:
        """Price what was used, rounded to even. Raises PriceNotFound, AmountOutOfRange."""
        ...

    def estimate(
        self, account: Account, usage: UsageReport, basis: Basis, counters: Mapping[CounterKey, Decimal]
    ) -> Priced:
        """The most that usage up to this may come to, rounded up. Raises PriceNotFound, AmountOutOfRange."""
        ...

    def affordable_duration(
        self, account: Account, usage: UsageReport, basis: Basis, counters: Mapping[CounterKey, Decimal], amount: int
    ) -> timedelta | None:
        """How long `amount` nanos last when the usage is spread evenly over its time; None when it measures no time."""
        ...


@value
class LineAmounts:
    """What a posted usage line costs now, in nanos, and by which versions: as posted, or as re-rated for the
    `number`th time. `stated`: a true-up has said what it costs us."""

    number: int
    price: int
    cost: int
    exact_price: Decimal
    exact_cost: Decimal
    price_version: UUID
    cost_version: UUID | None
    stated: bool = False


class CostedLine(NamedTuple):
    """A posted usage line whose cost is to be stated: its call, the transaction that posted it (None: nothing was), and
    how its price and cost came about."""

    call_id: str
    seq: int | None
    line: UsageLine
    match: str


@named_value
class ReratedLine:
    """A usage line of the transaction `captured_seq` at another price or cost than `before`. Never changed.

    `stated` is as of LineAmounts. `seq` is the transaction that posted the difference, None when there was nothing to
    post.
    """

    tenant_id: TenantId
    account_id: AccountId
    call_id: str
    captured_seq: int
    rated: RatedLine
    before: LineAmounts
    seq: int | None
    create_time: datetime
    stated: bool = False


@named_value
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
