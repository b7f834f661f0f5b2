"""Prices, books and quotes as the server answers them: frozen dataclasses, numbers as Decimal, times with a zone.

The comments in `proto/imprest/v1/price.proto` and `usage.proto` define every field.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias


class BookSide(StrEnum):
    """Whose price a book holds: COST is what the provider charges, SALE what the customer pays."""

    COST = "COST"
    SALE = "SALE"
    UNKNOWN = "UNKNOWN"


class ChargeModel(StrEnum):
    """How a quantity becomes an amount."""

    PER_UNIT = "PER_UNIT"
    GRADUATED = "GRADUATED"
    VOLUME = "VOLUME"
    PACKAGE = "PACKAGE"
    FLAT = "FLAT"
    PERCENTAGE = "PERCENTAGE"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceTier:
    """One step of a tiered price, up to and including `up_to`; None: without end."""

    up_to: Decimal | None
    unit_price: Decimal
    flat_fee: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """The price of one meter, for one or any (empty) provider, model and destination prefix.

    What is None or zero is not set; `margin_percent` or `markup` make it a price derived from the cost.
    """

    meter: str
    provider: str = ""
    model: str = ""
    destination_prefix: str = ""
    charge_model: ChargeModel = ChargeModel.PER_UNIT
    unit_price: Decimal = Decimal(0)
    per_quantity: Decimal = Decimal(1)
    tiers: tuple[PriceTier, ...] = ()
    increment_first: Decimal | None = None
    increment_next: Decimal | None = None
    minimum_quantity: Decimal = Decimal(0)
    connect_fee: Decimal = Decimal(0)
    minimum_charge: Decimal | None = None
    maximum_charge: Decimal | None = None
    free_quantity: Decimal = Decimal(0)
    margin_percent: Decimal | None = None
    markup: Decimal | None = None
    source: str = ""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What names it in its version: meter, provider, model and destination prefix."""
        return self.meter, self.provider, self.model, self.destination_prefix


@dataclass(frozen=True, slots=True)
class PriceBook:
    """A set of prices of one side in one currency; `account_id` is set on one that holds an account's overrides."""

    price_book_id: str
    side: BookSide
    currency_code: str
    display_name: str
    account_id: str
    create_time: datetime


@dataclass(frozen=True, slots=True)
class PriceVersion:
    """All prices of a book from one instant on; `number` counts from 1 in its book."""

    version_id: str
    price_book_id: str
    number: int
    effective_time: datetime
    create_time: datetime
    epoch: int


@dataclass(frozen=True, slots=True)
class BookState:
    """A book, the version in force, and the one published last; None while there is none."""

    book: PriceBook
    current: PriceVersion | None
    latest: PriceVersion | None


@dataclass(frozen=True, slots=True)
class PriceDifference:
    """How one price differs: added (no `before`), removed (no `after`) or changed."""

    before: Price | None
    after: Price | None


@dataclass(frozen=True, slots=True)
class DifferenceCount:
    """How many prices differ, all counted."""

    added: int
    changed: int
    removed: int
    unchanged: int

    @property
    def total(self) -> int:
        """How many do differ."""
        return self.added + self.changed + self.removed


@dataclass(frozen=True, slots=True)
class SkippedEntry:
    """What of a price file became no price, and why: the same words for the same reason."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class PriceAssignment:
    """Who is priced by a book from an instant on; no account: all of the tenant, no book: the one before ends."""

    side: BookSide
    currency_code: str
    account_id: str
    price_book_id: str
    effective_time: datetime


@dataclass(frozen=True, slots=True)
class Plan:
    """What accounts subscribe to: a SALE book that goes before their own, and lines that are charged every month."""

    plan_id: str
    display_name: str
    currency_code: str
    price_book_id: str
    lines: tuple[UsageLine, ...]
    create_time: datetime


@dataclass(frozen=True, slots=True)
class Subscription:
    """An account's plan (empty: none), and what is charged every month; `end_time` is None while no end is known.

    Its charges have `subscription_id` as their call.
    """

    subscription_id: str
    account_id: str
    plan_id: str
    lines: tuple[UsageLine, ...]
    start_time: datetime
    end_time: datetime | None
    create_time: datetime


@dataclass(frozen=True, slots=True)
class ExchangeRate:
    """What one unit of a COST book's currency costs in another currency, from an instant on."""

    price_book_id: str
    currency_code: str
    rate: Decimal
    effective_time: datetime


@dataclass(frozen=True, slots=True)
class Meter:
    """A measured dimension of usage; `base` is the coarser one whose price applies where there is none."""

    name: str
    category: str
    unit: str
    description: str
    base: str
    by_destination: bool


# ── usage and its price ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageLine:
    """A quantity measured on one meter, in its unit. `destination` is a number in E.164, with or without its plus."""

    meter: str
    quantity: Decimal
    line_id: str = ""
    provider: str = ""
    model: str = ""
    destination: str = ""
    operation: str = ""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class UsageReport:
    """Usage with its times, which decide about its prices, and labels for all its lines."""

    lines: tuple[UsageLine, ...]
    start_time: datetime | None = None
    end_time: datetime | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


Usage: TypeAlias = UsageReport | Iterable[UsageLine]
"""Usage as callers give it: at most 200 lines."""


def report_of(usage: Usage) -> UsageReport:
    """The usage as a report."""
    return usage if isinstance(usage, UsageReport) else UsageReport(tuple(usage))


@dataclass(frozen=True, slots=True)
class RatedLine:
    """A usage line with its price and its cost; `match` says which prices won and why.

    Costs are None when no COST book knows the line: nobody knows then what it costs, and nothing was posted for it.
    """

    line: UsageLine
    price: Decimal
    cost: Decimal | None
    exact_price: Decimal
    exact_cost: Decimal | None
    price_version: str
    cost_version: str
    match: str
    duplicate: bool

    @property
    def margin(self) -> Decimal | None:
        """What is left of the price; None when the cost is unknown."""
        return None if self.cost is None else self.price - self.cost


@dataclass(frozen=True, slots=True)
class Allocation:
    """A call's share of the operator's own costs."""

    meter: str
    cost: Decimal
    exact_cost: Decimal
    cost_version: str
    match: str


@dataclass(frozen=True, slots=True)
class Quote:
    """What usage would cost, line by line. `margin_percent` is None when the price is 0.

    Cost and margins are None when the cost of any line is unknown.
    """

    currency_code: str
    price: Decimal
    cost: Decimal | None
    margin: Decimal | None
    margin_percent: Decimal | None
    lines: tuple[RatedLine, ...]
    allocations: tuple[Allocation, ...]


# ── receipts ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class BookReceipt:
    """A book was created."""

    book: PriceBook
    replayed: bool


@dataclass(frozen=True, slots=True)
class PublishReceipt:
    """Prices were published, or (no `version`) only compared.

    `differences` are the first 5000; `count` counts all. When nothing differs `version` is the one that stays.
    """

    version: PriceVersion | None
    differences: tuple[PriceDifference, ...]
    count: DifferenceCount
    replayed: bool


@dataclass(frozen=True, slots=True)
class ImportReceipt(PublishReceipt):
    """The prices of a file were; `skipped` are the first 5000 entries that became no price."""

    skipped: tuple[SkippedEntry, ...]
    skipped_count: int
    price_count: int


@dataclass(frozen=True, slots=True)
class AssignmentReceipt:
    """A book was assigned, or an assignment ended."""

    assignment: PriceAssignment
    replayed: bool


@dataclass(frozen=True, slots=True)
class RateReceipt:
    """An exchange rate was set."""

    rate: ExchangeRate
    replayed: bool


@dataclass(frozen=True, slots=True)
class PlanReceipt:
    """A plan was created."""

    plan: Plan
    replayed: bool


@dataclass(frozen=True, slots=True)
class SubscriptionReceipt:
    """A subscription was begun or ended."""

    subscription: Subscription
    replayed: bool


@dataclass(frozen=True, slots=True)
class RerateItem:
    """A transaction whose usage costs something else by other prices, or (`skipped` says why) stays as it is.

    `charged` is what the customer paid more, or got back when negative; None, without a `rerate_transaction_id`, when
    nothing was posted.
    """

    account_id: str
    transaction_id: str
    currency_code: str
    price_before: Decimal
    price_after: Decimal
    cost_before: Decimal
    cost_after: Decimal
    skipped: str
    rerate_transaction_id: str
    charged: Decimal | None
